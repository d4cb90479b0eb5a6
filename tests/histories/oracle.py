"""What must come out, written from docs/metrics.md, the issue's rules and OpenTelemetry's data model; imports nothing
of the exporter.

It is told every reading of the host, every look at the clocks and every batch, and judges points.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

YEAR_2020 = 1_577_836_800
CLOSE = 2e-6
"""Seconds: what a double of 1.7e9 and a nanosecond's rounding leave."""

HOST_COUNTERS = ("host_cpu_used", ("host", "energy"), ("host", "commands"))
"""They go on where the session's counters begin anew under the same id."""

Series = tuple[str, tuple[tuple[str, str], ...]]


def close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE


@dataclass
class Beginning:
    """Of a counter: by the monotonic clock, and by the wall clock as consumers were told."""

    begun: float
    start: float | None = None

    def look(self, wall: float, monotonic: float) -> None:
        if self.start is None or wall < self.start:
            start = wall - (monotonic - self.begun)
            self.start = start if wall >= YEAR_2020 and start >= 0 else None

    def later(self, wall: float) -> None:
        """A microsecond: what was read before began earlier, and its beginning may be when it was read."""
        self.begun += 1e-6
        if self.start is not None:
            self.start = max(self.start, min(self.start + 1e-6, wall))

    def not_after(self, wall: float, monotonic: float) -> None:
        """A look at which nothing becomes known; it may have been before this began."""
        if self.start is not None and self.begun <= monotonic:
            self.look(wall, monotonic)


class Life(NamedTuple):
    """Equal lives are one unbroken growth: since the ``zero`` of all counters, or since the last of its own ``falls``.

    ``zero_seen``: that was after the first reading of this process. ``alone``: it fell by itself in this epoch.
    """

    zero: Hashable
    falls: int
    zero_seen: bool
    alone: bool = False

    @property
    def identity(self) -> Hashable:
        return self.zero, self.falls


class Recalled(NamedTuple):
    """What the process before wrote down."""

    session: int
    start: float | None
    elapsed: int | None
    alone: Mapping[Hashable, tuple[float, float]]
    """Starts, by the monotonic and the wall clock, of counters that fell by themselves, as the process before had to show them last."""
    late: bool = False
    """Whether it showed something before it knew the start."""
    last: Mapping[Hashable, tuple[float, float, float]] = {}
    """As :attr:`Readings.last`, of the session's counters."""
    basic: bool = False
    substituted: bool = False

    def fell(self, elapsed: int | None) -> bool:
        """Whether the session began anew while no process looked."""
        return elapsed is not None and self.elapsed is not None and elapsed < self.elapsed


class Value(NamedTuple):
    """Of one series in a batch. ``epoch``: points of another one have another start."""

    value: float
    monotonic: float
    life: Life
    epoch: Hashable
    start: float | None
    time: float
    """Wall clock as it was read."""
    late: bool = False
    """Whether a process before this one may have shown it without ``start``, over which no point must reach back."""

    @property
    def stretch(self) -> Hashable:
        # A life of its own goes on where the session turns out to have begun anew before it.
        return "alone" if self.life.alone else self.epoch, self.life.falls


@dataclass
class Readings:
    """The readings of one process: which epoch it is, when it began, which counters fell alone."""

    first_generation: int | None = None
    epochs: int = 0
    session: int = 0
    continued: bool = False
    """Whether the epoch may be one of counters that went on: its age is not known, and none fell with it."""
    visits: int = 0
    """Changes of the session id; one that was there before may come again, and is another host all the same."""
    elapsed: int | None = None
    first: float = 0.0
    """Monotonic clock at the first reading of the epoch: what was read had begun."""
    told: float = -math.inf
    """Monotonic clock at the last reading that had it, or since which none has."""
    beginning: Beginning | None = None
    recalled: Recalled | None = None
    late: bool = False
    """Whether this process showed something of the epoch before it knew the start."""
    late_before: bool = False
    """The same of one before it."""
    unread: set[Hashable] = field(default_factory=set)
    """Counters that are in the epoch of the process before, and of which this one has no reading yet."""
    unseen: set[Hashable] = field(default_factory=set)
    """Counters that fell between the last reading of the process before and the first of this one."""
    last: dict[Hashable, tuple[float, float, float]] = field(default_factory=dict)
    """Counter -> value, wall and monotonic clock of its last reading in this epoch."""
    falls: dict[Hashable, int] = field(default_factory=dict)
    basic: bool = False
    """Whether the basic reply has given ``cpu_used`` in this epoch; from then on nothing else stands for it."""
    substituted: bool = False
    """Whether the extended statistic of the same quantity has stood for it in this epoch."""
    alone: dict[Hashable, Beginning] = field(default_factory=dict)

    def read(
        self,
        session: int,
        generation: int,
        elapsed: int | None,
        wall: float,
        monotonic: float,
        counters: Mapping[str, float],
    ) -> None:
        """``counters``: those of the session that were read with it."""
        if self.first_generation is None:
            self.first_generation = generation
        fell = elapsed is not None and self.elapsed is not None and elapsed < self.elapsed
        if session != self.session or fell:
            self.epochs += 1
            self.first = monotonic
            self.continued = elapsed is None and all(
                value >= self.last[key][0] for key, value in counters.items() if key in self.last
            )
            self.visits += session != self.session
            # What fell in replies without elapsed did so in the epoch that only this one shows.
            kept = {key for key, each in self.alone.items() if key in self.falls and each.begun >= self.told}
            kept.update(HOST_COUNTERS)
            kept = set() if session != self.session else kept
            self.last = {key: each for key, each in self.last.items() if key in kept}
            self.alone = {key: each for key, each in self.alone.items() if key in kept}
            self.session, self.elapsed, self.beginning = session, None, None
            self.basic = self.substituted = self.late = self.late_before = False
            self.unread = set()
            known = self.recalled if self.epochs == 1 else None
            if known is not None and known.session == session and not known.fell(elapsed):
                if known.start is not None:
                    age = wall - known.start if elapsed is None else elapsed / 1000
                    self.beginning = Beginning(monotonic - max(age, 0.0), known.start)
                for key, (begun, start) in known.alone.items():
                    self.alone[key] = Beginning(begun, start)
                self.elapsed = known.elapsed
                self.late = self.late_before = known.late
                self.last |= known.last
                self.unread = set(known.last)
                self.basic, self.substituted = known.basic, known.substituted
        elif self.beginning is None:
            self.late = True
        if elapsed is not None or self.elapsed is None:
            self.told = monotonic
        if elapsed is not None:
            self.elapsed = elapsed
            if self.beginning is None:
                self.beginning = Beginning(min(monotonic - elapsed / 1000, self.first))
                self.continued = False
        self.look(wall, monotonic)

    def counter(self, key: Hashable, value: float, wall: float, monotonic: float, unit: float = 0.0) -> None:
        """One counter was read: of the statistics that were read last, or of a round that is shown now.

        ``unit``: what is less than one of it may be lost. Only in one process does that show to be no fall.
        """
        before = self.last.get(key)
        first = key in self.unread
        self.unread.discard(key)
        if before is not None and value < before[0] and not (first and before[0] - value < unit * 0.9999995):
            self.unseen = self.unseen | {key} if first else self.unseen - {key}
            _, then, then_monotonic = before
            self.falls[key] = self.falls.get(key, 0) + 1
            self.alone[key] = Beginning(then_monotonic)
            self.alone[key].look(then, then_monotonic)
            self.alone[key].look(wall, monotonic)
            self.alone[key].later(wall)
        self.last[key] = (value, wall, monotonic)

    def used(self, seconds: float, *, basic: bool) -> bool:
        """Whether a reading of the CPU time used may be shown: one that is behind what the other source showed would be
        taken for a counter that began anew.
        """
        if not basic:
            self.substituted |= not self.basic
            return not self.basic
        if self.substituted and not self.basic and seconds < self.last["cpu_used"][0]:
            return False
        self.basic = True
        return True

    def uptime(self, begun: float, wall: float, monotonic: float) -> None:
        """The last reading, at ``wall`` and ``monotonic``, is of a session that began at ``begun``. The round that says so is
        later, and what fell in it was held against that later wall clock: an older one says nothing more of it.
        """
        if self.beginning is None:
            self.beginning = Beginning(begun)
            self.beginning.look(wall, monotonic)
            self.continued = False

    def look(self, wall: float, monotonic: float) -> None:
        for each in (self.beginning, *self.alone.values()):
            if each is not None:
                each.look(wall, monotonic)

    def answered(self, wall: float, monotonic: float, *, waited: bool) -> None:
        """A reply of a round that is shown now: no start is after it. ``waited``: there was a reading since, whose clock is the
        one that counts.
        """
        if not waited:
            for each in (self.beginning, *self.alone.values()):
                if each is not None:
                    each.not_after(wall, monotonic)

    def start(self, key: Hashable) -> float | None:
        beginning = self.alone.get(key, self.beginning)
        return beginning.start if beginning is not None else None


class StandIn(NamedTuple):
    """What stands in for an unknown start in what was taken of a series."""

    stretch: Hashable
    start: float
    latest: float
    """Time of the last point."""
    tied: bool = False
    """The start was known, at that very time: whether it is behind that point is a matter of rounding."""


class Receiver:
    """Judges the points of one process's exports, and remembers those that were taken."""

    def __init__(self) -> None:
        self._stand_in: dict[Series, StandIn] = {}
        self._offered: dict[Series, StandIn | None] = {}
        self._has: dict[Series, Value] = {}
        self._sent: dict[Series, tuple[float, float]] = {}
        self._taken: dict[Series, tuple[float, float]] = {}
        """Value and start of the last point of a sum."""
        self.points = 0

    def cumulative(self, series: Series, expected: Value, value: float, start: float, time: float) -> None:
        self.points += 1
        assert close(value, expected.value), (series, value, expected)
        assert 0 <= start <= time, (series, start, time)
        assert close(time, expected.time), (series, time, expected)
        kept = self._stand_in.get(series)
        if kept is not None and kept.stretch != expected.stretch:
            kept = None
        known = None if expected.late else expected.start
        tied = known is not None and kept is not None and (kept.tied or abs(known - kept.latest) <= CLOSE)
        stays = kept is not None and close(start, min(kept.start, time))
        if tied and stays:
            assert kept is not None
            wanted = min(kept.start, time)
            self._offered[series] = StandIn(expected.stretch, wanted, time, tied=True)
        elif known is not None and (kept is None or tied or known >= kept.latest - CLOSE):
            # Known, and no point so far lies behind it.
            wanted = known
            self._offered[series] = None
        else:
            # Nobody knew when it began: the first point that was taken has its own time, the others that of the first. One of
            # a clock that can't have been right is none to go by once there is a better.
            is_first = kept is None or kept.start < YEAR_2020 <= time
            # Where the start was known at that very time, it may have stood for itself until it was unknown again.
            is_first |= kept is not None and kept.tied and close(start, time)
            wanted = time if kept is None or is_first else min(kept.start, time)
            self._offered[series] = StandIn(expected.stretch, wanted, time)
        assert close(start, wanted), (series, start, wanted, expected)
        before, self._sent[series] = self._taken.get(series), (value, start)
        if before is not None and value < before[0] - CLOSE * max(1.0, value):
            assert start != before[1], ("it falls under one start", series, before, value, start)

    def difference(self, series: Series, expected: Value, point: tuple[float, float, float] | None) -> None:
        """``point``: value, start and time of a difference; None where there was none."""
        before = self._has.get(series)
        if before is None:
            wanted = expected.value if expected.life.zero_seen else None
        elif before.life.zero == expected.life.zero and self._unseen(before, expected):
            wanted = None
        elif before.life.identity == expected.life.identity:
            wanted = expected.value - before.value
        else:
            wanted = expected.value if expected.life.zero_seen else None
        if wanted is None:
            assert point is None, (series, point, expected)
            return
        assert point is not None, (series, expected, before)
        value, start, time = point
        self.points += 1
        assert value >= 0, (series, value)
        assert abs(value - wanted) <= CLOSE * max(1.0, abs(wanted)), (series, value, wanted, before, expected)
        assert 0 <= start <= time, (series, start, time)
        assert close(time, expected.time), (series, time, expected)
        if before is not None:
            length = expected.monotonic - before.monotonic
            assert time - start <= length + CLOSE, (series, time - start, length)
            if before.life.identity == expected.life.identity:
                assert start == 0 or close(time - start, length), (series, time - start, length)

    @staticmethod
    def _unseen(before: Value, expected: Value) -> bool:
        """A new id under which the counters went on: a restart all the same, the beginning of which nobody saw."""
        return before.epoch != expected.epoch and not expected.life.alone

    def tried(self, batch: Mapping[Series, Value], *, taken: bool, refused: bool) -> None:
        """``refused``: for what is in it, so that no difference may bring it again; nothing of it was taken."""
        if taken or refused:
            self._has |= batch
        if taken:
            self._taken |= self._sent
            for series, stand_in in self._offered.items():
                if stand_in is None:
                    self._stand_in.pop(series, None)
                else:
                    self._stand_in[series] = stand_in
        self._offered, self._sent = {}, {}
