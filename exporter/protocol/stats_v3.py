"""The V3 reply to ``guestlib.info.get 3``: what every current host sends.

::

    0        4             12         16
    +--------+-------------+----------+----------------------------------+
    | 3 le32 | session le64| size le32| XDR, big-endian, ``size`` bytes  |
    +--------+-------------+----------+----------------------------------+
    XDR  = count be32, then ``count`` statistics without padding between them
    each = id be32 | valid be32 (its low byte counts) | value
    u32 4 bytes; u64 8 bytes; text: length be32, bytes, zeros up to a multiple of 4

Ids run 1, 2, 3 … without gaps; older hosts send shorter lists. The value stands there also when it is not
valid. New ids are only ever appended, and an unknown id has an unknown length: the list ends there.
Source: open-vm-tools libguestlib/guestlibV3.x, vmGuestLibInt.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from exporter.catalogue import STATISTICS, Statistic, Wire
from exporter.errors import RemoteProtocolError
from exporter.snapshot import Snapshot, Value

VERSION = 3
MAX_STRING = 512
"""Bound of an XDR string (id 18), bytes; an opaque (id 37) has none but the packet's."""

_HEADER = struct.Struct("<IQI")
_U32 = struct.Struct(">III")
_U64 = struct.Struct(">IIQ")
_WORD = struct.Struct(">I")


def _text(raw: bytes) -> str:
    # Up to the first NUL, as C reads it and so VMware's library shows it.
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _fixed_run(rows: tuple[Statistic, ...]) -> struct.Struct:
    return struct.Struct(">" + "".join("IIQ" if row.wire is Wire.U64 else "III" for row in rows))


def _runs() -> tuple[tuple[tuple[Statistic, ...], struct.Struct | None], ...]:
    """The catalogue cut at its texts: each run of numbers is one ``struct`` and one unpack."""
    runs: list[tuple[tuple[Statistic, ...], struct.Struct | None]] = []
    numbers: list[Statistic] = []
    for row in STATISTICS:
        if row.wire in (Wire.U32, Wire.U64):
            numbers.append(row)
            continue
        runs += [(tuple(numbers), _fixed_run(tuple(numbers))), ((row,), None)]
        numbers = []
    runs.append((tuple(numbers), _fixed_run(tuple(numbers))))
    return tuple(runs)


_RUNS = _runs()


def decode(reply: bytes) -> Snapshot:
    """A V3 reply (what follows the ``1 `` of the RPCI reply) as a snapshot.

    Raises:
        RemoteProtocolError: a short header, another version, session id 0, a body that is shorter than it
            says, a statistic out of order or cut off, a string over 512 bytes.
    """
    if len(reply) < _HEADER.size:
        raise RemoteProtocolError(f"a V3 reply of {len(reply)} bytes: its header alone has {_HEADER.size}")
    version, session_id, size = _HEADER.unpack_from(reply)
    if version != VERSION:
        raise RemoteProtocolError(f"a reply of version {version} to a request for version {VERSION}")
    if session_id == 0:
        raise RemoteProtocolError("session id 0, which means that there is no data")
    end = _HEADER.size + size
    if size < _WORD.size or end > len(reply):
        raise RemoteProtocolError(f"a V3 body of {size} bytes in a reply of {len(reply)}")
    (count,) = _WORD.unpack_from(reply, _HEADER.size)
    values: dict[str, Value] = {}
    offset = _HEADER.size + _WORD.size
    for rows, layout in _RUNS:
        known = rows[: max(0, count - rows[0].id + 1)]
        if not known:
            break
        if layout is None:
            offset = _decode_text(reply, offset, end, known[0], values)
            continue
        whole = layout if len(known) == len(rows) else _fixed_run(known)
        if offset + whole.size > end:
            raise RemoteProtocolError(
                f"the list is cut off between statistics {known[0].id} and {known[-1].id}"
            )
        fields = iter(whole.unpack_from(reply, offset))
        offset += whole.size
        for row, id_, valid, value in zip(known, fields, fields, fields, strict=True):
            if id_ != row.id:
                raise RemoteProtocolError(f"statistic {id_} stands where {row.id} is expected")
            if valid & 0xFF:
                values[row.key] = value
    return Snapshot(session_id, VERSION, values)


def _decode_text(reply: bytes, offset: int, end: int, row: Statistic, values: dict[str, Value]) -> int:
    if offset + _U32.size > end:
        raise RemoteProtocolError(f"the list is cut off at statistic {row.id}")
    length: int
    id_, valid, length = _U32.unpack_from(reply, offset)
    if id_ != row.id:
        raise RemoteProtocolError(f"statistic {id_} stands where {row.id} is expected")
    if row.wire is Wire.STRING and length > MAX_STRING:
        raise RemoteProtocolError(f"statistic {id_} has {length} bytes: {MAX_STRING} at most are possible")
    start = offset + _U32.size
    after = start + length + (-length & 3)
    if after > end:
        raise RemoteProtocolError(f"statistic {id_} of {length} bytes is cut off")
    if valid & 0xFF:
        values[row.key] = _text(reply[start : start + length])
    return after


def encode(
    session_id: int, values: Mapping[int, tuple[bool, int | bytes]], count: int = len(STATISTICS)
) -> bytes:
    """The host's side: a V3 reply with statistics 1 to ``count``.

    ``values`` maps ids to (valid, value); an id that is missing is sent as not valid, with 0 or nothing.
    """
    parts = [_WORD.pack(count)]
    for row in STATISTICS[:count]:
        if row.wire in (Wire.U32, Wire.U64):
            valid, number = values.get(row.id, (False, 0))
            parts.append((_U64 if row.wire is Wire.U64 else _U32).pack(row.id, valid, number))
        else:
            valid, raw = values.get(row.id, (False, b""))
            text = raw if isinstance(raw, bytes) else b""
            parts += [_U32.pack(row.id, valid, len(text)), text, bytes(-len(text) & 3)]
    body = b"".join(parts)
    return _HEADER.pack(VERSION, session_id, len(body)) + body
