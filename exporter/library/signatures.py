"""VMware's C interface as tables: what a reviewer can check against the header line by line.

Getters follow from the catalogue, so their width is that of the wire: an 8-byte result written into a 4-byte
variable corrupts memory, which older Python wrappers did.
Source: open-vm-tools lib/include/vmGuestLib.h, vmSessionId.h.
"""

from __future__ import annotations

from ctypes import POINTER, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from typing import Any

from exporter.catalogue import STATISTICS, BasicStatistic, Wire

PREFIX = "VMGuestLib_"
"""Every symbol begins with it; the tables leave it out."""

HANDLE = c_void_p
"""Opaque to us."""

REPLY = c_void_p
"""A ``char *`` that the library has allocated. Not ``c_char_p``: StatFree wants the address back, not the bytes."""


class GuestLibStatus(IntEnum):
    """``VMGuestLibError``."""

    SUCCESS = 0
    OTHER = 1
    NOT_RUNNING_IN_VM = 2
    NOT_ENABLED = 3
    NOT_AVAILABLE = 4
    NO_INFO = 5
    MEMORY = 6
    BUFFER_TOO_SMALL = 7
    INVALID_HANDLE = 8
    INVALID_ARG = 9
    UNSUPPORTED_VERSION = 10


OUT: dict[Wire, Any] = {Wire.U32: c_uint32, Wire.U64: c_uint64}
"""The variable that a number's getter writes to."""


def _getter(row: BasicStatistic) -> tuple[tuple[Any, ...], Any]:
    if row.wire in OUT:
        return (HANDLE, POINTER(OUT[row.wire])), c_int
    return (HANDLE, POINTER(c_size_t), POINTER(c_char)), c_int


SIGNATURES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "GetErrorText": ((c_int,), c_char_p),
    "OpenHandle": ((POINTER(HANDLE),), c_int),
    "CloseHandle": ((HANDLE,), c_int),
    "UpdateInfo": ((HANDLE,), c_int),
    "GetSessionId": ((HANDLE, POINTER(c_uint64)), c_int),
    **{row.symbol: _getter(row) for row in STATISTICS if row.symbol},
    "StatGet": ((c_char_p, c_char_p, POINTER(REPLY), POINTER(c_size_t)), c_int),
    "StatFree": ((REPLY, c_size_t), None),
}
"""Function -> argument types, result type. All that this package ever calls."""

REQUIRED = ("OpenHandle", "CloseHandle", "UpdateInfo", "GetSessionId")
"""Without these a file is not VMware's library. Any other may be missing from an older one."""
