"""The answer to one HTTP/1.1 request, out of a stream of bytes. No I/O.

Source: RFC 9112, sections 2 to 7. A receiver is trusted no more than any other peer: what is larger than an
answer to an export can be is cut off, and the connection is then not used again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024
"""Bytes. A real answer has some tens; an error page a few thousand."""

Receive = Callable[[], bytes]
"""The next bytes, at least one; empty at the end of the stream. May raise what it wants."""

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: (.*))?")


class MalformedAnswer(OSError):
    """This is no HTTP. An OSError, as everything else is that ends a connection."""


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    reusable: bool
    """Whether the connection stands exactly behind this answer and may carry another request."""


def read_answer(receive: Receive) -> Answer:
    """Read one answer, skipping interim ones (1xx).

    Raises:
        MalformedAnswer: the bytes are no HTTP, or the stream ends in the middle.
    """
    stream = _Stream(receive)
    while True:
        head = stream.until(b"\r\n\r\n", MAX_HEAD)
        first, *lines = head.split(b"\r\n")
        match = _STATUS.fullmatch(first)
        if match is None:
            raise MalformedAnswer(f"expected an HTTP answer, got {first[:40]!r}")
        status = int(match[2])
        if status >= 200:
            break
    headers = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    keep = match[1] == b"1" and "close" not in headers.get("connection", "").lower()
    body, whole = _body(stream, status, headers)
    reason = (match[3] or b"").decode("latin-1")
    return Answer(status, reason, headers, body, keep and whole and not stream.rest)


class _Stream:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.rest = b""

    def _more(self) -> bool:
        data = self._receive()
        self.rest += data
        return bool(data)

    def until(self, mark: bytes, limit: int) -> bytes:
        searched = 0
        while (found := self.rest.find(mark, searched)) < 0:
            searched = max(0, len(self.rest) - len(mark) + 1)
            if len(self.rest) > limit:
                raise MalformedAnswer(f"no end of a line within {limit} bytes")
            if not self._more():
                raise MalformedAnswer("the connection ended in the middle of an answer")
        taken, self.rest = self.rest[:found], self.rest[found + len(mark) :]
        return taken

    def exactly(self, length: int) -> bytes:
        while len(self.rest) < length:
            if not self._more():
                raise MalformedAnswer("the connection ended in the middle of an answer")
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def to_the_end(self, limit: int) -> bytes:
        while len(self.rest) < limit and self._more():
            pass
        taken, self.rest = self.rest[:limit], b""
        return taken


def _body(stream: _Stream, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    """The body, and whether it was read to its end and the next answer would start behind it."""
    if status in {204, 304}:
        return b"", True
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _chunks(stream)
    length = headers.get("content-length")
    if length is None:
        return stream.to_the_end(MAX_BODY), False
    if not re.fullmatch(r"\d{1,18}", length, re.ASCII):
        raise MalformedAnswer(f"expected a Content-Length, got {length[:40]!r}")
    wanted = min(int(length), MAX_BODY)
    return stream.exactly(wanted), wanted == int(length)


def _chunks(stream: _Stream) -> tuple[bytes, bool]:
    body = b""
    while True:
        line = stream.until(b"\r\n", 1024).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
            raise MalformedAnswer(f"expected the size of a chunk, got {line[:40]!r}")
        size = int(line, 16)
        if size == 0:
            # Trailers end at an empty line.
            while stream.until(b"\r\n", MAX_HEAD):
                pass
            return body, True
        if len(body) + size > MAX_BODY:
            return body, False
        body += stream.exactly(size)
        if stream.exactly(2) != b"\r\n":
            raise MalformedAnswer("a chunk is longer than it says")
