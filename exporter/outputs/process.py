"""This process and its interpreter, under the standard names that every Prometheus client gives them.

They are not this project's metrics, so the catalogue has no rows for them and OTLP, which has other names for the
same things, does not carry them. Left out with ``--web.disable-exporter-metrics``.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.machine.system import HERE

if sys.platform == "win32":
    from exporter.machine import windows

log = logging.getLogger("exporter.web")

_MOST_HANDLES = 2**24
"""Handles that a process can have (Microsoft, Pushing the Limits of Windows: Handles)."""


class _WindowsProcess(Collector):
    """``process_*``, which prometheus_client takes from /proc; names, meaning and maximum as Go's client has them."""

    def collect(self) -> Iterator[Metric]:
        yield from ()
        if sys.platform == "win32":
            now = windows.usage()
            yield GaugeMetricFamily(
                "process_virtual_memory_bytes", "Virtual memory size in bytes.", now.virtual
            )
            yield GaugeMetricFamily(
                "process_resident_memory_bytes", "Resident memory size in bytes.", now.resident
            )
            yield GaugeMetricFamily(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                now.started,
            )
            yield CounterMetricFamily(
                "process_cpu_seconds", "Total user and system CPU time spent in seconds.", now.cpu
            )
            yield GaugeMetricFamily("process_open_fds", "Number of open handles.", now.handles)
            yield GaugeMetricFamily("process_max_fds", "Maximum number of open handles.", _MOST_HANDLES)


class _Platform:
    """What the collector asks of :mod:`platform`, without the call that asks WMI on Windows, and WMI may hang."""

    python_implementation = staticmethod(platform.python_implementation)
    python_version = staticmethod(platform.python_version)
    python_version_tuple = staticmethod(platform.python_version_tuple)

    @staticmethod
    def system() -> str:
        return HERE.name


def _of_process(registry: CollectorRegistry) -> object:
    if not HERE.windows:
        return ProcessCollector(registry=registry)
    registry.register(_WindowsProcess())
    return None


COLLECTORS: tuple[Callable[[CollectorRegistry], object], ...] = (
    _of_process,
    lambda registry: PlatformCollector(registry=registry, platform=_Platform),
    lambda registry: GCCollector(registry=registry),
)
"""Each registers a collector with the registry that it is given."""


class StandardCollector(Collector):
    """``process_*`` and ``python_*``. A collector that fails leaves its own metrics out, not the page."""

    def __init__(self, collectors: Iterable[Callable[[CollectorRegistry], object]] = COLLECTORS) -> None:
        self._registries: list[CollectorRegistry] = []
        self._failing: set[CollectorRegistry] = set()
        for register in collectors:
            registry = CollectorRegistry()
            register(registry)
            self._registries.append(registry)

    def collect(self) -> Iterable[Metric]:
        found: list[Metric] = []
        for registry in self._registries:
            try:
                found += registry.collect()
            except Exception:
                # What /proc holds under an emulated kernel is anybody's guess.
                if registry not in self._failing:
                    log.warning("some metrics of this process can't be read", exc_info=True)
                self._failing.add(registry)
            else:
                self._failing.discard(registry)
        return found
