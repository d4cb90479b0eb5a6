"""A round of extended statistics as a whole: what a large honest VM gives passes, and a hostile host's has an end."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

import pytest

from exporter.catalogue.extended_names import MAX_DEVICES
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
    told = [record for record in caplog.records if "beyond a bound" in record.getMessage()]
    assert len(told) == 1


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
