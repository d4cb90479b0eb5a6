"""The exporter's verdict on health: its own polls and web server, and every check of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.ha.check_runner import CheckRunner, CheckTiming, Kept
from exporter.ha.checks import web
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


class HealthJudge:
    """Judges whenever asked, from what is known: it never waits for anything.

    ``last_poll`` gives the monotonic time of the last good poll, 0 before the first; that may be ``max_poll_age``
    seconds ago. ``responds`` says whether the web server's loop turns within so many
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
    ) -> None:
        self._checks = checks
        self._running = running
        self._web = None if responds is None else CheckRunner("web", web(responds), WEB, running)
        self._last_poll = last_poll
        self._max_poll_age = max_poll_age
        self._clock = clock
        self._born = clock()
        self._polled = 0.0, running.stood
        """The last good poll, and how long the exporter had stood still when it was seen."""

    def goes_on(self, kept: Mapping[str, Kept]) -> None:
        """Before :meth:`start`: what the checks of a predecessor have found counts on."""
        for runner in self._checks:
            runner.goes_on(kept.get(runner.name, Kept()))

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
        own = {"poll": self._poll(self._clock())}
        if self._web is not None:
            own["web"] = self._web.judge(now)
        user = {runner.name: runner.judge(now) for runner in self._checks}
        found = {**own, **user}
        return HealthSummary(
            _worst([health for health, _ in own.values()], [health for health, _ in user.values()]),
            "; ".join(
                f"check {name}: {reason}"
                for name, (health, reason) in found.items()
                if health is not Health.GOOD
            ),
            {name: health is Health.GOOD for name, (health, _) in found.items()},
            {runner.name: runner.kept(now) for runner in self._checks},
        )

    def _runners(self) -> list[CheckRunner]:
        return [*self._checks, *([self._web] if self._web is not None else [])]

    def _poll(self, now: float) -> tuple[Health, str]:
        last, stood = self._last_poll(), self._running.stood
        if last != self._polled[0]:
            self._polled = last, stood
        # An exporter that hardly runs polls seldom: that is no poll that fails.
        age = now - (last or self._born) - (stood - self._polled[1])
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
