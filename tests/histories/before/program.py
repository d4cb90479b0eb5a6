"""The same as :mod:`tests.histories.program` for the exporter as it was at 57c965d, whose names these are: for the figures that
today's are compared with. :mod:`tests.histories.figures` tells the command.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exporter.collector import collect
from exporter.outputs.otlp.capture import Capture
from exporter.samples import Family
from exporter.session.extended import ExtendedReader

from exporter.outputs.otlp.points import Spelling
from exporter.outputs.otlp.settings import Temporality
from exporter.poller import Poller
from exporter.session.base import Source
from tests.histories.sent import Sent, sums

Clock = Callable[[], float]


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
            sent.append(sums(data))
        return sent[0], sent[1]
