"""Extended statistics, the host's side: ``guestlib.stat.get <encoding> <name>`` in four encodings.

Forms and names as the Guest SDK Programming Guide shows them. What it leaves open is chosen here: the fields of
``vscsi`` (no public list), most of ``host``, and the nesting of JSON, of which both plausible forms can be had. Words
are flat in JSON and YAML, as parsers in production expect them.
Where a basic statistic holds the same quantity, both agree: the finer unit is used unless the scenario set the
basic one to something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from exporter.catalogue import NO_LIMIT, OLD_NO_LIMIT_MB
from exporter.errors import RpcError
from exporter.simulator.devices import Device
from exporter.simulator.physics import Memory, Totals
from exporter.simulator.scenario import Scenario
from exporter.simulator.statistics import StatisticValues

STATIC, INSTANT, ACCUMULATE = "static", "instant", "accumulate"

_READS = 0.7
"""Share of reads among disk commands, and below their mean sizes in bytes; of packets likewise."""
_READ_BYTES, _WRITE_BYTES = 24576, 12288
_SENT = 0.45
_SENT_BYTES, _RECEIVED_BYTES = 320, 910


class StatRow(NamedTuple):
    """One statistic; texts have neither type nor units."""

    name: str
    value: int | str
    type: str = ""
    units: str = ""


class HostView(NamedTuple):
    """The host at one moment. ``uptime`` in microseconds; ``values`` are the basic statistics by id."""

    scenario: Scenario
    session_id: int
    uptime: int
    seed: int
    values: StatisticValues
    totals: Totals
    memory: Memory
    disks: tuple[Device, ...]
    nics: tuple[Device, ...]


def answer(view: HostView, encoding: str, name: str) -> bytes:
    """The reply's data. An empty ``name`` lists the groups, one a line, whatever the encoding.

    Raises:
        RpcError: no such service, encoding or group.
    """
    offered = view.scenario.encodings
    if not offered:
        raise RpcError("Unknown command")
    if not name:
        return "".join(f"{group}\n" for group in names(view)).encode()
    if encoding not in offered:
        raise RpcError("Unsupported encoding")
    found = rows(view, name)
    if found is None:
        raise RpcError("Unknown stat")
    if encoding == "json" and view.scenario.json_list:
        return json_list(found)
    return ENCODERS[encoding](view.session_id, found)


def names(view: HostView) -> tuple[str, ...]:
    """The groups on offer."""
    return (
        "session",
        "host",
        "resources",
        *(f"vscsi {disk.name}" for disk in view.disks),
        *(f"vnet {nic.name}" for nic in view.nics),
    )


def rows(view: HostView, group: str) -> list[StatRow] | None:
    """The statistics of one group; None where there is no such group."""
    if group in _GROUPS:
        return _GROUPS[group](view)
    word, _, name = group.partition(" ")
    for disk in view.disks if word == "vscsi" else ():
        if disk.name == name:
            return _disk(view, disk)
    for nic in view.nics if word == "vnet" else ():
        if nic.name == name:
            return _nic(view, nic)
    return None


def _session(view: HostView) -> list[StatRow]:
    raw = (view.seed + 0x5F3C9D1B7A264E80) % 2**64
    half = [f"{raw >> shift & 0xFF:02x}" for shift in range(56, -1, -8)]
    return [
        StatRow("session", view.session_id),
        StatRow("uptime", view.uptime, ACCUMULATE, "us"),
        StatRow("version", view.scenario.machine.hypervisor),
        StatRow("provider", ""),
        StatRow("uuid.bios", f"56 4d 2c 53 43 56 66 8e-{' '.join(half)}"),
    ]


def _host(view: HostView) -> list[StatRow]:
    machine = view.scenario.machine
    packages = 2 if machine.host_cores % 2 == 0 else 1
    return [
        StatRow("host.cpu.processorMHz", _number(view, 5), STATIC, "MHz"),
        StatRow("host.cpu.coresPerPkg", machine.host_cores // packages, STATIC, "cores"),
        StatRow("host.cpu.packages", packages, STATIC, "packages"),
        StatRow("host.cpu.model", "Simulated CPU"),
    ]


def _resources(view: HostView) -> list[StatRow]:
    memory, totals = view.memory, view.totals
    mapped = _fine(memory.mapped, _number(view, 9), 1024)
    swapped = _fine(memory.swapped, _number(view, 13), 1024)
    overhead = _number(view, 11) << 10
    remote = min(memory.remote, mapped)

    def part_of_overhead(kilobytes: float) -> int:
        return int(kilobytes * overhead / (view.scenario.machine.memory << 10) / 4)

    return [
        StatRow("vm.cpu.reserved", _number(view, 1), STATIC, "MHz"),
        StatRow("vm.cpu.limit", _limit(_number(view, 2)), STATIC, "MHz"),
        StatRow("vm.cpu.used", _fine(int(totals.used * 1e6), _number(view, 4), 1000), ACCUMULATE, "us"),
        StatRow(
            "vm.cpu.contention.cpu",
            _fine(int(totals.stolen * 1e6), _number(view, 19), 1000),
            ACCUMULATE,
            "us",
        ),
        StatRow("vm.cpu.contention.mem", int(totals.stalled * 1e6), ACCUMULATE, "us"),
        StatRow("vm.numa.local", mapped - remote, INSTANT, "KB"),
        StatRow("vm.numa.remote", remote, INSTANT, "KB"),
        StatRow("guest.mem.reserved", _number(view, 6) << 10, STATIC, "KB"),
        StatRow("guest.mem.limit", _limit(_number(view, 7), 1024), STATIC, "KB"),
        StatRow("guest.mem.mapped", mapped, INSTANT, "KB"),
        StatRow(
            "guest.mem.consumed", _fine(memory.mapped - memory.saved, _number(view, 16), 1024), INSTANT, "KB"
        ),
        StatRow("guest.mem.swapped", swapped, INSTANT, "KB"),
        StatRow("guest.mem.ballooned", _fine(memory.ballooned, _number(view, 12), 1024), INSTANT, "KB"),
        StatRow("guest.mem.swapIn", int(totals.swap_in), ACCUMULATE, "KB"),
        StatRow("guest.mem.swapOut", int(totals.swap_out), ACCUMULATE, "KB"),
        StatRow("ovhd.mem.swapped", part_of_overhead(swapped), INSTANT, "KB"),
        StatRow("ovhd.mem.swapIn", part_of_overhead(totals.swap_in), ACCUMULATE, "KB"),
        StatRow("ovhd.mem.swapOut", part_of_overhead(totals.swap_out), ACCUMULATE, "KB"),
    ]


def _disk(view: HostView, disk: Device) -> list[StatRow]:
    carried = disk.carried(view.totals)
    commands, latency = carried.commands, carried.latency
    reads = int(commands * _READS)
    writes = int(commands * (1 - _READS))
    return [
        StatRow("num.reads", reads, ACCUMULATE, "reads"),
        StatRow("num.writes", writes, ACCUMULATE, "writes"),
        StatRow("size.reads", reads * _READ_BYTES, ACCUMULATE, "bytes"),
        StatRow("size.writes", writes * _WRITE_BYTES, ACCUMULATE, "bytes"),
        StatRow("latency.reads", int(latency * _READS), ACCUMULATE, "us"),
        StatRow("latency.writes", int(latency * (1 - _READS)), ACCUMULATE, "us"),
        StatRow("limit", -1, STATIC, "iops"),
    ]


def _nic(view: HostView, nic: Device) -> list[StatRow]:
    packets = nic.carried(view.totals).packets
    sent = int(packets * _SENT)
    received = int(packets * (1 - _SENT))
    return [
        StatRow("num.tx", sent, ACCUMULATE, "packets"),
        StatRow("size.tx", sent * _SENT_BYTES, ACCUMULATE, "bytes"),
        StatRow("num.rx", received, ACCUMULATE, "packets"),
        StatRow("size.rx", received * _RECEIVED_BYTES, ACCUMULATE, "bytes"),
        StatRow("reservation", 0, STATIC, "MBps"),
        StatRow("limit", -1, STATIC, "MBps"),
    ]


_GROUPS: dict[str, Callable[[HostView], list[StatRow]]] = {
    "session": _session,
    "host": _host,
    "resources": _resources,
}


def _number(view: HostView, statistic: int) -> int:
    _, value = view.values[statistic]
    return value if isinstance(value, int) else 0


def _fine(fine: int, sent: int, ratio: int) -> int:
    """The finer number where it is the one behind the basic statistic, else that one in the finer unit."""
    return fine if abs(fine - sent * ratio) < 2 * ratio else sent * ratio


def _limit(value: int, ratio: int = 1) -> int:
    return -1 if value in (NO_LIMIT, OLD_NO_LIMIT_MB) else value * ratio


def xml(session_id: int, found: Sequence[StatRow]) -> bytes:
    """One line; the session's id stands on the root."""
    parts = [f'<metrics session="{session_id}">']
    for row in found:
        kind = f' type="{row.type}" units="{_escape(row.units)}"' if row.type else ""
        parts.append(f'<metric name="{_escape(row.name)}"{kind}>{_escape(str(row.value))}</metric>')
    parts.append("</metrics>")
    return "".join(parts).encode()


def _escape(text: str) -> str:
    return text.translate(_XML)


_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def _triple(row: StatRow) -> dict[str, int | str]:
    return {"type": row.type, "units": row.units, "value": row.value} if row.type else {"value": row.value}


def json_object(_session_id: int, found: Sequence[StatRow]) -> bytes:
    """Words are flat, and so is the session's id, which JSON's numbers could not hold everywhere."""
    return json.dumps({row.name: _triple(row) if row.type else str(row.value) for row in found}).encode()


def json_list(found: Sequence[StatRow]) -> bytes:
    return json.dumps([{"name": row.name, **_triple(row)} for row in found]).encode()


def yaml(_session_id: int, found: Sequence[StatRow]) -> bytes:
    lines = []
    for row in found:
        lines.append(f"{row.name}:" if row.type else f"{row.name}: {row.value}")
        lines += [f"    {key}: {value}" for key, value in _triple(row).items() if row.type]
    return "".join(f"{line}\n" for line in lines).encode()


def text(_session_id: int, found: Sequence[StatRow]) -> bytes:
    return "".join(f"{f'{row.name} = {row.value}'.rstrip()}\n" for row in found).encode()


ENCODERS: dict[str, Callable[[int, Sequence[StatRow]], bytes]] = {
    "xml": xml,
    "json": json_object,
    "yaml": yaml,
    "text": text,
}
