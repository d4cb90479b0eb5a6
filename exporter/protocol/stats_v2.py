"""The V2 reply to ``guestlib.info.get 2``: ESX 3.x, and the version that libraries fall back to.

669 bytes, packed, little-endian: version (2), session id, then per statistic a valid byte, three bytes of
padding and the value; the pool path has no padding and fills the last 512 bytes.

::

    0 version u32 | 4 session u64 | 12 cpuReservation … 148 elapsed u64 | 156 valid, 157 resourcePoolPath[512]

Source: open-vm-tools libguestlib/vmGuestLibInt.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from exporter.catalogue import STATISTICS, Wire
from exporter.errors import RemoteProtocolError
from exporter.protocol.stats_v3 import MAX_STRING
from exporter.snapshot import Snapshot, Value

VERSION = 2

_ROWS = tuple(row for row in STATISTICS if row.v2 and row.wire is not Wire.STRING)
_PATH = next(row for row in STATISTICS if row.v2 and row.wire is Wire.STRING)
_LAYOUT = struct.Struct(
    "<IQ" + "".join("?3xQ" if row.wire is Wire.U64 else "?3xI" for row in _ROWS) + f"?{MAX_STRING}s"
)

SIZE = _LAYOUT.size
"""Bytes of a V2 reply: 669, neither more nor less."""


def decode(reply: bytes) -> Snapshot:
    """A V2 reply as a snapshot.

    Raises:
        RemoteProtocolError: another size or version, or session id 0.
    """
    if len(reply) != SIZE:
        raise RemoteProtocolError(f"a V2 reply of {len(reply)} bytes: {SIZE} are expected")
    version, session_id, *fields, path_valid, path = _LAYOUT.unpack(reply)
    if version != VERSION:
        raise RemoteProtocolError(f"a reply of version {version} to a request for version {VERSION}")
    if session_id == 0:
        raise RemoteProtocolError("session id 0, which means that there is no data")
    pairs = zip(_ROWS, fields[::2], fields[1::2], strict=True)
    values: dict[str, Value] = {
        row.key: value for row, valid, value in pairs if valid and value not in row.nothing
    }
    if path_valid:
        # VMware's library makes the last byte a NUL, whatever it was.
        values[_PATH.key] = path[: MAX_STRING - 1].split(b"\0", 1)[0].decode("utf-8", "replace")
    return Snapshot(session_id, VERSION, values)


def encode(session_id: int, values: Mapping[int, tuple[bool, int | bytes]]) -> bytes:
    """The host's side: a V2 reply. ``values`` as for the V3 encoder; the path is cut to 511 bytes and a NUL."""
    fields: list[int | bytes] = []
    for row in _ROWS:
        fields += values.get(row.id, (False, 0))
    valid, path = values.get(_PATH.id, (False, b""))
    text = path if isinstance(path, bytes) else b""
    return _LAYOUT.pack(VERSION, session_id, *fields, valid, text[: MAX_STRING - 1])
