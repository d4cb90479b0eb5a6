"""Interim answers of HTTP, which come before the final one and say nothing of it.

Source: RFC 9110, 15.2: a client takes any number of answers with a status of 1xx before the final one, asked for or not.
``http.client`` passes over 100 alone, and takes 102 and 103 for the answer.
"""

from __future__ import annotations

import io
import re
from http.client import HTTPResponse, LineTooLong
from typing import Any

_INTERIM = re.compile(rb"HTTP/\d\.\d\s+1(?!01)\d\d\s")
"""101 is final: what follows it is no HTTP."""
_LONGEST = 65536
"""Bytes of a line; http.client's own limit."""


class FinalAnswer(io.BufferedReader):
    """What a server sends, without the interim answers at its beginning. For ``fp`` of an ``HTTPResponse``."""

    _begun = False

    def readline(self, size: int | None = -1) -> bytes:
        line = self.line(size)
        if not self._begun:
            self._begun = True
            while _INTERIM.match(line):
                while (header := self.line(_LONGEST + 1)) not in {b"\r\n", b"\n", b""}:
                    if len(header) > _LONGEST:
                        raise LineTooLong("header of an interim answer")
                line = self.line(size)
        return line

    def line(self, size: int | None) -> bytes:
        """One line as it was sent, of ``size`` bytes at most."""
        return super().readline(size)


class FinalResponse(HTTPResponse):
    """To be the ``response_class`` of a connection of http.client."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = FinalAnswer(self.fp.detach())
