"""Replies of real hosts and of VMware's guide (data/samples/README.md), each with every line accounted for.

A golden file says what becomes of each line. After a wanted change: ``UPDATE_GOLDEN=1``, and read the diff.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.catalogue import BY_KEY
from exporter.catalogue.extended_names import map_value
from exporter.protocol import stat_get, stats_v2, stats_v3
from exporter.snapshot import ExtendedValue
from tests.protocol import reference_decoder as reference

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
GOLDEN = Path(__file__).parents[1] / "golden" / "samples.txt"

# The group that each file is a reply to.
GROUPS = {
    "derived-session-flat.json": "session",
    "derived-session-flat.yaml": "session",
    "insights-core-session.text": "session",
    "krashpad-hs_err-host.text": "host",
    "krashpad-hs_err-resources-at-start.text": "resources",
    "krashpad-hs_err-resources-now.text": "resources",
    "ohai-session.json": "session",
    "vmware-doc-resources.text": "resources",
    "vmware-doc-session.text": "session",
    "vmware-doc-vnet.text": "vnet 00:50:56:00:00:01",
    "vmware-doc-vnet.xml": "vnet 00:50:56:00:00:01",
    "vmware-doc-vnet.yaml": "vnet 00:50:56:00:00:01",
}
OTHERS = {"README.md", "vgstat-readme-2008.txt", "vmguestlib-pypi-vmguest-stats.txt"}
"""Not replies, but what programs printed that had read basic statistics."""


def named_in(name: str, reply: bytes) -> list[str]:
    """The statistics that a file holds, counted by the simplest means that its encoding allows."""
    text = reply.decode()
    match name.rpartition(".")[2]:
        case "text":
            return [line.split("=")[0].strip() for line in text.splitlines()]
        case "yaml":
            return [line.split(":")[0] for line in text.splitlines() if line[0] != " "]
        case "xml":
            return re.findall(r'name="([^"]*)"', text)
        case _:
            return list(json.loads(text))


def accounts() -> Iterator[str]:
    for name, group in GROUPS.items():
        parsed = stat_get.parse(name.rpartition(".")[2], (SAMPLES / name).read_bytes())
        yield f"{name}: {group}{f', session {parsed.session_id}' if parsed.session_id else ''}"
        for value in parsed.values:
            yield f"  {value.name} = {value.value!r}: {fate(group, value)}"


def fate(group: str, value: ExtendedValue) -> str:
    if group == "session":
        return (
            "the session, see hypervisor_info"
            if value.name not in {"session", "uptime"}
            else "the session's own"
        )
    mapped = map_value(group, value)
    if mapped is None:
        return "not published"
    labels = "".join(f' {name}="{text}"' for name, text in mapped.labels)
    basic = f" (where the basic statistics lack {mapped.basic})" if mapped.basic else ""
    return f"{mapped.metric.prometheus}{labels} {mapped.value:g}{basic}"


def test_every_line_of_every_sample() -> None:
    text = "".join(f"{line}\n" for line in accounts())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text.splitlines() == GOLDEN.read_text().splitlines()
    assert "not published" not in text


def test_no_sample_is_forgotten() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == GROUPS.keys() | OTHERS


@pytest.mark.parametrize("name", GROUPS)
def test_a_sample_is_read_without_loss_and_as_the_other_decoder_reads_it(name: str) -> None:
    reply = (SAMPLES / name).read_bytes()
    encoding = name.rpartition(".")[2]
    parsed = stat_get.parse(encoding, reply)
    assert [value.name for value in parsed.values] == named_in(name, reply)
    assert parsed.dropped == 0
    found = {value.name: (value.value, value.type, value.units) for value in parsed.values}
    assert reference.EXTENDED[encoding](reply) == (parsed.session_id, found)


def published(key: str, value: int | str) -> float:
    row = BY_KEY[key]
    assert isinstance(value, int)
    return float("inf") if value in row.unlimited else row.unit.scale(value)


def test_esx_35_as_a_program_of_2008_printed_it() -> None:
    """``vgstat``: time, session, host MHz, then the statistics in the order of its README; the last two are its own."""
    numbers = (SAMPLES / "vgstat-readme-2008.txt").read_text().split()
    keys = [
        "cpu_reservation",
        "cpu_limit",
        "cpu_shares",
        "elapsed",
        "cpu_used",
        "memory_reservation",
        "memory_limit",
        "memory_shares",
        "memory_mapped",
        "memory_active",
        "memory_overhead",
        "memory_ballooned",
        "memory_swapped",
        "memory_shared",
        "memory_shared_saved",
        "memory_used",
    ]
    given = {"host_cpu_frequency": int(numbers[2]), **dict(zip(keys, map(int, numbers[3:-2]), strict=True))}
    reply = bytearray(struct.pack("<IQ", 2, int(numbers[1])).ljust(reference.V2_SIZE, b"\0"))
    for row in reference.V2.strip().split("\n"):
        flag, offset, name, size = row.split()
        reply[int(flag)] = 1
        reply[int(offset) : int(offset) + int(size)] = given.pop(name).to_bytes(int(size), "little")
    assert not given
    snapshot = stats_v2.decode(bytes(reply))
    shown = {key: published(key, value) for key, value in snapshot.values.items()}
    assert snapshot.session_id == 15178136555125225123
    assert shown == {
        "host_cpu_frequency": 3e9,
        "cpu_reservation": 2.775e9,
        "cpu_limit": float("inf"),
        "cpu_shares": 2000,
        "elapsed": 522709.486,
        "cpu_used": 99277.134,
        "memory_reservation": 0,
        "memory_limit": float("inf"),
        "memory_shares": 30840,
        "memory_mapped": 3070 * 2**20,
        "memory_active": 123 * 2**20,
        "memory_overhead": 346 * 2**20,
        "memory_ballooned": 0,
        "memory_swapped": 0,
        "memory_shared": 13 * 2**20,
        "memory_shared_saved": 7 * 2**20,
        "memory_used": 3063 * 2**20,
    }
    # Its own: milliseconds since its last line, and the share of them that was used, in per cent.
    assert numbers[-2:] == ["5002", "13.75"]


def test_esx_4_as_a_program_printed_it() -> None:
    """``vmguest-stats`` of the package vmguestlib; each line is a statistic, or a rate of two."""
    keys = {
        "Host processor speed": "host_cpu_frequency",
        "Active": "memory_active",
        "Ballooned": "memory_ballooned",
        "Mapped": "memory_mapped",
        "Overhead": "memory_overhead",
        "Shared": "memory_shared",
        "Shared Saved": "memory_shared_saved",
        "Swapped": "memory_swapped",
        "Target Size": "memory_target",
        "Used": "memory_used",
    }
    of_section = {
        "VM Processor": {"Limit": "cpu_limit", "Reservation": "cpu_reservation", "Shares": "cpu_shares"},
        "VM Memory": {
            "Limit": "memory_limit",
            "Reservation": "memory_reservation",
            "Shares": "memory_shares",
        },
    }
    rates = {"Processor Time", "CPU stolen time", "Effective VM Speed"}
    given: dict[str, int] = {}
    section = ""
    for line in (SAMPLES / "vmguestlib-pypi-vmguest-stats.txt").read_text().splitlines():
        name, colon, value = line.strip().partition(": ")
        if not colon:
            section = name
        elif name not in rates:
            key = keys.get(name) or of_section[section][name]
            given[key] = 2**32 - 1 if value == "unlimited" else int(value.split()[0])
    assert len(given) == len(keys) + 2 * 3
    parts = []
    for id_, name, size in reference.TABLE[:30]:
        number = given.get(name, 0)
        parts.append(
            struct.pack(">II", id_, name in given) + (number.to_bytes(size, "big") if size else bytes(4))
        )
    body = struct.pack(">I", 30) + b"".join(parts)
    snapshot = stats_v3.decode(struct.pack("<IQI", 3, 1, len(body)) + body)
    assert dict(snapshot.values) == given
    shown = {key: published(key, value) for key, value in snapshot.values.items()}
    assert shown["cpu_limit"] == shown["memory_limit"] == float("inf")
    assert (shown["host_cpu_frequency"], shown["memory_target"]) == (2.932e9, 12219 * 2**20)
    assert shown["memory_used"] == shown["memory_mapped"] - (12288 - 12219) * 2**20
