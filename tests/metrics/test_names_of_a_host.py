"""Whatever a host calls its statistics, the page stays one that Prometheus reads, in both formats alike."""

from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from exporter.metrics.collector import collect
from exporter.outputs.prometheus import OPENMETRICS, TEXT, VMGuestCollector
from exporter.session.gate import accept
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, PollState, Snapshot

WORDS = (
    "a",
    "b",
    "A",
    "total",
    "Total",
    "created",
    "info",
    "bucket",
    "sum",
    "count",
    "le",
    "used",
    "é",
    "",
    "-",
    "0",
)
KNOWN = (
    "vm.cpu.used",
    "vm.cpu.limit",
    "guest.mem.limit",
    "vm.numa.local",
    "size.rx",
    "version",
    "uuid.bios",
    "limit",
)
VALUES: tuple[float | int | str, ...] = (0, 1, -1, -5, 1.5, 2**64 - 1, 2**32 - 1, "word", 'a "b" \\ c', "")
UNITS = ("", "KB", "us", "MHz", "%", "packets", "Furlongs/h", '"', "\\", "n/a")
TYPES = ("", "static", "instant", "accumulate", "ACCUMULATE", "new")


def statistics(chance: random.Random) -> tuple[ExtendedValue, ...]:
    names = {
        chance.choice(KNOWN)
        if chance.random() < 0.2
        else ".".join(chance.choices(WORDS, k=chance.randrange(1, 4)))
        for _ in range(12)
    }
    return tuple(
        ExtendedValue(name, chance.choice(VALUES), chance.choice(TYPES), chance.choice(UNITS))
        for name in sorted(names)
    )


def samples(families: object) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in families:  # type: ignore[attr-defined]
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    # The text format has a family of its own for each of these.
    return {key: value for key, value in found.items() if not key[0].endswith("_created")}


@pytest.mark.parametrize("seed", range(60))
def test_the_page_can_be_read(seed: int) -> None:
    chance = random.Random(seed)
    groups = {name: statistics(chance) for name in ("session", "host", "resources", 'vnet a"b', "vscsi a\\b")}
    extended = ExtendedSnapshot(5, accept(groups).groups, 1000.0, 10.0)
    state = PollState(
        5.0, Snapshot(5, 3, {"elapsed": 1}), 1000.0, 10.0, extended=extended, extended_interval=15.0
    )
    registry = CollectorRegistry()
    registry.register(VMGuestCollector(lambda: collect(state, 10.0)))
    text = samples(read_text(TEXT.write(registry).decode()))
    assert OPENMETRICS.write(registry) == openmetrics(registry)  # type: ignore[no-untyped-call]
    assert text == samples(read_openmetrics(OPENMETRICS.write(registry).decode()))  # type: ignore[no-untyped-call]
    assert len(text) > 10
