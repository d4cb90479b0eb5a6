"""What counters grew by, summed up over the intervals in which that is known.

A counter may begin anew by itself, or be missing for a while: its last value less its first one is then no growth. So
the sums are made of increments between neighbouring readings of one epoch, each with the seconds that it took. An interval
in which a counter fell adds to neither; one in which the number of vCPUs changed has no share of a vCPU's time.
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
USE = "cpu_use"
"""The seconds of all vCPUs that were used: what a CPU limit is about, however many vCPUs there are."""
COUNTED: tuple[str, ...] = ("cpu_used", "cpu_stolen", *LOST, *ROUNDS.values(), USE)
"""What is summed up: catalogue keys, and names of ours. Seconds of one vCPU, each interval's by the vCPUs that it had; and
bytes of what was swapped in.
"""


class Sum(NamedTuple):
    """Growth in base units, and the seconds over which it is known."""

    grown: float = 0.0
    seconds: float = 0.0


class Rise(NamedTuple):
    """What a counter grew by from one round that had it to the next."""

    grown: float
    share: float | None
    """Of the time of one vCPU; None for what is no time, where a round without it lay between, and where the number of
    vCPUs is not known, or changed meanwhile.
    """


class _Read(NamedTuple):
    value: float
    at: float
    number: int
    vcpus: int | None


class Growth:
    """The sums of one epoch. For one thread."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another epoch: nothing of the one before is compared with it."""
        self.sums: dict[str, Sum] = {}
        self._read: dict[str, _Read] = {}
        self._rounds = 0

    def used(self, interval: Interval) -> None:
        """With one interval more that ``cpu_used`` is known of; by the host's clock."""
        if interval.used is not None:
            seconds, grown = interval.elapsed / 1000, interval.used / 1000
            self._add(USE, grown, seconds)
            self._add_share("cpu_used", grown, seconds, interval.vcpus)

    def stolen(self, interval: Interval) -> None:
        """The same of ``cpu_stolen``, and whom it is laid to."""
        if interval.stolen is not None:
            seconds, grown, vcpus = interval.elapsed / 1000, interval.stolen / 1000, interval.vcpus
            self._add_share("cpu_stolen", grown, seconds, vcpus)
            for key, cause in LOST.items():
                self._add_share(key, grown if cause is interval.cause else 0.0, seconds, vcpus)

    def round(self, extended: ExtendedSnapshot, vcpus: int | None) -> Mapping[str, Rise]:
        """With one round of extended statistics more, by the times of their answers; what rose since the one before."""
        self._rounds += 1
        rises: dict[str, Rise] = {}
        for name, key in ROUNDS.items():
            value = resource(extended, name)
            if value is None:
                # The growth meanwhile is in the next value.
                continue
            at = extended.at("resources").monotonic
            read, before = _Read(value, at, self._rounds, vcpus), self._read.get(key)
            self._read[key] = read
            if before is None or value < before.value or at <= before.at:
                continue
            grown, seconds = value - before.value, at - before.at
            share = None
            if key != CONTENTION:
                self._add(key, grown, seconds)
            elif vcpus == before.vcpus:
                self._add_share(key, grown, seconds, vcpus)
                if vcpus and read.number == before.number + 1:
                    share = grown / seconds / vcpus
            rises[key] = Rise(grown, share)
        return rises

    def _add_share(self, key: str, grown: float, seconds: float, vcpus: int | None) -> None:
        if vcpus:
            self._add(key, grown / vcpus, seconds)

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
