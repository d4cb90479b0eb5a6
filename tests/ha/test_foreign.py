"""Monitoring that comes on, or is asked about, while nobody here wants it: by another program, or by a call of before.

Found by strangers, each a wrong reset, or a machine that was not watched any more.
"""

from __future__ import annotations

import pytest

from exporter.errors import NotVMwareError, RemoteProtocolError, RpcError, TimeoutExpired, VMGuestError
from exporter.ha.actions import Call, End
from exporter.ha.host_state import CallResult, HostState
from exporter.ha.late import LATE
from exporter.ha.rules import Leftover, OnUnhealthy, Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Verb
from tests.ha.test_late import Slow
from tests.ha.test_policy import BAD, GOOD, OK_STATE, UNKNOWN, A, D, E, M, Run, S

DISABLES = OnUnhealthy.DISABLE
ASKS = OnUnhealthy.REQUEST_RESET


def vm(rules: Rules | None = None, leftover: Leftover = Leftover.NOTHING, *, on: bool = False) -> Slow:
    run = Slow(rules, leftover, on=on)
    run.slow = E, None, 0.0, 0
    return run


def switched_on(run: Slow) -> None:
    run.on, run.heard_at = True, run.now


@pytest.mark.parametrize("interval", [10.0, 15.0])
@pytest.mark.parametrize("phase", [Phase.MAINTENANCE, Phase.OFF])
def test_it_is_seen_within_an_interval_again_and_again(phase: Phase, interval: float) -> None:
    """The next look was three intervals away after each Green: 45 s, where the host waits for 30."""
    run = vm(Rules(interval=interval, grace=5.0, on_unhealthy=DISABLES))
    run.pass_time(interval + 1)
    run.maintenance, run.health = phase is Phase.MAINTENANCE, BAD
    run.pass_time(7)
    assert (run.policy.phase, run.on) == (phase, False)
    for _ in range(6):
        switched_on(run)
        run.pass_time(interval + 1)
        assert (run.on, run.resets) == (False, [])


@pytest.mark.parametrize(
    "status",
    [
        RpcError("Permission denied"),
        RemoteProtocolError("an application status of b'1'"),
        TimeoutExpired("no answer"),
        AppStatus.GREEN,
        AppStatus.GRAY,
    ],
    ids=repr,
)
def test_so_it_is_whatever_the_host_says_of_the_status(status: VMGuestError | AppStatus) -> None:
    """It may not have it, or not get through this once at an interval of 15 s, or see nothing before the first heartbeat."""
    run = vm(Rules(interval=15.0))
    run.pass_time(5)
    run.maintenance = True
    run.pass_time(5)
    run.answers[S] = status
    run.log.clear()
    run.pass_time(20)
    switched_on(run)
    run.pass_time(18)
    assert (run.on, run.resets) == (False, [])
    assert run.logged("can't be handed back") == 0


@pytest.mark.parametrize("phase", [Phase.MAINTENANCE, Phase.WAITING])
def test_a_stop_looks_once_more(phase: Phase) -> None:
    """It was off by the last look: exit 0, and on at the host."""
    run = vm()
    run.health = GOOD if phase is Phase.MAINTENANCE else UNKNOWN
    run.pass_time(5)
    run.maintenance = phase is Phase.MAINTENANCE
    run.pass_time(25)
    switched_on(run)
    run.policy.stop(run.now)
    run.pass_time(5)
    assert run.end == End(confirmed=True)
    assert not run.on


def test_a_refused_question_in_maintenance_is_no_failed_hand_back() -> None:
    run = vm()
    run.pass_time(5)
    run.maintenance = True
    run.pass_time(5)
    run.log.clear()
    run.answers.update(dict.fromkeys((S, A), RpcError("Unknown command")))
    run.pass_time(30)
    assert run.logged("can't be handed back") == 0
    assert run.logged("No heartbeats are sent") == 0
    run.answers.clear()
    switched_on(run)
    run.pass_time(12)
    assert (run.on, run.resets) == (False, [])


@pytest.mark.parametrize("health", [BAD, UNKNOWN])
def test_after_maintenance_what_comes_on_before_health_is_good_is_switched_off(health: object) -> None:
    """It was taken over, and with a grace period that had passed by then a reset was asked for."""
    run = vm(Rules(grace=5.0, on_unhealthy=ASKS))
    run.pass_time(12)
    run.maintenance = True
    run.pass_time(5)
    run.health, run.maintenance = health, False  # type: ignore[assignment]
    run.pass_time(60)
    switched_on(run)
    run.pass_time(11)
    assert (run.on, run.resets, run.asked_at) == (False, [], None)
    run.health = GOOD
    run.pass_time(1)
    assert run.on


def test_so_is_what_a_predecessor_had_sent_and_what_was_lost_before_health_was_good() -> None:
    late = Slow(leftover=Leftover.MONITORING, late_until=100.0 + LATE)
    late.slow = E, None, 0.0, 0
    late.to_come.append((145.0, Call(E)))
    lost = vm(leftover=Leftover.MONITORING, on=True)
    for run in (late, lost):
        run.health = UNKNOWN
        run.pass_time(1)
        run.on = run is late and run.on
        run.pass_time(44)
        run.health = BAD
        if run is lost:
            switched_on(run)
        run.pass_time(12)
        assert (run.on, run.resets) == (False, [])


@pytest.mark.parametrize("way", ["refused", "bad"])
def test_what_is_not_to_be_had_here_is_looked_at(way: str) -> None:
    """Enable is refused and the rest is not, or health was bad before it was taken: not one question, for as long as that lasted."""
    run = vm(Rules(grace=900.0))
    run.answers[E] = RpcError("Permission denied")
    run.pass_time(3)
    run.health = BAD if way == "bad" else GOOD
    run.pass_time(40)
    assert not run.on
    switched_on(run)
    run.pass_time(60)
    assert (run.on, run.resets) == (True, [])


def test_a_status_that_is_an_old_one_keeps_nothing_from_being_switched_on() -> None:
    """Each look would have led to a question, and each "no" to the next interval."""
    run = vm()
    run.answers.update({E: RpcError("Permission denied"), S: AppStatus.GREEN})
    run.pass_time(60)
    del run.answers[E]
    run.pass_time(11)
    assert run.on


def test_health_that_turns_good_while_it_is_asked_whether_it_is_on() -> None:
    """ "It is switched off until health has been good", which it was by then: nobody switched it off, and nobody beat."""
    run = vm(on=True)
    run.health = UNKNOWN
    assert run.step() == Call(A)
    run.health = GOOD
    run.pass_time(60)
    assert (run.on, run.resets) == (True, [])
    assert run.policy.reporter.tally.heartbeats >= 5


def test_health_that_turns_good_while_it_is_learned_that_monitoring_was_lost() -> None:
    """After a restart and a vMotion: off for ever."""
    run = vm(leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    run.pass_time(2)
    run.on, run.status = False, AppStatus.GRAY
    run.policy.session_changed(run.now)
    while run.step() != Call(S):
        pass
    assert run.logged("It stays off until health is good") == 1
    run.health = GOOD
    run.status = AppStatus.GREEN
    run.pass_time(2)
    assert run.on


def test_a_request_that_was_given_up_is_taken_back_after_a_short_maintenance_too() -> None:
    run = vm(Rules(grace=5.0, on_unhealthy=ASKS))
    run.slow = Verb.POST_APP_STATE, AppState.NEED_RESET, 20.0, 1
    run.pass_time(5)
    run.health = BAD
    run.until_sent()
    run.maintenance = True
    run.pass_time(5)
    run.maintenance = False
    calls = run.pass_time(25)
    assert OK_STATE in [call for at, call in calls if at > 13]
    assert (run.to_come, run.asked_at) == ([], None)


class Dull(Slow):
    """Each call takes 0.2 s, so that what is due an interval after another is so a little later each time."""

    def _answer(self, call: Call) -> CallResult:
        self.now += 0.2
        return super()._answer(call)


@pytest.mark.parametrize("way", ["stop", "maintenance"])
def test_what_was_silent_beats_at_once_where_disable_is_refused(way: str) -> None:
    """The next one was due an interval later: after the host's patience."""
    run = Dull(Rules(grace=0.0))
    run.slow = E, None, 0.0, 0
    run.pass_time(3)
    run.health = BAD
    run.pass_time(22)
    run.answers.update(dict.fromkeys((D, A), RpcError("Unknown command")))
    if way == "stop":
        run.policy.stop(run.now)
    else:
        run.maintenance = True
    run.pass_time(8)
    assert (run.on, run.resets) == (True, [])
    run.answers.clear()
    run.pass_time(8)
    assert (run.on, run.resets) == (False, [])


def test_a_question_that_is_refused_for_long_leaves_the_others_their_turn() -> None:
    """After the host's patience attempts are an interval apart: each was the question."""
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.answers.update(dict.fromkeys((A, E, M), RpcError("Permission denied")))
    run.verbs(60)
    calls = run.verbs(200)
    assert min(calls.count(verb) for verb in (A, E, M)) >= 3


@pytest.mark.parametrize("begins_anew", [True, False])
def test_gray_while_heartbeats_are_withheld_does_not_put_off_the_reset_for_ever(*, begins_anew: bool) -> None:
    """Enable, each interval, where the host may begin its 30 s anew with each."""
    run = vm(Rules(grace=5.0))
    run.pass_time(12)
    run.health = BAD
    run.pass_time(7)
    run.on = False
    run.answers[S] = AppStatus.GRAY
    run.policy.session_changed(run.now)
    for _ in range(120):
        if run.resets:
            break
        before = run.on
        if E in run.verbs(1) and (begins_anew or not before):
            run.heard_at = run.now
    assert len(run.resets) == 1


def test_a_move_that_nobody_told_of_while_heartbeats_are_withheld_is_asked_after() -> None:
    """Gray right after Enable may be the host's slowness: the reset that is due does not wait for that."""
    run = vm(Rules(interval=5.0, grace=0.0))
    run.pass_time(1)
    run.health = BAD
    run.pass_time(1)
    run.on = False
    began = run.now
    run.pass_time(60)
    assert [when <= began + 30 + 5 + 1 for when in run.resets[:1]] == [True]


def test_a_refusal_of_vmwares_library_may_be_that_of_a_second_copy() -> None:
    host = HostState(30.0)
    refusal = RpcError("Unknown command")
    refusal.repeated = True
    for known in (False, True):
        host.sent(5.0, E, None)
        host.answered(6.0, E, None, refusal)
        assert (host.late.until is not None) is known
        host.sent(1.0, A, None)
        host.answered(1.0, A, None, False)


def test_a_call_counts_as_late_from_when_it_was_given_up() -> None:
    """This process may have stood still before it went out."""
    host = HostState(30.0)
    host.sent(1.0, E, None)
    host.answered(23.0, E, None, TimeoutExpired("no answer"))
    assert host.late.until == 23.0 + LATE
    host.sent(50.0, A, None)
    host.answered(50.0, A, None, False)
    assert host.late.until is not None


def test_a_host_that_has_no_such_commands_is_not_asked_again_and_again() -> None:
    run = Run()
    run.answers.update(dict.fromkeys((A, E, M, D, S), NotVMwareError("none")))
    assert len(run.verbs(1000)) < 40
