"""Monitoring handed back by single calls, where no heart does it: ``ha disable`` and ``ha finish-stop``.

As in the orderly stop of a heart (:mod:`exporter.ha.conversation`), it is over when the host itself says so
(:attr:`exporter.ha.host_state.HostState.over`): a request for a reset is taken back, Disable is sent, and IsEnabled
says no.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.errors import LibraryNotFound, VMGuestError
from exporter.ha.actions import Call, perform
from exporter.ha.base import AppMonitor
from exporter.ha.host_state import CallResult, HostState, is_refusal_to_post, nothing_to_ask
from exporter.ha.late import as_noted
from exporter.ha.rules import WINDOW, Leftover
from exporter.protocol.appmonitor import AppState, Code, Verb

PAUSE = 1.0
"""Seconds between two attempts."""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """What is known in the end.

    ``to_take_back`` and ``to_disable``: the last answers, or the errors in their place; ``last``: that to the last question
    whether monitoring is on, or to Disable where it was not asked.
    """

    off: bool
    """The host says that it expects no heartbeats."""
    pending: bool
    """A request for a reset was noted, and the host has not taken it back."""
    to_take_back: CallResult
    to_disable: CallResult
    last: CallResult
    late: bool
    """A call that was given up before may still be carried out: it is off for now."""

    @property
    def confirmed(self) -> bool:
        return self.off and not self.pending and not self.late


def hand_back(
    monitor: AppMonitor,
    leftover: Leftover,
    limit: float,
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    late_until: float | None = None,
) -> HandedBack:
    """Try for ``limit`` seconds, and at least once. ``leftover``: what was noted that may be left at the host; ``late_until``:
    until when a call that was given up may still be carried out, by ``clock``. Before that nothing is confirmed.

    A request is taken back even where none was noted: whoever has no sight of the note may not leave it there. A host
    that refuses that is asked again only where one was noted.
    """
    deadline = clock() + limit
    noted = leftover is not Leftover.NOTHING
    # Whatever was noted, it may be on.
    at_least = max(leftover, Leftover.MONITORING, key=[*Leftover].index)
    host = HostState(WINDOW, at_least, as_noted(late_until, clock()))

    def ask(verb: Verb, state: AppState | None = None) -> CallResult:
        call = Call(verb, state)
        host.sent(clock(), verb, state)
        result = perform(monitor, call)
        host.answered(clock(), verb, state, result)
        return result

    owed = True
    to_take_back: CallResult = Code.OK
    while True:
        if owed:
            to_take_back = ask(Verb.POST_APP_STATE, AppState.OK)
            refused = (
                to_take_back is Code.OK
                or is_refusal_to_post(to_take_back, known=False)
                or final(to_take_back)
            )
            owed = host.may_be_asked_to_reset or not refused
        last = to_disable = ask(Verb.DISABLE)
        if not isinstance(to_disable, VMGuestError):
            last = ask(Verb.IS_ENABLED)
        done = host.over and not owed
        hopeless = final(to_disable) and not noted and not host.known
        if done or hopeless or clock() + PAUSE > deadline:
            return HandedBack(
                off=not host.may_be_on and not host.unanswered,
                pending=host.request.pending,
                to_take_back=to_take_back,
                to_disable=to_disable,
                last=last,
                late=host.late.until is not None,
            )
        sleep(PAUSE)


def final(result: CallResult) -> bool:
    """Another attempt would get the same, where nothing says that the host had these commands before."""
    return nothing_to_ask(result) or isinstance(result, LibraryNotFound)
