"""What a fault does to bytes: pure functions, a row per kind."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping

from exporter.catalogue import STATISTICS
from exporter.protocol import datamap, packet, stats_v3

HEADER = 16
"""Bytes of a V3 reply before its list: version le32, session le64, size le32."""
_LIST = HEADER + 4
_FIRST, _SECOND = _LIST, _LIST + 12
"""Where statistics 1 and 2 begin; both are 32-bit ones of 12 bytes."""

SentStatistics = Mapping[int, tuple[bool, int | bytes]]


def _sized(head: bytes, body: bytes) -> bytes:
    return head[:12] + len(body).to_bytes(4, "little") + body


def _version_4(reply: bytes) -> bytes:
    return (4).to_bytes(4, "little") + reply[4:]


def _session_zero(reply: bytes) -> bytes:
    return reply[:4] + bytes(8) + reply[12:]


def _short_header(reply: bytes) -> bytes:
    return reply[:3]


def _empty_body(reply: bytes) -> bytes:
    return _sized(reply, b"")


def _cut_list(reply: bytes) -> bytes:
    # Inside the value of the third statistic, wherever the list ends.
    return _sized(reply, reply[HEADER : _LIST + 34])


def _out_of_order(reply: bytes) -> bytes:
    return (
        reply[:_FIRST]
        + reply[_SECOND : _SECOND + 4]
        + reply[_FIRST + 4 : _SECOND]
        + reply[_FIRST : _FIRST + 4]
        + reply[_SECOND + 4 :]
    )


def _huge_size(reply: bytes) -> bytes:
    return reply[:12] + (2**31 - 1).to_bytes(4, "little") + reply[HEADER:]


_REPLY: Mapping[str, Callable[[bytes], bytes]] = {
    "version-4": _version_4,
    "session-zero": _session_zero,
    "short-header": _short_header,
    "empty-body": _empty_body,
    "cut-list": _cut_list,
    "out-of-order": _out_of_order,
    "huge-size": _huge_size,
}


def statistics(
    kind: str, reply: bytes, *, fired: int, session_id: int, values: SentStatistics, count: int
) -> bytes:
    """A V3 reply spoiled by a fault of ``kind`` that has fired ``fired`` times, this one included."""
    if kind == "growing-path":
        path = b"/host/user/pool" + b"/deeper-and-deep" * fired
        path = path[: stats_v3.MAX_STRING]
        return stats_v3.encode(session_id, {**values, 18: (True, path), 37: (True, path)}, count)
    if kind == "future-list":
        known = len(STATISTICS)
        whole = stats_v3.encode(session_id, values, known)
        more = b"".join(struct.pack(">II20x", known + number, 1) for number in (1, 2))
        return _sized(whole, (known + 2).to_bytes(4, "big") + whole[_LIST:] + more)
    return _REPLY[kind](reply)


def no_status(data: bytes) -> bytes:
    """The packet of a reply whose payload is ``data`` without a status ahead of it."""
    # A payload can't be empty, and one that happens to begin with a status would be a good reply.
    return packet.encode(datamap.encode({datamap.TYPE: 1, datamap.PAYLOAD: b"?" + data}))


def corrupt(whole: bytes, size: int, source: random.Random) -> bytes:
    """``whole`` packet with ``size`` bytes of its body changed; its length stands, or nobody would read on."""
    spoiled = bytearray(whole)
    for _ in range(size):
        spoiled[source.randrange(packet.HEADER, len(spoiled))] ^= source.randrange(1, 256)
    return bytes(spoiled)


def truncate(whole: bytes, size: int) -> bytes:
    """The first ``size`` bytes, half of them where ``size`` is 0; never all."""
    return whole[: min(size or len(whole) // 2, len(whole) - 1)]
