"""The push as a part of the program: its settings, and its start."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from exporter.config import Settings, push_wanted
from exporter.metrics.published import Published
from exporter.outputs.otlp.push import Push
from exporter.outputs.otlp.settings import resolve


def check(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise ConfigError for settings of the push, standard variables among them, that can't be used."""
    if push_wanted(settings, environ):
        resolve(settings.otlp, environ)


def start(settings: Settings, environ: Mapping[str, str], published: Published, parts: ExitStack) -> None:
    """Push, if a setting asks for it and no standard variable switches it off; ``parts`` ends it."""
    push_settings = resolve(settings.otlp, environ) if push_wanted(settings, environ) else None
    if push_settings is None:
        return
    push = Push(push_settings, published, delay=settings.poll.interval / 2)
    published.add(push.families)
    push.start()
    parts.callback(push.stop)
