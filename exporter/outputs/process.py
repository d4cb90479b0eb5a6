"""This process and its interpreter, under the standard names that every Prometheus client gives them.

They are not this project's metrics, so the catalogue has no rows for them and OTLP, which has other names for the
same things, does not carry them. Left out with ``--web.disable-exporter-metrics``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

log = logging.getLogger("exporter.web")

COLLECTORS: tuple[Callable[[CollectorRegistry], object], ...] = (
    # Reads /proc, so it gives nothing on Windows.
    lambda registry: ProcessCollector(registry=registry),
    lambda registry: PlatformCollector(registry=registry),
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
