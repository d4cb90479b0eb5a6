"""When something began, by a wall clock that may be wrong, and may be set.

Pure: readings of the two clocks go in. The wall clock says when; how long ago is only ever said by the monotonic
clock, which nobody sets.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

PLAUSIBLE = 1_577_836_800.0
"""2020-01-01, seconds since the epoch. A wall clock that shows less was not set yet."""
_MOMENT = 1e-6
"""Seconds: the least that a double of them still tells apart."""


class Instant(NamedTuple):
    """One reading of both clocks, seconds. ``wall`` counts from the epoch, ``monotonic`` from anywhere."""

    wall: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class Start:
    """A beginning: ``begun`` by the monotonic clock, ``wall`` by the wall clock, None while that is unknown.

    ``wall`` is a fact once it is known. Two things change it: a wall clock that was set back to before it (see
    :meth:`at`), and one that could not be right before.
    """

    begun: float
    wall: float | None = None

    def at(self, now: Instant) -> Start:
        """The same beginning at a reading of the clocks, which it is never later than."""
        if self.wall is not None and self.wall <= now.wall:
            return self
        wall = now.wall - max(now.monotonic - self.begun, 0.0)
        return replace(self, wall=wall if now.wall >= PLAUSIBLE and wall >= 0 else None)

    def after(self, now: Instant) -> Start:
        """A moment after the same beginning, at a reading as :meth:`at`: what was read then was of another life, whose own
        beginning may be the very same time.
        """
        start = self.at(now)
        wall = None if start.wall is None else max(start.wall, min(start.wall + _MOMENT, now.wall))
        return Start(start.begun + _MOMENT, wall)

    def not_after(self, reading: Instant) -> Start:
        """The same beginning, moved where ``reading`` of it would be before it. What is unknown stays so: it would be later
        than readings that were shown.
        """
        return self.at(reading) if self.wall is not None and self.begun <= reading.monotonic else self


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a counter, from a zero to the next.

    ``number`` tells lives apart; 0 is that of this process, of what it counts about itself. ``start``: wall clock at
    the zero, None where that is unknown. ``since``: monotonic clock at the zero, None where it was not before our
    eyes: the first value then is no growth that was seen.
    """

    number: int = 0
    start: float | None = None
    since: float | None = None
    alone: bool = False
    """Whether the counter fell by itself, and not with its session."""
    late: bool = False
    """Whether an exporter before this one showed it without ``start``, which was not known then."""


OWN = Life()
"""Of what this process counts about itself, before its start is filled in."""
UNSEEN = Life(-1)
"""Of a counter that began at a time which nobody tells. Such lives have negative numbers."""


@dataclass(frozen=True, slots=True)
class Lives:
    """The lives of all counters: the session's, that of each counter that fell alone, and that of what counts the host's
    own time, of which another session sees another part, also under an id that was there before.
    """

    session: Life = OWN
    alone: Mapping[Hashable, Life] = field(default_factory=dict)
    host: Life = UNSEEN

    def of(self, counter: Hashable, *, of_host: bool = False) -> Life:
        return self.alone.get(counter, self.host if of_host else self.session)


def words(before: float | None, after: float | None) -> str:
    """Why a start changed, for a log line; empty where it did not."""
    if before == after:
        return ""
    if after is None:
        return "the wall clock can't be right: the start is unknown"
    if before is None:
        return "it was unknown: the wall clock is set now, or the host tells the session's age"
    return "the wall clock was set back to before the start, which moves with it"


def moved(before: Lives, after: Lives) -> tuple[str, list[str]]:
    """Why the session's start changed, and why each start of a counter that fell by itself did, where the life is the same."""

    def why(old: Life, new: Life) -> str:
        return words(old.start, new.start) if old.number == new.number else ""

    alone = (why(before.alone[key], new) for key, new in after.alone.items() if key in before.alone)
    return why(before.session, after.session), [each for each in alone if each]
