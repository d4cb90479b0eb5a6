"""Pauses of the whole VM. Experimental.

*By the host's clock*: it goes on while the guest's stands still. Each sample of the host gives one offset, ``elapsed``
less the guest's monotonic clock. It wavers by how old the sample was when it was read, at most the host's rhythm, and
late reads only ever lower it. A pause lifts it for good: the lowest of the offsets after it lies above the highest before
it. The plain difference of two offsets would see hundreds of pauses an hour.

*By a late wake-up*: where the guest's clock goes on during a pause, the polling thread wakes late. So it does in a guest
that is short of CPU or memory: nothing is counted that could be that.
"""

from __future__ import annotations

from collections import deque

from exporter.insight.refresh import median
from exporter.snapshot import Guest, Histogram, Snapshot

HOST_CLOCK, WAKEUP = "host_clock", "wakeup"
"""What showed a pause; the words are a label's values."""

BOUNDS: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds: from a short stun to a guest that vSphere HA would have given up."""
SIDE = 8
"""Samples on each side of a pause: what is lasting, and no late read."""
MARGIN = 0.25
"""Seconds beyond the host's rhythm: clocks are slewed, by at most 500 ppm."""


class Pauses:
    """Fed with every good poll."""

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=2 * SIDE)
        self._session, self._elapsed = 0, -1
        self.seen = Histogram.empty(BOUNDS)

    def polled(self, snapshot: Snapshot, at: float, rhythm: float) -> float | None:
        """``at``: monotonic clock, seconds; ``rhythm``: the longest that a sample may be old. A pause's length, seconds."""
        elapsed = snapshot.values.get("elapsed")
        if not isinstance(elapsed, int):
            return None
        if snapshot.session_id != self._session or elapsed < self._elapsed:
            self._session = snapshot.session_id
            self._offsets.clear()
        elif elapsed == self._elapsed:
            return None
        self._elapsed = elapsed
        self._offsets.append(elapsed / 1000 - at)
        if len(self._offsets) < 2 * SIDE:
            return None
        before, after = [*self._offsets][:SIDE], [*self._offsets][SIDE:]
        # Against the highest before, which no late read moves. By more than the rhythm: where that drifts against the
        # polls, all offsets move by as much as one step, and stay.
        if min(after) - max(before) <= rhythm + MARGIN:
            return None
        length = median(after) - median(before)
        self._offsets = deque(after, maxlen=2 * SIDE)
        self.seen = self.seen.observe(length)
        return length


LATE = 0.25
"""Seconds by which a wake-up must be late to be looked at: an idle guest's timers are late by well under a millisecond."""
EXPLAINED = 0.1
"""Share of the lateness by which something else in the guest explains it. Small, since pressure is an average over all
CPUs, and the polling thread waits for one."""


class Wakeups:
    """Fed with every poll, good or bad; judged at the next good one, when the guest was asked what else there was."""

    def __init__(self) -> None:
        self._late = 0.0
        self.seen = Histogram.empty(BOUNDS)

    @property
    def late(self) -> bool:
        """Whether there is something to judge: the guest is to be asked now."""
        return self._late > LATE

    def woke(self, late: float) -> None:
        """``late``: seconds by which the polling thread was late in waking."""
        self._late = max(self._late, late)

    def judged(self, before: Guest, after: Guest, stolen: float | None) -> float | None:
        """A pause's length, seconds. ``before`` is what the guest said last before it, ``stolen`` what the host took of
        all vCPUs meanwhile, seconds; None where that is not known. What can't be told is not counted.
        """
        late, self._late = self._late, 0.0
        if late <= LATE or stolen is None or before.held_seconds is None or after.held_seconds is None:
            return None
        steal = (after.steal_seconds or 0.0) - (before.steal_seconds or 0.0)
        if max(after.held_seconds - before.held_seconds, steal, stolen) >= EXPLAINED * late:
            return None
        self.seen = self.seen.observe(late)
        return late
