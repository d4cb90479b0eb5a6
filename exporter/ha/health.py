"""The exporter's verdict on health: its own polls and web server, and every check of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.ha.bad_time import BadTime
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import CheckTiming
from exporter.ha.checks import web
from exporter.ha.kept import Kept
from exporter.ha.messages import HealthUpdate
from exporter.ha.rules import Health
from exporter.ha.running_clock import RunningClock

WEB = CheckTiming(interval=5.0, timeout=5.0, failures=2)
"""For the loop of the exporter's own web server: it stands after about ten seconds, and grace is still to come."""


LONGEST_REASON = 500
"""Characters of it that the heart is told each second: the pipe to one that stands still takes those of a minute."""


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """``checks``: every check by name, the exporter's own ``poll`` and ``web`` among them, and whether it is good."""

    health: Health
    reason: str
    checks: Mapping[str, bool]
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """The user's checks by name, for a successor of this process."""
    bad_for: float = float("inf")
    """Seconds for which the user's check was known to be bad that was so for longest, since its last good verdict."""
    unsure: float = 0.0
    """Those of them that do not count now: no look has confirmed them yet, or it is another check than those that are known
    to be bad."""
    bad_now: float = float("inf")
    """Seconds of bad time of the checks that are bad now: one that can't be looked at asks for no reset, nor does another for it."""
    fault: bool = False
    """Something of the exporter's own is not well, whatever the checks are."""
    known_bad: bool = False
    """A check of the user's is bad, or was so when it could be looked at last."""
    found_again: float = 0.0
    """Seconds, of all checks up to now, that they had been bad for a predecessor after its last look, and that the looks took
    which found them bad again."""
    first_look_by: float = float("-inf")
    """When the first look is over, at the latest, of the checks that had been bad for the grace period before this process."""
    session_changes: int = 0
    """Changes of the host's session id so far. What the checks had of bad time before the last one is gone."""

    def update(self, at: float) -> HealthUpdate:
        """What the heart is told of it, judged ``at``."""
        reason = self.reason if len(self.reason) <= LONGEST_REASON else f"{self.reason[:LONGEST_REASON]}..."
        return HealthUpdate(
            self.health,
            reason,
            at,
            self.session_changes,
            self.bad_for,
            self.unsure,
            self.bad_now,
            self.fault,
            self.known_bad,
            self.found_again,
            self.first_look_by,
        )


class _Judged:
    """A check of the user's with its bad time. ``longest`` as in :class:`BadTime`."""

    def __init__(self, runner: CheckRunner, longest: float) -> None:
        self.runner = runner
        self.bad = BadTime(longest)
        self.unsure = 0.0
        """The last seconds of its bad time, which no look has confirmed yet."""
        self.found_again = 0.0
        """As in :class:`CheckState`, once it is counted: with the first bad verdict."""
        self._found = False
        self._since: float | None = None
        """When all bad time of before was cleared."""
        self._failed_looks = self._good_verdicts = 0
        self._health = Health.UNKNOWN
        """The last verdict."""
        self.known_bad = False
        """It is bad, or was so when it could be looked at last."""

    def judge(self, now: float) -> tuple[Health, str]:
        """The verdict, and its reason. ``now`` by the clock of the checks: in a standstill nobody knew that it was bad.

        One that was good since the last time is good, whatever has come after that: this is told the next time.
        """
        state, bad = self.runner.state, self.bad
        health, reason = state.judge(now)
        good_verdicts = state.good_verdicts
        if good_verdicts > self._good_verdicts and self._health is not Health.GOOD:
            health, reason = Health.GOOD, ""
        self._health, self._good_verdicts = health, good_verdicts
        self.known_bad = health is Health.BAD or (self.known_bad and health is Health.FAULT)
        if health is Health.BAD and not self._found:
            self._found = True
            again = state.found_again(now)
            self.found_again = again if self._since is None else min(again, now - self._since)
        failed = state.failed_looks
        sure = failed > self._failed_looks or state.hangs(now)
        self._failed_looks = failed
        before = bad.checks
        bad.observe(now, health, found_again=self.found_again)
        self.unsure = 0.0 if sure or not bad.checks else self.unsure + bad.checks - before
        if state.blind:
            bad.take_back(self.unsure)
            self.unsure = 0.0
        return health, reason

    @property
    def sure(self) -> float:
        """Seconds of its bad time up to a look that found it bad."""
        return self.bad.checks - self.unsure

    def kept(self, now: float) -> Kept:
        """What a successor has to know of it."""
        kept = self.runner.kept(now)
        # What has been found again is among the bad time by now; that of before another session is none.
        of_before = kept.unsure if not self._found and self._since is None else 0.0
        return kept._replace(bad_for=self.sure, unsure=of_before + self.unsure)

    def clear(self, now: float) -> None:
        """Another session, maintenance."""
        self.bad.clear()
        self.unsure, self._since, self.known_bad = 0.0, now, False


class HealthJudge:
    """Judges whenever asked, from what is known: it never waits for anything.

    ``last_poll`` gives the monotonic time of the last good poll, 0 before the first; that may have been seen ``max_poll_age``
    seconds of running ago, ``longest`` those between two verdicts beyond which nobody was looking; ``grace``: those of bad time
    after which a check is waited for. ``responds`` says whether the web server's loop turns within so many
    seconds, without coming in by the door that strangers push at; None: there is no web server. ``running`` is the clock
    of ``checks``, ``session_changes`` gives how often the host's session id has changed, ``maintained`` whether there is
    maintenance, or has been since it was asked last.
    """

    def __init__(
        self,
        checks: Sequence[CheckRunner],
        last_poll: Callable[[], float],
        max_poll_age: float,
        responds: Callable[[float], bool] | None = None,
        *,
        running: RunningClock,
        clock: Callable[[], float] = time.monotonic,
        longest: float = float("inf"),
        grace: float = 0.0,
        session_changes: Callable[[], int] = lambda: 0,
        maintained: Callable[[], bool] = lambda: False,
    ) -> None:
        self._maintained = maintained
        self._grace = grace
        self._session_changes = session_changes
        self._sessions = session_changes()
        self._checks = [_Judged(runner, longest) for runner in checks]
        self._running = running
        self._web = None if responds is None else CheckRunner("web", web(responds), WEB, running)
        self._last_poll = last_poll
        self._max_poll_age = max_poll_age
        self._clock, self._born = clock, clock()
        self._polled = 0.0, running()
        """The last good poll, and when it was first seen, by the clock of the checks."""

    def goes_on(self, kept: Mapping[str, Kept], bad_for: float = 0.0) -> None:
        """Before :meth:`start`: what the checks of a predecessor have found counts on.

        ``bad_for``: bad time of which it is not known whose it was, where nothing is kept.
        """
        for check in self._checks:
            left = kept.get(check.runner.name, Kept(bad_for=0.0 if kept else bad_for))
            if check.runner.goes_on(left) or not kept:
                check.bad.checks = left.bad_for

    def start(self) -> None:
        self._running.start()
        for runner in self._runners():
            runner.start()

    def stop(self) -> None:
        for runner in self._runners():
            runner.stop()
        self._running.stop()

    def judge(self) -> HealthSummary:
        now = self._running()
        own = {"poll": self._poll(now)}
        if self._web is not None:
            own["web"] = self._web.state.judge(now)
        sessions = self._session_changes()
        if self._maintained() or sessions != self._sessions:
            self._sessions = sessions
            for each in self._checks:
                each.clear(now)
        user = {check.runner.name: check.judge(now) for check in self._checks}
        found = {**own, **user}
        found_own, found_user = ([health for health, _ in each.values()] for each in (own, user))
        worst = _worst(found_own, found_user)
        longest = max((each.bad.checks for each in self._checks), default=0.0)
        known_bad = [each for each in self._checks if each.known_bad]
        # What another check was bad for counts when that one is found bad: no bad verdict spends what it did not add. One that
        # can't be looked at any more is what it was.
        sure = max((each.sure for each in known_bad or self._checks), default=0.0)
        # What is only not known yet is no part of why health is bad.
        beside = {Health.GOOD} if worst is Health.UNKNOWN else {Health.GOOD, Health.UNKNOWN}
        return HealthSummary(
            worst,
            "; ".join(
                f"check {name}: {reason}" for name, (health, reason) in found.items() if health not in beside
            ),
            {name: health is Health.GOOD for name, (health, _) in found.items()},
            {each.runner.name: each.kept(now) for each in self._checks},
            longest,
            longest - sure,
            max((each.sure for each in self._checks if user[each.runner.name][0] is Health.BAD), default=0.0),
            Health.BAD in found_own or Health.FAULT in (*found_own, *found_user),
            bool(known_bad),
            sum(each.found_again for each in self._checks),
            self._first_look_by(),
            sessions,
        )

    def _first_look_by(self) -> float:
        """As in the summary. By the clock of the host: it counts on while the exporter stands still."""
        awaited = (
            each.runner.state.first_look_within
            for each in self._checks
            if each.bad.checks and each.bad.spent(self._grace)
        )
        within = max(awaited, default=0.0)
        return self._born + within if within else float("-inf")

    def _runners(self) -> list[CheckRunner]:
        return [*(each.runner for each in self._checks), *([self._web] if self._web is not None else [])]

    def _poll(self, now: float) -> tuple[Health, str]:
        """``now`` by the clock of the checks: an exporter that hardly runs polls seldom, and that is no poll that fails."""
        last = self._last_poll()
        if last != self._polled[0]:
            self._polled = last, now
        age = now - self._polled[1]
        if age > self._max_poll_age:
            return (
                Health.BAD,
                f"the last good poll is {age:.0f} s old" if last else f"no good poll in {age:.0f} s",
            )
        return (Health.GOOD, "") if last else (Health.UNKNOWN, "no poll has ended yet")


def _worst(own: Sequence[Health], user: Sequence[Health]) -> Health:
    if Health.BAD in user:
        return Health.BAD
    if Health.BAD in own or Health.FAULT in (*own, *user):
        return Health.FAULT
    return Health.UNKNOWN if Health.UNKNOWN in (*own, *user) else Health.GOOD
