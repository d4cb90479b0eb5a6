"""The push as a part of the program: its settings, and its start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec

from exporter.config import Settings
from exporter.errors import ConfigError
from exporter.metrics.published import Published
from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.push import Push
from exporter.outputs.otlp.settings import PushSettings, resolve


def check(settings: Settings, environ: Mapping[str, str], unread: Collection[str] = ()) -> None:
    """Raise ConfigError for settings of the push, standard variables among them, that can't be used."""
    # Which endpoints there are hangs on the protocol, and nearly all else on the endpoint.
    if not {"otlp.endpoint", "otlp.metrics-endpoint", "otlp.protocol", "otlp.insecure"} & set(unread):
        pair = {"otlp.cert", "otlp.key"} & set(unread)
        otlp = replace(settings.otlp, cert=None, key=None) if pair else settings.otlp
        _resolved(replace(settings, otlp=otlp), environ)


def _resolved(settings: Settings, environ: Mapping[str, str]) -> PushSettings | None:
    found = resolve(settings.otlp, environ)
    if found is not None and found.protocol == GRPC and find_spec("grpc") is None:
        # Packages that fit every Python have no gRPC: it is compiled for one.
        raise ConfigError(
            "--otlp.protocol=grpc needs gRPC, which this installation does not have; use --otlp.protocol=http/protobuf"
            " with the receiver's other port, usually 4318, or the wheel, installed by pip: that has gRPC"
        )
    return found


def start(settings: Settings, environ: Mapping[str, str], published: Published, parts: ExitStack) -> None:
    """Push, unless a standard variable switches it off; ``parts`` ends it."""
    push_settings = _resolved(settings, environ)
    if push_settings is None:
        return
    push = Push(push_settings, published, delay=settings.poll.interval / 2)
    published.add(push.families)
    push.start()
    parts.callback(push.stop)
