"""Start times of cumulative sums, those of counters whose beginning nobody knows among them.

Source: OpenTelemetry specification ``metrics/data-model.md``, "Cumulative streams: handling unknown start time": the
first point has its own time as start, and every later one has that too. The first is the first that the receiver took:
one that it never saw tells it nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from exporter.clock import PLAUSIBLE, Life

MOST = 10_000
"""Series that are remembered; above, half of those of the host's own counters go. Each session has new ones."""


class _Remembered(Protocol):
    @property
    def life(self) -> int:
        """Number of the life."""


_R = TypeVar("_R", bound=_Remembered)


def without_oldest(known: Mapping[Hashable, _R]) -> dict[Hashable, _R]:
    """``known`` less the older half of the counters that count on over sessions, whose series end with theirs.

    One that comes all the same is as if it were new: nothing is ever taken for growth.
    """
    unseen = [series for series, each in known.items() if each.life < 0]
    gone = set(islice(unseen, (len(unseen) + 1) // 2))
    return {series: each for series, each in known.items() if series not in gone}


class _First(NamedTuple):
    life: int
    time: float
    last: float
    """Of the last point."""


class Starts:
    """Remembers, of each series whose start was unknown, what stood in for it in what the receiver took. Starts stay the
    same until :meth:`accepted` says that it did.
    """

    def __init__(self) -> None:
        self._first: dict[Hashable, _First] = {}
        self._offered: dict[Hashable, _First | None] = {}
        """None: from this point on the start is known."""

    def __len__(self) -> int:
        return len(self._first)

    def begin(self) -> None:
        """Forget what was offered and not taken."""
        self._offered = {}

    def accepted(self) -> None:
        """The receiver took what was asked for since :meth:`begin`."""
        for series, first in self._offered.items():
            if first is None:
                self._first.pop(series, None)
            else:
                self._first[series] = first
        if len(self._first) > MOST:
            self._first = without_oldest(self._first)
        self.begin()

    def start(self, series: Hashable, created: float | None, life: Life, time: float) -> float:
        """The start of the point of ``time``; both are wall clock, seconds.

        What stands in for an unknown start stays until the counter begins again, or until its start becomes known and lies
        after every point so far, as where the wall clock was set: this is the start from then on. An earlier one would
        have the series' new points overlap its old ones, which receivers refuse; those of an exporter before this one are not
        known, so that it stays unknown in such a life. A wall clock that was set back to before
        what stands in moves it, and one that could not be right when the first point was read gives way to the first that can.
        """
        first = self._first.get(series)
        if first is not None and first.life != life.number:
            first = None
        if created is not None and not life.late and (first is None or created >= first.last):
            self._offered[series] = None
            return created
        stand_in = time if first is None or first.time < PLAUSIBLE <= time else min(first.time, time)
        self._offered[series] = _First(life.number, stand_in, time)
        return stand_in
