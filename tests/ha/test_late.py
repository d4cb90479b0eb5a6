"""Calls that were given up after their 2 s, and that the host carries out all the same, some time later.

A host answers what comes over one connection in its order. Over the next connection it may say how things stand before it
has carried out what came over the last: found by a stranger, in five ways that each ended in a wrong reset or left monitoring
on.
"""

from __future__ import annotations

import pytest

from exporter.errors import ConnectionLost, RefusedError, RpcError, TimeoutExpired
from exporter.ha.actions import Call, End, Wait
from exporter.ha.hand_back import hand_back
from exporter.ha.host_state import CallResult, HostState
from exporter.ha.late import LATE
from exporter.ha.policy import Policy
from exporter.ha.rules import Leftover, OnUnhealthy, Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb
from tests.ha.test_policy import BAD, GOOD, OK_STATE, UNKNOWN, A, D, E, M, Run, S

LIMIT = 2.0
"""Seconds for a call."""
WINDOW = 30.0


class Slow(Run):
    """A host that carries out ``verb`` (with ``state``) ``seconds`` after it came, ``times`` times, and resets after 30 s."""

    def __init__(
        self,
        rules: Rules | None = None,
        leftover: Leftover = Leftover.NOTHING,
        *,
        on: bool = False,
        late_until: float = float("-inf"),
    ) -> None:
        super().__init__(rules, leftover, on=on)
        self.policy = Policy(rules or Rules(), self.now, leftover, late_until=late_until)
        self.slow: tuple[Verb, AppState | None, float, int] = (E, None, 6.0, 1)
        self.to_come: list[tuple[float, Call]] = []
        self.heard_at = self.now
        self.asked_at: float | None = None
        self.resets: list[float] = []

    def come(self) -> None:
        for when, call in [*self.to_come]:
            if when <= self.now:
                self.to_come.remove((when, call))
                self.carry_out(when, call)
        if self.on and self.now > self.heard_at + WINDOW:
            self.resets.append(self.heard_at + WINDOW)
            self.on = False

    def carry_out(self, when: float, call: Call) -> CallResult:
        if call.verb is E and not self.on:
            self.heard_at = when
        if call.verb is M and self.on:
            self.heard_at = when
        if call.state is not None:
            self.asked_at = when if call.state is AppState.NEED_RESET else None
        return super()._answer(call)

    def step(self) -> Call | Wait | End:
        self.come()
        return super().step()

    def _answer(self, call: Call) -> CallResult:
        verb, state, seconds, times = self.slow
        if times and (call.verb, call.state) == (verb, state):
            self.slow = verb, state, seconds, times - 1
            self.to_come.append((self.now + seconds, call))
            self.now += LIMIT
            return TimeoutExpired("no answer")
        return self.carry_out(self.now, call)

    def left(self) -> Leftover:
        return self.policy.conversation.host.leftover

    def until_sent(self) -> None:
        for _ in range(500):
            if self.slow[3] == 0:
                return
            action = self.step()
            if isinstance(action, Wait):
                self.now = min(action.until, self.now + 1)
        raise AssertionError("it was not sent")


@pytest.mark.parametrize("seconds", [2.5, 6.0, 20.0, 29.0])
def test_a_stop_is_not_over_while_an_enable_that_was_given_up_may_come(seconds: float) -> None:
    run = Slow()
    run.slow = E, None, seconds, 1
    run.until_sent()
    run.policy.stop(run.now)
    run.pass_time(70)
    assert run.end == End(confirmed=True)
    assert (run.on, run.to_come, run.resets) == (False, [], [])
    assert run.logged("Monitoring is off, and may come on again: an Enable was given up") in {1, 2}
    assert run.logged("taken over") == 1
    assert run.logged("Monitoring is off, confirmed by the host.") == 1
    assert run.log[-1] == "info: Monitoring is off, confirmed by the host."
    assert (
        run.logged("handed back to vSphere HA first. A call was given up without an answer, and the host")
        == 1
    )


def test_so_it_is_where_a_later_enable_was_taken() -> None:
    run = Slow()
    run.slow = E, None, 9.0, 1
    run.pass_time(4)
    assert (run.policy.phase, run.on) == (Phase.BEATING, True)
    run.policy.stop(run.now)
    run.pass_time(70)
    assert run.end == End(confirmed=True)
    assert (run.on, run.to_come) == (False, [])


def test_an_enable_that_was_answered_or_refused_makes_no_stop_longer() -> None:
    run = Run()
    run.pass_time(5)
    run.policy.stop(run.now)
    assert run.verbs(1) == [D, A]
    assert run.end == End(confirmed=True)
    refused = Run()
    refused.answers[E] = RpcError("Permission denied")
    refused.pass_time(5)
    refused.policy.stop(refused.now)
    assert refused.verbs(5) == [A]
    assert refused.end == End(confirmed=True)


@pytest.mark.parametrize("seconds", [6.0, 25.0, 300.0])
def test_in_maintenance_what_comes_late_is_switched_off(seconds: float) -> None:
    """However late: the status shows it, where IsEnabled is not asked any more."""
    run = Slow()
    run.slow = E, None, seconds, 1
    run.until_sent()
    run.maintenance = True
    run.pass_time(seconds + 120)
    assert (run.on, run.to_come, run.resets) == (False, [], [])


@pytest.mark.parametrize("phase", [Phase.MAINTENANCE, Phase.OFF, Phase.WAITING])
@pytest.mark.parametrize("status", [AppStatus.GREEN, AppStatus.RED])
def test_what_another_program_switches_on_is_switched_off(phase: Phase, status: AppStatus) -> None:
    run = Slow(Rules(on_unhealthy=OnUnhealthy.DISABLE))
    run.slow = E, None, 0.0, 0
    if phase is Phase.WAITING:
        run.health = UNKNOWN
    run.pass_time(5)
    run.maintenance = phase is Phase.MAINTENANCE
    if phase is Phase.OFF:
        run.health = BAD
        run.pass_time(60)
    run.pass_time(20)
    assert (run.policy.phase, run.on) == (phase, False)
    run.log.clear()
    run.on, run.heard_at, run.status = True, run.now, status
    run.pass_time(25)
    assert (run.on, run.resets) == (False, [])
    assert run.logged("confirmed by the host") == 1
    assert run.logged("it is switched off") == 1


def test_a_status_that_is_green_though_monitoring_is_off_is_asked_after_and_no_more() -> None:
    """A host whose word on the status is an old one: nothing is expected, and nothing is asked for."""
    run = Run(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.pass_time(5)
    run.maintenance = True
    run.pass_time(5)
    run.answers[S] = AppStatus.GREEN
    run.log.clear()
    verbs = run.verbs(60)
    assert set(verbs) == {S, A}
    assert verbs.count(A) == verbs.count(S)
    assert run.log == ["info: vSphere HA sees this application as Green."]


def test_a_request_for_a_reset_that_comes_late_is_taken_back_once_more() -> None:
    run = Slow(Rules(grace=5.0, on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.slow = Verb.POST_APP_STATE, AppState.NEED_RESET, 8.0, 1
    run.pass_time(5)
    run.health = BAD
    run.until_sent()
    run.health = GOOD
    calls = run.verbs(10)
    assert {OK_STATE, M} <= set(calls)
    assert (run.asked_at, run.to_come) == (None, [])
    assert run.left() is Leftover.REQUEST, "another may have been under way"
    run.pass_time(LATE)
    assert run.left() is Leftover.MONITORING
    assert OK_STATE not in run.verbs(60)
    assert run.logged("The request for a reset is taken back. One was given up") == 1
    assert run.logged("taken back") == 1


def test_a_stop_waits_for_that_too() -> None:
    run = Slow(Rules(grace=5.0, on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.slow = Verb.POST_APP_STATE, AppState.NEED_RESET, 20.0, 1
    run.pass_time(5)
    run.health = BAD
    run.until_sent()
    run.policy.stop(run.now)
    run.pass_time(70)
    assert run.end == End(confirmed=True)
    assert (run.asked_at, run.on, run.to_come) == (None, False, [])


def test_a_successor_whose_checks_are_not_good_yet_beats_for_what_comes_late() -> None:
    """The exporter was killed in the Enable; the next one heard "false" once, and never asked again."""
    run = Slow(leftover=Leftover.MONITORING, late_until=100.0 + LATE)
    run.slow = E, None, 0.0, 0
    run.to_come.append((106.0, Call(E)))
    run.health = BAD
    calls = run.pass_time(20)
    assert run.on
    assert min(at for at, call in calls if call is M) <= 8.0
    assert run.policy.phase is Phase.BEATING


def test_and_asks_no_more_when_that_is_over() -> None:
    run = Slow(leftover=Leftover.MONITORING, late_until=105.0)
    run.slow = E, None, 0.0, 0
    run.health = BAD
    assert run.verbs(10).count(A) in range(5, 8)
    assert run.policy.conversation.host.leftover is Leftover.NOTHING
    verbs = run.verbs(60)
    assert verbs.count(A) == verbs.count(S)


def test_bad_health_within_grace_is_no_reason_to_leave_alone_what_comes_late() -> None:
    """Nobody would have beaten for all of a long grace period."""
    run = Slow(Rules(grace=900.0))
    run.until_sent()
    run.health = BAD
    run.pass_time(100)
    assert (run.on, run.resets) == (True, [])


def test_a_note_from_the_future_is_believed_for_30_s() -> None:
    run = Slow(leftover=Leftover.MONITORING, late_until=1e9)
    run.slow = E, None, 0.0, 0
    run.policy.stop(run.now)
    run.pass_time(50)
    assert run.end == End(confirmed=True)
    assert run.now <= 100 + LATE + 2


@pytest.mark.parametrize(
    ("result", "late"),
    [
        (TimeoutExpired("no answer"), True),
        (ConnectionLost("broken"), True),
        (Code.UNTOLD, True),
        (Code.OK, False),
        (Code.INTERNAL_ERROR, False),
        (RpcError("Permission denied"), False),
        (RefusedError("nobody there"), False),
    ],
    ids=repr,
)
def test_what_was_given_up(result: CallResult, *, late: bool) -> None:
    host = HostState(WINDOW)
    host.sent(1.0, E, None)
    assert host.late.until == 1.0 + LATE, "this process may end before it hears anything"
    host.answered(3.0, E, None, result)
    assert (host.late.until is not None) == late


def test_a_question_without_an_answer_makes_unsure_again_what_was_off() -> None:
    host = HostState(WINDOW)
    calls: list[tuple[float, Verb, CallResult]] = [(1.0, E, TimeoutExpired("no answer")), (4.0, A, False)]
    for at, verb, result in calls:
        host.sent(at, verb, None)
        host.answered(at, verb, None, result)
    assert (host.may_be_on, host.to_be_asked, host.over) == (False, True, False)
    host.sent(5.0, A, None)
    host.answered(7.0, A, None, TimeoutExpired("no answer"))
    assert host.may_be_on


class Single:
    """A monitor for single calls: an Enable that was under way comes ``at`` some time."""

    def __init__(self, at: float) -> None:
        self.now, self.at, self.on = 0.0, at, False

    def come(self) -> None:
        if self.now >= self.at:
            self.on, self.at = True, float("inf")

    def disable(self) -> Code:
        self.come()
        self.on = False
        return Code.OK

    def is_enabled(self) -> bool:
        self.come()
        return self.on

    def post_app_state(self, _: AppState) -> Code:
        return Code.OK

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


def test_single_calls_confirm_nothing_before_that_either() -> None:
    single = Single(at=8.0)
    for limit, until, confirmed in [(0.0, 20.0, False), (30.0, 20.0, True), (0.0, None, True)]:
        found = hand_back(
            single,  # type: ignore[arg-type]
            Leftover.MONITORING,
            limit,
            sleep=single.sleep,
            clock=single.clock,
            late_until=until,
        )
        assert (found.confirmed, found.off, found.late) == (confirmed, True, not confirmed)
    assert not single.on
    assert single.now >= 20.0
