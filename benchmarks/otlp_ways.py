"""The two ways of pushing that ``benchmarks.otlp`` compares, each the whole life of a process.

Imports nothing that one way needs and the other does not.
"""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.clock import Instant
from exporter.metrics.collector import collect
from exporter.metrics.families import Family
from exporter.snapshot import Guest, PollState

WARM_UP = 10
"""Exports: imports, first connection and the allocator's growth belong to the start."""


class Counter:
    """Tells when the warm-up and then the measured exports are over."""

    def __init__(self, exports: int) -> None:
        self._exports = exports
        self._taken = 0
        self._begun = 0.0
        self.done = threading.Event()
        self.cpu = 0.0
        """Seconds per export."""

    def count(self) -> None:
        self._taken += 1
        if self._taken == WARM_UP:
            self._begun = time.process_time()
        elif self._taken == WARM_UP + self._exports:
            self.cpu = (time.process_time() - self._begun) / self._exports
            self.done.set()


def fresh_families(state: PollState) -> Callable[[], list[Family]]:
    """Everything in ``state``, as if the host had been read at this moment."""
    extended, guest = state.extended, Guest(4, 2**33)
    assert extended is not None

    def families() -> list[Family]:
        wall, monotonic = time.time(), time.monotonic()
        now = replace(
            state,
            read_time=wall,
            read_monotonic=monotonic,
            extended=replace(extended, read_time=wall, read_monotonic=monotonic),
        )
        return collect(now, monotonic, guest=guest)

    return families


def push(
    protocol: str, port: int, interval: float, counter: Counter, families: Callable[[], list[Family]]
) -> Callable[[], None]:
    from exporter.outputs.otlp.client import ExportResult, Outcome
    from exporter.outputs.otlp.connect import connect
    from exporter.outputs.otlp.endpoint import GRPC
    from exporter.outputs.otlp.push import Push
    from exporter.outputs.otlp.settings import PushSettings

    class Published:
        begun = time.monotonic()

        @staticmethod
        def now() -> Instant:
            return Instant(time.time(), time.monotonic())

        @staticmethod
        def started(now: Instant) -> float:
            return now.wall - (now.monotonic - Published.begun)

        @staticmethod
        def collect(_now: Instant) -> list[Family]:
            return families()

    class Counted:
        def __init__(self, settings: PushSettings) -> None:
            self._client = connect(settings)

        def export(self, data: Any) -> ExportResult:
            result = self._client.export(data)
            if result.outcome is Outcome.SUCCESS:
                counter.count()
            return result

        def close(self) -> None:
            self._client.close()

    endpoint = f"127.0.0.1:{port}" if protocol == GRPC else f"http://127.0.0.1:{port}/v1/metrics"
    settings = PushSettings(endpoint, protocol, interval=interval)
    pushing = Push(settings, Published(), client=Counted)
    pushing.start()
    return pushing.stop


def sdk(
    protocol: str, port: int, interval: float, counter: Counter, families: Callable[[], list[Family]]
) -> Callable[[], None]:
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    exporter: Any
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

        exporter = Grpc(endpoint=f"http://127.0.0.1:{port}")
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

        exporter = Http(endpoint=f"http://127.0.0.1:{port}/v1/metrics")
    export = exporter.export

    def counted(*arguments: Any, **more: Any) -> Any:
        result = export(*arguments, **more)
        if result is MetricExportResult.SUCCESS:
            counter.count()
        return result

    exporter.export = counted
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=interval * 1000)
    provider = MeterProvider([reader], Resource.create({"service.name": "vmguest-exporter"}))
    meter = provider.get_meter("benchmark")
    now: dict[str, list[Any]] = {}
    names = [(family.metric, family.histograms) for family in families()]
    first = names[0][0].otlp

    def observed(name: str) -> Callable[[Any], list[Any]]:
        def callback(options: Any) -> list[Any]:
            if name == first:
                now.update(
                    {
                        family.metric.otlp: [
                            # The reader drops +Inf, with a warning each time.
                            Observation(min(point.value, 1e18), dict(point.labels))
                            for point in family.points
                        ]
                        for family in families()
                    }
                )
            return now.get(name, [])

        return callback

    for metric, histograms in names:
        arguments = (metric.otlp, metric.unit.ucum, metric.help)
        if histograms:
            meter.create_histogram(*arguments).record(0.001)
        elif metric.kind.value == "counter":
            meter.create_observable_counter(metric.otlp, [observed(metric.otlp)], *arguments[1:])
        else:
            meter.create_observable_gauge(metric.otlp, [observed(metric.otlp)], *arguments[1:])
    return lambda: provider.shutdown(1000)


def work(way: str, protocol: str, port: str, interval: str, exports: str) -> None:
    """Reads the state, prints the CPU time per export in seconds, and lives until its input ends."""
    counter = Counter(int(exports))
    families = fresh_families(pickle.load(sys.stdin.buffer))
    stop = {"push": push, "sdk": sdk}[way](protocol, int(port), float(interval), counter, families)
    if not counter.done.wait(WARM_UP * 2 + int(exports) * float(interval) * 3):
        sys.exit(f"{way}: the receiver did not take {exports} exports in time")
    print(counter.cpu, flush=True)
    sys.stdin.buffer.read()
    stop()
