"""What counters grew by, summed up over the intervals in which that is known.

A counter may begin anew by itself, or be missing for a while: its last value less its first one is then no growth. So
the sums are made of increments between neighbouring readings of one epoch, each with the seconds that it took. An interval
in which a counter fell adds to neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from exporter.catalogue.extended_names import map_value
from exporter.insight.interval import Cause, Interval
from exporter.snapshot import ExtendedSnapshot

LOST = {"lost_limit": Cause.LIMIT, "lost_host": Cause.HOST, "lost_undetermined": Cause.UNDETERMINED}
"""Seconds of stolen time, by whom they are laid to."""
CONTENTION = "contention_memory"
ROUNDS = {"vm.cpu.contention.mem": CONTENTION, "guest.mem.swapIn": "swap_in"}
"""What is read by rounds: the host's name of a statistic of the group ``resources``, and ours."""
COUNTED: tuple[str, ...] = ("cpu_used", "cpu_stolen", *LOST, *ROUNDS.values())
"""What is summed up: catalogue keys, and names of ours. Base units: seconds, and bytes of what was swapped in."""


class Sum(NamedTuple):
    """Growth in base units, and the seconds over which it is known."""

    grown: float = 0.0
    seconds: float = 0.0


class Rise(NamedTuple):
    """What a counter grew by from one round that had it to the next."""

    grown: float
    seconds: float
    neighbours: bool
    """Whether no round without it lay between."""


class _Read(NamedTuple):
    value: float
    at: float
    number: int


class Growth:
    """The sums of one epoch. For one thread."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another epoch: nothing of the one before is compared with it."""
        self.sums: dict[str, Sum] = {}
        self._read: dict[str, _Read] = {}
        self._rounds = 0

    def interval(self, interval: Interval) -> None:
        """With one interval of the basic statistics more; by the host's clock."""
        seconds = interval.elapsed / 1000
        if interval.used is not None:
            self._add("cpu_used", interval.used / 1000, seconds)
        if interval.stolen is not None:
            self._add("cpu_stolen", interval.stolen / 1000, seconds)
            for key, cause in LOST.items():
                self._add(key, interval.stolen / 1000 if cause is interval.cause else 0.0, seconds)

    def round(self, extended: ExtendedSnapshot) -> Mapping[str, Rise]:
        """With one round of extended statistics more, by the times of their answers; what rose since the one before."""
        self._rounds += 1
        rises: dict[str, Rise] = {}
        for name, key in ROUNDS.items():
            value = resource(extended, name)
            if value is None:
                # The growth meanwhile is in the next value.
                continue
            read, before = _Read(value, extended.at("resources").monotonic, self._rounds), self._read.get(key)
            self._read[key] = read
            if before is not None and value >= before.value and read.at > before.at:
                rise = Rise(value - before.value, read.at - before.at, read.number == before.number + 1)
                rises[key] = rise
                self._add(key, rise.grown, rise.seconds)
        return rises

    def _add(self, key: str, grown: float, seconds: float) -> None:
        before = self.sums.get(key, Sum())
        self.sums[key] = Sum(before.grown + grown, before.seconds + seconds)


def resource(extended: ExtendedSnapshot, name: str) -> float | None:
    """A number of the group ``resources`` in base units, by the host's name; None where the host does not give it."""
    group = "resources"
    for value in extended.groups.get(group, ()):
        if value.name == name and (mapped := map_value(group, value)) is not None:
            return mapped.value
    return None
