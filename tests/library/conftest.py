from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from exporter.catalogue import STATISTICS, Wire
from exporter.library.loader import LoadedLibrary

PATH = "GetResourcePoolPath"


class FakeLibrary:
    """VMware's library as Python functions: statuses and values as set, calls counted.

    ``statuses`` maps a function to what it answers; a number's getter answers ``values`` by symbol, or 10.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.values: dict[str, int] = {"GetElapsedMs": 7}
        self.path: bytes | None = None
        self.session_id = 5
        self.reply: bytes | None = b"<metrics/>"
        self.reply_size: int | None = None
        self.asked: list[tuple[bytes, bytes]] = []
        self.calls: list[str] = []
        self.without: set[str] = set()
        self.open = 0
        self.allocated: dict[int, ctypes.Array[ctypes.c_char]] = {}

    def library(self) -> LoadedLibrary:
        functions: dict[str, Callable[..., Any]] = {
            "GetErrorText": lambda code: b"Text of %d" % code,
            "OpenHandle": self._open,
            "CloseHandle": self._close,
            "UpdateInfo": lambda handle: self._status("UpdateInfo"),
            "GetSessionId": self._session,
            PATH: self._path,
            "StatGet": self._stat_get,
            "StatFree": self._stat_free,
        }
        for row in STATISTICS:
            if row.symbol and row.wire is not Wire.STRING:
                functions[row.symbol] = self._getter(row.symbol)
        return LoadedLibrary(
            "fake.so", {name: f for name, f in functions.items() if name not in self.without}
        )

    def _status(self, name: str) -> int:
        self.calls.append(name)
        return self.statuses.get(name, 0)

    def _open(self, out: Any) -> int:
        if (code := self._status("OpenHandle")) == 0:
            self.open += 1
            out._obj.value = 1234
        return code

    def _close(self, handle: Any) -> int:
        assert handle.value == 1234
        self.open -= 1
        return self._status("CloseHandle")

    def _session(self, handle: Any, out: Any) -> int:
        out._obj.value = self.session_id
        return self._status("GetSessionId")

    def _getter(self, symbol: str) -> Callable[[Any, Any], int]:
        def get(handle: Any, out: Any) -> int:
            if code := self._status(symbol):
                return code
            if symbol not in self.values:
                return 10
            out._obj.value = self.values[symbol]
            return 0

        return get

    def _path(self, handle: Any, size: Any, buffer: Any) -> int:
        if code := self._status(PATH):
            return code
        if self.path is None:
            return 4
        if size._obj.value < len(self.path) + 1:
            size._obj.value = len(self.path) + 1
            return 7
        buffer.value = self.path
        return 0

    def _stat_get(self, encoding: bytes, name: bytes, reply: Any, size: Any) -> int:
        assert self.open, "StatGet kills the process where OpenHandle has not found VMware"
        self.asked.append((encoding, name))
        if self.reply is not None:
            block = ctypes.create_string_buffer(self.reply)
            address = ctypes.addressof(block)
            self.allocated[address] = block
            reply._obj.value = address
            size._obj.value = len(self.reply) if self.reply_size is None else self.reply_size
        return self._status("StatGet")

    def _stat_free(self, reply: Any, size: Any) -> None:
        self._status("StatFree")
        del self.allocated[reply.value]


@pytest.fixture
def fake() -> FakeLibrary:
    return FakeLibrary()
