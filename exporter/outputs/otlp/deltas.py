"""From counters since their start to differences since the last export that the receiver took.

Source: OpenTelemetry specification ``metrics/data-model.md``, "Temporality" and "Resets and gaps". A difference is
never negative: a counter that began again, with a session change for instance, is counted from its new start.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from exporter.snapshot import Histogram


class Seen(NamedTuple):
    value: float
    time: float


class Difference(NamedTuple):
    """``value`` was added between ``start`` and the point's own time."""

    value: float
    start: float


class Deltas:
    """What the receiver has of each series. Differences stay the same until :meth:`accepted` says it took them.

    So an export that is sent again says the same again, and one that had to be dropped is made up for by the
    next: nothing is lost, the difference spans the gap. ``watched``: wall time from which on a counter that
    appears has begun before our eyes.
    """

    def __init__(self, watched: float) -> None:
        self._watched = watched
        self._has: dict[Hashable, Seen] = {}
        self._offered: dict[Hashable, Seen] = {}
        self._histogram: dict[str, tuple[Histogram, float]] = {}
        self._offered_histogram: dict[str, tuple[Histogram, float]] = {}

    def begin(self) -> None:
        """Forget what was offered and not taken."""
        self._offered = {}
        self._offered_histogram = {}

    def accepted(self) -> None:
        """The receiver took what was asked for since :meth:`begin`."""
        self._has |= self._offered
        self._histogram |= self._offered_histogram
        self.begin()

    def difference(self, series: Hashable, value: float, created: float, time: float) -> Difference | None:
        """None where there is nothing to compare with: the point sets the mark for the next."""
        self._offered[series] = Seen(value, time)
        before = self._has.get(series)
        if before is None:
            # A counter that ran for weeks before would otherwise arrive as one monstrous step.
            if created < self._watched:
                return None
            before = Seen(0.0, self._watched)
        if created > before.time or value < before.value:
            # It has begun again; where its start says nothing of it, as rate() sees it. A session can be so young
            # that it began at the very read, and a span needs a length.
            return Difference(value, created if before.time < created < time else before.time)
        return Difference(value - before.value, before.time)

    def histogram(self, series: str, now: Histogram, time: float) -> tuple[Histogram, float]:
        """The observations since the last one taken, and the time since which. Ours never begin again."""
        self._offered_histogram[series] = (now, time)
        if series not in self._histogram:
            return now, self._watched
        before, since = self._histogram[series]
        counts = tuple(new - old for new, old in zip(now.counts, before.counts, strict=True))
        return Histogram(now.bounds, counts, now.count - before.count, now.sum - before.sum), since
