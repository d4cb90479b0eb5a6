"""The exporter's parts, wired as it wires them, on clocks and a host of a test's own: all that :mod:`tests.histories.figures`
has of the code, beside what a reply is made of. What those figures were on another version is found with another file by
this name, as ``before/`` has one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exporter.metrics.published import Published
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Reader
from exporter.outputs.otlp.settings import Temporality
from exporter.outputs.prometheus import as_metric
from exporter.poller import Poller
from exporter.session.base import Source
from exporter.session.memory import SessionFile
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import Guest
from tests.histories.sent import Sent, sums

Clock = Callable[[], float]


class Program:
    """One run of it. ``folder``: of what outlives it. ``rounds``: seconds between those of extended statistics; 0: none."""

    def __init__(
        self, source: Source, monotonic: Clock, wall: Clock, folder: Path, rounds: float = 0
    ) -> None:
        reader = ExtendedReader(rounds, clock=monotonic, wall=wall) if rounds else None
        memory = SessionFile(folder / "session.json", "this boot")
        self._poller = Poller(source, 5.0, clock=monotonic, wall=wall, extended=reader, memory=memory)
        self._published = Published(lambda: self._poller.state, guest=Guest, wall=wall, monotonic=monotonic)
        self._reader = Reader(self._published)
        self._pushes = [Converter(each, {}) for each in (Temporality.CUMULATIVE, Temporality.DELTA)]

    def poll(self) -> None:
        self._poller.poll()

    def round(self, until: float) -> None:
        """Extended statistics, in the time ``until`` the next poll."""
        self._poller.poll_extended(until)

    @property
    def session_changes(self) -> int:
        return self._poller.state.session_changes

    def page(self) -> dict[str, dict[str, float]]:
        """Name of a sample -> its labels as text -> what the metrics page says now."""
        found: dict[str, dict[str, float]] = {}
        for family in self._published.collect():
            for sample in as_metric(family).samples:
                labels = ",".join(f"{name}={text}" for name, text in sample.labels.items())
                found.setdefault(sample.name, {})[labels] = sample.value
        return found

    def export(self) -> tuple[list[Sent], list[Sent]]:
        """The cumulative points and the deltas of one export, which the receiver takes."""
        batch = self._reader.collect()
        sent = []
        for push in self._pushes:
            data = push.convert(batch)
            push.settle(ExportResult(Outcome.SUCCESS))
            sent.append(sums(data))
        return sent[0], sent[1]
