"""The last hour of a few values, in memory, for the status page. Bounded: some 360 readings of a dozen numbers.

Not a time series database and not for alerts: it ends with the process, and Prometheus keeps the real one. The
polling thread records; whoever draws takes one reference, which is replaced whole.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import NamedTuple

from exporter import catalogue
from exporter.catalogue import BY_KEY, Labels, Metric
from exporter.metrics.families import Family

SPAN = 3600.0
"""Seconds that are kept."""
STEP = 10.0
"""Seconds between two readings that are kept, whatever the poll interval below that."""
WINDOW = 300.0
"""Seconds over which rates are shown as "now", as the alert rules take them."""

_SWAP_IN = next(row.metric for row in catalogue.EXTENDED if row.name == "guest.mem.swapIn")
_BASIC = (
    "elapsed",
    "cpu_used",
    "cpu_stolen",
    "memory_used",
    "memory_active",
    "memory_ballooned",
    "memory_swapped",
)

KEPT: tuple[tuple[str, Metric, Labels], ...] = (
    *((key, BY_KEY[key].metric, ()) for key in _BASIC),
    ("vcpus", catalogue.VCPUS, ()),
    ("contention_memory", catalogue.CPU_CONTENTION, (("cause", "memory"),)),
    ("swap_in", _SWAP_IN, ()),
)
"""What is kept: a short name, its metric, its labels."""
_POSITION = {key: position for position, (key, _, _) in enumerate(KEPT)}


class Reading(NamedTuple):
    """The kept values at one time; NaN where there is none."""

    at: float
    """Monotonic clock, seconds."""
    session: str
    numbers: array[float]

    def get(self, key: str) -> float | None:
        number = self.numbers[_POSITION[key]]
        return None if math.isnan(number) else number

    def rate(self, before: Reading, key: str) -> float | None:
        """Growth of a counter since ``before``, per second of the host's clock; None across a session change."""
        if self.session != before.session:
            return None
        seconds = self.numbers[_POSITION["elapsed"]] - before.numbers[_POSITION["elapsed"]]
        growth = self.numbers[_POSITION[key]] - before.numbers[_POSITION[key]]
        return growth / seconds if seconds > 0 and growth >= 0 else None

    def share(self, before: Reading, key: str) -> float | None:
        """The same of a counter of seconds, for one vCPU: 1 is all the time of all of them."""
        rate, vcpus = self.rate(before, key), self.get("vcpus")
        return rate / vcpus if rate is not None and vcpus else None


class History:
    """The readings of the last hour, oldest first."""

    def __init__(self) -> None:
        self._readings: tuple[Reading, ...] = ()

    @property
    def readings(self) -> tuple[Reading, ...]:
        return self._readings

    def due(self, at: float) -> bool:
        """Whether a reading at this time would be kept, so that none is made in vain."""
        # Not the whole step: a poll that comes a little early would double it.
        return not self._readings or at - self._readings[-1].at >= 0.95 * STEP

    def record(self, families: Iterable[Family], at: float) -> None:
        """Keep this moment, if it is due. For one thread."""
        reading = reading_of(families, at) if self.due(at) else None
        if reading is not None:
            self._readings = (*(one for one in self._readings if at - one.at < SPAN), reading)

    def window(self) -> tuple[Reading, Reading] | None:
        """First and last reading of the last minutes within the present session; None if there are not two."""
        readings = self._readings
        if not readings:
            return None
        last = readings[-1]
        first = next(one for one in readings if one.session == last.session and last.at - one.at <= WINDOW)
        return (first, last) if first is not last else None


def reading_of(families: Iterable[Family], at: float) -> Reading | None:
    """What is kept of a page; None where the host's statistics are not on it."""
    found = {family.metric: family for family in families}
    session = found.get(catalogue.SESSION)
    if session is None:
        return None
    return Reading(at, session.points[0].labels[0][1], array("d", (_number(found, *row[1:]) for row in KEPT)))


def _number(found: dict[Metric, Family], metric: Metric, labels: Labels) -> float:
    family = found.get(metric)
    points = family.points if family is not None else ()
    return next((point.value for point in points if point.labels == labels), math.nan)
