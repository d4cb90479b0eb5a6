"""DataMap: the typed fields inside a packet.

::

    entry = type be32 | field id be32 | value
    1 int64        8 bytes: low 32-bit word first, each word big-endian
    2 string       length be32 (1 or more), bytes, no NUL, no padding
    3 int64 list   count be32, int64s
    4 string list  count be32, strings

Field ids must not repeat. Source: open-vm-tools lib/dataMap/dataMap.c, lib/include/vmware/guestrpc/tclodefs.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from exporter.errors import LocalProtocolError, RemoteProtocolError

TYPE = 1
"""int64: 1 = data, 2 = ping."""
PAYLOAD = 2
"""string: command or reply."""
FAST_CLOSE = 3
"""int64: 1 asks the host to close the connection after its reply. VMware's library sends it; we keep ours open."""

Field = int | bytes | list[int] | list[bytes]

_INT64, _STRING, _INT64_LIST, _STRING_LIST = 1, 2, 3, 4
_HEAD = struct.Struct(">II")
_WORD = struct.Struct(">I")
_MAX_STRING = 2**31 - 1

MAX_FIELDS = 1024
"""Most fields of one packet, and most items of one list. A host sends two fields and no list."""


def _int64(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise LocalProtocolError(f"{value} does not fit an int64 field")
    return _HEAD.pack(value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF)


def _string(value: bytes) -> bytes:
    if not value:
        raise LocalProtocolError("an empty string field can't be sent")
    return _WORD.pack(len(value)) + value


def encode(fields: Mapping[int, int | bytes]) -> bytes:
    """The fields in the mapping's order as one DataMap. Lists are read, but nobody needs to send one.

    Raises:
        LocalProtocolError: an empty string, or an integer over 64 bits.
    """
    return b"".join(
        _HEAD.pack(_INT64, key) + _int64(value)
        if isinstance(value, int)
        else _HEAD.pack(_STRING, key) + _string(value)
        for key, value in fields.items()
    )


class _Reader:
    """A cursor that never leaves its bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise RemoteProtocolError(
                f"a field of {size} bytes ends {end - len(self.data)} bytes after its packet"
            )
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def word(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def head(self) -> tuple[int, int]:
        """Type and id of an entry."""
        kind, key = _HEAD.unpack(self.take(8))
        return kind, key

    def int64(self) -> int:
        low, high = _HEAD.unpack(self.take(8))
        value: int = high << 32 | low
        return value - (1 << 64) if value >> 63 else value

    def string(self) -> bytes:
        length = self.word()
        if not 0 < length <= _MAX_STRING:
            raise RemoteProtocolError(f"a string field of {length} bytes: 1 or more are expected")
        return self.take(length)

    def count(self, smallest: int) -> int:
        """A list's length, checked against the bytes left before anything is allocated."""
        count = self.word()
        if count > MAX_FIELDS:
            raise RemoteProtocolError(f"a list of {count} entries: {MAX_FIELDS} are looked at")
        if count * smallest > len(self.data) - self.at:
            raise RemoteProtocolError(f"a list of {count} entries does not fit its packet")
        return count


def decode(body: bytes) -> dict[int, Field]:
    """All fields of a DataMap, unknown ids included, in any order.

    Raises:
        RemoteProtocolError: an unknown entry type, a repeated id, a length that leaves the packet, more than
            :data:`MAX_FIELDS`.
    """
    reader = _Reader(body)
    fields: dict[int, Field] = {}
    while reader.at < len(body):
        kind, key = reader.head()
        value: Field
        if kind == _INT64:
            value = reader.int64()
        elif kind == _STRING:
            value = reader.string()
        elif kind == _INT64_LIST:
            value = [reader.int64() for _ in range(reader.count(8))]
        elif kind == _STRING_LIST:
            value = [reader.string() for _ in range(reader.count(5))]
        else:
            raise RemoteProtocolError(f"entry type {kind}: 1 to 4 are known")
        if key in fields:
            raise RemoteProtocolError(f"field {key} stands twice in one packet")
        if len(fields) >= MAX_FIELDS:
            raise RemoteProtocolError(f"a packet of more than {MAX_FIELDS} fields")
        fields[key] = value
    return fields
