"""What is known of the host from what was sent and answered. How it is acted upon: test_policy.py."""

from __future__ import annotations

import pytest

from exporter.errors import (
    ConnectionLost,
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NoDeviceError,
    NotVMwareError,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
)
from exporter.ha.actions import Wish
from exporter.ha.host_state import CallResult, HostState, ResetRequest
from exporter.ha.reporter import Reporter, error_kind
from exporter.ha.rules import Leftover, Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

POST = Verb.POST_APP_STATE


def host(leftover: Leftover = Leftover.NOTHING) -> HostState:
    return HostState(30.0, leftover)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (TimeoutExpired("no"), "timeout"),
        (RpcError("no"), "not_enabled"),
        (Code.NOT_ENABLED, "not_enabled"),
        (Code.UNTOLD, "not_enabled"),
        (Code.INTERNAL_ERROR, "host_error"),
        (Code.BAD_ARGUMENT, "host_error"),
    ],
)
def test_a_failed_heartbeat_has_a_kind(result: CallResult, kind: str) -> None:
    assert error_kind(result) == kind


def test_nothing_is_known_at_the_start() -> None:
    fresh = host()
    assert not fresh.settled
    assert not fresh.may_be_on
    assert fresh.leftover is Leftover.NOTHING
    assert host(Leftover.MONITORING).may_be_on
    assert host(Leftover.BY_HAND).leftover is Leftover.MONITORING, (
        "what an exporter takes over is its own from then on"
    )
    assert host(Leftover.REQUEST).request is ResetRequest.ASKED


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
def test_a_refusal_of_a_command_that_was_repeated_is_no_clear_no(*, known: bool, repeated: bool) -> None:
    """Found by chance: VMware's library sends one again where its connection broke, and passes on the second answer alone."""
    refusal = RpcError("Unknown command")
    refusal.repeated = repeated
    asked = host()
    if known:
        asked.sent(0, Verb.IS_ENABLED, None)
        asked.answered(0, Verb.IS_ENABLED, None, False)
    for verb, state in ((Verb.ENABLE, None), (POST, AppState.NEED_RESET)):
        asked.sent(1, verb, state)
        asked.answered(1, verb, state, refusal)
    unclear = known and repeated
    assert (asked.may_be_on, asked.request.pending) == (unclear, unclear)


def test_a_call_counts_from_the_moment_that_it_is_sent() -> None:
    """A crash between the call and its reply must leave the word that monitoring may be on."""
    sent = host()
    sent.sent(1.0, Verb.ENABLE, None)
    assert sent.leftover is Leftover.MONITORING
    sent.sent(2.0, POST, AppState.OK)
    assert not sent.request.pending
    sent.sent(3.0, POST, AppState.NEED_RESET)
    assert (sent.request, sent.leftover) == (ResetRequest.ASKED, Leftover.REQUEST)


def test_a_clear_no_to_enable_leaves_nothing_behind() -> None:
    refused = host()
    refused.sent(1.0, Verb.ENABLE, None)
    refused.answered(1.0, Verb.ENABLE, None, RpcError("Permission denied"))
    assert refused.leftover is Leftover.NOTHING


def test_a_clear_no_does_not_undo_an_enable_before_it_whose_reply_was_lost() -> None:
    lost = host()
    for result in (TimeoutExpired("no answer"), RpcError("busy")):
        lost.sent(1.0, Verb.ENABLE, None)
        lost.answered(3.0, Verb.ENABLE, None, result)
        assert lost.leftover is Leftover.MONITORING


def test_an_enable_counts_as_heard_where_nothing_else_may_have_been() -> None:
    enabled = host()
    enabled.sent(1.0, Verb.ENABLE, None)
    enabled.answered(1.0, Verb.ENABLE, None, Code.OK)
    enabled.sent(20.0, Verb.ENABLE, None)
    assert enabled.heard.overdue(31.0), "it does not begin anew what has begun"
    enabled.sent(32.0, Verb.ENABLE, None)
    enabled.answered(34.0, Verb.ENABLE, None, TimeoutExpired("no answer"))
    assert not enabled.heard.overdue(63.9), "it may have been heard as late as that"
    assert enabled.heard.overdue(64.0)
    enabled.sent(70.0, Verb.ENABLE, None)
    enabled.answered(70.0, Verb.ENABLE, None, RpcError("busy"))
    assert enabled.heard.overdue(70.0), "a clear no changes nothing"


@pytest.mark.parametrize(
    ("result", "heard"),
    [
        (TimeoutExpired("no answer"), True),
        (Code.UNTOLD, True),
        (RpcError("busy"), False),
        (NoDeviceError("no"), False),
    ],
)
def test_a_heartbeat_that_may_have_been_heard_puts_off_the_end_of_patience(
    result: CallResult, *, heard: bool
) -> None:
    beaten = host()
    for now, verb, answer in ((1.0, Verb.ENABLE, Code.OK), (20.0, Verb.MARK_ACTIVE, result)):
        beaten.sent(now, verb, None)
        beaten.answered(now, verb, None, answer)
    assert beaten.heard.overdue(40.0) is not heard
    assert beaten.time_left(40.0) == 0, "but it may have heard nothing as well"


@pytest.mark.parametrize("refusal", [Code.BAD_ARGUMENT, RpcError("busy")])
def test_a_refused_request_does_not_clear_the_memory_of_one_before_it(refusal: CallResult) -> None:
    asked = host()
    asked.sent(1.0, POST, AppState.NEED_RESET)
    asked.answered(1.0, POST, AppState.NEED_RESET, ConnectionLost("broken"))
    asked.sent(2.0, POST, AppState.NEED_RESET)
    asked.answered(2.0, POST, AppState.NEED_RESET, refusal)
    assert asked.request.pending
    first = host()
    first.sent(1.0, POST, AppState.NEED_RESET)
    first.answered(1.0, POST, AppState.NEED_RESET, refusal)
    assert first.request is ResetRequest.REFUSED


@pytest.mark.parametrize("result", [Code.UNTOLD, Code.INTERNAL_ERROR])
def test_a_request_whose_refusal_is_not_clear_may_be_pending(result: CallResult) -> None:
    """A status 1 of VMware's library is also a reply that was lost, after the host had heard it."""
    asked = host()
    asked.sent(1.0, POST, AppState.NEED_RESET)
    asked.answered(1.0, POST, AppState.NEED_RESET, result)
    assert asked.request is ResetRequest.ASKED
    assert asked.leftover is Leftover.REQUEST


ERRORS: list[CallResult] = [
    RpcError("Unknown command"),
    RpcError("Permission denied"),
    RpcError("disabled"),
    NotVMwareError("none"),
    LibraryNotFound("none"),
    LibraryStatus(1, "IsEnabled"),
    LibraryCrashed("died"),
    NoDeviceError("none"),
    RefusedError("reset"),
    TimeoutExpired("late"),
    ConnectionLost("broken"),
    RemoteProtocolError("nonsense"),
]
BY_CODE: list[CallResult] = [Code.UNTOLD, Code.INTERNAL_ERROR, Code.ARGUMENT_EXPECTED, Code.BAD_ARGUMENT]


def say(told: HostState, verb: Verb, result: CallResult, now: float = 1.0) -> None:
    told.sent(now, verb, None)
    told.answered(now, verb, None, result)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("before", ["enabled", "confirmed", "noted", "found on"])
def test_no_error_word_to_any_call_says_that_what_was_on_is_off(before: str, error: CallResult) -> None:
    told = host(Leftover.MONITORING if before == "noted" else Leftover.NOTHING)
    if before in {"enabled", "confirmed"}:
        say(told, Verb.ENABLE, Code.OK)
    if before in {"confirmed", "found on"}:
        say(told, Verb.IS_ENABLED, True)
    for verb in (Verb.IS_ENABLED, Verb.MARK_ACTIVE, Verb.GET_APP_STATUS, Verb.ENABLE, Verb.DISABLE) * 2:
        for result in (error, *(BY_CODE if verb not in {Verb.IS_ENABLED, Verb.GET_APP_STATUS} else ())):
            say(told, verb, result)
            say(told, Verb.IS_ENABLED, error)
            assert told.may_be_on, (verb, result)
            assert not told.over
    assert told.leftover is Leftover.MONITORING or before == "found on"
    say(told, Verb.IS_ENABLED, False, now=40.0)
    assert told.over


@pytest.mark.parametrize("error", [RpcError("Unknown command"), NotVMwareError("none")])
def test_only_where_nothing_was_ever_answered_or_noted_does_an_unknown_command_mean_off(
    error: CallResult,
) -> None:
    nowhere = host()
    say(nowhere, Verb.IS_ENABLED, TimeoutExpired("late"))
    assert not nowhere.over
    say(nowhere, Verb.IS_ENABLED, error)
    assert nowhere.over
    assert not nowhere.known
    known = host()
    say(known, Verb.GET_APP_STATUS, AppStatus.GREEN)
    say(known, Verb.IS_ENABLED, TimeoutExpired("late"))
    say(known, Verb.IS_ENABLED, error)
    assert known.unanswered, "it may have said yes, and a refusal does not unsay it"
    assert not known.over


@pytest.mark.parametrize(
    ("result", "after"),
    [(Code.OK, ResetRequest.TAKEN_BACK), (Code.INTERNAL_ERROR, ResetRequest.POSTED)],
)
def test_a_request_is_taken_back_when_the_host_says_so(result: CallResult, after: ResetRequest) -> None:
    asked = host()
    asked.sent(1.0, POST, AppState.NEED_RESET)
    asked.answered(1.0, POST, AppState.NEED_RESET, Code.OK)
    asked.sent(2.0, POST, AppState.OK)
    asked.answered(2.0, POST, AppState.OK, result)
    assert asked.request is after


def test_a_heartbeat_counts_from_when_it_was_sent_not_from_its_reply() -> None:
    beat = host()
    beat.sent(10.0, Verb.ENABLE, None)
    beat.answered(10.0, Verb.ENABLE, None, Code.OK)
    beat.sent(11.0, Verb.MARK_ACTIVE, None)
    beat.answered(12.9, Verb.MARK_ACTIVE, None, Code.OK)
    assert (beat.heard.last_beat, beat.time_left(13.0)) == (11.0, 28.0)


def test_the_status_is_kept_as_long_as_it_can_be_read() -> None:
    seen = host()
    seen.answered(1.0, Verb.GET_APP_STATUS, None, AppStatus.GREEN)
    assert seen.shown.status is AppStatus.GREEN
    seen.answered(2.0, Verb.GET_APP_STATUS, None, TimeoutExpired("no answer"))
    assert seen.shown.status is None


def test_each_change_of_the_status_is_a_line() -> None:
    reporter = Reporter(Rules(), host())
    green, red = AppStatus.GREEN, AppStatus.RED
    for status in (AppStatus.GRAY, green, green, red, red, green):
        reporter.status(1.0, Wish(Phase.BEATING, healthy_once=True, well=True, grace_left=0.0), status)
    assert [event.level for event in reporter.take()] == ["info", "info", "critical", "info"]


def test_who_is_silent_for_a_first_look_is_not_said_to_beat() -> None:
    reporter = Reporter(Rules(), host())
    wish = Wish(Phase.BEATING, healthy_once=False, well=True, grace_left=0.0, silent_until=9.0)
    for now, status in ((1.0, AppStatus.RED), (8.0, AppStatus.GREEN), (10.0, AppStatus.RED)):
        reporter.status(now, wish, status)
    first, _, last = (event.text for event in reporter.take())
    assert (first[-23:], last[-24:]) == ("The exporter is silent.", "The exporter is beating.")


def test_a_disable_that_was_answered_is_not_yet_believed() -> None:
    off = host()
    off.sent(1.0, Verb.ENABLE, None)
    off.answered(1.0, Verb.ENABLE, None, Code.OK)
    off.sent(2.0, Verb.DISABLE, None)
    off.answered(2.0, Verb.DISABLE, None, Code.OK)
    assert off.may_be_on
    off.answered(2.0, Verb.IS_ENABLED, None, False)
    assert off.leftover is Leftover.NOTHING
