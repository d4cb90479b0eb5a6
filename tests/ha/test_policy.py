"""The judgement, one decision at a time: what is called, when, and what the log says of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from exporter.errors import (
    ConnectionLost,
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NoDeviceError,
    NotVMwareError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    TransportError,
    VMGuestError,
)
from exporter.ha.actions import Call, End, Wait
from exporter.ha.host_state import CallResult
from exporter.ha.messages import HealthUpdate
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Leftover, OnUnhealthy, Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

GOOD, BAD, FAULT, UNKNOWN = Health.GOOD, Health.BAD, Health.FAULT, Health.UNKNOWN
E, D, A, M, S = Verb.ENABLE, Verb.DISABLE, Verb.IS_ENABLED, Verb.MARK_ACTIVE, Verb.GET_APP_STATUS
OK_STATE = Call(Verb.POST_APP_STATE, AppState.OK)
NEED_RESET = Call(Verb.POST_APP_STATE, AppState.NEED_RESET)

Answer = Callable[[Call], CallResult]


class Run:
    """A policy with a clock and a host that answers as told: ``answers`` by call, and its own idea of what is on."""

    def __init__(
        self, rules: Rules | None = None, leftover: Leftover = Leftover.NOTHING, *, on: bool = False
    ) -> None:
        self.now = 100.0
        self.policy = Policy(rules or Rules(), self.now, leftover)
        self.health = GOOD
        self.maintenance = False
        self.first_look_by = float("-inf")
        self.bad_for, self.unsure = float("inf"), 0.0
        self.on = on
        self.status = AppStatus.GREEN
        self.answers: dict[Verb, CallResult] = {}
        self.states: dict[AppState, CallResult] = {}
        self.log: list[str] = []
        self.end: End | None = None

    def step(self) -> Call | Wait | End:
        reason = "check db: refused" if self.health is not GOOD else ""
        update = HealthUpdate(
            self.health,
            reason,
            self.now,
            bad_for=self.bad_for,
            unsure=self.unsure,
            first_look_by=self.first_look_by,
        )
        action = self.policy.next(self.now, update, maintenance=self.maintenance)
        if isinstance(action, Call):
            # A call may take its time.
            result = self._answer(action)
            self.policy.done(self.now, action, result)
        elif isinstance(action, End):
            self.end = action
        self.log += [f"{event.level}: {event.text}" for event in self.policy.events()]
        return action

    def pass_time(self, seconds: float) -> list[tuple[float, Verb | Call]]:
        """Let time pass; the calls on the way with their times since now."""
        begin, calls = self.now, list[tuple[float, Verb | Call]]()
        while self.end is None:
            action = self.step()
            if isinstance(action, Call):
                shown = action if action.verb is Verb.POST_APP_STATE else action.verb
                calls.append((round(self.now - begin, 3), shown))
                assert len(calls) < 500, "no rest"
            elif isinstance(action, Wait):
                # Woken once a second at least, as by news.
                until = min(action.until, self.now + 1)
                if until > begin + seconds:
                    self.now = begin + seconds
                    break
                self.now = until
        return calls

    def verbs(self, seconds: float) -> list[Verb | Call]:
        return [verb for _, verb in self.pass_time(seconds)]

    def _answer(self, call: Call) -> CallResult:
        if call.state is not None:
            return self.states.get(call.state, Code.OK)
        if call.verb in self.answers:
            return self.answers[call.verb]
        match call.verb:
            case Verb.ENABLE | Verb.DISABLE:
                self.on = call.verb is Verb.ENABLE
                return Code.OK
            case Verb.IS_ENABLED:
                return self.on
            case Verb.GET_APP_STATUS:
                return self.status if self.on else AppStatus.GRAY
            case _:
                return Code.OK if self.on else Code.NOT_ENABLED

    def logged(self, part: str) -> int:
        return sum(part in line for line in self.log)


def hopeless(run: Run) -> bool:
    return run.policy.reporter.hopeless(armed=run.policy.conversation.claim.armed)


def beating(rules: Rules | None = None) -> Run:
    """Health is good, monitoring is on, the first heartbeat is sent."""
    run = Run(rules)
    run.verbs(0.5)
    run.log.clear()
    return run


# The start


def test_nothing_is_enabled_before_the_first_good_health() -> None:
    run = Run()
    for health in (UNKNOWN, FAULT, BAD):
        run.health = health
        assert set(run.verbs(120)) <= {A, S}
    assert not run.on
    run.health = GOOD
    assert run.verbs(0)[:2] == [E, M]


def test_start_is_enable_a_heartbeat_and_a_confirmation() -> None:
    run = Run()
    assert run.verbs(0) == [A, E, M, A, S]
    assert run.policy.conversation.host.confirmed
    assert run.policy.phase is Phase.BEATING
    assert run.log == [
        "info: Monitoring is on: the host expects a heartbeat every 30 s.",
        "info: vSphere HA sees this application as Green.",
    ]


def test_health_that_turns_bad_before_the_first_enable_got_through_enables_nothing() -> None:
    run = Run()
    run.answers[E] = TimeoutExpired("no answer")
    run.verbs(0)
    run.health = BAD
    del run.answers[E]
    assert E not in run.verbs(200)
    assert run.policy.reporter.tally.withheld == 0


def test_heartbeats_come_every_interval_and_the_status_every_three() -> None:
    run = beating()
    calls = run.pass_time(60)
    assert [at for at, verb in calls if verb is M] == [9.5, 19.5, 29.5, 39.5, 49.5, 59.5]
    assert [at for at, verb in calls if verb is S] == [29.5, 59.5]


def test_a_heartbeat_that_is_late_is_sent_at_once_and_is_not_made_up_for() -> None:
    run = beating()
    run.now += 25
    assert run.verbs(0) == [M]
    assert run.verbs(9.9).count(M) == 0


# A predecessor


def test_monitoring_that_a_predecessor_left_on_is_taken_over_at_once() -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    assert run.verbs(0)[:2] == [A, M]
    assert run.logged("taken over") == 1
    assert run.verbs(60).count(M) == 6, "it goes on while health is not known"
    assert E not in run.verbs(10)


def test_taken_over_and_never_healthy_is_withheld_after_the_grace_period() -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = BAD
    beats = [at for at, verb in run.pass_time(100) if verb is M]
    assert beats == [0, 10, 20]
    assert run.policy.phase is Phase.WITHHOLDING


def test_taken_over_and_lost_before_health_was_good_is_not_enabled_again() -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    run.verbs(5)
    run.on = False
    assert E not in run.verbs(100)
    assert run.policy.phase is Phase.WAITING
    assert run.logged("It stays off until health is good") == 1
    run.health = GOOD
    assert run.verbs(0)[:2] == [E, M]


def test_a_gray_status_before_health_was_good_enables_nothing() -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    run.status = AppStatus.GRAY
    assert E not in run.verbs(100)
    assert run.on


def test_what_a_predecessor_may_have_left_on_is_not_switched_off_unseen() -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    run.answers[A] = TimeoutExpired("no answer")
    verbs = run.verbs(20)
    assert not {E, D} & set(verbs)
    assert verbs.count(A) >= 8, "and it is asked for often: it may be off"
    assert M in verbs
    del run.answers[A]
    assert A in run.verbs(3)
    assert not {A, E, D} & set(run.verbs(60))


def longest_silence(run: Run, seconds: float) -> float:
    """Between two heartbeats, from now on, and to the end."""
    beats = [0.0, *(at for at, verb in run.pass_time(seconds) if verb is M), seconds]
    return max(after - before for before, after in itertools.pairwise(beats))


@pytest.mark.parametrize("word", ["Permission denied", "Unknown command"])
@pytest.mark.parametrize("refused", [(A,), (E,), (A, E), (A, S), (A, E, D, S)])
@pytest.mark.parametrize("health", [UNKNOWN, GOOD, FAULT, BAD])
@pytest.mark.parametrize("left", [Leftover.MONITORING, Leftover.BY_HAND, Leftover.REQUEST])
def test_a_host_that_refuses_all_but_heartbeats_after_a_crash_gets_them(
    left: Leftover, health: Health, refused: tuple[Verb, ...], word: str
) -> None:
    """Nobody says whether monitoring is on, and the host counts the seconds all the same: found by a stranger."""
    run = Run(Rules(grace=300.0), leftover=left, on=True)
    run.health, run.answers = health, dict.fromkeys(refused, RpcError(word))
    assert longest_silence(run, 120) <= 12
    run.health = UNKNOWN
    assert longest_silence(run, 120) <= 12
    assert D not in run.verbs(10)
    assert run.logged("reach the host again") + run.logged("No heartbeats") == 0
    assert run.logged("taken over") <= 1


@pytest.mark.parametrize("refused", [(A,), (A, E), (A, D)])
@pytest.mark.parametrize("on_unhealthy", list(OnUnhealthy))
def test_bad_health_after_a_crash_has_its_effect_where_the_host_does_not_say_whether_it_is_on(
    on_unhealthy: OnUnhealthy, refused: tuple[Verb, ...]
) -> None:
    run = Run(Rules(on_unhealthy=on_unhealthy), leftover=Leftover.MONITORING, on=True)
    run.policy = Policy(run.policy.rules, run.now, Leftover.MONITORING, bad_for=30.0)
    run.health, run.answers = BAD, dict.fromkeys(refused, RpcError("Permission denied"))
    verbs = run.verbs(120)
    assert (NEED_RESET in verbs) == (on_unhealthy is OnUnhealthy.REQUEST_RESET)
    if on_unhealthy is OnUnhealthy.DISABLE:
        assert D in verbs
        assert run.on == (D in refused)
        assert M in verbs, "until it is known to be off, heartbeats go on"
    else:
        assert not {M, D, E} & set(verbs)


@pytest.mark.parametrize("on_unhealthy", list(OnUnhealthy))
def test_what_is_lost_before_health_was_good_is_not_asked_for_on_another_host(
    on_unhealthy: OnUnhealthy,
) -> None:
    """Its status turns Gray by a vMotion that nobody told of: it stays off until health is good. Found by the first model."""
    run = Run(Rules(on_unhealthy=on_unhealthy), leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    run.verbs(40)
    run.health = BAD
    run.verbs(35)
    run.on, run.status = False, AppStatus.GRAY
    run.states[AppState.NEED_RESET] = Code.OK
    assert not {M, E, NEED_RESET} & set(run.verbs(120)[4:])
    assert run.policy.phase is (Phase.OFF if on_unhealthy is OnUnhealthy.DISABLE else Phase.WAITING)
    run.health = GOOD
    assert E in run.verbs(2)


def test_a_heartbeat_that_finds_nothing_on_after_a_crash_enables_nothing() -> None:
    run = Run(leftover=Leftover.MONITORING)
    run.health, run.answers = UNKNOWN, {A: RpcError("Permission denied")}
    assert E not in run.verbs(60)
    assert run.logged("lost") == 0
    run.health = GOOD
    assert run.verbs(2)[:1] != []
    assert run.on
    assert longest_silence(run, 60) <= 12


@pytest.mark.parametrize("maintenance", [False, True])
def test_heartbeats_go_on_while_what_a_predecessor_left_on_can_not_be_switched_off(maintenance: bool) -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health, run.maintenance = UNKNOWN, maintenance
    run.answers = dict.fromkeys((A, D), RpcError("Permission denied"))
    if not maintenance:
        run.step()
        run.policy.stop(run.now)
    assert longest_silence(run, 50) <= 12
    run.answers.clear()
    run.verbs(3)
    assert not run.on


def test_monitoring_that_nobody_here_left_on_is_switched_off_until_health_is_good() -> None:
    """A guest that rebooted without Disable: it would be reset while it boots."""
    run = Run(on=True)
    run.health = UNKNOWN
    assert run.verbs(0) == [A, D, A, S, A]
    assert not run.on
    assert run.logged("no exporter has left it on") == 1
    assert run.verbs(59) == [S, A] * 5
    run.health = GOOD
    assert run.verbs(0) == [E, M, A, S]
    assert run.policy.reporter.tally.reenables == 0


def test_monitoring_that_is_on_when_health_is_good_is_simply_kept() -> None:
    run = Run(on=True)
    assert run.verbs(0)[:2] == [A, M]


def test_health_that_turns_good_while_it_is_switched_off_switches_it_on() -> None:
    run = Run(on=True)
    run.health = UNKNOWN
    run.step(), run.step()
    run.health = GOOD
    assert run.verbs(0)[:3] == [A, E, M]
    assert not run.logged("lost")


def test_a_request_for_a_reset_that_a_predecessor_left_is_taken_back_once_health_is_good() -> None:
    run = Run(leftover=Leftover.REQUEST, on=True)
    run.health = UNKNOWN
    assert OK_STATE not in run.verbs(60)
    run.health = GOOD
    assert run.verbs(0)[0] == OK_STATE
    assert run.policy.conversation.host.leftover is Leftover.MONITORING


# Bad health


def test_a_blip_within_the_grace_period_changes_nothing() -> None:
    run = beating()
    run.health = BAD
    assert run.verbs(29).count(M) == 2
    run.health = GOOD
    assert run.verbs(30).count(M) == 3
    assert [line.partition(":")[0] for line in run.log] == ["warning", "info"]
    assert run.logged("check db: refused. Heartbeats go on for 30 s of grace.") == 1


def test_heartbeats_are_withheld_after_the_grace_period_and_resume_at_once() -> None:
    run = beating()
    run.health = BAD
    beats = [at for at, verb in run.pass_time(55) if verb is M]
    assert beats == [9.5, 19.5, 29.5]
    assert run.policy.reporter.tally.withheld == 2
    assert run.logged("Heartbeats are withheld. 30 s are left before vSphere HA may act") == 1
    run.health = GOOD
    assert run.verbs(0)[0] is M
    assert run.logged("heartbeats resume. 4 s are left") == 1


def test_blips_do_not_add_up() -> None:
    run = beating()
    for _ in range(10):
        run.health = BAD
        run.verbs(25)
        run.health = GOOD
        run.verbs(1)
    assert run.policy.reporter.tally.withheld == 0


def test_without_grace_one_bad_verdict_is_silence() -> None:
    run = beating(Rules(grace=0))
    run.health = BAD
    assert M not in run.verbs(60)


def test_silence_restores_a_monitoring_that_was_lost_so_that_the_host_can_act() -> None:
    run = beating()
    run.health = BAD
    run.verbs(35)
    run.on = False
    verbs = run.verbs(11)
    assert E in verbs
    assert M not in verbs
    assert run.on
    assert run.policy.conversation.host.confirmed


def test_while_silent_the_status_takes_the_heartbeats_place_and_red_is_an_emergency() -> None:
    run = beating()
    run.health = BAD
    run.verbs(31)
    run.status = AppStatus.RED
    assert run.verbs(30) == [S, S, S]
    assert run.logged("critical: vSphere HA sees this application as Red") == 1
    assert run.logged("The exporter is withholding heartbeats") == 1


def test_a_reset_is_asked_for_once_and_heartbeats_stop_beside_it() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.verbs(29.9)
    assert not run.policy.conversation.host.request.pending
    verbs = run.verbs(60)
    assert verbs.count(NEED_RESET) == 1
    assert verbs.index(NEED_RESET) == 0
    assert M not in verbs
    assert run.policy.conversation.host.request.pending
    run.health = GOOD
    assert run.verbs(0)[:2] == [OK_STATE, M]
    assert not run.policy.conversation.host.request.pending


def test_a_request_that_got_lost_is_repeated() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.states[AppState.NEED_RESET] = ConnectionLost("broken")
    assert run.verbs(34).count(NEED_RESET) == 5
    assert run.policy.conversation.host.leftover is Leftover.REQUEST
    assert run.logged("The request for a reset: broken. It is repeated for as long as health is bad.") == 1
    del run.states[AppState.NEED_RESET]
    assert run.verbs(30).count(NEED_RESET) == 1


@pytest.mark.parametrize("refusal", [Code.BAD_ARGUMENT, RpcError("Unknown command")])
def test_a_request_that_is_refused_leaves_silence(refusal: CallResult) -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.states[AppState.NEED_RESET] = refusal
    run.health = BAD
    verbs = run.verbs(90)
    assert verbs.count(NEED_RESET) == 7, "each interval: a refusal may pass"
    assert verbs.count(M) == 3
    assert not run.policy.conversation.host.request.pending
    assert run.logged("Heartbeats are withheld instead.") == 1
    run.health = GOOD
    assert run.verbs(0)[0] is M


@pytest.mark.parametrize("unclear", [Code.UNTOLD, Code.INTERNAL_ERROR])
def test_a_request_that_the_host_may_have_heard_is_taken_back(unclear: CallResult) -> None:
    """Status 1 of VMware's library is its word for a lost reply too: a reset followed, of a machine that was well again."""
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.states[AppState.NEED_RESET] = unclear
    run.health = BAD
    assert NEED_RESET in run.verbs(31)
    run.health = GOOD
    run.states[AppState.OK] = unclear
    assert run.verbs(3).count(OK_STATE) == 4
    del run.states[AppState.OK]
    assert run.verbs(1) == [OK_STATE]
    assert not run.policy.conversation.host.request.pending


def test_a_new_host_is_asked_for_the_reset_again() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.verbs(31)
    run.on = False
    assert {E, NEED_RESET} <= set(run.verbs(21))


def test_a_fault_of_the_exporters_own_never_asks_for_a_reset() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = FAULT
    verbs = run.verbs(120)
    assert NEED_RESET not in verbs
    assert verbs.count(M) == 3
    # The checks themselves have the whole of their grace period.
    run.health = BAD
    assert NEED_RESET not in run.verbs(29)
    assert NEED_RESET in run.verbs(2)
    # They are well again, but the exporter is not: silence, and no request.
    run.health = FAULT
    assert run.verbs(5)[0] == OK_STATE
    assert run.policy.phase is Phase.WITHHOLDING


def test_a_request_that_can_not_be_taken_back_costs_no_heartbeat() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.verbs(31)
    run.states[AppState.OK] = TimeoutExpired("no answer")
    run.health = GOOD
    verbs = run.verbs(30)
    assert verbs.count(M) == 4
    assert verbs.count(OK_STATE) == 31
    assert (
        run.logged("critical: The request for a reset can't be taken back: no answer. It is repeated.") == 1
    )


def test_monitoring_is_handed_back_and_begins_again_with_good_health() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.DISABLE))
    run.health = BAD
    calls = run.verbs(60)
    assert calls[calls.index(D) :][:2] == [D, A]
    assert (run.policy.phase, run.on) == (Phase.OFF, False)
    assert run.logged("there will be no reset") == 1
    assert {*run.verbs(300)} == {S, A}, (
        "how the host sees it goes on to be shown, and whether somebody has switched it on"
    )
    run.health = GOOD
    assert run.verbs(0) == [E, M, A, S]


def test_heartbeats_go_on_while_monitoring_can_not_be_handed_back() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.DISABLE))
    run.health = BAD
    run.answers[D] = Code.INTERNAL_ERROR
    calls = run.pass_time(100)
    beats = [at for at, verb in calls if verb is M]
    assert max(later - at for at, later in itertools.pairwise(beats)) <= 13
    assert run.logged("Disable: the host answered 1 (internal error)") == 1
    del run.answers[D]
    run.verbs(3)
    assert not run.on


# The host


def test_not_enabled_means_enable_and_a_heartbeat_at_once() -> None:
    run = beating()
    run.on = False
    calls = run.pass_time(10)
    assert calls == [(9.5, M), (9.5, E), (9.5, M), (9.5, A), (9.5, S)]
    tally = run.policy.reporter.tally
    assert (tally.reenables, tally.errors) == (1, {"not_enabled": 1})
    assert run.logged("Monitoring was lost: the host answered 2") == 1


def test_a_host_that_forgets_at_once_is_not_asked_without_a_pause() -> None:
    run = beating()
    run.answers[M] = Code.NOT_ENABLED
    assert 10 <= len(run.verbs(20)) <= 50


def test_gray_means_enable_and_a_heartbeat() -> None:
    run = beating()
    run.verbs(30)
    run.status = AppStatus.GRAY
    verbs = run.verbs(31)
    assert verbs[verbs.index(E) + 1] is M
    assert run.policy.reporter.tally.reenables == 1


def test_a_session_change_asks_for_the_status_at_once_and_gray_is_believed() -> None:
    run = beating()
    run.on = False
    run.policy.session_changed(run.now)
    run.answers[S] = AppStatus.GRAY
    assert run.verbs(0)[:3] == [S, E, M]


def test_gray_right_after_enable_is_the_hosts_own_slowness() -> None:
    run = Run()
    run.status = AppStatus.GRAY
    assert run.verbs(25).count(E) == 1
    run.status = AppStatus.GREEN
    assert run.verbs(60).count(E) == 0
    assert run.policy.reporter.tally.reenables == 0


def test_a_cluster_that_does_not_watch_is_told_once_and_counts_no_losses() -> None:
    run = Run()
    run.status = AppStatus.GRAY
    beats = run.verbs(600).count(M)
    assert beats >= 60
    assert run.logged("VM and Application Monitoring") == 1
    assert run.logged("lost") == run.policy.reporter.tally.reenables == 0
    assert run.logged("Monitoring is on") == 1
    assert "VM and Application Monitoring" in run.policy.reporter.problem
    assert hopeless(run)
    run.status = AppStatus.GREEN
    run.verbs(15)
    assert run.policy.reporter.problem == ""
    assert not hopeless(run)


def test_a_failed_heartbeat_is_tried_again_at_once_and_then_every_second() -> None:
    run = beating()
    run.answers[M] = ConnectionLost("the connection broke")
    calls = run.pass_time(14)
    assert [at for at, _ in calls] == [9.5, 9.5, 10.5, 11.5, 12.5, 13.5]
    assert run.logged("MarkActive: the connection broke. 20 s are left") == 1
    assert len(run.log) == 1
    del run.answers[M]
    assert run.verbs(1) == [M]
    assert run.log[-1] == "info: Heartbeats reach the host again."


def test_silence_that_the_host_forces_is_an_emergency_in_the_log() -> None:
    run = beating()
    run.answers[M] = TimeoutExpired("no answer")
    run.verbs(60)
    assert run.logged("critical: No heartbeat has got through for 30 s") == 1


def test_an_answer_without_a_reason_is_looked_into() -> None:
    """VMware's library says OTHER to all of 1 to 5."""
    run = beating()
    run.now += 10
    run.on = False
    run.answers[M] = Code.UNTOLD
    assert [step.verb for step in (run.step(), run.step(), run.step()) if isinstance(step, Call)] == [M, A, E]
    del run.answers[M]
    assert run.verbs(0)[0] is M
    assert run.policy.reporter.tally.errors == {"not_enabled": 1}


def test_a_library_that_crashed_is_enabled_again_to_keep_its_channel_open() -> None:
    run = beating()
    run.now += 10
    run.answers[M] = LibraryCrashed("signal 11")
    run.step()
    del run.answers[M]
    assert run.verbs(0)[:2] == [E, M]
    assert run.policy.reporter.tally.reenables == 0


def test_a_lost_reply_to_enable_is_asked_about() -> None:
    run = Run()
    run.step()
    run.on = True
    run.answers[E] = TimeoutExpired("no answer")
    run.step()
    assert run.policy.conversation.host.may_be_on
    assert run.verbs(0)[:2] == [A, M]


@pytest.mark.parametrize("pause", ["maintenance", "a host that forgot"])
def test_a_lost_enable_long_after_the_last_heartbeat_begins_the_hosts_patience_anew(pause: str) -> None:
    """The host may count its 30 s from there: a refusal in them is not the end of it."""
    run = beating()
    refusal = RpcError("Permission denied")
    if pause == "maintenance":
        run.maintenance = True
        run.verbs(60)
        run.maintenance = False
    else:
        run.answers = dict.fromkeys((A, E, M, S), refusal)
        run.verbs(60)
        run.on, run.answers = False, {M: Code.NOT_ENABLED}
        while run.step() != Call(M):
            run.now += 1
    run.on, run.answers = True, {E: TimeoutExpired("no answer"), A: refusal, M: refusal}
    while run.step() != Call(E):
        run.now += 1
    run.answers[E] = refusal
    run.verbs(3)
    run.answers.clear()
    assert M in run.verbs(2)


@pytest.mark.parametrize("interval", [5, 10, 15])
def test_what_a_full_disk_kept_from_being_noted_is_found_within_the_hosts_patience(interval: float) -> None:
    """The last heartbeat may be nearly an interval old at a takeover: a host that refuses then for 2 s is asked again soon."""
    run = Run(Rules(interval=interval), on=True)
    run.answers = dict.fromkeys((A, E, M, D, S), RpcError("Unknown command"))
    run.verbs(2)
    run.answers.clear()
    assert run.verbs(3), "two more seconds, and one of slack"
    assert run.policy.conversation.host.on


def test_a_host_that_refuses_from_the_start_is_left_alone_for_minutes() -> None:
    run = Run()
    refusal = RpcError("Permission denied", "GuestAppMonitor.Cmd.IsEnabled")
    run.answers = {A: refusal, E: refusal}
    assert len(run.verbs(40)) <= 8, (
        "it may be starting, and a full disk may have kept from being noted that it is on"
    )
    assert len(run.verbs(250)) <= 1
    assert hopeless(run)
    assert "APP_MONITOR" in run.policy.reporter.problem
    assert run.logged("No heartbeats are sent") == 2
    run.policy.session_changed(run.now)
    run.answers.clear()
    assert M in run.verbs(0), "a new host may be another one"
    assert run.policy.reporter.problem == ""


WORDS = [
    RpcError("Unknown command"),
    RpcError("Permission denied"),
    NotVMwareError("none"),
    LibraryNotFound("none"),
    LibraryStatus(1, "IsEnabled"),
    ConnectionLost("broken"),
]


@pytest.mark.parametrize("word", WORDS, ids=repr)
@pytest.mark.parametrize("health", [GOOD, UNKNOWN])
def test_an_error_word_at_a_takeover_passes(word: VMGuestError, health: Health) -> None:
    """Of a host that is starting or moving: one that said Unknown command for 3 s was not asked again for 300, and reset the VM."""
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = health
    run.answers = dict.fromkeys((A, E, M, D, S), word)
    run.verbs(3)
    assert run.policy.conversation.host.leftover is Leftover.MONITORING
    assert not hopeless(run)
    run.answers.clear()
    assert M in run.verbs(3)


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_an_error_word_to_any_call_costs_no_heartbeat(word: VMGuestError) -> None:
    for verb in (A, E, M, S):
        run = beating()
        run.answers[verb] = word
        run.verbs(12)
        run.answers.clear()
        assert M in run.verbs(8), verb
        assert run.on


@pytest.mark.parametrize("word", WORDS, ids=repr)
@pytest.mark.parametrize("maintenance", [False, True])
def test_an_error_word_ends_no_stop(word: VMGuestError, *, maintenance: bool) -> None:
    """Disable and the question after it were refused once each: exit 0, and a reset."""
    run = beating()
    run.answers = {D: word, A: word}
    if maintenance:
        run.maintenance = True
    else:
        run.policy.stop(run.now)
    assert M in run.verbs(20), "beats go on meanwhile"
    assert run.end is None
    assert run.on
    assert run.policy.conversation.host.leftover is Leftover.MONITORING
    run.answers.clear()
    run.verbs(3)
    assert not run.on
    assert maintenance or run.end == End(confirmed=True)


@pytest.mark.parametrize("word", [RpcError("Unknown command"), RpcError("Permission denied")])
def test_a_host_that_has_answered_is_tried_again_within_an_interval(word: VMGuestError) -> None:
    run = Run()
    run.health = UNKNOWN
    run.verbs(1)
    run.health = GOOD
    run.answers = {A: word, E: word}
    run.verbs(20)
    run.answers.clear()
    assert M in run.verbs(10)


def test_a_refusal_in_passing_is_no_silence_where_a_full_disk_kept_from_noting_that_it_is_on() -> None:
    """It was taken for a host without monitoring, and not asked again for 300 s."""
    run = Run()
    run.answers = dict.fromkeys((A, E, M, D, S), RpcError("Unknown command"))
    run.verbs(5)
    run.answers.clear()
    assert M in run.verbs(20)


def test_a_host_that_never_had_monitoring_is_left_in_peace() -> None:
    run = Run()
    run.answers = dict.fromkeys((A, E, M, D, S), RpcError("Unknown command"))
    assert len(run.verbs(40)) <= 8
    assert len(run.verbs(259)) <= 1
    assert "no HA Application Monitoring" in run.policy.reporter.problem
    assert hopeless(run)
    run.policy.stop(run.now)
    run.verbs(1)
    assert run.end == End(confirmed=True)


def test_a_host_that_had_monitoring_is_not_called_one_without() -> None:
    run = Run(leftover=Leftover.MONITORING)
    run.answers = dict.fromkeys((A, E, M), RpcError("Unknown command"))
    run.verbs(10)
    assert "Unknown command. It was not always so, and is tried again." in run.policy.reporter.problem
    assert run.logged("It was not always so") <= 3, "once of each call"


def test_a_host_that_takes_enable_and_does_not_mean_it_is_told_once() -> None:
    run = Run()
    run.answers[A] = False
    verbs = run.verbs(60)
    assert 4 <= verbs.count(M) <= 10
    assert run.logged("VM and Application Monitoring") == 1


def test_a_host_that_refuses_enable_for_want_of_a_cluster_says_where_to_look() -> None:
    run = Run()
    run.answers[E] = Code.NOT_ENABLED
    assert len(run.verbs(60)) < 30
    assert "VM and Application Monitoring" in run.policy.reporter.problem


def test_an_enable_that_is_refused_because_it_is_on_costs_no_heartbeat() -> None:
    run = beating()
    run.verbs(30)
    run.status, run.answers[E] = AppStatus.GRAY, Code.INTERNAL_ERROR
    beats = [at for at, verb in run.pass_time(100) if verb is M]
    assert max(later - at for at, later in itertools.pairwise(beats)) <= 11


def test_a_status_that_can_not_be_read_is_told_once_and_costs_no_heartbeat() -> None:
    run = beating()
    run.answers[S] = RemoteProtocolError("an application status of b'blue'")
    assert run.verbs(120).count(M) == 12
    assert run.policy.conversation.host.shown.status is None
    assert run.logged("status can't be read") == 1


def test_a_question_that_is_never_answered_costs_no_heartbeat() -> None:
    run = beating()
    run.now += 10
    run.answers = {M: Code.UNTOLD, A: TimeoutExpired("no answer")}
    run.step()
    del run.answers[M]
    beats = [at for at, verb in run.pass_time(60) if verb is M]
    assert beats == [1, 11, 21, 31, 41, 51]


def test_a_confirmation_that_can_not_be_had_costs_no_heartbeat() -> None:
    run = Run()
    run.step()
    run.answers[A] = RemoteProtocolError("IsEnabled was answered with b'?'")
    beats = [at for at, verb in run.pass_time(60) if verb is M]
    assert len(beats) == 7
    assert not run.policy.conversation.host.confirmed
    assert run.logged("IsEnabled was answered") == 1


# The stop


def test_an_orderly_stop_is_disable_confirmed() -> None:
    run = beating()
    run.policy.stop(run.now)
    assert run.verbs(1) == [D, A]
    assert run.end == End(confirmed=True)
    assert run.policy.conversation.host.leftover is Leftover.NOTHING
    assert run.log[-1] == "info: Monitoring is off, confirmed by the host."
    assert run.step() == End(confirmed=True)


def test_a_stop_before_anything_was_enabled_asks_once_and_ends() -> None:
    run = Run()
    run.policy.stop(run.now)
    assert run.verbs(1) == [A]
    assert run.end == End(confirmed=True)


def test_a_stop_before_the_first_good_health_switches_off_what_is_on() -> None:
    run = Run(on=True)
    run.health = UNKNOWN
    run.policy.stop(run.now)
    assert run.verbs(1) == [A, D, A]
    assert not run.on


def test_a_stop_where_the_host_refuses_everything_ends_at_once() -> None:
    run = Run()
    run.answers = dict.fromkeys((A, E, D), RpcError("Permission denied"))
    run.verbs(5)
    run.policy.stop(run.now)
    run.verbs(1)
    assert run.end == End(confirmed=True)


def test_a_stop_after_a_lost_enable_does_not_believe_that_it_is_off() -> None:
    run = Run()
    run.step()
    run.answers[E] = TimeoutExpired("no answer")
    run.step()
    run.on = True
    run.policy.stop(run.now)
    assert run.verbs(1)[:2] == [D, A]
    assert not run.on


def test_a_stop_while_silent_disables() -> None:
    run = beating()
    run.health = BAD
    run.verbs(40)
    run.policy.stop(run.now)
    assert run.verbs(1) == [D, A]
    assert run.end == End(confirmed=True)


def test_a_stop_takes_a_request_for_a_reset_back_first() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.verbs(31)
    run.policy.stop(run.now)
    assert run.verbs(1) == [OK_STATE, D, A]
    assert run.end == End(confirmed=True)


def test_a_request_that_can_not_be_taken_back_is_told_at_the_end() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.verbs(31)
    run.states[AppState.OK] = Code.INTERNAL_ERROR
    run.policy.stop(run.now, 10)
    run.verbs(20)
    assert run.end == End(confirmed=False)
    assert not run.on, "monitoring was handed back all the same"
    assert run.logged("post-app-state ok") == 1
    assert run.policy.conversation.host.leftover is Leftover.REQUEST


@pytest.mark.parametrize("health", [GOOD, BAD])
def test_heartbeats_go_on_until_the_limit_where_disable_can_not_be_confirmed(health: Health) -> None:
    """Also after they were withheld: whoever stops the exporter wants no reset."""
    run = beating()
    run.health = health
    run.verbs(40)
    run.answers[D] = Code.INTERNAL_ERROR
    run.policy.stop(run.now)
    calls = run.pass_time(70)
    beats = [at for at, verb in calls if verb is M]
    assert len(beats) >= 5
    assert run.end == End(confirmed=False)
    assert (
        run.logged("critical: Disable: the host answered 1 (internal error). Monitoring can't be handed back")
        == 1
    )
    assert run.logged("critical: Stopped WITHOUT a confirmed Disable") == 1
    assert run.policy.conversation.host.leftover is Leftover.MONITORING


def test_disable_and_heartbeats_take_turns_while_nothing_gets_through() -> None:
    run = beating()
    run.answers = dict.fromkeys((D, A, M), TimeoutExpired("no answer"))
    run.policy.stop(run.now)
    verbs = run.verbs(50)
    assert min(verbs.count(D), verbs.count(M)) > 10
    run.answers.clear()
    run.verbs(3)
    assert run.end == End(confirmed=True)


def test_a_disable_that_only_seems_to_work_is_repeated() -> None:
    run = beating()
    run.answers[D] = Code.OK
    run.policy.stop(run.now)
    verbs = run.verbs(10)
    assert 8 <= verbs.count(D) <= 12
    assert run.end is None
    del run.answers[D]
    run.verbs(2)
    assert run.end == End(confirmed=True)


def test_not_enabled_during_a_stop_is_what_was_wanted() -> None:
    run = beating()
    run.answers[D] = TimeoutExpired("no answer")
    run.policy.stop(run.now)
    run.verbs(12)
    run.on = False
    run.verbs(15)
    assert run.end == End(confirmed=True)
    assert run.policy.reporter.tally.reenables == 0


def test_a_second_stop_does_not_begin_anew() -> None:
    run = beating()
    run.answers = dict.fromkeys((D, A), TimeoutExpired("no answer"))
    run.policy.stop(run.now, 10)
    run.verbs(5)
    run.policy.stop(run.now, 1000)
    run.verbs(6)
    assert run.end == End(confirmed=False)
    assert run.logged("Stopping") == 1


def test_time_left_counts_from_the_last_heartbeat_and_only_while_monitoring_is_on() -> None:
    run = Run()
    assert run.policy.conversation.host.time_left(run.now) is None
    run.verbs(0)
    assert run.policy.conversation.host.time_left(run.now + 12) == 18
    assert run.policy.conversation.host.time_left(run.now + 40) == 0


# What led to wrong resets, or to missed ones


def test_a_refusal_in_passing_is_tried_again_within_the_slack() -> None:
    """With an interval of 15 s a whole one more would be the reset."""
    run = beating(Rules(interval=15.0))
    run.verbs(30)
    run.answers[M] = RpcError("busy")
    calls = [at for at, verb in run.pass_time(20) if verb is M]
    assert len(calls) >= 4
    assert max(later - at for at, later in itertools.pairwise(calls)) <= 1


def test_a_refusal_that_lasts_beyond_the_hosts_patience_is_not_asked_every_second() -> None:
    run = beating()
    run.answers[M] = RpcError("busy")
    run.verbs(60)
    assert len(run.verbs(60)) <= 8


def test_what_is_not_known_yet_does_not_let_a_stall_become_bad_health() -> None:
    """After a restart, checks that need 100 s for a first verdict, and one stall."""
    run = Run(Rules(grace=30), Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    run.verbs(20)
    run.health = FAULT
    run.verbs(1)
    run.health = UNKNOWN
    beats = [at for at, verb in run.pass_time(80) if verb is M]
    assert max(later - at for at, later in itertools.pairwise(beats)) <= 10
    assert run.policy.phase is Phase.BEATING


def test_stalls_do_not_add_up_while_health_is_not_known() -> None:
    run = Run(Rules(grace=10), Leftover.MONITORING, on=True)
    for _ in range(10):
        run.health = FAULT
        run.verbs(8)
        run.health = UNKNOWN
        run.verbs(1)
    assert run.policy.phase is Phase.BEATING


def test_bad_time_of_before_a_restart_counts_on_once_a_fresh_verdict_is_bad() -> None:
    run = Run(Rules(grace=30), Leftover.MONITORING, on=True)
    run.policy = Policy(run.policy.rules, run.now, Leftover.MONITORING, 25.0)
    run.health = UNKNOWN
    assert run.verbs(60).count(M) >= 6
    run.health = BAD
    run.verbs(4)
    phases = [run.policy.phase]
    run.verbs(2)
    assert [*phases, run.policy.phase] == [Phase.BEATING, Phase.WITHHOLDING]


@pytest.mark.parametrize("before", [29.0, 900.0])
def test_bad_time_of_before_a_restart_withholds_nothing_without_a_fresh_bad_verdict(before: float) -> None:
    run = Run(Rules(grace=30), Leftover.MONITORING, on=True)
    run.policy = Policy(run.policy.rules, run.now, Leftover.MONITORING, before)
    for health, seconds in ((UNKNOWN, 5), (FAULT, 29), (UNKNOWN, 5), (FAULT, 29)):
        run.health = health
        run.verbs(seconds)
        assert run.policy.phase is Phase.BEATING
    run.verbs(2)
    assert run.policy.phase is Phase.WITHHOLDING, "an own fault that lasts has a grace period, and an end"


def restarted(bad_for: float, rules: Rules | None = None, *, first_look: float = 9.0) -> Run:
    run = Run(rules, on=True)
    run.policy = Policy(run.policy.rules, run.now, Leftover.MONITORING, bad_for)
    run.health, run.first_look_by = UNKNOWN, run.now + first_look
    return run


def beats(calls: list[tuple[float, Verb | Call]]) -> list[float]:
    return [at for at, call in calls if call is M]


def test_a_restart_after_bad_health_for_the_whole_grace_period_begins_with_no_heartbeat() -> None:
    """Else one that is restarted again and again beats again and again."""
    run = restarted(30.0)
    assert beats(run.pass_time(3)) == []
    run.health = BAD
    assert beats(run.pass_time(60)) == []


def test_where_bad_health_is_to_be_handed_back_a_restart_beats_until_it_is_known() -> None:
    """Found by reading: the silence of a first look that hangs is a reset, which `disable` is never to be."""
    run = restarted(30.0, Rules(on_unhealthy=OnUnhealthy.DISABLE), first_look=64.0)
    assert beats(run.pass_time(59)) == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize("moment", [0.0, 1.0, 6.0])
def test_good_health_after_such_a_restart_is_a_heartbeat_at_once(moment: float) -> None:
    run = restarted(900.0)
    run.pass_time(moment)
    run.health = GOOD
    assert beats(run.pass_time(1))[0] <= 0.1


@pytest.mark.parametrize("first_look", [7.0, 14.0, 24.0])
def test_after_such_a_restart_heartbeats_are_held_back_for_the_first_look_and_no_longer(
    first_look: float,
) -> None:
    """Found by a stranger: a look that takes 9 s to fail, and one heartbeat after 7 s of each life."""
    run = restarted(900.0, first_look=first_look)
    assert beats(run.pass_time(30)) == [
        at for at in (first_look, first_look + 10, first_look + 20) if at <= 30
    ]


def test_another_check_that_is_bad_meanwhile_neither_spends_that_time_nor_lets_heartbeats_begin() -> None:
    run = restarted(30.0, Rules(grace=30.0, on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health, run.bad_for, run.unsure = BAD, 30.0, 30.0
    calls = run.pass_time(12)
    assert beats(calls) == [9.0]
    assert NEED_RESET not in [call for _, call in calls]


def test_where_nothing_is_looked_at_any_more_heartbeats_begin_at_once() -> None:
    run = restarted(900.0, first_look=float("-inf"))
    assert beats(run.pass_time(1)) == [0.0]


@pytest.mark.parametrize(("bad_for", "grace"), [(0.0, 0.0), (0.0, 30.0), (29.0, 30.0)])
def test_other_restarts_begin_with_a_heartbeat(bad_for: float, grace: float) -> None:
    run = restarted(bad_for, Rules(grace=grace))
    assert beats(run.pass_time(1)) == [0.0]


@pytest.mark.parametrize("bad_for", [0, 10, 20, 28])
def test_a_stall_of_60_s_is_no_reset_however_bad_health_was_before_it(bad_for: float) -> None:
    """The first 10 s of a stall are those in which its last word is not old yet."""
    run = beating()
    begin, beats = run.now, [0.0]
    for health, seconds in ((BAD, bad_for), (FAULT, 50), (GOOD, 20)):
        run.health = health
        since = run.now - begin
        beats += [since + at for at, verb in run.pass_time(seconds) if verb is M]
    assert max(later - at for at, later in itertools.pairwise(beats)) <= 30
    assert run.policy.bad_time.checks == 0


def test_hearts_that_are_restarted_every_20_s_do_not_begin_grace_anew() -> None:
    bad_for, silent = 0.0, False
    for _ in range(3):
        run = Run(Rules(grace=30), Leftover.MONITORING, on=True)
        run.policy = Policy(run.policy.rules, run.now, Leftover.MONITORING, bad_for)
        run.health = BAD
        run.verbs(20)
        bad_for = run.policy.bad_time.checks
        silent |= run.policy.phase is Phase.WITHHOLDING
    assert silent


@pytest.mark.parametrize("what", ["stop", "session", "maintenance"])
def test_what_ends_the_bad_time(what: str) -> None:
    run = beating()
    run.health = BAD
    run.verbs(20)
    assert run.policy.bad_time.checks > 15
    if what == "stop":
        run.policy.stop(run.now)
    elif what == "session":
        run.policy.session_changed(run.now)
    else:
        run.policy.next(run.now, HealthUpdate(BAD, "", run.now), maintenance=True)
    assert run.policy.bad_time.checks == 0


def test_a_request_is_taken_back_though_a_second_one_was_refused() -> None:
    run = beating(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET))
    run.health = BAD
    run.states[AppState.NEED_RESET] = ConnectionLost("broken")
    run.verbs(31)
    run.states[AppState.NEED_RESET] = RpcError("busy")
    run.verbs(5)
    assert run.policy.conversation.host.leftover is Leftover.REQUEST
    run.health = GOOD
    assert OK_STATE in run.verbs(0)
    assert not run.policy.conversation.host.request.pending


@pytest.mark.parametrize("error", [TransportError("lost"), TimeoutExpired("late"), ConnectionLost("broken")])
def test_a_first_question_whose_answer_was_lost_is_asked_again_before_a_stop_is_confirmed(
    error: VMGuestError,
) -> None:
    """The lock's word may not have been written: what the host does is asked for, never guessed."""
    run = Run(on=True)
    run.health = UNKNOWN
    run.answers[A] = error
    run.policy.stop(run.now)
    assert A in run.verbs(10)
    assert run.end is None
    del run.answers[A]
    run.verbs(10)
    assert run.end == End(confirmed=True)
    assert not run.on


def test_a_refused_enable_after_a_lost_first_answer_leaves_the_question_open_for_the_stop() -> None:
    """Found by the second model: nobody asked again, and the stop of a host that answers used its whole minute."""
    run = Run()
    run.answers = {A: ConnectionLost("broken"), E: RpcError("Permission denied")}
    assert run.verbs(0) == [A, E]
    run.answers.clear()
    run.policy.stop(run.now)
    assert run.verbs(5) == [A]
    assert run.end == End(confirmed=True)


def test_a_heartbeat_of_a_monitoring_that_is_off_settles_a_lost_answer_before_it() -> None:
    """Found by the second model: the stop had nothing to ask, and waited its whole minute for an answer."""
    run = Run()
    assert [run.step() for _ in range(3)] == [Call(A), Call(E), Call(M)]
    run.answers[A] = ConnectionLost("broken")
    run.verbs(5)
    assert run.policy.conversation.host.unanswered
    run.on = False
    while run.step() != Call(M):
        run.now += 0.1
    run.answers.clear()
    run.policy.stop(run.now)
    assert run.verbs(5) == [A]
    assert run.end == End(confirmed=True)


def test_a_host_that_never_answers_lets_no_stop_be_confirmed() -> None:
    run = Run()
    run.answers[A] = run.answers[D] = TransportError("lost")
    run.policy.stop(run.now)
    run.verbs(61)
    assert run.end == End(confirmed=False)


@pytest.mark.parametrize(
    "error", [NoDeviceError("none"), RpcError("Unknown command"), NotVMwareError("none")]
)
def test_where_nothing_can_be_on_a_stop_is_over_at_once(error: VMGuestError) -> None:
    run = Run()
    run.answers[A] = error
    run.policy.stop(run.now)
    run.verbs(1)
    assert run.end == End(confirmed=True)


# Maintenance


def maintained(run: Run, seconds: float, maintenance: bool) -> list[Verb]:
    calls, until = [], run.now + seconds
    while True:
        action = run.policy.next(run.now, HealthUpdate(run.health, "", run.now), maintenance=maintenance)
        run.log += [f"{event.level}: {event.text}" for event in run.policy.events()]
        if isinstance(action, Call):
            run.policy.done(run.now, action, run._answer(action))
            calls.append(action.verb)
        elif run.now + 1 > until:
            return calls
        else:
            run.now += 1


def test_maintenance_hands_back_confirmed_and_nothing_is_enabled_in_it() -> None:
    run = beating()
    run.status = AppStatus.GRAY
    calls = maintained(run, 60, maintenance=True)
    assert calls[:3] == [D, A, S]
    assert {*calls[3:]} == {S, A}
    assert run.policy.conversation.host.shown.status is AppStatus.GRAY, "no longer what it was before"
    assert run.policy.phase is Phase.MAINTENANCE
    assert run.policy.conversation.host.leftover is Leftover.NOTHING


def test_at_its_end_monitoring_is_enabled_only_with_good_health() -> None:
    run = beating()
    maintained(run, 10, maintenance=True)
    for health in (BAD, FAULT, UNKNOWN):
        run.health = health
        assert E not in maintained(run, 120, maintenance=False)
    run.health = GOOD
    assert maintained(run, 1, maintenance=False)[:2] == [E, M]


def test_heartbeats_go_on_while_the_host_does_not_confirm_it() -> None:
    run = beating()
    run.answers[D] = Code.INTERNAL_ERROR
    assert maintained(run, 60, maintenance=True).count(M) >= 5
    del run.answers[D]
    maintained(run, 5, maintenance=True)
    assert not run.on


def test_maintenance_of_a_restarted_exporter_switches_off_what_its_predecessor_left() -> None:
    run = Run(leftover=Leftover.MONITORING, on=True)
    run.health = UNKNOWN
    assert D in maintained(run, 5, maintenance=True)
    assert not run.on


def test_the_last_of_the_grace_is_not_waited_for_in_a_spin() -> None:
    """Bad time grows with verdicts alone, and the next one is up to a second away."""
    run = beating()
    for at in (0.0, 7.5, 15.0, 22.5, 29.995):
        seen = 100.0 + at
        action = run.policy.next(run.now, HealthUpdate(BAD, "", seen))
        while isinstance(action, Call):
            run.policy.done(run.now, action, run._answer(action))
            action = run.policy.next(run.now, HealthUpdate(BAD, "", seen))
        run.now = seen + 0.5
    assert isinstance(action, Wait)
    assert 0 < run.policy._grace_left < 0.01
    action = run.policy.next(run.now, HealthUpdate(BAD, "", seen))
    while isinstance(action, Call):
        run.policy.done(run.now, action, run._answer(action))
        action = run.policy.next(run.now, HealthUpdate(BAD, "", seen))
    assert isinstance(action, Wait)
    assert action.until >= run.now + 0.1


# What the log says of it, word for word


def test_maintenance_is_told_once_at_its_beginning_and_once_at_its_end() -> None:
    run = beating()
    run.maintenance, run.status = True, AppStatus.GRAY
    run.pass_time(30)
    assert run.log == [
        (
            "warning: Maintenance: monitoring is handed back to vSphere HA. `vmguest-exporter ha status` tells until when, "
            "`vmguest-exporter ha enable` ends it."
        ),
        "info: Monitoring is off, confirmed by the host.",
        "info: vSphere HA sees this application as Gray.",
    ]
    run.log.clear()
    run.maintenance = False
    run.pass_time(5)
    assert run.log[0] == "warning: Maintenance is over: monitoring is enabled once health is good."
    assert run.logged("Maintenance") == 1


def test_health_that_is_good_again_within_the_grace_period_is_told() -> None:
    run = beating()
    run.health = BAD
    run.pass_time(5)
    run.log.clear()
    run.health = GOOD
    run.pass_time(5)
    assert run.log == ["info: Health is good again, within the grace period."]


def test_an_orderly_stop_is_told() -> None:
    run = beating()
    run.policy.stop(run.now)
    run.step()
    assert run.log[0] == "info: Stopping: monitoring is handed back to vSphere HA first."


def test_nothing_goes_on_for_a_grace_period_of_nothing() -> None:
    run = beating(Rules(grace=0.0))
    run.health = BAD
    run.pass_time(5)
    assert run.logged("Heartbeats go on") == 0
    assert run.logged("Health has been bad for 0 s: check db: refused. Heartbeats are withheld.") == 1


def test_bad_health_is_not_told_while_no_heartbeats_go_out() -> None:
    """Monitoring could not be enabled: there is nothing that goes on for a grace period."""
    run = Run()
    run.answers[E] = TransportError("no host")
    run.pass_time(5)
    run.log.clear()
    run.health = BAD
    run.pass_time(5)
    assert not run.logged("Heartbeats go on")


def test_no_reset_is_asked_for_before_a_look_has_found_it_bad_after_the_grace_period() -> None:
    """A verdict stands until the next look: a check of once a minute was bad for half of one after a blip of a second."""
    policy = Policy(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET), 0.0)
    policy.next(0.0, HealthUpdate(GOOD, "", 0.0, bad_for=0.0))
    asked = 0.0
    for second in range(1, 60):
        # Looks at 1, 11, 21, 31, ...
        unsure = (second - 1.0) % 10
        policy.next(second, HealthUpdate(BAD, "down", second, bad_for=second - 1.0, unsure=unsure))
        if policy.phase is Phase.ASKING and not asked:
            asked = second
    assert asked == 31


def test_a_new_heart_goes_on_with_the_faults_of_the_exporters_own() -> None:
    """Else killing the heart again and again would keep heartbeats on for ever."""
    policy = Policy(Rules(), 0.0, Leftover.MONITORING, 0.0, 25.0)
    phases = []
    for second in range(12):
        policy.next(second, HealthUpdate(FAULT, "poll", second, bad_for=0.0, fault=True))
        phases.append(policy.phase)
    assert phases.index(Phase.WITHHOLDING) == 5


def test_a_new_heart_knows_that_a_check_was_bad_before_it_could_not_be_looked_at_any_more() -> None:
    """Found by a stranger: heartbeats that were withheld went on once the heart was killed."""
    for known_bad, phase in ((True, Phase.WITHHOLDING), (False, Phase.BEATING)):
        policy = Policy(Rules(), 0.0, Leftover.MONITORING, 30.0)
        policy.next(
            0.0, HealthUpdate(FAULT, "check db: no files", 0.0, bad_for=30.0, fault=True, known_bad=known_bad)
        )
        assert policy.phase is phase


def test_what_was_handed_back_for_bad_health_is_on_again_with_good_health_alone() -> None:
    run = Run(Rules(on_unhealthy=OnUnhealthy.DISABLE))
    run.pass_time(5)
    run.health = BAD
    run.pass_time(40)
    assert run.policy.phase is Phase.OFF
    run.policy.session_changed(run.now)
    for run.health in (BAD, UNKNOWN, FAULT):
        assert E not in [verb for _, verb in run.pass_time(20)]
        assert run.policy.phase is Phase.OFF
    run.health = GOOD
    assert E in [verb for _, verb in run.pass_time(5)]
    assert [line for line in run.log if "Health is good again: heartbeats resume" in line]


def test_heartbeats_that_resume_while_health_is_bad_say_so() -> None:
    """Another session clears the bad time, and not what is bad."""
    run = Run()
    run.pass_time(5)
    run.health = BAD
    run.pass_time(40)
    assert "Heartbeats are withheld" in run.log[-1]
    run.policy.session_changed(run.now)
    run.step()
    assert run.policy.phase is Phase.BEATING
    (line,) = [line for line in run.log if "heartbeats resume" in line]
    assert "good again" not in line
    assert "check db: refused" in line


def test_no_reset_is_asked_for_because_of_a_check_that_can_not_be_looked_at() -> None:
    """Found by reading: it may be well by now, and another one that failed a single look asked in its place."""
    policy = Policy(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET), 0.0, Leftover.MONITORING, 30.0)
    for second, bad_now, phase in ((0.0, 30.0, Phase.ASKING), (1.0, 2.0, Phase.WITHHOLDING)):
        policy.next(second, HealthUpdate(BAD, "down", second, bad_for=30.0, known_bad=True, bad_now=bad_now))
        assert policy.phase is phase


def test_a_fault_of_the_exporters_own_withholds_beside_a_check_that_flaps_and_asks_for_nothing() -> None:
    policy = Policy(Rules(on_unhealthy=OnUnhealthy.REQUEST_RESET), 0.0)
    policy.next(0.0, HealthUpdate(GOOD, "", 0.0, bad_for=0.0))
    phases = []
    for second in range(1, 60):
        flaps = second % 4 == 0
        policy.next(second, HealthUpdate(BAD if flaps else FAULT, "poll", second, bad_for=0.0, fault=True))
        phases.append((policy.phase is Phase.WITHHOLDING, policy.phase is Phase.ASKING))
    assert phases.index((True, False)) == 30
    assert (False, True) not in phases
