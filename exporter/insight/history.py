"""The last hour of a few values, in memory. Bounded: some 360 moments of two dozen numbers.

Not a time series database and not for alerts: it ends with the process, and Prometheus keeps the real one. The
polling thread records; whoever draws takes one reference, which is replaced whole.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import NamedTuple

from exporter.insight.growth import COUNTED, LOST, ROUNDS, USE, Sum, resource
from exporter.insight.interval import number
from exporter.snapshot import ExtendedSnapshot, Guest, Snapshot

SPAN = 3600.0
"""Seconds that are kept."""
STEP = 10.0
"""Seconds between two moments that are kept, whatever the poll interval below that."""
WINDOW = 300.0
"""Seconds over which rates are shown as "now", as the alert rules take them."""

_LEVELS = (
    "elapsed",
    "cpu_limit",
    "memory_used",
    "memory_active",
    "memory_ballooned",
    "memory_balloon_target",
    "memory_swapped",
    "memory_zipped",
)
_BURSTS = ("worst", "high")
_SECONDS = {key: f"{key}_seconds" for key in COUNTED}

KEPT: tuple[str, ...] = (*_LEVELS, "vcpus", *COUNTED, *_SECONDS.values(), *_BURSTS)
"""What is kept: catalogue keys, what the guest says, the sums of what counts with the seconds of each, and the bursts
since the moment before."""
_POSITION = {key: position for position, key in enumerate(KEPT)}


class Moment(NamedTuple):
    """The kept values at one time, in base units; NaN where there is none."""

    at: float
    """Monotonic clock, seconds."""
    epoch: int
    """Number of the session's life (:mod:`exporter.session.epoch`)."""
    numbers: array[float]

    def get(self, key: str) -> float | None:
        value = self.numbers[_POSITION[key]]
        return None if math.isnan(value) else value

    def rate(self, before: Moment, key: str) -> float | None:
        """What a counter grew by since ``before``, per second in which that is known; None across two epochs. Of a counter of
        seconds the share of one vCPU's time: 1 is all the time of all of them.
        """
        if self.epoch != before.epoch:
            return None
        grown, seconds = (
            self.numbers[_POSITION[each]] - before.numbers[_POSITION[each]] for each in (key, _SECONDS[key])
        )
        return grown / seconds if seconds > 0 else None


class Seen(NamedTuple):
    """What a moment is made of: one poll, the extended statistics that may be shown beside it, and what grew so far."""

    at: float
    """Monotonic clock, seconds."""
    epoch: int
    snapshot: Snapshot
    extended: ExtendedSnapshot | None
    guest: Guest
    sums: Mapping[str, Sum]


class History:
    """The moments of the last hour, oldest first. For one thread; readers take :attr:`moments`."""

    def __init__(self, step: float = STEP) -> None:
        self._step = step
        self.moments: tuple[Moment, ...] = ()
        self._worst = self._high = math.nan

    def burst(self, share: float, *, high: bool) -> None:
        """One sample of the host: the share of one vCPU's time that was stolen in it."""
        first = math.isnan(self._worst)
        self._worst = share if first else max(self._worst, share)
        self._high = float(high) if first else self._high + high

    def record(self, seen: Seen) -> None:
        """Keep this moment if it is due, and if the host's sample is another one than that kept last."""
        last = self.moments[-1] if self.moments else None
        # Not the whole step: a poll that comes a little early would double it.
        if last is not None and seen.at - last.at < 0.95 * self._step:
            return
        elapsed = number(seen.snapshot, "elapsed")
        if (
            last is not None
            and elapsed is not None
            and (last.epoch, last.get("elapsed")) == (seen.epoch, elapsed)
        ):
            return
        moment = moment_of(seen, self._worst, self._high)
        self._worst = self._high = math.nan
        self.moments = (*since(self.moments, seen.at - SPAN), moment)


def since(moments: tuple[Moment, ...], at: float) -> tuple[Moment, ...]:
    """Those later than ``at``: an hour ends whether or not anything was recorded since."""
    return tuple(moment for moment in moments if moment.at > at)


def window(moments: tuple[Moment, ...], *, any_limit: bool = False) -> tuple[Moment, ...]:
    """Those of the last minutes within the present epoch, oldest first; empty if there are not two.

    Under the present CPU limit, unless ``any_limit``: what was lost under another one is no reproach to it.
    """
    if not moments:
        return ()
    found: list[Moment] = []
    last = moments[-1]
    for one in reversed(moments):
        other = one.epoch != last.epoch or not (any_limit or one.get("cpu_limit") == last.get("cpu_limit"))
        if other or last.at - one.at > WINDOW:
            break
        found.append(one)
    return tuple(reversed(found)) if len(found) > 1 else ()


def given(moments: tuple[Moment, ...], key: str) -> tuple[Moment, ...]:
    """Those from the first one on that has ``key``: what is read by rounds is not there from the first poll on."""
    first = next((place for place, one in enumerate(moments) if one.get(key) is not None), len(moments))
    return moments[first:]


def moment_of(seen: Seen, worst: float = math.nan, high: float = math.nan) -> Moment:
    """What is kept of it. ``worst``, ``high``: of the samples since the moment before, the largest share of one vCPU's
    time that was stolen, and how many of them were bursts; NaN where there was no sample.
    """
    found = {key: value for key in _LEVELS if (value := number(seen.snapshot, key)) is not None}
    if seen.guest.vcpus is not None:
        found["vcpus"] = float(seen.guest.vcpus)
    for key in _counted_now(seen):
        found[key], found[_SECONDS[key]] = seen.sums.get(key, Sum())
    found |= {"worst": worst, "high": high}
    return Moment(seen.at, seen.epoch, array("d", (found.get(key, math.nan) for key in KEPT)))


def _counted_now(seen: Seen) -> list[str]:
    """The counters that the host gives at this moment. What is laid to nobody because it is not measured is not 0."""
    found: list[str] = []
    values = seen.snapshot.values
    # Without the host's clock nothing is known to have grown, whatever the counters show.
    if "elapsed" in values:
        found += ("cpu_used", USE) if "cpu_used" in values else ()
        found += ("cpu_stolen", *LOST) if "cpu_stolen" in values else ()
    if (extended := seen.extended) is not None:
        found += [key for name, key in ROUNDS.items() if resource(extended, name) is not None]
    return found
