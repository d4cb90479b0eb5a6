"""The last hour of a few values, in memory. Bounded: some 360 moments of two dozen numbers.

Not a time series database and not for alerts: it ends with the process, and Prometheus keeps the real one. The
polling thread records; whoever draws takes one reference, which is replaced whole.
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

from exporter.catalogue.extended_names import map_value
from exporter.insight.interval import number
from exporter.insight.ledger import Ledger
from exporter.snapshot import ExtendedSnapshot, Guest, Snapshot

SPAN = 3600.0
"""Seconds that are kept."""
STEP = 10.0
"""Seconds between two moments that are kept, whatever the poll interval below that."""
WINDOW = 300.0
"""Seconds over which rates are shown as "now", as the alert rules take them."""

_BASIC = (
    "elapsed",
    "cpu_used",
    "cpu_stolen",
    "cpu_limit",
    "memory_used",
    "memory_active",
    "memory_ballooned",
    "memory_balloon_target",
    "memory_swapped",
    "memory_zipped",
)
_EXTENDED = {"vm.cpu.contention.mem": "contention_memory", "guest.mem.swapIn": "swap_in"}
"""The host's name of a statistic of the group ``resources``, and ours."""
_LEDGER = ("lost_limit", "lost_host", "lost_undetermined")
_BURSTS = ("worst", "high")

KEPT: tuple[str, ...] = (*_BASIC, "vcpus", *_LEDGER, *_BURSTS, "extended_at", *_EXTENDED.values())
"""What is kept: catalogue keys, what the guest says, the ledger's sums (seconds), the bursts since the moment before,
and what comes from the extended statistics, with the monotonic time of their own answer."""
_POSITION = {key: position for position, key in enumerate(KEPT)}


class Moment(NamedTuple):
    """The kept values at one time, in base units; NaN where there is none."""

    at: float
    """Monotonic clock, seconds."""
    session_id: int
    numbers: array[float]

    def get(self, key: str) -> float | None:
        value = self.numbers[_POSITION[key]]
        return None if math.isnan(value) else value

    def rate(self, before: Moment, key: str) -> float | None:
        """Growth of a counter since ``before``, per second; None across a session change.

        By the host's clock; what comes from the extended statistics by the time of their own answers.
        """
        if self.session_id != before.session_id:
            return None
        clock = "extended_at" if key in _EXTENDED.values() else "elapsed"
        seconds = self.numbers[_POSITION[clock]] - before.numbers[_POSITION[clock]]
        growth = self.numbers[_POSITION[key]] - before.numbers[_POSITION[key]]
        return growth / seconds if seconds > 0 and growth >= 0 else None

    def share(self, before: Moment, key: str) -> float | None:
        """The same of a counter of seconds, for one vCPU: 1 is all the time of all of them."""
        rate, vcpus = self.rate(before, key), self.get("vcpus")
        return rate / vcpus if rate is not None and vcpus else None


class Seen(NamedTuple):
    """What a moment is made of: one poll, and the extended statistics that may be shown beside it."""

    at: float
    """Monotonic clock, seconds."""
    snapshot: Snapshot
    extended: ExtendedSnapshot | None
    guest: Guest
    ledger: Ledger | None = None
    worst: float = math.nan
    """Of the samples since the moment before: the largest share of one vCPU's time that was stolen."""
    high: float = math.nan
    """How many of them were bursts; NaN, like ``worst``, where there was no sample."""


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

    def record(
        self,
        snapshot: Snapshot,
        extended: ExtendedSnapshot | None,
        guest: Guest,
        ledger: Ledger,
        at: float,
    ) -> None:
        """Keep this moment if it is due, and if the host's sample is another one than that kept last."""
        last = self.moments[-1] if self.moments else None
        # Not the whole step: a poll that comes a little early would double it.
        if last is not None and at - last.at < 0.95 * self._step:
            return
        if (
            last is not None
            and last.session_id == snapshot.session_id
            and last.get("elapsed") == number(snapshot, "elapsed")
        ):
            return
        moment = moment_of(Seen(at, snapshot, extended, guest, ledger, self._worst, self._high))
        self._worst = self._high = math.nan
        self.moments = (*since(self.moments, at - SPAN), moment)


def since(moments: tuple[Moment, ...], at: float) -> tuple[Moment, ...]:
    """Those later than ``at``: an hour ends whether or not anything was recorded since."""
    return tuple(moment for moment in moments if moment.at > at)


def window(moments: tuple[Moment, ...]) -> tuple[Moment, Moment] | None:
    """First and last of the last minutes within the present session; None if there are not two.

    Under the present CPU limit: what was lost under another one is no reproach to it.
    """
    if not moments:
        return None
    last = moments[-1]
    limit, first = last.get("cpu_limit"), last
    for one in reversed(moments):
        other = one.session_id != last.session_id or one.get("cpu_limit") != limit
        # Counters may begin anew under the same id.
        fell = (one.get("elapsed") or 0.0) > (first.get("elapsed") or math.inf)
        if other or fell or last.at - one.at > WINDOW:
            break
        first = one
    return (first, last) if first is not last else None


def moment_of(seen: Seen) -> Moment:
    """What is kept of it."""
    found = {key: value for key in _BASIC if (value := number(seen.snapshot, key)) is not None}
    if seen.guest.vcpus is not None:
        found["vcpus"] = float(seen.guest.vcpus)
    # What was laid to nobody because it is not measured is not 0.
    if (ledger := seen.ledger) is not None and "cpu_stolen" in found:
        found |= zip(
            _LEDGER, (ledger.limit / 1000, ledger.host / 1000, ledger.undetermined / 1000), strict=True
        )
    found |= {"worst": seen.worst, "high": seen.high}
    if (extended := seen.extended) is not None:
        found["extended_at"] = extended.read_monotonic
        found |= {
            key: value for name, key in _EXTENDED.items() if (value := resource(extended, name)) is not None
        }
    return Moment(seen.at, seen.snapshot.session_id, array("d", (found.get(key, math.nan) for key in KEPT)))


def resource(extended: ExtendedSnapshot, name: str) -> float | None:
    """A number of the group ``resources`` in base units, by the host's name; None where the host does not give it."""
    group = "resources"
    for value in extended.groups.get(group, ()):
        if value.name == name and (mapped := map_value(group, value)) is not None:
            return mapped.value
    return None
