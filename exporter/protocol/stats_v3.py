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
valid. New ids are only ever appended: the list is read as far as the catalogue knows it.
Source: open-vm-tools libguestlib/guestlibV3.x, vmGuestLibInt.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import chain, compress
from typing import NamedTuple

from exporter.catalogue import STATISTICS, BasicStatistic, Wire
from exporter.errors import RemoteProtocolError
from exporter.snapshot import Snapshot, Value

VERSION = 3
MAX_STRING = 512
"""Bound of an XDR string (id 18), bytes; an opaque (id 37) has none but the packet's."""

_HEADER = struct.Struct("<IQI")
_U32 = struct.Struct(">I3xBI")
"""Id, the byte of ``valid`` that counts, and the value or a text's length."""
_U64 = struct.Struct(">I3xBQ")
_WORD = struct.Struct(">I")
_TEXTS = (Wire.STRING, Wire.OPAQUE)


class _Run(NamedTuple):
    """Neighbouring numbers of the list: where all of them stand there as expected, one unpack reads them."""

    rows: tuple[BasicStatistic, ...]
    layout: struct.Struct
    ids: tuple[int, ...]
    keys: tuple[str, ...]
    nothing: tuple[tuple[int, ...], ...]
    """Of each, the numbers that say that there is none."""
    any_nothing: frozenset[int]
    """All of them: most replies hold none, which one look tells."""


def _runs(rows: list[BasicStatistic]) -> list[_Run]:
    """One run of ``rows``, or none of no rows."""
    if not rows:
        return []
    layout = struct.Struct(">" + "".join(_number(row).format[1:] for row in rows))
    ids, keys = tuple(row.id for row in rows), tuple(row.key for row in rows)
    nothing = tuple(row.nothing for row in rows)
    return [_Run(tuple(rows), layout, ids, keys, nothing, frozenset(chain.from_iterable(nothing)))]


def _number(row: BasicStatistic) -> struct.Struct:
    return _U64 if row.wire is Wire.U64 else _U32


def _parts() -> tuple[_Run | BasicStatistic, ...]:
    """The catalogue's list as it is read: runs of numbers, and single texts."""
    parts: list[_Run | BasicStatistic] = []
    numbers: list[BasicStatistic] = []
    for row in STATISTICS:
        if row.wire not in _TEXTS:
            numbers.append(row)
            continue
        parts += [*_runs(numbers), row]
        numbers = []
    return (*parts, *_runs(numbers))


_PARTS = _parts()


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
    at = _HEADER.size + _WORD.size
    for part in _PARTS:
        if isinstance(part, _Run):
            at = _decode_run(reply, at, end, part, count, values)
        elif part.id <= count:
            at = _decode_text(reply, at, end, part, values)
    return Snapshot(session_id, VERSION, values)


# Both return where the next statistic begins.


def _decode_run(reply: bytes, at: int, end: int, run: _Run, count: int, values: dict[str, Value]) -> int:
    if run.ids[-1] <= count and at + run.layout.size <= end:
        fields = run.layout.unpack_from(reply, at)
        if fields[::3] == run.ids:
            valid, numbers = fields[1::3], fields[2::3]
            if not run.any_nothing.isdisjoint(numbers):
                valid = tuple(map(_given, valid, numbers, run.nothing))
            values.update(compress(zip(run.keys, numbers, strict=True), valid))
            return at + run.layout.size
    for row in run.rows:
        if row.id > count:
            break
        number = _number(row)
        _check(reply, at, end, row)
        if at + number.size > end:
            raise RemoteProtocolError(f"statistic {row.id} is cut off")
        _, valid, value = number.unpack_from(reply, at)
        if _given(valid, value, row.nothing):
            values[row.key] = value
        at += number.size
    return at


def _decode_text(reply: bytes, at: int, end: int, row: BasicStatistic, values: dict[str, Value]) -> int:
    _check(reply, at, end, row)
    if at + _U32.size > end:
        raise RemoteProtocolError(f"statistic {row.id} is cut off")
    length: int
    _, valid, length = _U32.unpack_from(reply, at)
    if row.wire is Wire.STRING and length > MAX_STRING:
        raise RemoteProtocolError(f"statistic {row.id} has {length} bytes: {MAX_STRING} at most are possible")
    start = at + _U32.size
    after = start + length + (-length & 3)
    if after > end:
        raise RemoteProtocolError(f"statistic {row.id} of {length} bytes is cut off")
    if valid:
        # Up to the first NUL, as C reads it and so VMware's library shows it.
        raw = reply[start : start + length].split(b"\0", 1)[0]
        # The short path stands, which is what VMware's library gives, but for one that does not fit there.
        if len(raw) > MAX_STRING or not values.get(row.key):
            values[row.key] = raw.decode("utf-8", "replace")
    return after


def _given(valid: int, number: int, nothing: tuple[int, ...]) -> bool:
    return bool(valid) and number not in nothing


def _check(reply: bytes, at: int, end: int, row: BasicStatistic) -> None:
    """Raise where another statistic than ``row`` stands at ``at``, as VMware's library does."""
    if at + _WORD.size > end:
        raise RemoteProtocolError(f"the list is cut off before statistic {row.id}")
    (id_,) = _WORD.unpack_from(reply, at)
    if id_ != row.id:
        raise RemoteProtocolError(f"statistic {id_} stands where {row.id} is expected")


def encode(
    session_id: int, values: Mapping[int, tuple[bool, int | bytes]], count: int = len(STATISTICS)
) -> bytes:
    """The host's side: a V3 reply with statistics 1 to ``count``.

    ``values`` maps ids to (valid, value); an id that is missing is sent as not valid, with 0 or nothing.
    """
    parts = [_WORD.pack(count)]
    for row in STATISTICS[:count]:
        if row.wire not in _TEXTS:
            valid, number = values.get(row.id, (False, 0))
            parts.append(_number(row).pack(row.id, valid, number))
        else:
            valid, raw = values.get(row.id, (False, b""))
            text = raw if isinstance(raw, bytes) else b""
            parts += [_U32.pack(row.id, valid, len(text)), text, bytes(-len(text) & 3)]
    body = b"".join(parts)
    return _HEADER.pack(VERSION, session_id, len(body)) + body
