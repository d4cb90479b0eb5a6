"""A carrier for the SDK's HTTP exporter where nothing but TCP is wanted: one connection, kept open.

The SDK's own carriers import ``requests`` or ``urllib3``, and with them ``ssl``: 10 MiB and most of the CPU time
of an export, for a collector that is mostly on the same machine. The exporter, its encoding, headers, compression
and retries are the SDK's here too; with TLS or a proxy, so is the carrier (see ``http_client``). Unlike the
SDK's, this one holds its time limit as a whole and reads no endless answer.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry.exporter.http.transport._base import BaseHTTPResult, BaseHTTPTransport

from exporter.outputs.otlp.http1 import Answer, read_answer
from exporter.outputs.otlp.watch import Watch

DEFAULT_TIMEOUT = 10.0
"""Seconds, where the SDK should name none."""


@dataclass(frozen=True, slots=True)
class PlainResult(BaseHTTPResult):
    """What the SDK wants to know of an exchange; ``answer`` is None where an error came instead."""

    answer: Answer | None = None

    def content(self) -> bytes:
        return self.answer.body if self.answer is not None else b""

    def headers(self) -> Mapping[str, str]:
        return self.answer.headers if self.answer is not None else {}


class PlainTransport(BaseHTTPTransport):
    """POSTs over TCP and tells ``watch`` what came of it. One thread sends; another may :meth:`close`."""

    def __init__(self, watch: Watch, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch = watch
        self._clock = clock
        self._connection: socket.socket | None = None
        self._closed = False

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        data: bytes | None = None,
    ) -> BaseHTTPResult:
        deadline = self._clock() + (timeout if timeout is not None else DEFAULT_TIMEOUT)
        try:
            answer = self._exchange(method, url, headers or {}, data or b"", deadline)
        except OSError as error:
            self._drop()
            self._watch.failed(error)
            return PlainResult(error=error)
        self._watch.answered(answer.status, answer.reason, answer.headers, answer.body)
        return PlainResult(status_code=answer.status, reason=answer.reason, answer=answer)

    def is_connection_error(self, exception: Exception | None) -> bool:
        return isinstance(exception, OSError)

    def close(self) -> None:
        """For good: also ends an exchange that another thread is waiting in."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closing alone does not wake a thread that waits for bytes.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes, deadline: float
    ) -> Answer:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Content-Length: {len(data)}"]
        if not any(name.lower() == "host" for name in headers):
            lines.append(f"Host: {parts.netloc}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection = self._connected(parts.hostname or "", parts.port or 80, deadline)
        connection.settimeout(self._left(deadline))
        # One write: headers and body apart would meet Nagle's algorithm and a delayed ACK.
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)

        def receive() -> bytes:
            connection.settimeout(self._left(deadline))
            return connection.recv(65536)

        answer = read_answer(receive)
        if not answer.reusable:
            self._drop()
        return answer

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError("the receiver did not answer in time")
        return left

    def _connected(self, host: str, port: int, deadline: float) -> socket.socket:
        """The kept connection, if the receiver has not closed it meanwhile; else a new one.

        Finding that out by sending would leave open whether the receiver has the export already.
        """
        connection = self._connection
        if connection is not None and select.select([connection], [], [], 0)[0]:
            self._drop()
            connection = None
        if self._closed:
            raise ConnectionAbortedError("the push has ended")
        if connection is None:
            connection = socket.create_connection((host, port), self._left(deadline))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
        return connection
