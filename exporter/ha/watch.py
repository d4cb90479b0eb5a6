"""A check over time: when one bad answer, or none, becomes bad health, and when it is good again.

:class:`Track` is pure: beginnings and results with their times go in, a verdict comes out. :class:`Watch` runs a
check in a thread of its own. A check that hangs is a failed check: nobody waits for it, its silence is counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from exporter.ha.rules import Health

Probe = Callable[[float], str | None]
"""One look, given its time limit in seconds: what is wrong, or None."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a check is judged. ``interval`` and ``timeout`` in seconds; the others in results one after another."""

    interval: float = 10.0
    timeout: float = 5.0
    failures: int = 3
    """Failed results before it counts as bad."""
    successes: int = 1
    """Good results before it counts as good."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What has been seen so far; replaced whole, so that a reader in another thread sees one state."""

    begun: float | None
    """When the look that is under way began."""
    idle_since: float
    failures: int = 0
    successes: int = 0
    health: Health = Health.UNKNOWN
    reason: str = "no result yet"


class Track:
    """The results of one check. Written by one thread, read by any."""

    def __init__(self, rhythm: Rhythm, now: float) -> None:
        self.rhythm = rhythm
        self._born = now
        self._seen = _Seen(None, now)

    def begin(self, now: float) -> None:
        self._seen = replace(self._seen, begun=now)

    def end(self, now: float, problem: str | None) -> None:
        """The look that had begun is over; ``problem`` is what it found."""
        seen, rhythm = self._seen, self.rhythm
        missed = self._missed(seen, now)
        if missed and problem is None:
            problem = f"the answer took longer than {rhythm.timeout:g} s"
        if problem is None:
            successes = seen.successes + 1
            good = seen.health is Health.GOOD or successes >= rhythm.successes
            health = Health.GOOD if good else seen.health
            self._seen = _Seen(None, now, 0, successes, health, seen.reason)
            return
        failures = seen.failures + max(1, missed)
        health = Health.BAD if failures >= rhythm.failures else seen.health
        self._seen = _Seen(None, now, failures, 0, health, problem)

    def judge(self, now: float) -> tuple[Health, str]:
        """The verdict and, where it is not good, its reason."""
        seen, rhythm = self._seen, self.rhythm
        if seen.failures + (missed := self._missed(seen, now)) >= rhythm.failures:
            return Health.BAD, f"it hangs, results missing: {missed}" if missed else seen.reason
        if seen.health is Health.GOOD:
            return Health.GOOD, ""
        # Good and bad in turn, and never enough of either: that is no way to go on for ever.
        limit = max(rhythm.failures, rhythm.successes) * (rhythm.interval + rhythm.timeout)
        if seen.health is Health.UNKNOWN and now - self._born > limit:
            return Health.BAD, f"no clear result within {limit:g} s; the last problem: {seen.reason}"
        return seen.health, seen.reason

    def _missed(self, seen: _Seen, now: float) -> int:
        """Results that ought to have come since the last one: of a look that hangs, or of a thread that is gone."""
        rhythm = self.rhythm
        due = seen.idle_since + rhythm.interval if seen.begun is None else seen.begun
        late = now - due - rhythm.timeout
        return 0 if late <= 0 else 1 + int(late / rhythm.interval)


class Watch:
    """Looks with ``probe`` every interval, in a thread of its own that may hang."""

    def __init__(
        self, name: str, probe: Probe, rhythm: Rhythm, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._probe = probe
        self._track = Track(rhythm, clock())
        self._clock = clock
        self._stop = threading.Event()

    def start(self) -> None:
        # A daemon: a check that hangs must not keep the process from its end.
        threading.Thread(target=self._run, name=f"ha-check-{self.name}", daemon=True).start()

    def stop(self) -> None:
        """No more looks. One that is under way is left to itself."""
        self._stop.set()

    def judge(self, now: float) -> tuple[Health, str]:
        return self._track.judge(now)

    def _run(self) -> None:
        rhythm = self._track.rhythm
        while not self._stop.is_set():
            begun = self._clock()
            self._track.begin(begun)
            try:
                problem = self._probe(rhythm.timeout)
            except Exception as error:  # noqa: BLE001  whatever a check dies of, it is not good health
                problem = f"{type(error).__name__}: {error}"
            now = self._clock()
            self._track.end(now, problem)
            self._stop.wait(max(0.0, begun + rhythm.interval - now))
