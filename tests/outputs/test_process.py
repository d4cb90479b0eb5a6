"""The exporter's own process, as every Prometheus client tells it."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry, Gauge, Metric, PlatformCollector
from prometheus_client.registry import Collector

from exporter.outputs.process import StandardCollector


class Broken(Collector):
    """Fails while it is told to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.broken = True
        registry.register(self)

    def collect(self) -> list[Metric]:
        if self.broken:
            raise IndexError("a /proc/self/stat of three words")
        return []


def names(collector: Collector) -> set[str]:
    return {metric.name for metric in collector.collect()}


def test_the_process_and_the_interpreter_have_their_standard_names() -> None:
    assert names(StandardCollector()) == {
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds",
        "process_open_fds",
        "process_max_fds",
        "python_info",
        "python_gc_objects_collected",
        "python_gc_objects_uncollectable",
        "python_gc_collections",
    }


def test_one_that_fails_leaves_the_others_alone_and_is_logged_once_per_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made: list[Broken] = []
    both = StandardCollector(
        [
            lambda registry: made.append(Broken(registry)),
            lambda registry: PlatformCollector(registry=registry),
        ]
    )
    with caplog.at_level(logging.WARNING, "exporter.web"):
        assert names(both) == names(both) == {"python_info"}
        assert len(caplog.records) == 1
        made[0].broken = False
        names(both)
        made[0].broken = True
        names(both)
        assert len(caplog.records) == 2


def test_it_stands_beside_other_collectors_in_one_registry() -> None:
    registry = CollectorRegistry()
    Gauge("other", "Another.", registry=registry)
    registry.register(StandardCollector())
    assert {"other", "process_open_fds", "python_info"} <= {metric.name for metric in registry.collect()}
