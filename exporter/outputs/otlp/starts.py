"""Start times of cumulative sums, those of counters whose beginning nobody knows among them.

Source: OpenTelemetry specification ``metrics/data-model.md``, "Cumulative streams: handling unknown start time": the
first point has its own time as start, and every later one has that too.
"""

from __future__ import annotations

from collections.abc import Hashable

from exporter.clock import Life


class Starts:
    """Remembers, of each series whose start was unknown, what stood in for it."""

    def __init__(self) -> None:
        self._first: dict[Hashable, tuple[int, float]] = {}

    def start(self, series: Hashable, created: float | None, life: Life, time: float) -> float:
        """The start of the point of ``time``; both are wall clock, seconds.

        What stands in for an unknown start stays until the counter begins again, also where the start becomes known: a
        start that moves is taken for a restart. A wall clock that was set back to before it moves it.
        """
        first = self._first.get(series)
        if first is None or first[0] != life.number:
            if created is not None:
                self._first.pop(series, None)
                return created
            first = (life.number, time)
        self._first[series] = first = (first[0], min(first[1], time))
        return first[1]
