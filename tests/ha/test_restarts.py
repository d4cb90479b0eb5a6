"""Bad health that lasts comes to its end, however often the heart, or the whole exporter, is killed meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from exporter.ha.actions import Call
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import CheckTiming
from exporter.ha.health import HealthJudge
from exporter.ha.host_state import CallResult
from exporter.ha.kept import Kept
from exporter.ha.policy import Policy
from exporter.ha.rules import Leftover, OnUnhealthy, Phase, Rules
from exporter.protocol.appmonitor import AppStatus, Code, Verb
from tests.ha.set_clock import SetClock

STEP = 0.5
ANSWERS: Mapping[Verb, CallResult] = {Verb.IS_ENABLED: True, Verb.GET_APP_STATUS: AppStatus.GREEN}


class Life:
    """An exporter with one check that fails ``took`` seconds after each look began, and its heart.

    ``blips``: another check is bad for so many seconds from the start on, then good.
    """

    def __init__(
        self,
        clock: SetClock,
        took: float,
        timeout: float,
        kept: Mapping[str, Kept],
        noted: float,
        blips: float = 0.0,
    ) -> None:
        self.clock, self.took, self.sessions = clock, took, 0
        self.runner = CheckRunner("shop", lambda _: "down", CheckTiming(10.0, timeout, 1, 1), clock)
        self.other = CheckRunner("mail", lambda _: "down", CheckTiming(1.0, timeout, 1, 1), clock)
        self.well_from = clock.now + blips
        self.judge = HealthJudge(
            [self.runner, self.other] if blips else [self.runner],
            lambda: clock.now,
            30.0,
            clock=clock,
            running=clock,
            longest=10.0,
            session_changes=lambda: self.sessions,
        )
        self.judge.goes_on(kept, noted)
        self.kept = dict(kept)
        self.due, self.began = clock.now, -1.0
        self.heart(noted)

    def heart(self, bad_for: float) -> None:
        rules = Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET)
        self.policy = Policy(rules, self.clock.now, Leftover.MONITORING, bad_for)

    def turn(self) -> None:
        now, state = self.clock.now, self.runner.state
        if self.began < 0 and now >= self.due:
            state.begin(now)
            self.began = now
        if 0 <= self.began <= now - self.took:
            state.end(now, "down")
            self.due, self.began = now + state.pause(self.began, now), -1.0
        self.other.state.begin(now)
        self.other.state.end(now, "down" if now < self.well_from else None)
        summary = self.judge.judge()
        self.kept = dict(summary.kept)
        update = summary.update(now)
        for _ in range(6):
            action = self.policy.next(now, update)
            if not isinstance(action, Call):
                return
            self.policy.done(now, action, ANSWERS.get(action.verb, Code.OK))


def asks_after(
    *,
    heart: float = 1e9,
    main: float = 1e9,
    took: float = 0.0,
    timeout: float = 5.0,
    blips: float = 0.0,
) -> float:
    """Seconds of bad health until a reset is asked for; ``heart`` and ``main``: how long one lives."""
    clock = SetClock()
    life = Life(clock, took, timeout, {}, 0.0, blips)
    began = born = heart_born = clock.now
    for _ in range(int(900 / STEP)):
        if clock.now - born >= main:
            life = Life(clock, took, timeout, life.kept, life.policy.bad_time.sure, blips)
            born = heart_born = clock.now
        elif clock.now - heart_born >= heart:
            life.heart(life.policy.bad_time.checks)
            heart_born = clock.now
        life.turn()
        if life.policy.phase is Phase.ASKING:
            return clock.now - began
        clock.now += STEP
    return float("inf")


@pytest.mark.parametrize("lives", [3, 5, 9, 9.5, 10, 15, 20, 30])
@pytest.mark.parametrize(("took", "timeout"), [(0, 5), (5, 5), (30, 30)])
def test_a_heart_that_is_killed_again_and_again_loses_no_bad_time(
    lives: float, took: float, timeout: float
) -> None:
    """Found by a stranger: one that lived for 5 s or 10 s never asked."""
    undisturbed = asks_after(took=took, timeout=timeout)
    assert undisturbed <= took + 30 + max(took, 5)
    # Between two lives nobody has two verdicts to hold against each other.
    assert asks_after(heart=lives, took=took, timeout=timeout) <= undisturbed * (1 + STEP / lives) + took + 5


@pytest.mark.parametrize("lives", [3, 5.5, 9, 10, 15, 20, 30])
@pytest.mark.parametrize("took", [0, 2.5])
def test_an_exporter_that_is_killed_again_and_again_loses_none(lives: float, took: float) -> None:
    undisturbed = asks_after(took=took)
    assert asks_after(main=lives, took=took) <= undisturbed * (1 + STEP / lives) + took + 5


@pytest.mark.parametrize("lives", [9, 12, 20])
def test_nor_one_whose_look_never_comes_back(lives: float) -> None:
    """A file on a dead mount: it hangs once its process has lived for the time limit and 2 s."""
    undisturbed = asks_after(took=1e9)
    # Each life is known to be bad from its 7th second on; what came before counts.
    assert asks_after(main=lives, took=1e9) <= undisturbed + lives + 10


@pytest.mark.parametrize("blips", [0.5, 2.5, 6.5])
def test_nor_does_another_check_that_is_bad_for_a_moment_at_each_start(blips: float) -> None:
    """Found by a stranger: the reset came when 135 s were bad, and not 29 s."""
    alone = asks_after(main=8, took=1e9)
    assert alone < 50
    assert asks_after(main=8, took=1e9, blips=blips) <= alone


def test_a_look_that_hangs_after_one_that_failed_is_no_more_bad_time_than_has_passed() -> None:
    """Found by a stranger: 87 s were noted when 58 s had passed."""
    clock = SetClock()
    life = Life(clock, 0.0, 20.0, {}, 0.0)
    began = born = clock.now
    while clock.now - began < 140:
        if clock.now - born >= 23:
            life = Life(clock, life.took, 20.0, life.kept, life.policy.bad_time.sure)
            born = clock.now
        life.turn()
        life.took = 1e9
        assert life.policy.bad_time.checks <= clock.now - began
        assert life.kept["shop"].bad_for + life.kept["shop"].unsure <= clock.now - began
        clock.now += STEP
    assert life.kept["shop"].bad_for > 130, "nor less, but for moments between two lives"


def test_another_session_in_the_first_look_after_a_restart_clears_what_was_before_it() -> None:
    """Found by a stranger: 0 s of grace were left, though the session had changed 5 s before the verdict."""
    clock = SetClock()
    life = Life(clock, 1e9, 20.0, {"shop": Kept(failures=1, bad_for=8.0, unsure=3.0)}, 8.0)
    began = clock.now
    while life.policy.phase is not Phase.ASKING:
        if clock.now - began == 18:
            life.sessions += 1
            life.policy.session_changed(clock.now)
        if clock.now - began == 30:
            life.heart(life.policy.bad_time.checks)
        life.turn()
        clock.now += STEP
    assert clock.now - STEP - began == pytest.approx(18 + 30, abs=STEP), (
        "a whole grace period of the new session"
    )
