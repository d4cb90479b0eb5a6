"""What the worst reply of a host costs the polling thread: parsing has bounds in bytes, elements and depth.

For each layer the replies that make it work hardest: as long as it may be, in as many pieces as possible, nested,
refused at its very end. Prints the CPU time of each (the least of several runs, ms) and the worst; about 50 ms is what
a poll can bear. Then the worst rounds of as many groups as are asked for: the CPU time of all of it, and the longest piece
between two looks at the clock, of which no later poll has to wait for more than one. Judges nothing.

    python -m benchmarks.parse [--runs 5]
"""

from __future__ import annotations

import argparse
import logging
import struct
import time
from collections.abc import Callable
from itertools import pairwise

from exporter.catalogue import STATISTICS
from exporter.catalogue.extended_names import MAX_DEVICES
from exporter.errors import ProtocolError, RpcError
from exporter.protocol import datamap, packet, rpci, stat_get, stats_v3
from exporter.session.gate import accept
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import Snapshot, SourceInfo

SIZE = stat_get.MAX_REPLY
MOST = 1024
"""Statistics of one reply that are looked at."""


def filled(piece: bytes, head: bytes = b"", tail: bytes = b"", size: int = SIZE) -> bytes:
    """``head``, as many pieces as fit, ``tail``."""
    return head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def rows(template: str, size: int = SIZE) -> bytes:
    """Different statistics, as many as are looked at, in at most ``size`` bytes."""
    made = [template.format(number=number) for number in range(MOST)]
    return "".join(made).encode()[:size]


def extended(encoding: str) -> Callable[[bytes], object]:
    def parse(reply: bytes) -> None:
        values = stat_get.parse(encoding, reply).values
        accept({"resources": values})

    return parse


def whole_packet(body: bytes) -> object:
    decoder = packet.PacketDecoder()
    decoder.feed(packet.encode(body))
    return rpci.parse_reply(decoder.next() or b"")


def cases() -> dict[str, tuple[Callable[[bytes], object], bytes]]:
    xml, json, yaml, text = (extended(each) for each in ("xml", "json", "yaml", "text"))
    metric = '<metric name="a{number}" type="instant" units="KB">{number}</metric>'
    limit = packet.LIMIT
    return {
        "xml: as many statistics as may be": (
            xml,
            b'<metrics session="5">' + rows(metric)[: SIZE - 40].rpartition(b"<metric ")[0] + b"</metrics>",
        ),
        "xml: elements without end": (xml, filled(b"<a/>", b"<metrics>", b"</metrics>")),
        "xml: deeper and deeper": (xml, filled(b"<a>", b"<metrics>")),
        "xml: one element, all attributes": (
            xml,
            b"<metrics><metric "
            + b" ".join(b'a%x=""' % number for number in range(7000))[: SIZE - 60].rpartition(b" ")[0]
            + b"/></metrics>",
        ),
        "xml: text in entities": (
            xml,
            filled(b"&lt;", b'<metrics><metric name="a">', b"</metric></metrics>"),
        ),
        "xml: text in lines": (xml, filled(b"\n", b'<metrics><metric name="a">', b"</metric></metrics>")),
        "xml: comments": (xml, filled(b"<!---->", b"<metrics>", b"</metrics>")),
        "json: as many statistics as may be": (
            json,
            b"["
            + rows('{{"name": "a{number}", "units": "KB", "value": 5}},')[: SIZE - 20].rpartition(b"{")[0]
            + b"5]",
        ),
        "json: deeper and deeper": (json, filled(b"[")),
        "json: objects in objects": (json, filled(b'{"a":')),
        "json: empty objects without end": (json, filled(b"{},", b"[", b"{}]")),
        "json: numbers without end": (json, filled(b"0,", b"[", b"0]")),
        "json: long numbers": (json, filled(b"9" * 4000 + b",", b"[", b"0]")),
        "json: one number": (json, filled(b"9")),
        "json: keys without end": (json, filled(b'"a":0,', b"{", b'"a":0}')),
        "json: one text in escapes": (json, filled(b"\\u0041", b'"', b'"')),
        "yaml: as many statistics as may be": (
            yaml,
            rows("a{number}:\n type: instant\n units: KB\n value: 5\n"),
        ),
        "yaml: fields without end": (yaml, filled(b" a: 1\n", b"a:\n")),
        "yaml: empty lines": (yaml, filled(b"\n")),
        "text: as many statistics as may be": (text, rows("guest.mem.swapIn{number} = 5\n")),
        "text: lines that say nothing": (text, filled(b"a\n")),
        "text: empty lines": (text, filled(b"\n")),
        "groups: names without end": (stat_get.parse_names, filled(b"a\n")),
        "groups: devices without end": (stat_get.parse_names, rows("vscsi scsi{number}:0\n")),
        "basic: all statistics": (
            stats_v3.decode,
            stats_v3.encode(1, {37: (True, b"p" * 500_000), 18: (True, b"p" * 512)}),
        ),
        "basic: refused at the last one": (stats_v3.decode, stats_v3.encode(1, {}, len(STATISTICS))[:-8]),
        "packet: numbers without end": (
            whole_packet,
            b"".join(struct.pack(">IIII", 1, 9 + number, 0, 0) for number in range(limit // 16)),
        ),
        "packet: one list of numbers": (
            whole_packet,
            struct.pack(">III", 3, 9, limit // 8 - 2) + bytes(limit // 8 * 8 - 16),
        ),
        "packet: one list of texts": (
            whole_packet,
            struct.pack(">III", 4, 9, (limit - 12) // 5) + b"\0\0\0\x01a" * ((limit - 12) // 5),
        ),
        "packet: a refusal of a mebibyte": (
            whole_packet,
            datamap.encode({datamap.PAYLOAD: b"0 " + b"x" * (limit - 30)}),
        ),
    }


GROUPS = [
    "session",
    "host",
    "resources",
    *(f"{kind} {number}" for kind in ("vscsi", "vnet") for number in range(MAX_DEVICES)),
]


class Host:
    """Answers each question of a round at once, and looks at the clock when it is asked."""

    info = SourceInfo("guestrpc", "memory")
    restarts = None

    def __init__(self, replies: dict[str, bytes]) -> None:
        self.replies = replies
        self.asked: list[tuple[str, int]] = []

    def read(self) -> Snapshot:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        if not name:
            return "\n".join(GROUPS).encode()
        self.asked.append((name, time.process_time_ns()))
        if encoding not in self.replies:
            raise RpcError("another encoding")
        # Names of a group's own, so that nothing is remembered from another one.
        return self.replies[encoding].replace(b"@", str(GROUPS.index(name)).encode())


def rounds() -> dict[str, dict[str, bytes]]:
    head, tail = b'<metrics session="5">', b"</metrics>"
    known = "".join(
        f'<metric name="{name}" type="accumulate" units="bytes">5</metric>' for name in ("size.tx", "size.rx")
    ).encode()
    size = SIZE - 4 * MOST
    metric = rows('<metric name="a@x{number}" type="accumulate">{number}</metric>', size)
    broken = {
        "xml": filled(b"<metric/>", head)[:9000] + b"<",
        "json": filled(b'"a":0,', b"{")[:6000],
        "yaml": rows("a{number}:\n type: instant\n")[:9000] + b"<",
        "text": rows("a{number} = 5\n") + b"<",
    }
    return {
        "statistics without end": {"xml": head + metric.rpartition(b"<metric ")[0] + tail},
        "as many as are looked at": {"xml": head + metric[: size // 4].rpartition(b"<metric ")[0] + tail},
        "little of every group": {"xml": head + known + tail},
        "text, the shortest lines": {"text": rows("a{number}=5\n")},
        "broken in all encodings": broken,
        "refused at the very end": dict.fromkeys(broken, filled(b"<a/>", b"<metrics>", b"<")),
    }


def round_ms(replies: dict[str, bytes]) -> tuple[float, float, int]:
    """CPU time of the worse of a session's first two rounds, the longest piece of it, and how many groups were asked for."""
    host, reader = Host(replies), ExtendedReader(0.0)
    found = []
    for _ in range(2):
        host.asked.clear()
        began = time.process_time_ns()
        reader.step(host, 5, time.monotonic() + 600)
        ended = time.process_time_ns()
        # A piece is a group in all its encodings, the last one with what there is to do at the end.
        first: dict[str, int] = {}
        for name, at in host.asked:
            first.setdefault(name, at)
        times = [*first.values(), ended]
        longest = max(after - before for before, after in pairwise(times))
        found.append(((ended - began) / 1e6, longest / 1e6, len(first)))
    return max(found)


def least_ms(parse: Callable[[bytes], object], reply: bytes, runs: int) -> tuple[float, str]:
    """CPU time, and what came of it."""
    times, outcome = [], "read"
    for _ in range(runs):
        began = time.process_time_ns()
        try:
            parse(reply)
        except (ProtocolError, RpcError) as error:
            outcome = str(error)[:60]
        times.append(time.process_time_ns() - began)
    return min(times) / 1e6, outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    logging.getLogger("exporter").setLevel(logging.CRITICAL)
    found = {}
    for name, (parse, reply) in cases().items():
        found[name], outcome = least_ms(parse, reply, args.runs)
        print(f"{name:38}{len(reply) / 1024:8.0f} KiB{found[name]:8.1f} ms  {outcome}")
    worst = max(found, key=lambda name: found[name])
    print(f"worst: {worst}, {found[worst]:.1f} ms")
    for name, replies in rounds().items():
        whole, longest, groups = min(round_ms(replies) for _ in range(args.runs))
        print(f"round: {name:34}{groups:4} groups{whole:8.0f} ms, at most {longest:.0f} ms at once")


if __name__ == "__main__":
    main()
