"""The clock of the session: which life each counter of the host is in, and when it began.

Pure: what was read and when goes in, :class:`~exporter.clock.Lives` come out; no clock is asked here. The rules:

- An *epoch* begins with a new session id, or when ``elapsed`` falls under the same one.
- Its start is the wall clock less ``elapsed`` when that is first seen, and a fact from then on. Without ``elapsed`` it
  is worked out from ``uptime`` of the extended statistics, if that is known before anything was shown; else unknown.
- A counter that falls while ``elapsed`` does not has a life of its own, which began at the reading before.
- A wall clock that can't be right makes a start unknown, and one that is set back to before a start moves it:
  :class:`~exporter.clock.Start`.
- A later epoch began before our eyes, after the last reading of the one before. Not so the first, and not one whose
  ``elapsed`` says that it is older than that: some hot-plug gives a new id while the counters go on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from exporter.catalogue import BY_KEY, Kind
from exporter.catalogue.extended_names import map_value
from exporter.clock import Instant, Life, Lives, Start
from exporter.snapshot import ExtendedSnapshot, Snapshot

_COUNTERS = tuple(key for key, row in BY_KEY.items() if row.metric.kind is Kind.COUNTER and key != "elapsed")


_DRIFT, _SLACK = 0.1, 1.0
"""How much faster than ours the host's clock may run, and seconds, before an epoch counts as older than a reading."""


class Remembered(NamedTuple):
    """An epoch as an exporter before this one knew it."""

    session_id: int
    start: float
    """Wall clock, seconds."""
    elapsed: int | None
    """Milliseconds, when it was written down."""


class _Seen(NamedTuple):
    value: float
    at: Instant


class _Alone(NamedTuple):
    number: int
    since: float
    start: Start


class SessionClock:
    """Fed with every good reading, in order. For one thread."""

    def __init__(self, remembered: Remembered | None = None) -> None:
        self._remembered = remembered
        self._session_id = 0
        self._elapsed: int | None = None
        self._number = 0
        self._lives = 0
        self._since: float | None = None
        self._start: Start | None = None
        self._last: Instant | None = None
        self._seen: dict[Hashable, _Seen] = {}
        self._alone: dict[Hashable, _Alone] = {}

    @property
    def lives(self) -> Lives:
        """As of the last reading."""
        start = self._start.wall if self._start is not None else None
        return Lives(
            Life(self._number, start, self._since),
            {
                key: Life(each.number, each.start.wall, each.since, alone=True)
                for key, each in self._alone.items()
            },
        )

    def read(self, snapshot: Snapshot, now: Instant) -> None:
        """Take the basic statistics that were read at ``now``."""
        elapsed = snapshot.values.get("elapsed")
        elapsed = elapsed if isinstance(elapsed, int) else None
        fell = elapsed is not None and self._elapsed is not None and elapsed < self._elapsed
        if snapshot.session_id != self._session_id or fell:
            self._begin(snapshot.session_id)
            self._recall(elapsed, now)
        if elapsed is not None:
            self._elapsed = elapsed
            if self._start is None:
                self._found(Start(now.monotonic - elapsed / 1000), now)
        self._fall(((key, snapshot.values.get(key)) for key in _COUNTERS), now)
        self._last = now
        self.tick(now)

    def read_extended(self, extended: ExtendedSnapshot) -> None:
        """Take a round of extended statistics of the present epoch."""
        counters = (
            ((group, value.name), value.value)
            for group, values in extended.groups.items()
            for value in values
            if (mapped := map_value(group, value)) is not None and mapped.metric.kind is Kind.COUNTER
        )
        self._fall(counters, Instant(extended.read_time, extended.read_monotonic))

    def read_uptime(self, uptime: float, answered: float, now: Instant) -> None:
        """Take the host's own word on the session's age, seconds, as it was at ``answered`` (monotonic).

        To be called only before anything of this epoch was shown. ``elapsed`` is the better word, where there is one.
        """
        if self._start is None:
            self._found(Start(answered - uptime), now)
            self.tick(now)

    def tick(self, now: Instant) -> None:
        """Hold every start against the wall clock, which may have been set."""
        if self._start is not None:
            self._start = self._start.at(now)
        for key, each in self._alone.items():
            self._alone[key] = each._replace(start=each.start.at(now))

    def _begin(self, session_id: int) -> None:
        self._session_id = session_id
        self._elapsed = None
        self._number = self._next()
        self._since = self._last.monotonic if self._last is not None else None
        self._start = None
        self._seen.clear()
        self._alone.clear()

    def _recall(self, elapsed: int | None, now: Instant) -> None:
        known, self._remembered = self._remembered, None
        if known is None or known.session_id != self._session_id:
            return
        if elapsed is not None and known.elapsed is not None and elapsed < known.elapsed:
            return
        age = now.wall - known.start if elapsed is None else elapsed / 1000
        self._start = Start(now.monotonic - max(age, 0.0), known.start)

    def _found(self, start: Start, now: Instant) -> None:
        self._start = start
        # An epoch that has no age yet began somewhere since the last reading.
        if self._since is not None and start.begun < now.monotonic:
            slack = _SLACK + _DRIFT * (now.monotonic - self._since)
            self._since = max(self._since, start.begun) if start.begun >= self._since - slack else None

    def _fall(self, counters: Iterable[tuple[Hashable, object]], now: Instant) -> None:
        for key, value in counters:
            if not isinstance(value, int | float):
                continue
            before = self._seen.get(key)
            if before is not None and value < before.value:
                start = Start(before.at.monotonic).at(before.at).at(now)
                self._alone[key] = _Alone(self._next(), before.at.monotonic, start)
            self._seen[key] = _Seen(value, now)

    def _next(self) -> int:
        self._lives += 1
        return self._lives
