"""The same as :mod:`tests.histories.program` for the exporter as it was at 57c965d, whose names these are: for the figures that
today's are compared with. :mod:`tests.histories.figures` tells the command.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from exporter.collector import collect
from exporter.outputs.otlp.capture import Capture
from exporter.samples import Family
from exporter.session.extended import ExtendedReader
from opentelemetry.sdk.metrics.export import Sum

from exporter.outputs.otlp.points import Spelling
from exporter.outputs.otlp.settings import Temporality
from exporter.poller import Poller
from exporter.session.base import Source
from exporter.snapshot import Snapshot, SourceInfo

INFO = SourceInfo("guestrpc", "memory", "3")
Clock = Callable[[], float]


class Sent(NamedTuple):
    """A point of a sum: seconds, by the wall clock. ``labels``: by name."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    start: float
    time: float


def snapshot(session_id: int, values: dict[str, int | str]) -> Snapshot:
    return Snapshot(session_id, 3, values)


class Program:
    """One run of it. Nothing outlived it in ``folder``."""

    def __init__(
        self, source: Source, monotonic: Clock, wall: Clock, folder: Path, rounds: float = 0
    ) -> None:
        del folder
        reader = ExtendedReader(rounds, clock=monotonic, wall=wall) if rounds else None
        self._monotonic, self._wall = monotonic, wall
        self._poller = Poller(source, 5.0, clock=monotonic, wall=wall, extended=reader)
        self._capture = Capture(self._families, {}, wall)
        started = self._poller.state.started
        self._pushes = [Spelling(each, started) for each in (Temporality.CUMULATIVE, Temporality.DELTA)]

    def poll(self) -> None:
        self._poller.poll()

    def round(self, until: float) -> None:
        self._poller.poll_extended(until)

    @property
    def session_changes(self) -> int:
        return self._poller.state.session_changes

    def _families(self) -> list[Family]:
        return collect(self._poller.state, self._wall(), self._monotonic())

    def page(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for family in self._families():
            for sample in family.samples:
                labels = ",".join(f"{name}={text}" for name, text in sample.labels.items())
                found.setdefault(sample.name, {})[labels] = sample.value
        return found

    def export(self) -> tuple[list[Sent], list[Sent]]:
        reading = self._capture.read()
        sent = []
        for push in self._pushes:
            data = push.spell(reading)
            push.accepted()
            sent.append(
                [
                    Sent(
                        metric.name,
                        tuple((name, str(value)) for name, value in (point.attributes or {}).items()),
                        point.value,
                        point.start_time_unix_nano / 1e9,
                        point.time_unix_nano / 1e9,
                    )
                    for metric in data.resource_metrics[0].scope_metrics[0].metrics
                    if isinstance(metric.data, Sum)
                    for point in metric.data.data_points
                ]
            )
        return sent[0], sent[1]
