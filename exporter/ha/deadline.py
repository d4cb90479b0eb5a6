"""A connection that keeps to a deadline, whatever its peer does: one that sends a byte at a time has no more time than any other.

Each wait is for what is left. So nobody has to watch over it from outside, which would take a thread for each look.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class DeadlineSocket:
    """Of ``connection`` what :mod:`http.client` needs of a socket. Past ``deadline``, monotonic, it raises TimeoutError."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._prepare()
            left = left[self._connection.send(left) :]

    def receive(self, buffer: Any) -> int:
        """As ``recv_into``."""
        self._prepare()
        return self._connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """For reading."""
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Nothing: an HTTPConnection closes what its reply still reads from. Whoever has made the connection closes it."""

    def _prepare(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)


class _Incoming(io.RawIOBase):
    def __init__(self, connection: DeadlineSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive(buffer)
