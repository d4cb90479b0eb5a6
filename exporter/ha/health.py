"""The exporter's verdict on health: its own polls and web server, and every check of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    """The last of them, which no look has confirmed yet."""
    fault: bool = False
    """Something of the exporter's own is not well, whatever the checks are."""
    found_again: float = 0.0
    """Seconds that it had been bad for a predecessor after its last look, and that the look took which found it bad again."""
    first_look_by: float = float("-inf")
    """When the first look is over, at the latest, of the check that has been bad for longest: since before this process."""

    def update(self, at: float, session_changes: int) -> HealthUpdate:
        """What the heart is told of it, judged ``at``."""
        return HealthUpdate(
            self.health,
            self.reason,
            at,
            session_changes,
            self.bad_for,
            self.unsure,
            self.fault,
            self.found_again,
            self.first_look_by,
        )


class HealthJudge:
    """Judges whenever asked, from what is known: it never waits for anything.

    ``last_poll`` gives the monotonic time of the last good poll, 0 before the first; that may have been seen ``max_poll_age``
    seconds of running ago, ``longest`` those between two verdicts beyond which nobody was looking. ``responds`` says whether the web server's loop turns within so many
    seconds, without coming in by the door that strangers push at; None: there is no web server. ``running`` is the clock
    of ``checks``.
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
    ) -> None:
        self._checks = checks
        self._longest = longest
        self._bad = {runner.name: BadTime(longest) for runner in checks}
        self._failed_looks = {runner.name: 0 for runner in checks}
        self._unsure = {runner.name: 0.0 for runner in checks}
        """Of the bad time of each check the last seconds, which no look has confirmed yet."""
        self._running = running
        self._web = None if responds is None else CheckRunner("web", web(responds), WEB, running)
        self._last_poll = last_poll
        self._max_poll_age = max_poll_age
        self._clock = clock
        self._polled = 0.0, running()
        """The last good poll, and when it was first seen, by the clock of the checks."""

    def goes_on(self, kept: Mapping[str, Kept], bad_for: float = 0.0) -> None:
        """Before :meth:`start`: what the checks of a predecessor have found counts on.

        ``bad_for``: bad time of which it is not known whose it was, where nothing is kept.
        """
        for runner in self._checks:
            left = kept.get(runner.name, Kept(bad_for=0.0 if kept else bad_for))
            if runner.goes_on(left) or not kept:
                self._bad[runner.name] = BadTime(self._longest, left.bad_for)

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
            own["web"] = self._web.judge(now)
        user = {runner.name: runner.judge(now) for runner in self._checks}
        found = {**own, **user}
        again = {runner.name: runner.found_again(now) for runner in self._checks}
        for runner in self._checks:
            name, failed = runner.name, runner.failed_looks
            sure = failed > self._failed_looks[name] or runner.hangs(now)
            self._failed_looks[name] = failed
            bad = self._bad[name]
            before = bad.checks
            bad.observe(self._clock(), user[name][0], found_again=again[name])
            grown = self._unsure[name] + bad.checks - before
            self._unsure[name] = 0.0 if sure or not bad.checks else grown
        found_own, found_user = ([health for health, _ in each.values()] for each in (own, user))
        worst = _worst(found_own, found_user)
        longest, unsure = max(
            ((bad.checks, -self._unsure[name]) for name, bad in self._bad.items()), default=(0.0, 0.0)
        )
        # What is only not known yet is no part of why health is bad.
        beside = {Health.GOOD} if worst is Health.UNKNOWN else {Health.GOOD, Health.UNKNOWN}
        return HealthSummary(
            worst,
            "; ".join(
                f"check {name}: {reason}" for name, (health, reason) in found.items() if health not in beside
            ),
            {name: health is Health.GOOD for name, (health, _) in found.items()},
            {runner.name: self._kept(runner, now) for runner in self._checks},
            longest,
            -unsure,
            Health.BAD in found_own or Health.FAULT in (*found_own, *found_user),
            max((again[name] for name, (health, _) in user.items() if health is Health.BAD), default=0.0),
            self._first_look_by(now),
        )

    def _kept(self, runner: CheckRunner, now: float) -> Kept:
        kept, unsure = runner.kept(now), self._unsure[runner.name]
        return replace(kept, bad_for=self._bad[runner.name].checks - unsure, unsure=kept.unsure + unsure)

    def _first_look_by(self, now: float) -> float:
        """As in the summary. ``now`` by the clock of the checks: while the exporter stands still nobody looks."""
        longest = max((each.checks for each in self._bad.values()), default=0.0)
        awaited = [
            left
            for runner in self._checks
            if longest and self._bad[runner.name].checks == longest and (left := runner.first_look_left(now))
        ]
        return self._clock() + max(awaited) if awaited else float("-inf")

    def _runners(self) -> list[CheckRunner]:
        return [*self._checks, *([self._web] if self._web is not None else [])]

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
