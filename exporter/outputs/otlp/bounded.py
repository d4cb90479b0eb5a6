"""``requests`` with a time limit over all of an answer, which notices where one is cut in its head.

Alone, ``http.client`` grants each byte the whole limit, takes the end of the stream for the end of the headers, and
reads without end. This uses the documented extension points: transport adapters of requests, connection
classes of urllib3, ``response_class`` and ``fp`` of http.client.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssltransport import SSLTransport

from exporter.interim import FinalAnswer
from exporter.outputs.otlp.client import MAX_ANSWER

MAX_READ = MAX_ANSWER + 64 * 1024
"""Bytes of an answer as it is sent: its head, and the sizes of its chunks, beside the body."""


class CutAnswer(ConnectionError):
    def __init__(self) -> None:
        super().__init__("the connection ended in the middle of the answer")


class CorruptAnswer(ConnectionError):
    def __init__(self) -> None:
        super().__init__("the answer says that it is gzip, and is not")


class AnswerTooLarge(ConnectionError):
    def __init__(self) -> None:
        super().__init__(f"the answer is larger than {MAX_ANSWER // 1024} KiB")


class _Stream(io.RawIOBase):
    """What a socket gives of one answer until its time limit, as it stands now, is over; :data:`MAX_READ` at most.

    Counted here, beneath http.client, which reads to the end of the stream where a chunk's size is negative.
    """

    def __init__(self, sock: Any) -> None:
        limit = sock.gettimeout()
        self._deadline = None if limit is None else time.monotonic() + limit
        self._socket = sock
        self._stream = sock.makefile("rb", buffering=0)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        read: int | None = self._stream.readinto(buffer)
        self._read += read or 0
        if self._read > MAX_READ:
            raise AnswerTooLarge
        return read

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Reader(FinalAnswer):
    """Reads lines that have an end."""

    _any = False

    def line(self, size: int | None) -> bytes:
        line = super().line(size)
        # Of a line as long as was asked for http.client says itself what is wrong, and of a connection without answer.
        if not line.endswith(b"\n") and len(line) != size and (line or self._any):
            raise CutAnswer
        self._any = True
        return line


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = _Reader(_Stream(sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _Latest:
    """The connection over TLS that was made last; at most one is in use."""

    connection: _SecureConnection | None = None


class _SecureConnection(HTTPSConnection):
    """One that can be cut.

    The time limit of ``ssl`` holds for each piece that is sent, that of urllib3's TLS within TLS (an ``https://`` proxy)
    for each that is received.
    """

    response_class = _Response
    latest: _Latest

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected: Any = None
        self.latest.connection = self

    def connect(self) -> None:
        super().connect()
        # http.client forgets the socket of an answer that ends with its connection.
        self._connected = self.sock

    def cut(self) -> None:
        for sock in (self.sock, self._connected):
            inner = sock.socket if isinstance(sock, SSLTransport) else sock
            if inner is not None:
                with suppress(OSError):
                    # Not SSLSocket's, which takes the TLS away beneath the thread that uses it.
                    socket.socket.shutdown(inner, socket.SHUT_RDWR)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class BoundedAdapter(HTTPAdapter):
    """To be mounted in a session for both schemes; for one request at a time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._latest = _Latest()
        super().__init__(*args, **kwargs)

    def cut(self) -> None:
        """End the connection, from any thread: whoever waits for it gets an error."""
        if (connection := self._latest.connection) is not None:
            connection.cut()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        return self._bound(super().proxy_manager_for(*args, **kwargs))

    def _bound(self, manager: PoolManager) -> PoolManager:
        class SecureConnection(_SecureConnection):
            latest = self._latest

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = SecureConnection

        manager.pool_classes_by_scheme = {"http": _Pool, "https": SecurePool}
        return manager
