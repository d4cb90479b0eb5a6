"""One use of VMware's library: open a handle, update, read, close.

Each fault of the real library (open-vm-tools 12.2.0 and 13.1.0) has its defence here:

- a second update on one handle decodes texts into the buffers of the first: a longer pool path overflows the heap.
  Hence a fresh handle each time.
- an update that could not decode the reply answers success. Hence the session id must be readable after it.
- GetResourcePoolPath does not look how long the list is. Hence it is called only where the statistic before the
  path is in the list. That leaves a list of 17, which ends right before the path: of it, of one of 18 and of a V2 reply, which
  both end with the path, the library tells the same. No host was ever seen to send one of 17, and a path from behind its
  end is what the library's memory holds there.
- GetHostMemKernOvhdMB answers 0 whatever the host sent. Hence it is not called.
- GetMemShares64 has no value where the host marks it as not valid. Hence GetMemShares then.
- StatGet executes an instruction that kills the process where there is no VMware. Hence a handle is opened first,
  which looks. Its reply is allocated on failure too, and freed here on every path.

A crash on an empty body can't be caught in the process: see :mod:`exporter.library.child`.
"""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Any, Self

from exporter.catalogue import BY_ID, STATISTICS, BasicStatistic, Wire
from exporter.errors import (
    ConnectionLost,
    LibraryStatus,
    LocalProtocolError,
    NotVMwareError,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    VMGuestError,
)
from exporter.library.loader import LoadedLibrary
from exporter.library.signatures import HANDLE, OUT, PREFIX, REPLY, GuestLibStatus
from exporter.protocol.rpci import MAX_REASON, words
from exporter.snapshot import Snapshot, Value

PATH_SIZE = 513
"""Bytes of buffer for a pool path: 512 at most on the wire, and a NUL."""
MAX_PATH_SIZE = 64 * 1024
MAX_REPLY = 2**20
"""Bytes of an extended reply; GuestRPC has the same bound."""

_ABSENT = (GuestLibStatus.NOT_AVAILABLE, GuestLibStatus.UNSUPPORTED_VERSION)
"""A getter's way to say that the host does not give this statistic."""

_CHANNEL_TEXTS: tuple[tuple[str, type[VMGuestError]], ...] = (
    ("RpcChannel: Unable to create", RefusedError),
    ("RpcChannel: Unable to open", RefusedError),
    ("VSockOut: Invalid format", RemoteProtocolError),
    ("RpcOut: Invalid format", RemoteProtocolError),
    ("VSockOut: Unable to", ConnectionLost),
    ("RpcOut: Unable to", ConnectionLost),
)
"""What the library says in place of the host when the channel failed (lib/rpcChannel)."""


def read(library: LoadedLibrary) -> Snapshot:
    """One poll.

    Raises:
        NotVMwareError: this is not a VMware guest.
        RpcError: the host refuses. The library has one status for every refusal, so the host's text is lost.
        RemoteProtocolError: the host's reply could not be decoded.
        LibraryStatus: anything else.
    """
    with Handle(library) as handle:
        session_id = handle.update()
        return Snapshot(session_id, 0, handle.values())


def stat(library: LoadedLibrary, encoding: str, name: str) -> bytes:
    """One group of extended statistics, as the host sent it.

    Raises:
        RpcError: the host refuses, or the library is older than extended statistics.
        TransportError: no channel to the host.
        VMGuestError: as :func:`read`.
    """
    command = f"guestlib.stat.get {encoding} {name}"
    if "\0" in command:
        raise LocalProtocolError(f"{command!r}: a name for the library can't hold a NUL")
    if "StatGet" not in library.functions or "StatFree" not in library.functions:
        # To the caller, a library without the function is a host without the command. That it is the library
        # (older than Tools 9.10) has been reported when it was loaded.
        raise RpcError("Unknown command", f"{PREFIX}StatGet")
    with Handle(library):
        reply, size = REPLY(), ctypes.c_size_t()
        code = library.functions["StatGet"](
            encoding.encode(), name.encode(), ctypes.byref(reply), ctypes.byref(size)
        )
        length, data = size.value, b""
        if reply.value is not None:
            try:
                data = ctypes.string_at(reply, min(length, MAX_REPLY))
            finally:
                library.functions["StatFree"](reply, size)
    if code == GuestLibStatus.NOT_AVAILABLE:
        raise _refusal(words(data).decode("utf-8", "replace")[:MAX_REASON], command)
    if code != GuestLibStatus.SUCCESS:
        raise _error("StatGet", code)
    if length > MAX_REPLY:
        raise RemoteProtocolError(f"a reply of {length} bytes to {command!r}: {MAX_REPLY} at most are taken")
    return data


def status_text(library: LoadedLibrary, code: int) -> str:
    """The library's own words for a status."""
    text = library.functions["GetErrorText"](code) if "GetErrorText" in library.functions else None
    return text.decode("ascii", "replace") if text else ""


class Handle:
    """An open handle, closed at the end of the ``with`` block. One thread, one block."""

    def __init__(self, library: LoadedLibrary) -> None:
        self._library = library
        self._handle = HANDLE()

    def __enter__(self) -> Self:
        self._check("OpenHandle", self._library.functions["OpenHandle"](ctypes.byref(self._handle)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.functions["CloseHandle"](self._handle)

    def update(self) -> int:
        """Ask the host; return the session id."""
        self._check("UpdateInfo", self._library.functions["UpdateInfo"](self._handle))
        session_id = ctypes.c_uint64()
        code = self._library.functions["GetSessionId"](self._handle, ctypes.byref(session_id))
        self._check("GetSessionId", code)
        if session_id.value == 0:
            raise RemoteProtocolError("session id 0, which means that there is no data")
        return session_id.value

    def values(self) -> dict[str, Value]:
        """Every statistic that the host gives, by its key.

        Walked backwards: of two rows with one key the later one wins.
        """
        values: dict[str, Value] = {}
        for row in reversed(STATISTICS):
            if row.symbol is None or row.symbol not in self._library.functions:
                continue
            if row.key in values or row.deprecated:
                continue
            if row.wire is Wire.STRING:
                code, value = self._path(row.symbol) if self._in_list(BY_ID[row.id - 1]) else (_ABSENT[0], "")
            else:
                code, value = self._number(row.symbol, OUT[row.wire])
            if code in _ABSENT:
                continue
            self._check(row.symbol, code)
            if value not in row.nothing:
                values[row.key] = value
        return values

    def _in_list(self, row: BasicStatistic) -> bool:
        if row.symbol is None or row.symbol not in self._library.functions:
            return False
        return self._number(row.symbol, OUT[row.wire])[0] != GuestLibStatus.UNSUPPORTED_VERSION

    def _number(self, symbol: str, out: Any) -> tuple[int, Value]:
        variable = out()
        code: int = self._library.functions[symbol](self._handle, ctypes.byref(variable))
        return code, variable.value

    def _path(self, symbol: str) -> tuple[int, Value]:
        getter = self._library.functions[symbol]
        size = ctypes.c_size_t(PATH_SIZE)
        buffer = ctypes.create_string_buffer(size.value)
        code: int = getter(self._handle, ctypes.byref(size), buffer)
        if code == GuestLibStatus.BUFFER_TOO_SMALL and PATH_SIZE < size.value <= MAX_PATH_SIZE:
            buffer = ctypes.create_string_buffer(size.value)
            code = getter(self._handle, ctypes.byref(size), buffer)
        return code, buffer.value.decode("utf-8", "replace")

    def _check(self, function: str, code: int) -> None:
        if code != GuestLibStatus.SUCCESS:
            raise _error(function, code)


def _error(function: str, code: int) -> VMGuestError:
    """A status as an error. Compared by number: the texts are for people."""
    if code == GuestLibStatus.NOT_RUNNING_IN_VM:
        return NotVMwareError("VMware's library says that this machine is not a VMware guest")
    if code == GuestLibStatus.NOT_ENABLED:
        return RpcError(
            "NOT_ENABLED (3), which VMware's library answers to every refusal and where it finds no channel",
            "guestlib.info.get",
        )
    if code in (GuestLibStatus.OTHER, GuestLibStatus.NO_INFO):
        return RemoteProtocolError(
            f"VMware's library could not decode the host's reply: {PREFIX}{function} answered {code}"
        )
    return LibraryStatus(code, PREFIX + function)


def _refusal(text: str, command: str) -> VMGuestError:
    for start, kind in _CHANNEL_TEXTS:
        if text.startswith(start):
            return kind(f"no answer to {command!r}: VMware's library says {text!r}")
    return RpcError(text, command)
