"""From counters since their start to differences since the last export that the receiver took.

Source: OpenTelemetry specification ``metrics/data-model.md``, "Temporality" and "Resets and gaps". A counter has begun
again when it is in another life (:class:`exporter.clock.Life`) or has fallen; wall clocks are never compared. The
length of a window is by the monotonic clock, its end by the wall clock. No difference is negative.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from exporter.clock import Instant, Life
from exporter.outputs.otlp.starts import MOST, without_oldest
from exporter.snapshot import Histogram


class Delivered(NamedTuple):
    """What the receiver has of a series: ``monotonic`` is when it was read."""

    value: float
    life: int
    monotonic: float


class Difference(NamedTuple):
    """``value`` was added between ``start`` (wall clock) and the point's own time."""

    value: float
    start: float


class Deltas:
    """What the receiver has of each series. Differences stay the same until :meth:`accepted` says it took them.

    So an export that is sent again says the same again, and one that had to be dropped is made up for by the
    next: nothing is lost, the difference spans the gap.
    """

    def __init__(self) -> None:
        self._has: dict[Hashable, Delivered] = {}
        self._offered: dict[Hashable, Delivered] = {}
        self._histogram: dict[Hashable, tuple[Histogram, float]] = {}
        self._offered_histogram: dict[Hashable, tuple[Histogram, float]] = {}

    def __len__(self) -> int:
        return len(self._has)

    def begin(self) -> None:
        """Forget what was offered and not taken."""
        self._offered = {}
        self._offered_histogram = {}

    def accepted(self) -> None:
        """The receiver took what was asked for since :meth:`begin`."""
        self._has |= self._offered
        if len(self._has) > MOST:
            self._has = without_oldest(self._has)
        self._histogram |= self._offered_histogram
        self.begin()

    def difference(self, series: Hashable, value: float, life: Life, now: Instant) -> Difference | None:
        """What was added to the series by ``now``.

        None where there is nothing to compare with: a counter whose beginning was not seen would otherwise arrive
        as one monstrous step. The point sets the mark for the next. So it is with a life that began unseen after
        another one, as where a new session id comes with counters that are older than it: two lives are never compared.
        """
        self._offered[series] = Delivered(value, life.number, now.monotonic)
        before = self._has.get(series)
        if before is None:
            return None if life.since is None else Difference(value, _start(life.since, now))
        if life.number != before.life:
            if life.since is None:
                return None
            return Difference(value, _start(max(before.monotonic, life.since), now))
        added = value if value < before.value else value - before.value
        return Difference(added, _start(before.monotonic, now))

    def histogram(
        self, series: Hashable, value: Histogram, begun: float, now: Instant
    ) -> tuple[Histogram, float]:
        """The observations since the last one taken, and the wall time since which.

        Ours never begin again; ``begun``, by the monotonic clock, is when this process began.
        """
        self._offered_histogram[series] = (value, now.monotonic)
        if series not in self._histogram:
            return value, _start(begun, now)
        before, since = self._histogram[series]
        return value.since(before), _start(since, now)


def _start(since: float, now: Instant) -> float:
    """Wall clock at the monotonic time ``since``, by the clocks as they stand now."""
    return max(now.wall - max(now.monotonic - since, 0.0), 0.0)
