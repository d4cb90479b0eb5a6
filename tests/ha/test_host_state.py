"""What is learnt from replies. How it is acted upon: test_policy.py."""

from __future__ import annotations

import pytest

from exporter.errors import RpcError, TimeoutExpired
from exporter.ha.events import Events
from exporter.ha.host_state import HostState, Result, error_kind
from exporter.ha.rules import Leftover, Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb


def host(leftover: Leftover = Leftover.NOTHING) -> HostState:
    return HostState(Rules(), 0.0, leftover, Events())


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
def test_a_failed_heartbeat_has_a_kind(result: Result, kind: str) -> None:
    assert error_kind(result) == kind


def test_nothing_is_known_at_the_start() -> None:
    fresh = host()
    assert not fresh.settled
    assert not fresh.may_be_on
    assert fresh.leftover is Leftover.NOTHING
    assert host(Leftover.MONITORING).may_be_on
    assert host(Leftover.REQUEST).reset_asked


def test_a_call_counts_from_the_moment_that_it_is_sent() -> None:
    """A crash between the call and its reply must leave the word that monitoring may be on."""
    sent = host()
    sent.sending(1.0, Verb.ENABLE, None)
    assert sent.leftover is Leftover.MONITORING
    sent.sending(2.0, Verb.POST_APP_STATE, AppState.OK)
    assert not sent.reset_asked
    sent.sending(3.0, Verb.POST_APP_STATE, AppState.NEED_RESET)
    assert (sent.reset_asked, sent.leftover) == (True, Leftover.REQUEST)


def test_a_clear_no_to_enable_leaves_nothing_behind() -> None:
    refused = host()
    refused.sending(1.0, Verb.ENABLE, None)
    refused.learn(1.0, Phase.BEATING, Verb.ENABLE, None, RpcError("Permission denied"))
    assert refused.leftover is Leftover.NOTHING
    assert refused.hopeless
    lost = host()
    lost.sending(1.0, Verb.ENABLE, None)
    lost.learn(3.0, Phase.BEATING, Verb.ENABLE, None, TimeoutExpired("no answer"))
    assert lost.leftover is Leftover.MONITORING
    assert not lost.hopeless


def test_a_heartbeat_counts_from_when_it_was_sent_not_from_its_reply() -> None:
    beat = host()
    beat.sending(10.0, Verb.ENABLE, None)
    beat.learn(10.0, Phase.BEATING, Verb.ENABLE, None, Code.OK)
    beat.sending(11.0, Verb.MARK_ACTIVE, None)
    beat.learn(12.9, Phase.BEATING, Verb.MARK_ACTIVE, None, Code.OK)
    assert (beat.last_beat, beat.due, beat.time_left(13.0)) == (11.0, 21.0, 28.0)


def test_the_status_is_kept_as_long_as_it_can_be_read() -> None:
    seen = host()
    seen.learn(1.0, Phase.BEATING, Verb.GET_APP_STATUS, None, AppStatus.GREEN)
    assert seen.status is AppStatus.GREEN
    seen.learn(2.0, Phase.BEATING, Verb.GET_APP_STATUS, None, TimeoutExpired("no answer"))
    assert seen.status is None


def test_each_change_of_the_status_is_a_line() -> None:
    events = Events()
    seen = HostState(Rules(), 0.0, Leftover.NOTHING, events)
    for status in (
        AppStatus.GRAY,
        AppStatus.GREEN,
        AppStatus.GREEN,
        AppStatus.RED,
        AppStatus.RED,
        AppStatus.GREEN,
    ):
        seen.learn(1.0, Phase.BEATING, Verb.GET_APP_STATUS, None, status)
    assert [event.level for event in events.take()] == ["info", "info", "critical", "info"]


def test_a_disable_that_was_answered_is_not_yet_believed() -> None:
    off = host()
    off.sending(1.0, Verb.ENABLE, None)
    off.learn(1.0, Phase.BEATING, Verb.ENABLE, None, Code.OK)
    off.sending(2.0, Verb.DISABLE, None)
    off.learn(2.0, Phase.STOPPING, Verb.DISABLE, None, Code.OK)
    assert off.may_be_on
    off.learn(2.0, Phase.STOPPING, Verb.IS_ENABLED, None, False)
    assert off.leftover is Leftover.NOTHING
