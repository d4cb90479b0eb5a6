"""When one bad answer of a check, or none, becomes bad health, and when it is good again.

Pure: beginnings and results with their times go in, a verdict comes out.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.ha.kept import Kept
from exporter.ha.look import LookMemory
from exporter.ha.looks import NEVER, Looks
from exporter.ha.rules import Health
from exporter.ha.running_clock import TICK

NEWS = 2.0
"""Seconds for the verdict that a look hangs to be given and to come to the heart."""
SHARE = 0.1
"""Share of a look's time limit: a standstill of the exporter that takes more of it spoils the look."""
SPOILED = 3
"""Spoiled looks in a row after which the next one is not taken at once."""
WHILE_BAD = 5.0
"""Seconds between two looks, at most, while the check is bad: only one that finds it bad again makes more bad time."""
GRACE = 2.0
"""Seconds beyond its time limit after which a look that has not come back hangs: probes keep to it, and end what they began."""
AGAIN = 2.0
"""Seconds between two looks, at most, while the exporter could not look: its fault is to be over when the shortage is."""


@dataclass(frozen=True, slots=True)
class CheckTiming:
    """How a check is judged. ``interval`` and ``timeout`` in seconds; the others in results one after another."""

    interval: float = 10.0
    timeout: float = 5.0
    failures: int = 3
    """Failed results before it counts as bad."""
    successes: int = 1
    """Good results before it counts as good."""


class CheckState:
    """The results of one check. Written by one thread, read by any."""

    def __init__(self, timing: CheckTiming, now: float) -> None:
        self.timing = timing
        self._seen = Looks(None, now, now)

    def kept(self, now: float, memory: LookMemory = ()) -> Kept:
        """For a successor. Looks that have failed in a row are all that it takes where the check is bad."""
        seen, timing = self._seen, self.timing
        missed = self._missed(seen, now, GRACE)
        # Also where it hangs after looks that the exporter could not take: a fault by its verdict, still.
        hangs = seen.failures + missed >= timing.failures
        bad = seen.was_bad or hangs or Health.BAD in {seen.health, self.judge(now)[0]}
        good = seen.was_good or seen.health is Health.GOOD
        in_a_row = 0 if missed else min(seen.successes, timing.successes - 1)
        failed_until = self._due(seen) + missed * timing.interval if missed else seen.failed_until
        return Kept(
            timing.failures if bad else min(seen.failures + missed, timing.failures),
            memory,
            timing.successes if good and not bad else in_a_row,
            0.0 if good or seen.health is Health.BAD else seen.awaited + self._waited(seen, now),
            max(0.0, failed_until - now),
            unsure=seen.unsure if seen.was_bad else 0.0,
        )

    def goes_on(self, kept: Kept) -> None:
        """What a predecessor has found counts on, and is a verdict only with a fresh look that finds the same."""
        timing, was_bad = self.timing, kept.failures >= self.timing.failures
        same_until = NEVER if was_bad else self._seen.born + min(kept.same_for, timing.interval)
        self._seen = self._seen._replace(
            same_until=same_until,
            failed_until=same_until,
            failures=min(kept.failures, timing.failures - 1),
            successes=min(kept.successes, timing.successes - 1),
            was_good=kept.successes >= timing.successes and not was_bad,
            was_bad=was_bad,
            unsure=kept.unsure,
            awaited=kept.awaited,
        )

    def found_again(self, now: float) -> float:
        """Seconds of bad time before the first verdict here: of a predecessor after its last look, and that the look took which
        found the same again, or has by ``now``, if it hangs.
        """
        seen = self._seen
        if seen.was_bad and seen.begun is not None and self.hangs(now):
            return seen.unsure + now - seen.begun
        return seen.found_again

    @property
    def first_look_within(self) -> float:
        """Seconds of this process's life after which the first look is waited for no more; 0 where it has come back."""
        return 0.0 if self._seen.looked else self.timing.timeout + GRACE + NEWS

    @property
    def failed_looks(self) -> int:
        """Looks that have failed in this process. One more: what is bad was so until now."""
        return self._seen.failed_looks

    @property
    def good_verdicts(self) -> int:
        """Looks of this process by which it was good. One more: what came between two judgings was good in between."""
        return self._seen.good_verdicts

    def hangs(self, now: float) -> bool:
        """Whether a look that is under way, or ought to be, is a failed one by its silence: what is bad is so at this moment."""
        return self._missed(self._seen, now, GRACE) > 0

    @property
    def blind(self) -> bool:
        """The last look said nothing, by no fault of what is checked."""
        return bool(self._seen.own_faults or self._seen.spoiled)

    @property
    def limit(self) -> float:
        """Seconds of real time for the next look: its time limit is time in which the exporter runs."""
        return self.timing.timeout + round(self._seen.extra, 1)

    def begin(self, now: float) -> None:
        seen = self._seen
        blind = 0.0 if seen.blind_since is None else now - seen.blind_since
        self._seen = seen._replace(begun=now, born=seen.born + blind, blind_since=None)

    def end(self, now: float, problem: str | None) -> None:
        """The look that had begun is over; ``problem`` is what it found."""
        seen, timing = self._seen, self.timing
        late = self._late(seen, now)
        if late and problem is None:
            problem = f"the answer took longer than {timing.timeout:g} s"
        if problem is None:
            successes = seen.successes + 1
            good = seen.was_good or seen.health is Health.GOOD or successes >= timing.successes
            health = Health.GOOD if good else seen.health
            self._seen = self._looked(now)._replace(
                was_good=False,
                same_until=NEVER,
                failed_until=NEVER,
                failures=0,
                successes=successes,
                good_verdicts=seen.good_verdicts + good,
                found_again=0.0,
                health=health,
            )
            return
        same = seen.begun is not None and seen.begun < seen.same_until - TICK
        counted = max(0 if same else 1, self._missed(seen, now, 0.0))
        failures = seen.failures + counted
        bad = failures >= timing.failures
        self._seen = self._looked(now)._replace(
            failed_looks=seen.failed_looks + 1,
            was_good=seen.was_good and not bad,
            same_until=NEVER if counted else seen.same_until,
            failed_until=self._due(seen) + counted * timing.interval,
            failures=failures,
            successes=0,
            extra=seen.extra if late else 0.0,
            health=Health.BAD if bad else seen.health,
            reason=problem,
            found_again=seen.unsure + now - seen.begun
            if seen.was_bad and seen.begun is not None
            else seen.found_again,
        )

    def _looked(self, now: float) -> Looks:
        """A look has come back, and said something."""
        return self._seen._replace(
            looked=True,
            begun=None,
            idle_since=now,
            blind_since=None,
            own_faults=0,
            spoiled=0,
            extra=0.0,
            was_bad=False,
        )

    def not_looked(self, now: float, why: str) -> None:
        """The look that had begun came to nothing, by no fault of what is checked."""
        self._seen = self._blind(now)._replace(own_faults=self._seen.own_faults + 1, spoiled=0, reason=why)

    def spoils(self, now: float, stood: float) -> bool:
        """Whether the look that had begun says nothing, as the exporter ``stood`` still for so many seconds of it.

        Where it was late though by time in which the exporter ran, it is late. One that ended at its limit is followed by one
        that has so much more time, at most as much again: a service that hangs is late wherever the exporter runs for half of the time.
        """
        seen, timeout = self._seen, self.timing.timeout
        if stood < max(TICK, SHARE * timeout) or self._late(seen, now):
            return False
        if seen.begun is not None and now - seen.begun + stood >= self.limit - TICK:
            self._seen = seen._replace(extra=min(timeout, seen.extra + stood))
        self.not_run(now, f"the exporter stood still for {stood:.1f} s of a look, which is taken again")
        return True

    def not_run(self, now: float, why: str) -> None:
        """The look that had begun was starved: what was known before it stands, for as long as there is none that was not.

        A starved machine is the last that may be reset for it; one on which nothing runs at all falls silent by itself.
        """
        seen = self._seen
        reason = why if seen.health is Health.UNKNOWN else seen.reason
        self._seen = self._blind(now)._replace(spoiled=seen.spoiled + 1, reason=reason)

    def pause(self, begun: float, now: float) -> float:
        """Seconds from ``now`` until the look after the one that ``begun`` then."""
        seen, timing = self._seen, self.timing
        if seen.spoiled:
            return 0.0 if seen.spoiled < SPOILED else min(timing.interval, AGAIN)
        interval = min(timing.interval, WHILE_BAD) if seen.health is Health.BAD else timing.interval
        due = seen.same_until if begun < seen.same_until else begun + interval
        # It may be bad for want of a clear result before that: then, and not in the moment before.
        due = min(due, max(begun + WHILE_BAD, self._clear_by(seen) + TICK))
        faulty = seen.own_faults >= timing.failures
        return max(0.0, (min(due, begun + AGAIN) if faulty else due) - now)

    def _blind(self, now: float) -> Looks:
        seen = self._seen
        return seen._replace(
            begun=None, idle_since=now, blind_since=now if seen.begun is None else seen.begun
        )

    def not_known(self, now: float, why: str) -> None:
        """It is too early for a verdict."""
        self._seen = self._looked(now)._replace(born=now, awaited=0.0, reason=why)

    def judge(self, now: float) -> tuple[Health, str]:
        """The verdict and, where it is not good, its reason."""
        seen, timing = self._seen, self.timing
        if seen.own_faults >= timing.failures:
            return Health.FAULT, seen.reason
        if seen.failures + (missed := self._missed(seen, now, GRACE)) >= timing.failures:
            return Health.BAD, f"it hangs, results missing: {missed}" if missed else seen.reason
        if seen.health is Health.GOOD:
            return Health.GOOD, ""
        if (now if seen.blind_since is None else seen.blind_since) > self._clear_by(seen):
            return Health.BAD, f"no clear result within {self._patience:g} s; the last problem: {seen.reason}"
        return seen.health, seen.reason

    @property
    def _patience(self) -> float:
        """Seconds: good and bad in turn, and never enough of either, is no way to go on for ever."""
        timing = self.timing
        return max(timing.failures, timing.successes) * (timing.interval + timing.timeout)

    def _clear_by(self, seen: Looks) -> float:
        """When it is bad for want of a clear result."""
        before = seen.awaited if seen.failed_looks else 0.0
        return seen.born + self._patience - before if seen.health is Health.UNKNOWN else float("inf")

    @staticmethod
    def _waited(seen: Looks, now: float) -> float:
        """Seconds in this process for which a clear result was waited for, and somebody could look."""
        return (now if seen.blind_since is None else seen.blind_since) - seen.born

    def _missed(self, seen: Looks, now: float, grace: float) -> int:
        """Results that ought to have come since the last one: of a look that hangs, or of a thread that is gone.

        A look that was cut off with its process says nothing: nobody can tell a slow answer from none.
        """
        timing = self.timing
        late = now - self._due(seen) - timing.timeout - seen.extra - grace
        return 0 if late <= 0 else 1 + int(late / timing.interval)

    def _due(self, seen: Looks) -> float:
        """When the look that is awaited was to begin, to count as another one than that of a predecessor."""
        begun = seen.idle_since + self.timing.interval if seen.begun is None else seen.begun
        return max(begun, seen.same_until)

    def _late(self, seen: Looks, now: float) -> bool:
        """Whether the look that is under way has taken longer than its time limit, without standstills."""
        return seen.begun is not None and now - seen.begun - self.timing.timeout > 0
