"""Replies of a host that means no good, or of a broken one; and whether the exporter is taken in by any.

A few thousand are tried by ``test_hostile.py``. As many as you like:

    python -m tests.protocol.hostile 1000000 [SEED]
"""

from __future__ import annotations

import contextlib
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

from exporter.catalogue import STATISTICS
from exporter.errors import ProtocolError, RpcError
from exporter.protocol import appmonitor, datamap, packet, rpci, stat_get, stats_v2, stats_v3
from exporter.session.gate import accept
from tests.protocol import reference_decoder as reference

NUMBERS = [0, 1, 2, 3, 17, 18, 19, 37, 38, 39, 40, 511, 512, 513, 2**16, 2**31 - 1, 2**31, 2**32 - 1]
WORDS = [
    *(
        b"<metric",
        b"</metric>",
        b'name="',
        b"<metrics>",
        b"<string>a</string>",
        b"<!-- x -->",
        b"<![CDATA[5]]>",
    ),
    *(
        b"&amp;",
        b"&",
        b"&#0;",
        b"&#x1F;",
        b"<?xml version='1.0' encoding='utf-16'?>",
        b"<!DOCTYPE a>",
        b'session="',
    ),
    *(
        b"\0",
        b"\x01",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\x85",
        b"\r\n",
        b"\n",
        b" ",
        b"\t",
        b"    ",
    ),
    *(
        b'"\\ud800"',
        b"true",
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"1e19",
        b"[]",
        b"{}",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b'"metrics":',
        b'"value":',
        b'"name":',
        b'"session":',
        b'"',
        b",",
        b":",
        b": ",
        b"=",
        b" = ",
        b"#",
        b"---",
        b"- ",
    ),
    *(
        b"-1",
        b"-",
        b"0x10",
        b"1_000",
        b"9" * 30,
        b"9" * 5000,
        b"0." + b"3" * 60,
        b"18446744073709551616",
        b"+1",
        b"\xd9\xa3",
        b"-0.0",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"&a ",
        b"*a",
        b"!!int ",
        b"| ",
        b"> ",
        b"? ",
        b"<<: *a",
        b"<m:metric xmlns:m='x'>",
        b"<metric/>",
        b"<metrics/>",
        b"<?x y?>",
        b"&lt;",
        b"]]>",
        b" name='b'",
    ),
    *(b"[" * 2000, b"<a>" * 40, b"<x/>" * 1100, b"a: 1\n" * 1100, b'{"a":' * 30),
]

NAMES = (
    "vm.cpu.used",
    "guest.mem.limit",
    "num.tx",
    "version",
    "session",
    "metrics",
    "value",
    "a b",
    "x=y",
    "uuid.bios",
)


def basic(source: random.Random) -> bytes:
    """A V3 reply in which something may be wrong, built from the table of the reference."""
    count = source.choice([38, 38, 38, 37, 30, 18, 39, 40, source.randrange(45)])
    parts = []
    for id_, _, size in reference.TABLE[:count]:
        shown = source.choice(NUMBERS) if source.random() < 0.003 else id_
        valid = source.choice([0, 1, 1, 1, 1, 0x100, 0x1FF])
        parts.append(struct.pack(">II", shown, valid))
        if size:
            parts.append(source.randbytes(size) if source.random() < 0.8 else b"\xff" * size)
        else:
            text = source.choice(
                [b"", b"/host/user", b"/a\0b", b"\xff\xfe", b"p" * source.choice([511, 512, 513, 2000])]
            )
            length = source.choice(NUMBERS) if source.random() < 0.02 else len(text)
            parts.append(struct.pack(">I", length) + text + bytes(-len(text) % 4))
    body = struct.pack(">I", count) + b"".join(parts)
    size = source.choice(NUMBERS) if source.random() < 0.02 else len(body)
    version = source.choice([2, 4, 0]) if source.random() < 0.01 else 3
    return struct.pack("<IQI", version, source.choice([0, 1, source.getrandbits(64)]), size) + body


def old(source: random.Random) -> bytes:
    """A V2 reply."""
    path = source.choice([b"/pool", b"p" * 512, b"", b"\xff" * 3]).ljust(512, b"\0")
    head = struct.pack("<IQ", source.choice([2, 2, 2, 3]), source.choice([1, 0, source.getrandbits(64)]))
    reply = head + source.randbytes(144) + bytes([source.randrange(2)]) + path
    return reply[: source.choice([669, 669, 669, 668, 12])]


def extended(source: random.Random) -> tuple[str, bytes]:
    """An encoding, and a reply in it."""
    rows = [
        (
            source.choice(NAMES),
            source.choice(
                [
                    str(source.getrandbits(source.choice([8, 32, 64, 65]))),
                    "9" * source.choice([20, 21, 400, 5000]) + source.choice(["", ".5"]),
                    r"\\ud800",
                    "-1",
                    "1.5",
                    "VMware ESXi",
                    "",
                    "a & b",
                    "-0.0",
                    "1e3",
                    "&a 5",
                    "*a",
                    "# 5",
                    "[5]",
                    "'5'",
                    str(2**64 - 1),
                    str(2**32 - 1),
                ]
            ),
            source.choice(["", "static", "instant", "accumulate", "new"]),
            source.choice(["", "KB", "us", "MHz", "packets", "%", "KB" * 100]),
        )
        for _ in range(source.randrange(6))
    ]
    encoding = source.choice(stat_get.ENCODINGS)
    return encoding, _WRITERS[encoding](source, rows).encode()


Rows = list[tuple[str, str, str, str]]


SESSIONS = ("", "0", "5", "-5", "true", "1.5", "9" * 5000, "18446744073709551616", "\u0663")
DECLARED = ("utf-16", "utf-7", "cp037", "idna", "punycode", "undefined", "latin-1", "x" * 70)


def _xml(source: random.Random, rows: Rows) -> str:
    inner = "".join(
        f'<metric name="{name}" type="{type_}" units="{units}">{value}</metric>'
        for name, value, type_, units in rows
    )
    session = source.choice([*SESSIONS, str(source.getrandbits(64))])
    whole = f'<metrics session="{session}">{inner}</metrics>'
    if source.random() < 0.1:
        return f'<?xml version="1.0" encoding="{source.choice(DECLARED)}"?>{whole}'
    return whole


_JSON_SESSIONS = ("true", "null", "5", "1.5", "1e400", "[]", "9" * 5000, *(f'"{each}"' for each in SESSIONS))


def _json(source: random.Random, rows: Rows) -> str:
    triples = [
        f'"type": "{type_}", "units": "{units}", "value": ' + (value if value[:1].isdigit() else f'"{value}"')
        for _, value, type_, units in rows
    ]
    match source.randrange(4):
        case 0:
            return (
                "{"
                + ", ".join(f'"{row[0]}": {{{triple}}}' for row, triple in zip(rows, triples, strict=True))
                + "}"
            )
        case 1:
            return (
                "["
                + ", ".join(
                    f'{{"name": "{row[0]}", {triple}}}' for row, triple in zip(rows, triples, strict=True)
                )
                + "]"
            )
        case 2:
            inner = ", ".join(
                f'{{"name": "{row[0]}", {triple}}}' for row, triple in zip(rows, triples, strict=True)
            )
            return f'{{"session": {source.choice(_JSON_SESSIONS)}, "metrics": [{inner}]}}'
        case _:
            return "{" + ", ".join(f'"{row[0]}": "{row[1]}"' for row in rows) + "}"


def _yaml(source: random.Random, rows: Rows) -> str:
    lines = []
    for name, value, type_, units in rows:
        if source.random() < 0.3:
            lines.append(f"{name}: {value}")
        else:
            lines += [f"{name}:", f"    type: {type_}", f"    units: {units}", f"    value: {value}"]
    return "\n".join(lines)


def _text(_source: random.Random, rows: Rows) -> str:
    return "".join(f"{name} = {value}\n" for name, value, _, _ in rows)


_WRITERS: dict[str, Callable[[random.Random, Rows], str]] = {
    "xml": _xml,
    "json": _json,
    "yaml": _yaml,
    "text": _text,
}


def spoil(source: random.Random, reply: bytes) -> bytes:
    """None, one, or a few of: bits turned over, bytes cut out, doubled, moved, words put in."""
    spoiled = bytearray(reply)
    for _ in range(source.choice([0, 0, 1, 1, 1, 2, 4])):
        at, size = source.randrange(len(spoiled) + 1), source.choice([1, 2, 4, 8, 40])
        match source.randrange(6):
            case 0 if at < len(spoiled):
                spoiled[at] ^= 1 << source.randrange(8)
            case 1:
                del spoiled[at : at + size]
            case 2:
                spoiled[at:at] = spoiled[at : at + size]
            case 3:
                del spoiled[at:]
            case 4:
                spoiled[at:at] = source.choice(WORDS)
            case _:
                spoiled[at : at + 4] = source.choice(NUMBERS).to_bytes(4, source.choice(["big", "little"]))
    return bytes(spoiled)


def judge_basic(reply: bytes, ours: Callable[[bytes], object], theirs: Callable[[bytes], object]) -> str:
    """``ok`` or ``malformed``; AssertionError where the two decoders do not say the same."""
    if ours is stats_v3.decode and int.from_bytes(reply[16:20], "big") > len(reference.TABLE) < len(
        STATISTICS
    ):
        return "newer than the reference"
    expected = theirs(reply)
    try:
        snapshot = ours(reply)
    except ProtocolError:
        assert expected is None, f"refused, and it means {expected!r}: {reply!r}"
        return "malformed"
    found = (snapshot.session_id, dict(snapshot.values))  # type: ignore[attr-defined]
    assert found == expected, f"{found!r} is not {expected!r}: {reply!r}"
    return "ok"


def judge_extended(encoding: str, reply: bytes) -> str:
    """As :func:`judge_basic`; a reply that only the exporter refuses is over one of its bounds, or has no value.

    Or it is YAML of another shape than the guide's two.
    """
    expected = reference.EXTENDED[encoding](reply)
    try:
        parsed = stat_get.parse(encoding, reply)
    except ProtocolError:
        large = len(reply) > 20_000 or max(map(reply.count, (b"\n", b"<", b","))) > 1000
        nothing = expected is None or expected[1].nothing()
        other = encoding == "yaml" and not reference.is_guides_yaml(reply.decode("utf-8", "replace"))
        assert nothing or large or other, f"refused: {encoding} {reply!r}"
        return "malformed"
    found = {each.name: (each.value, each.type, each.units) for each in parsed.values}
    assert expected is not None, f"{found!r} out of what is no {encoding}: {reply!r}"
    assert (parsed.session_id, found) == expected, f"{found!r} is not {expected!r}: {encoding} {reply!r}"
    for name, (value, _, _) in found.items():
        assert type(value) is type(expected[1][name][0]), f"{value!r} of {name!r}: {encoding} {reply!r}"
    # What comes after must take whatever has passed.
    accept({"resources": parsed.values, "session": parsed.values, "vnet m": parsed.values})
    return "ok"


def try_one(source: random.Random) -> str:
    """One hostile reply of any kind; what it was and what came of it."""
    match source.randrange(8):
        case 0 | 1:
            return "v3 " + judge_basic(spoil(source, basic(source)), stats_v3.decode, reference.v3)
        case 2:
            return "v2 " + judge_basic(spoil(source, old(source)), stats_v2.decode, reference.v2)
        case 3:
            return "packet " + _packet(source)
        case _:
            encoding, reply = extended(source)
            return f"{encoding} " + judge_extended(encoding, spoil(source, reply))


def _packet(source: random.Random) -> str:
    """The layers below: a packet of a reply, and what the words of one may be."""
    payload = source.choice([b"1 ", b"0 ", b"", b"1", b"2 "]) + source.choice(
        [b"true", b"0", b"0\0", b"Unknown command\0x", b"Green", basic(source)]
    )
    fields: dict[int, int | bytes] = {datamap.TYPE: 1}
    if payload:
        fields[datamap.PAYLOAD] = payload
    whole = spoil(source, packet.encode(datamap.encode(fields)))
    decoder = packet.PacketDecoder()
    try:
        decoder.feed(whole)
        body = decoder.next()
        data = b"" if body is None else rpci.parse_reply(body)
    except (ProtocolError, RpcError):
        return "malformed"
    for parse in (appmonitor.parse_code, appmonitor.parse_is_enabled, appmonitor.parse_app_status):
        with contextlib.suppress(ProtocolError):
            parse(data)
    stats = [
        judge_basic(data, stats_v3.decode, reference.v3),
        judge_basic(data, stats_v2.decode, reference.v2),
    ]
    with contextlib.suppress(ProtocolError):
        stat_get.parse_names(data)
    return "ok" if "ok" in stats else "malformed"


def main(count: int, seed: int) -> None:
    """Try ``count`` replies; ends with the first that takes the exporter in."""
    source = random.Random(seed)
    seen: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(1, count + 1):
        seen[try_one(source)] += 1
        if number % 100_000 == 0 or number == count:
            print(f"{number} replies, {time.monotonic() - began:.0f} s", flush=True)
    for what, times in sorted(seen.items()):
        print(f"{what:18}{times:10}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
