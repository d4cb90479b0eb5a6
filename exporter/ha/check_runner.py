"""A check over time: when one bad answer, or none, becomes bad health, and when it is good again.

:class:`CheckState` is pure: beginnings and results with their times go in, a verdict comes out. :class:`CheckRunner` runs a
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
class CheckTiming:
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


class CheckState:
    """The results of one check. Written by one thread, read by any."""

    def __init__(self, timing: CheckTiming, now: float) -> None:
        self.timing = timing
        self._born = now
        self._seen = _Seen(None, now)

    def begin(self, now: float) -> None:
        self._seen = replace(self._seen, begun=now)

    def end(self, now: float, problem: str | None) -> None:
        """The look that had begun is over; ``problem`` is what it found."""
        seen, timing = self._seen, self.timing
        missed = self._missed(seen, now)
        if missed and problem is None:
            problem = f"the answer took longer than {timing.timeout:g} s"
        if problem is None:
            successes = seen.successes + 1
            good = seen.health is Health.GOOD or successes >= timing.successes
            health = Health.GOOD if good else seen.health
            self._seen = _Seen(None, now, 0, successes, health, seen.reason)
            return
        failures = seen.failures + max(1, missed)
        health = Health.BAD if failures >= timing.failures else seen.health
        self._seen = _Seen(None, now, failures, 0, health, problem)

    def judge(self, now: float) -> tuple[Health, str]:
        """The verdict and, where it is not good, its reason."""
        seen, timing = self._seen, self.timing
        if seen.failures + (missed := self._missed(seen, now)) >= timing.failures:
            return Health.BAD, f"it hangs, results missing: {missed}" if missed else seen.reason
        if seen.health is Health.GOOD:
            return Health.GOOD, ""
        # Good and bad in turn, and never enough of either: that is no way to go on for ever.
        limit = max(timing.failures, timing.successes) * (timing.interval + timing.timeout)
        if seen.health is Health.UNKNOWN and now - self._born > limit:
            return Health.BAD, f"no clear result within {limit:g} s; the last problem: {seen.reason}"
        return seen.health, seen.reason

    def _missed(self, seen: _Seen, now: float) -> int:
        """Results that ought to have come since the last one: of a look that hangs, or of a thread that is gone."""
        timing = self.timing
        due = seen.idle_since + timing.interval if seen.begun is None else seen.begun
        late = now - due - timing.timeout
        return 0 if late <= 0 else 1 + int(late / timing.interval)


class CheckRunner:
    """Looks with ``probe`` every interval, in a thread of its own that may hang."""

    def __init__(
        self, name: str, probe: Probe, timing: CheckTiming, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._probe = probe
        self._state = CheckState(timing, clock())
        self._clock = clock
        self._stop = threading.Event()

    def start(self) -> None:
        # A daemon: a check that hangs must not keep the process from its end.
        threading.Thread(target=self._run, name=f"ha-check-{self.name}", daemon=True).start()

    def stop(self) -> None:
        """No more looks. One that is under way is left to itself."""
        self._stop.set()

    def judge(self, now: float) -> tuple[Health, str]:
        return self._state.judge(now)

    def _run(self) -> None:
        timing = self._state.timing
        while not self._stop.is_set():
            begun = self._clock()
            self._state.begin(begun)
            try:
                problem = self._probe(timing.timeout)
            except Exception as error:  # noqa: BLE001  whatever a check dies of, it is not good health
                problem = f"{type(error).__name__}: {error}"
            now = self._clock()
            self._state.end(now, problem)
            self._stop.wait(max(0.0, begun + timing.interval - now))
