"""Two joined streams inside one process: the simulated host of ``--source=simulated``, and tests.

A socket pair, not a queue: the bytes are cut up by the kernel as on any other transport.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from exporter.transport.base import Stream
from exporter.transport.sockets import SocketStream


def pair() -> tuple[SocketStream, SocketStream]:
    """Two ends of one connection."""
    left, right = socket.socketpair()
    return SocketStream(left), SocketStream(right)


class MemoryConnector:
    """Each connection is answered by ``serve(stream)`` in a thread of its own, which ends with the stream."""

    transport = "memory"

    def __init__(self, serve: Callable[[Stream], None]) -> None:
        self._serve = serve

    def connect(self, timeout: float) -> SocketStream:  # noqa: ARG002  nothing can make it wait
        ours, theirs = pair()
        threading.Thread(target=self._serve, args=(theirs,), name="simulated-host", daemon=True).start()
        return ours
