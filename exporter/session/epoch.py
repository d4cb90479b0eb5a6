"""The clock of the session: which life each counter of the host is in, and when it began.

Pure: what was read and when goes in, :class:`~exporter.clock.Lives` come out; no clock is asked here. The rules:

- An *epoch* begins with a new session id, or when ``elapsed`` falls under the same one.
- Its start is the wall clock less ``elapsed`` when that is first seen, and a fact from then on. Without ``elapsed`` it
  is worked out from ``uptime`` of the extended statistics, if that is known before anything was shown; else unknown.
- A counter that falls while ``elapsed`` does not has a life of its own, which began a moment after the reading before.
- All this outlives the exporter: :class:`~exporter.session.remembered.Remembered`.
- A statistic that the basic reply and the extended statistics both have is one counter. The extended one stands for it only
  where the basic reply has not given it in this epoch, and until it is not behind what was shown: the two are of
  different ages, and a sample of the host's may be older still.
- A wall clock that can't be right makes a start unknown, and one that is set back to before a start moves it:
  :class:`~exporter.clock.Start`.
- A later epoch began before our eyes, after the last reading of the one before. Not so the first, and not one whose
  ``elapsed`` says that it is older than that: some hot-plug gives a new id while the counters go on. Where there is no
  ``elapsed``, a counter that fell says that it is new.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from exporter.catalogue import BY_KEY, Kind, Metric
from exporter.catalogue.extended_names import counters
from exporter.clock import UNSEEN, Instant, Life, Lives, Start
from exporter.session.remembered import Name, Remembered
from exporter.snapshot import ExtendedSnapshot, Snapshot

_COUNTERS = {key: row for key, row in BY_KEY.items() if row.metric.kind is Kind.COUNTER and key != "elapsed"}

_DRIFT, _SLACK = 0.1, 1.0
"""How much faster than ours the host's clock may run, and seconds, before an epoch counts as older than a reading."""

_ROUNDED = 1 - 5e-7
"""What rounding can hide of one of a unit, a finer one being a millionth of it."""

_Reading = tuple[Name, Metric, float, float]
"""Of a counter: what was read of it, and one of the host's unit, both in base units."""

PATIENCE = 3
"""Readings without ``elapsed``, one after another, after which the host counts as one that has stopped giving it."""


@dataclass
class _Counter:
    """What was read of a counter last, and the life of its own that it is in since it fell."""

    of_host: bool
    value: float
    at: Instant
    number: int = 0
    since: float = -math.inf
    start: Start | None = None
    recalled: bool = False
    """Whether the exporter before this one read it."""
    unseen: bool = False
    """Whether it fell while no exporter looked: what it has counted since is no growth that was seen."""


class SessionClock:
    """Fed with every good reading, in order. For one thread."""

    def __init__(self, remembered: Remembered | None = None) -> None:
        self._remembered = remembered
        self._session_id = 0
        self._elapsed: int | None = None
        self._number = 0
        self._host = UNSEEN
        self._lives = 0
        self._since: float | None = None
        self.recalled: Lives | None = None
        """As an exporter before this one knew them, until somebody has held them against this one's."""
        self._first = 0.0
        """Monotonic clock at the first reading of the epoch."""
        self._told = 0.0
        """Monotonic clock at the last reading that told whether the epoch goes on. One without ``elapsed`` does not, where
        there was one before."""
        self._silent = 0
        """Readings since that one."""
        self.told = 0.0
        """The same; but where ``elapsed`` stays away for :data:`PATIENCE` readings the session id is all there is to go by."""
        self._late = self._late_before = False
        """:attr:`.Remembered.late`, and the same as the exporter before this one left it."""
        self._doubtful = False
        """Whether nothing says so far that what the epoch counts began with it."""
        self._start: Start | None = None
        self._last: Instant | None = None
        self._counters: dict[Name, _Counter] = {}
        self._substituted: set[str] = set()
        """Basic counters that an extended statistic has stood for in this epoch."""
        self.basic: frozenset[str] = frozenset()
        """Statistics that the basic reply has given in this epoch: nothing else stands for them any more."""

    @property
    def lives(self) -> Lives:
        """As of the last reading."""
        start = self._start.wall if self._start is not None else None
        since = self._since if not self._doubtful else None
        alone: dict[Hashable, Life] = {
            key: Life(
                each.number,
                each.start.wall if not each.of_host else None,
                each.since if each.since > -math.inf and not each.unseen else None,
                alone=True,
            )
            for key, each in self._counters.items()
            if each.start is not None
        }
        return Lives(Life(self._number, start, since, late=self._late_before), alone, self._host)

    @property
    def known(self) -> Remembered:
        """What an exporter after this one has to know. What counts on the host has no start that it could."""
        start = self._start.wall if self._start is not None else None
        return Remembered(
            self._session_id,
            start,
            self._elapsed,
            {
                key: each.start
                for key, each in self._counters.items()
                if each.start is not None and each.start.wall is not None and not each.of_host
            },
            self._late or self._start is None,
            {
                key: (each.value, each.at)
                for key, each in self._counters.items()
                if not each.of_host and each.value > -math.inf
            },
            frozenset(self._substituted),
        )

    def read(self, snapshot: Snapshot, now: Instant) -> Snapshot:
        """Take the basic statistics that were read at ``now``; what can be shown of them comes back."""
        elapsed = snapshot.values.get("elapsed")
        elapsed = elapsed if isinstance(elapsed, int) else None
        fell = elapsed is not None and self._elapsed is not None and elapsed < self._elapsed
        if snapshot.session_id != self._session_id or fell:
            self._doubtful = elapsed is None and not self._any_fell(snapshot)
            self._begin(snapshot.session_id)
            self._first = now.monotonic
            self._recall(elapsed, now)
        elif self._start is None:
            self._late = True
        tells = elapsed is not None or self._elapsed is None
        self._silent = 0 if tells else self._silent + 1
        if tells:
            self._told = now.monotonic
        if tells or self._silent >= PATIENCE:
            self.told = now.monotonic
        if elapsed is not None:
            self._elapsed = elapsed
            if self._start is None:
                # A sample may be older than a reading without elapsed.
                self._found(Start(min(now.monotonic - elapsed / 1000, self._first)), now)
        snapshot = self._taken(snapshot)
        read = ((key, row, snapshot.values.get(key)) for key, row in _COUNTERS.items())
        self._fall(
            ((key, row.metric, row.scaled(value), 0.0) for key, row, value in read if isinstance(value, int)),
            now,
        )
        self._last = now
        self._tick(now)
        return snapshot

    def _taken(self, snapshot: Snapshot) -> Snapshot:
        """Less the counters that are behind what an extended statistic has shown of them."""
        behind = {
            key
            for key in self._substituted
            if isinstance(value := snapshot.values.get(key), int)
            and _COUNTERS[key].scaled(value) < self._counters[key].value
        }
        if behind:
            kept = {key: value for key, value in snapshot.values.items() if key not in behind}
            snapshot = replace(snapshot, values=kept)
        if not self.basic.issuperset(snapshot.values):
            self.basic |= snapshot.values.keys()
            self._substituted -= self.basic
        return snapshot

    def read_extended(self, extended: ExtendedSnapshot) -> None:
        """Take a round of extended statistics of the present epoch, in the order of time: it may have waited for the last reading."""
        read: dict[Instant, list[_Reading]] = {each: [] for each in extended.answered.values()}
        for key, mapped in counters(extended.groups):
            if mapped.basic in self.basic:
                continue
            if mapped.basic:
                self._substituted.add(mapped.basic)
            counter = mapped.basic or key, mapped.metric, mapped.value, mapped.step
            read.setdefault(extended.at(key[0]), []).append(counter)
        last = self._last
        if last is not None:
            read.setdefault(last, [])
        for now in sorted(read, key=lambda each: each.monotonic):
            if now == last:
                self._tick(now)
            elif last is None or now.monotonic > last.monotonic:
                self._tick(now, Start.not_after)
            # The clock of a reply before the last reading is one of the past: it moves no start that is known by now.
            self._fall(read[now], now)

    def read_uptime(self, uptime: float, answered: float) -> None:
        """Take the host's own word on the session's age, seconds, as it was at ``answered`` (monotonic).

        To be called only before anything of this epoch was shown, and before :meth:`read_extended`. ``elapsed`` is the better
        word, where there is one.
        """
        if self._start is None and self._last is not None:
            # By the host's clock it may seem to have begun after it was seen.
            start = Start(min(answered - uptime, self._last.monotonic))
            self._found(start.at(self._last), self._last)

    def _begin(self, session_id: int) -> None:
        if session_id != self._session_id:
            self._counters.clear()
            self._host = Life(self._host.number - 1)
        # What counts on the host does not begin anew with the VM's counters, and what fell since elapsed was seen last has
        # done so.
        self._counters = {
            key: each for key, each in self._counters.items() if each.of_host or each.since >= self._told
        }
        self._session_id = session_id
        self._substituted = set()
        self.basic = frozenset()
        self._elapsed = None
        self._number = self._next()
        self._since = self._last.monotonic if self._last is not None else None
        self._start = None
        self._late = self._late_before = False

    def _recall(self, elapsed: int | None, now: Instant) -> None:
        known, self._remembered = self._remembered, None
        if known is None or known.session_id != self._session_id:
            return
        if elapsed is not None and known.elapsed is not None and elapsed < known.elapsed:
            return
        # A first reading without elapsed is held against it all the same, by the next one that has it.
        self._elapsed = known.elapsed
        if known.start is not None:
            age = now.wall - known.start if elapsed is None else elapsed / 1000
            self._start = Start(now.monotonic - max(age, 0.0), known.start)
        self._late = self._late_before = known.late
        for key, (value, at) in known.read.items():
            self._counters[key] = _Counter(False, value, at, recalled=True)
        self._substituted = set(known.substituted)
        self.basic = frozenset(key for key in known.read if isinstance(key, str)) - known.substituted
        # They fell before this process looked. Where the value is not known, whatever is read next is no fall.
        for key, began in known.alone.items():
            counter = self._counters.setdefault(key, _Counter(False, -math.inf, now))
            counter.number = self._next()
            counter.start = replace(began, begun=min(began.begun, now.monotonic))
        self.recalled = self.lives

    def _any_fell(self, snapshot: Snapshot) -> bool:
        """Whether a counter of the session is less than it was."""
        return any(
            isinstance(value, int) and BY_KEY[key].scaled(value) < counter.value
            for key, value in snapshot.values.items()
            if key in self.basic and (counter := self._counters.get(key)) is not None and not counter.of_host
        )

    def _found(self, start: Start, now: Instant) -> None:
        self._start = start
        self._doubtful = False
        # An epoch that has no age yet began somewhere since the last reading.
        if self._since is not None and start.begun < now.monotonic:
            slack = _SLACK + _DRIFT * (now.monotonic - self._since)
            self._since = max(self._since, start.begun) if start.begun >= self._since - slack else None

    def _fall(self, counters: Iterable[_Reading], now: Instant) -> None:
        for key, metric, value, unit in counters:
            counter = self._counters.setdefault(key, _Counter(metric.of_host, value, now))
            # What the exporter before this one read may have been in a finer unit.
            hidden = unit * _ROUNDED if counter.recalled else 0.0
            if value < counter.value and not counter.value - value < hidden:
                counter.number, counter.since = self._next(), counter.at.monotonic
                counter.start = Start(counter.since).at(counter.at).after(now)
                counter.unseen = counter.recalled
            counter.value, counter.at, counter.recalled = value, now, False

    def _tick(self, now: Instant, held: Callable[[Start, Instant], Start] = Start.at) -> None:
        """Hold every start against the wall clock, which may have been set."""
        if self._start is not None:
            self._start = held(self._start, now)
        for each in self._counters.values():
            if each.start is not None:
                each.start = held(each.start, now)

    def _next(self) -> int:
        self._lives += 1
        return self._lives
