"""How long health has been bad: a sum of observed time, not the time since some moment.

Only time between two verdicts in a row, both bad, counts, and only once a look has found the check bad at its end: a verdict
stands until the next look, and what is checked may be well meanwhile. A standstill, a verdict that is late, or one that is not
known yet adds nothing and clears nothing; the first good verdict clears all. Each check has its bad time by itself, so
that the good verdict of one clears what it has added, whatever the others are; that of all is the longest of them. Faults
of the exporter's own are a sum apart, with a grace period apart: neither spends the other's.
"""

from __future__ import annotations

from exporter.ha.rules import Health

ROUNDING = 1e-3
"""Seconds: a sum of times that is short of the grace period by no more is not short of it."""


class BadTime:
    """``checks``: seconds for which a check of the user's was known to be bad, those of a predecessor included.

    ``own``: seconds for which the exporter itself was not well, whatever the checks were meanwhile; a verdict without a
    fault of its own ends them. ``longest``: seconds between two verdicts beyond which nobody was looking.
    """

    def __init__(self, longest: float, checks: float = 0.0, own: float = 0.0) -> None:
        self.checks = checks
        self.own = own
        self.unsure = 0.0
        """Seconds of a bad verdict that no look has confirmed yet, or of another check than those that are known to be bad."""
        self._proved = float("inf")
        """Seconds that are left of ``longest`` without those."""
        self._known_bad = False
        """A check is bad, or was so when it could be looked at last, by a verdict that was given here."""
        self._found_again = 0.0
        """What is counted of it."""
        self._longest = longest
        self._last: tuple[float, Health, bool] | None = None

    def left(self, grace: float, health: Health) -> float:
        """Seconds of ``grace`` that are still to come before ``health`` has effects.

        Bad time of before a restart counts on only with a verdict that is bad now; where checks have spent all of it
        here, a fault of the exporter's own changes nothing.
        """
        faulty = health is Health.FAULT and not (self._known_bad and self.spent(grace))
        left = grace - (self.own if faulty else max(self.sure, self.own))
        return left if left > ROUNDING else 0.0

    def spent(self, grace: float) -> bool:
        """Whether checks have been bad for all of ``grace``."""
        return self.sure >= grace - ROUNDING

    @property
    def sure(self) -> float:
        """Seconds for which checks were bad, up to a look that found it so: what counts."""
        unsure = self.unsure if self._proved == float("inf") else 0.0
        return max(0.0, min(self.checks - unsure, self._proved))

    def observe(
        self,
        at: float,
        health: Health,
        longest: float = float("inf"),
        found_again: float = 0.0,
        *,
        unsure: float = 0.0,
        fault: bool = False,
        known_bad: bool | None = None,
    ) -> None:
        """A verdict that was given at ``at``; the same one twice counts once.

        ``longest``: seconds for which the check was known to be bad that was so for longest, of those that have not been good
        since. ``found_again``: those that looks took by which bad verdicts of a predecessor were found again, up to now: each
        is bad time as well, when its turn comes. ``unsure``: seconds of ``longest`` that do not count now.
        ``fault``: something of the exporter's own is not well either, beside a check that is bad. ``known_bad``: a check is bad, or
        was so when it could be looked at last; None: by the verdicts here.
        """
        fault |= health is Health.FAULT
        before, self._last = self._last, (at, health, fault)
        self.unsure, self._proved = unsure, longest - unsure
        if health is Health.GOOD:
            self.clear()
            return
        if known_bad is not None:
            self._known_bad = known_bad
        elif health is not Health.FAULT:
            self._known_bad = health is Health.BAD
        if not fault:
            self.own = 0.0
        if before is not None and 0 < at - before[0] <= self._longest:
            if health is before[1] is Health.BAD:
                self.checks += at - before[0]
            if fault and before[2]:
                self.own += at - before[0]
        if health is Health.BAD:
            self.checks += max(0.0, found_again - self._found_again)
            self._found_again = found_again
        self.checks = min(self.checks, longest)

    def take_back(self, seconds: float) -> None:
        """The last ``seconds`` of ``checks``: nobody could look."""
        self.checks = max(0.0, self.checks - seconds)

    def clear(self) -> None:
        """An orderly stop, maintenance, another session."""
        self.checks = self.own = self.unsure = 0.0
        self._proved = float("inf")
        self._known_bad = False
