"""The last hour of a few values, in memory. Bounded: some 360 moments of a dozen numbers.

Not a time series database and not for alerts: it ends with the process, and Prometheus keeps the real one. The
polling thread records; whoever draws takes one reference, which is replaced whole.
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

from exporter.catalogue import BY_KEY
from exporter.catalogue.extended_names import map_value
from exporter.snapshot import ExtendedSnapshot, Guest, PollState, Snapshot

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
    "memory_used",
    "memory_active",
    "memory_ballooned",
    "memory_swapped",
)
_EXTENDED = {"vm.cpu.contention.mem": "contention_memory", "guest.mem.swapIn": "swap_in"}
"""The host's name of a statistic of the group ``resources``, and ours."""

KEPT: tuple[str, ...] = (*_BASIC, "vcpus", *_EXTENDED.values())
"""What is kept: catalogue keys, what the guest says, what comes from the extended statistics."""
_POSITION = {key: position for position, key in enumerate(KEPT)}


class Moment(NamedTuple):
    """The kept values at one time, in base units; NaN where there is none."""

    at: float
    """Monotonic clock, seconds."""
    session_id: int
    numbers: array[float]

    def get(self, key: str) -> float | None:
        number = self.numbers[_POSITION[key]]
        return None if math.isnan(number) else number

    def rate(self, before: Moment, key: str) -> float | None:
        """Growth of a counter since ``before``, per second of the host's clock; None across a session change."""
        if self.session_id != before.session_id:
            return None
        seconds = self.numbers[_POSITION["elapsed"]] - before.numbers[_POSITION["elapsed"]]
        growth = self.numbers[_POSITION[key]] - before.numbers[_POSITION[key]]
        return growth / seconds if seconds > 0 and growth >= 0 else None

    def share(self, before: Moment, key: str) -> float | None:
        """The same of a counter of seconds, for one vCPU: 1 is all the time of all of them."""
        rate, vcpus = self.rate(before, key), self.get("vcpus")
        return rate / vcpus if rate is not None and vcpus else None


class History:
    """The moments of the last hour, oldest first."""

    def __init__(self) -> None:
        self._moments: tuple[Moment, ...] = ()

    @property
    def moments(self) -> tuple[Moment, ...]:
        return self._moments

    def due(self, at: float) -> bool:
        """Whether a moment at this time would be kept, so that none is made in vain."""
        # Not the whole step: a poll that comes a little early would double it.
        return not self._moments or at - self._moments[-1].at >= 0.95 * STEP

    def record(self, state: PollState, guest: Guest, at: float) -> None:
        """Keep what was just polled, if it is due and fresh. For one thread."""
        if state.snapshot is None or not state.fresh(at) or not self.due(at):
            return
        moment = moment_of(state.snapshot, state.fresh_extended(at), guest, at)
        self._moments = (*(one for one in self._moments if at - one.at < SPAN), moment)

    def window(self) -> tuple[Moment, Moment] | None:
        """First and last moment of the last minutes within the present session; None if there are not two."""
        moments = self._moments
        if not moments:
            return None
        last = moments[-1]
        first = next(
            one for one in moments if one.session_id == last.session_id and last.at - one.at <= WINDOW
        )
        return (first, last) if first is not last else None


def moment_of(snapshot: Snapshot, extended: ExtendedSnapshot | None, guest: Guest, at: float) -> Moment:
    """What is kept of one poll, and of the extended statistics that may be shown beside it."""
    found = {key: _number(snapshot, key) for key in _BASIC}
    if guest.vcpus is not None:
        found["vcpus"] = float(guest.vcpus)
    for value in extended.groups.get("resources", ()) if extended is not None else ():
        if value.name in _EXTENDED and (mapped := map_value("resources", value)) is not None:
            found[_EXTENDED[value.name]] = mapped.value
    return Moment(at, snapshot.session_id, array("d", (found.get(key, math.nan) for key in KEPT)))


def _number(snapshot: Snapshot, key: str) -> float:
    value = snapshot.values.get(key)
    return BY_KEY[key].scaled(value) if isinstance(value, int) else math.nan
