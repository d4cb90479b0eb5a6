"""A round of extended statistics as a whole: what a large honest VM gives passes, and a hostile host's has an end."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterable

import pytest

from exporter.catalogue.extended_names import MAX_DEVICES, MAX_UNKNOWN
from exporter.errors import RpcError
from exporter.protocol import stat_get
from exporter.session import gate
from exporter.session.gate import Gate
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import ExtendedValue, Snapshot, SourceInfo

DISKS = [f"vscsi scsi{controller}:{unit}" for controller in range(4) for unit in range(64)]
NICS = [f"vnet 00:50:56:00:00:{number:02x}" for number in range(64)]
LARGE = ["session", "host", "resources", *DISKS, *NICS]
"""256 disks as vSphere allows, and six times the ten network cards."""

ROW = '<metric name="{}" type="accumulate" units="{}">{}</metric>'
MOST = 2**63
"""Of a counter that has been counting for ever: as long as a number gets."""


def disk() -> list[str]:
    """Twelve statistics, twice what hosts are known to give of a disk."""
    names = (f"latency.{kind}.{what}" for kind in ("read", "write") for what in ("min", "max", "sum"))
    return [ROW.format(name, "us", MOST) for name in (*names, *(f"num.{number}s" for number in "abcdef"))]


def card() -> list[str]:
    known = (("num.tx", "packets"), ("num.rx", "packets"), ("size.tx", "bytes"), ("size.rx", "bytes"))
    dropped = ((f"num.dropped.rx.reason{number}", "packets") for number in range(10))
    return [ROW.format(name, units, MOST) for name, units in (*known, *dropped)]


def resources() -> list[str]:
    """With eight NUMA nodes, and statistics of each of many vCPUs, of which no host is known."""
    nodes = (f"vm.numa.node{node}.{what}" for node in range(8) for what in ("local", "remote", "moved"))
    vcpus = (f"vm.vcpu{number}.ready" for number in range(200))
    return [ROW.format(name, "us", MOST) for name in ("vm.cpu.contention.cpu", *nodes, *vcpus)]


class Host:
    """Answers as ``replies`` has it by the kind of group; counts what it sent."""

    info = SourceInfo("guestrpc", "memory")
    restarts = None

    def __init__(self, groups: list[str], replies: dict[str, bytes], default: bytes = b"") -> None:
        self.groups = groups
        self.replies = replies
        self.default = default
        self.sent: list[int] = []

    def read(self) -> Snapshot:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        if not name:
            return "\n".join(self.groups).encode()
        if encoding != "xml" and not self.default:
            raise RpcError("another encoding")
        reply = self.replies.get(name.partition(" ")[0], self.default)
        self.sent.append(len(reply))
        return reply


def metrics(rows: list[str]) -> bytes:
    return f'<metrics session="7">{"".join(rows)}</metrics>'.encode()


def read(host: Host) -> tuple[ExtendedReader, int]:
    """A reader after one round, and how many statistics it has shown."""
    reader = ExtendedReader(15.0, clock=lambda: 0.0, wall=lambda: 5000.0)
    state = reader.step(host, 7, 1000.0)
    return reader, sum(map(len, state.snapshot.groups.values())) if state.snapshot is not None else 0


def test_a_large_honest_vm_passes_with_a_factor_to_spare() -> None:
    replies = {"vscsi": metrics(disk()), "vnet": metrics(card()), "resources": metrics(resources())}
    host = Host(LARGE, {"session": metrics([]), "host": metrics([]), **replies})
    reader, shown = read(host)
    assert shown == 256 * len(disk()) + 64 * len(card()) + len(resources())
    assert (reader.state.up, reader.state.dropped) == (True, 0)
    assert len(host.sent) == len(LARGE)
    assert 5 * sum(host.sent) < gate.MAX_ROUND
    assert 3.5 * shown < gate.MAX_ROUND_STATISTICS


def unknown(number: int, prefix: str = "a") -> list[str]:
    return [ROW.format(f"{prefix}.{each:04}", "us", MOST) for each in range(number)]


def names_of(reader: ExtendedReader) -> dict[str, list[str]]:
    state = reader.state
    assert state.snapshot is not None
    return {group: [each.name for each in values] for group, values in state.snapshot.groups.items()}


def test_all_disks_of_the_largest_vm_are_shown_with_twenty_statistics_each() -> None:
    host = Host(LARGE, {"vscsi": metrics(unknown(20)), "vnet": metrics(card())}, metrics([]))
    reader, shown = read(host)
    assert shown == 256 * 20 + 64 * len(card())
    assert reader.state.dropped == 0


def test_of_more_than_that_the_last_by_name_are_left_out_in_every_round_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chance, shown = random.Random(1), []
    rows = unknown(30)
    for _ in range(3):
        groups = list(LARGE)
        chance.shuffle(groups)
        chance.shuffle(rows)
        host = Host(groups, {"vscsi": metrics(rows)}, metrics([]))
        with caplog.at_level(logging.WARNING, "exporter.extended"):
            reader, _ = read(host)
        shown.append({group: set(names) for group, names in names_of(reader).items() if names})
    whole, part = divmod(MAX_UNKNOWN, 30)
    disks = sorted(DISKS)
    assert shown[0].keys() == {*disks[:whole], *([disks[whole]] if part else [])}
    assert all(len(shown[0][disk]) == 30 for disk in disks[:whole])
    assert shown[1:] == shown[:1] * 2


def test_the_bound_of_unknown_statistics_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    reader = ExtendedReader(15.0, clock=lambda: 20.0 * len(rounds), wall=lambda: 5000.0)
    rounds: list[int] = []
    host = Host(LARGE, {"vscsi": metrics(unknown(30))}, metrics([]))
    with caplog.at_level(logging.WARNING, "exporter.extended"):
        for each in range(3):
            rounds.append(each)
            reader.step(host, 7, 1000.0)
    told = [vars(record)["bound"] for record in caplog.records if "beyond a bound" in record.getMessage()]
    assert told == [f"more than {MAX_UNKNOWN} statistics without a catalogue row in one round"]


@pytest.mark.parametrize("words", [True, False])
def test_nothing_known_gives_way_to_what_is_unknown(words: bool) -> None:
    """In a group with more of it than is looked at, behind a round that is full of it, and in a session that is."""
    flood = unknown(300)
    if words:
        flood = [f'<metric name="a.{each:04}">words</metric>' for each in range(300)]
    contention = [
        ROW.format("vm.cpu.contention.cpu", "us", 5),
        '<metric name="vm.numa.local" type="instant" units="KB">5</metric>',
    ]
    session = [
        '<metric name="uptime" type="instant" units="us">5</metric>',
        '<metric name="version">VMware ESXi 9</metric>',
    ]
    sent = ROW.format("num.tx", "packets", 5)
    groups = [*NICS[:60], "resources", "host", "session"]
    host = Host(
        groups,
        {
            "resources": metrics([*flood, *contention]),
            "session": metrics([*flood, *session]),
            "vnet": metrics([*flood[:250], sent]),
        },
        metrics([]),
    )
    reader, _ = read(host)
    shown = names_of(reader)
    assert {"vm.cpu.contention.cpu", "vm.numa.local"} <= set(shown["resources"])
    assert {"uptime", "version"} <= set(shown["session"])
    assert all("num.tx" in shown[card] for card in NICS[:60])


def test_a_session_full_of_unknown_series_takes_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_SERIES", 10)
    one = Gate()
    flood = [ExtendedValue(f"a{number}", number, "accumulate", "us") for number in range(30)]
    taken, dropped = one.take(
        "resources", [*flood, ExtendedValue("vm.cpu.contention.cpu", 5, "accumulate", "us")]
    )
    assert (len(taken), dropped) == (11, 20)
    assert taken[-1].name == "vm.cpu.contention.cpu", "in the order of the host"


ALL = ["session", "host", "resources"] + [
    f"{kind} {number}" for kind in ("vscsi", "vnet") for number in range(MAX_DEVICES)
]


def test_a_round_ends_at_its_bound_in_statistics(caplog: pytest.LogCaptureFixture) -> None:
    reply = metrics([f'<metric name="a{number}" type="instant">5</metric>' for number in range(1000)])
    host = Host(ALL, {}, reply)
    with caplog.at_level(logging.WARNING, "exporter.extended"):
        reader, shown = read(host)
        reader.step(host, 7, 1000.0)
    assert len(host.sent) == math.ceil(gate.MAX_ROUND_STATISTICS / 1000)
    assert shown > 0
    # What is not asked for counts once a group.
    groups = len(ALL) - len(host.sent)
    assert reader.state.dropped == 1000 * len(host.sent) - shown + groups
    told = [vars(record)["bound"] for record in caplog.records if "beyond a bound" in record.getMessage()]
    assert told == [
        "more than 256 statistics in one group",
        f"a round of more than {gate.MAX_ROUND} bytes or {gate.MAX_ROUND_STATISTICS} statistics",
    ]


def test_a_round_ends_at_its_bound_in_bytes_that_are_understood_in_no_encoding() -> None:
    host = Host(ALL, {}, b"<" * stat_get.MAX_REPLY)
    reader, shown = read(host)
    assert sum(host.sent) < gate.MAX_ROUND + len(stat_get.ENCODINGS) * stat_get.MAX_REPLY
    assert (reader.state.up, shown) == (False, 0)
    assert reader.state.dropped == len(ALL)


def test_each_round_has_the_whole_bound() -> None:
    reply = metrics([f'<metric name="a{number}" type="instant">5</metric>' for number in range(1000)])
    host = Host(ALL, {}, reply)
    reader = ExtendedReader(15.0, clock=lambda: 20.0 * len(rounds), wall=lambda: 5000.0)
    rounds: list[int] = []
    for _ in range(2):
        host.sent.clear()
        reader.step(host, 7, 1000.0)
        rounds.append(len(host.sent))
    assert rounds[0] == rounds[1]


def test_no_reply_waits_for_the_end_of_its_round_to_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a round costs is spread over its groups, between which the next poll may be due."""
    asked = Host(ALL, {}, metrics(disk()))
    looked_at: list[int] = []
    take = Gate.take

    def noted(
        self: Gate, group: str, values: Iterable[ExtendedValue]
    ) -> tuple[tuple[ExtendedValue, ...], int]:
        looked_at.append(len(asked.sent))
        return take(self, group, values)

    monkeypatch.setattr(Gate, "take", noted)
    read(asked)
    assert looked_at == list(range(1, len(looked_at) + 1))
