"""Which client for which protocol. Only here is OpenTelemetry imported, and of it only the protocol's half."""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping

from exporter.outputs.otlp.client import Client
from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.settings import PushSettings


def connect(settings: PushSettings) -> Client:
    """The client for the protocol of ``settings``. Nothing is sent yet."""
    if settings.protocol == GRPC:
        hush_grpc()
        from exporter.outputs.otlp.grpc_client import GrpcClient

        return GrpcClient(settings)
    # What it warns of (a malformed header) is part of an answer, and answers are judged here.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    from exporter.outputs.otlp.http_client import HttpClient

    return HttpClient(settings)


def hush_grpc(environ: MutableMapping[str, str] = os.environ) -> None:
    """Before gRPC is imported: its core writes to standard error by itself, in its own format.

    Each failed connection or handshake is a line there, and this program says it once, in its own log. gRPC's
    fork handlers are for programs that fork and go on using it; this one starts children by exec. Whoever set
    one of the variables wants to see.
    """
    environ.setdefault("GRPC_VERBOSITY", "NONE")
    environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
