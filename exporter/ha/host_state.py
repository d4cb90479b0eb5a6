"""The host's state as known: what was sent to it and what it answered. Decides nothing and waits for nothing.

Written by its own methods alone. A state that is not sure - a lost reply, a refusal without a reason - is marked as
such, so that it is asked for and never guessed.
"""

from __future__ import annotations

from enum import Enum

from exporter.errors import (
    LibraryNotFound,
    NoDeviceError,
    NotVMwareError,
    RefusedError,
    RpcError,
    VMGuestError,
)
from exporter.ha.heard import Heard, Shown
from exporter.ha.late import NEVER, Late
from exporter.ha.rules import Leftover
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

CallResult = Code | bool | AppStatus | VMGuestError
"""The host's answer to a call, or the error that stands in its place."""


class NotNotedError(VMGuestError):
    """Enable, or a request for a reset, that was not sent: a successor would not know that there is something to take back."""

    def __init__(self) -> None:
        super().__init__("it can't be noted in the lock's file, the disk may be full")


REFUSALS = (RpcError, NotVMwareError, LibraryNotFound, NotNotedError)
"""A clear no: the command did nothing."""


UNCLEAR = frozenset({Code.UNTOLD, Code.INTERNAL_ERROR})
"""Of VMware's library: also a reply that was lost. Of the host: no word on whether it got as far as the effect."""


def did_nothing(result: CallResult, *, known: bool) -> bool:
    """A clear no. ``known``: the host has these commands: one that it refuses may have been taken before it was repeated."""
    repeated = known and isinstance(result, RpcError) and result.repeated
    return isinstance(result, REFUSALS) and not repeated


def is_refusal_to_post(result: CallResult, *, known: bool) -> bool:
    """PostAppState was refused by a clear no, or not sent. ``known`` as in :func:`did_nothing`."""
    clear = isinstance(result, Code) and result not in {Code.OK, *UNCLEAR}
    return clear or (isinstance(result, RpcError | NotNotedError) and did_nothing(result, known=known))


def may_have_been_heard(result: CallResult) -> bool:
    """The call may have had its effect: it was taken, or it was sent and nobody knows."""
    if isinstance(result, VMGuestError):
        return not isinstance(result, (*REFUSALS, NoDeviceError))
    return result in {Code.OK, *UNCLEAR}


def given_up(result: CallResult) -> bool:
    """Nothing came back from a call that may be on its way. Of VMware's library also what it does not tell."""
    silent = result is Code.UNTOLD or isinstance(result, VMGuestError)
    return silent and may_have_been_heard(result) and not isinstance(result, RefusedError)


def nothing_to_ask(result: CallResult) -> bool:
    """There is no such command, or no host. A host that is starting, or moving, may say so of commands that it knows."""
    unknown = isinstance(result, RpcError) and result.reason == "unknown_command"
    return unknown or isinstance(result, NotVMwareError)


class ResetRequest(Enum):
    """What has been asked of the host by appStateNeedReset."""

    NONE = "nothing"
    ASKED = "reset asked"
    """It may have reached the host: no answer came, or it is a predecessor's."""
    POSTED = "posted"
    """The host has taken it."""
    REFUSED = "refused"
    TAKEN_BACK = "taken back"

    @property
    def pending(self) -> bool:
        """The host may act on it."""
        return self is ResetRequest.ASKED or self is ResetRequest.POSTED


class HostState:
    """Times are seconds of one steady clock.

    ``window``: seconds without a heartbeat after which the host may act; ``leftover``: what a predecessor may have
    left there; ``late_until``: until when a call that it gave up may still be carried out.
    """

    def __init__(
        self, window: float, leftover: Leftover = Leftover.NOTHING, late_until: float = NEVER
    ) -> None:
        self.settled = False
        """The host has answered once, or could not be asked."""
        self.known = False
        """It has answered one of these commands: it has them, whatever error words come later."""
        self.on = False
        """It expects heartbeats, by the last that was heard."""
        self.unsure = True
        """Something was not heard: ask IsEnabled before relying on ``on``."""
        self.unanswered = False
        """IsEnabled was asked, and its answer lost: it may have said yes. Nothing that came since tells."""
        self.ours = leftover is not Leftover.NOTHING
        """If it is on, then by us."""
        self.confirmed = False
        """IsEnabled has said yes since the last change."""
        self.request = ResetRequest.ASKED if leftover is Leftover.REQUEST else ResetRequest.NONE
        self.heard = Heard(window)
        self.shown = Shown()
        self.late = Late(late_until, request=leftover is Leftover.REQUEST)
        self._before = self.ours, self.request
        """What a call that a clear no answers leaves as it was."""

    @property
    def may_be_on(self) -> bool:
        """It may expect heartbeats, by our doing or by a predecessor's."""
        return self.on or (self.unsure and self.ours)

    @property
    def may_come_on(self) -> bool:
        """Or it will, by an Enable that was given up."""
        return self.may_be_on or (self.ours and self.late.enable > NEVER)

    @property
    def to_be_asked(self) -> bool:
        """What is known of ``on`` may not be so, or not be so any more."""
        return self.unsure or (not self.on and (self.late.enable > NEVER or self.shown.doubtful))

    @property
    def may_be_asked_to_reset(self) -> bool:
        """A request for a reset is pending, or may come to be."""
        return self.request.pending or self.late.request > NEVER

    @property
    def over(self) -> bool:
        """It expects nothing, and nothing is asked of it; nor will be by what was given up."""
        known = self.settled and not self.unanswered and not self.shown.doubtful
        return known and self.late.until is None and not self.may_be_on and not self.request.pending

    @property
    def leftover(self) -> Leftover:
        """What would be left there if this process died now."""
        if self.may_be_asked_to_reset:
            return Leftover.REQUEST
        return Leftover.MONITORING if self.may_come_on else Leftover.NOTHING

    def time_left(self, now: float) -> float | None:
        """Seconds until it may act on silence; None while it expects nothing."""
        return self.heard.time_left(now) if self.on else None

    def sent(self, now: float, verb: Verb, state: AppState | None) -> None:
        """A call goes out: from here on the host may act on it, whether or not its reply arrives."""
        self._before = self.ours, self.request
        self.late.sent(now, verb, state)
        enable = verb is Verb.ENABLE
        # What it counted before may be over, one way or the other: with this one it may begin anew.
        self.heard.sent(now, anew=enable and (not self.may_be_on or self.heard.overdue(now)))
        if enable:
            self.ours = self.unsure = True
        elif state is AppState.NEED_RESET and not self.request.pending:
            self.request = ResetRequest.ASKED

    def answered(self, now: float, verb: Verb, state: AppState | None, result: CallResult) -> None:
        """What came back from it."""
        self.settled = True
        self.known |= not isinstance(result, VMGuestError) and result is not Code.UNTOLD
        repeated = isinstance(result, RpcError) and result.repeated and self.known
        if repeated or given_up(result):
            self.late.given_up(now)
        else:
            self.late.answered()
        if verb in {Verb.ENABLE, Verb.MARK_ACTIVE} and may_have_been_heard(result):
            self.heard.maybe(now)
        match verb:
            case Verb.ENABLE:
                self._enabled(result)
            case Verb.MARK_ACTIVE:
                self._marked(result)
            case Verb.IS_ENABLED:
                self._asked(result)
            case Verb.GET_APP_STATUS:
                status = result if isinstance(result, AppStatus) else None
                self.shown.looked(now, status, on=self.on)
            case Verb.DISABLE:
                self.unsure, self.confirmed = True, False
            case Verb.POST_APP_STATE:
                self._posted(state, result)

    def moved(self) -> None:
        """This may be another host, which knows of no monitoring: a Gray is to be believed."""
        self.heard.enabled_at_is(NEVER)

    def doubt(self) -> None:
        """Something speaks against what is known of ``on``."""
        self.unsure = True

    def before_the_end(self) -> None:
        """What was off may be on by another program."""
        if self.known and not self.on:
            self.shown.doubt()

    def lost(self) -> None:
        """Whatever it was told, it does not know any more."""
        self.confirmed = False
        self.shown.lost()
        if self.request is ResetRequest.POSTED:
            self.request = ResetRequest.ASKED

    def taken_over(self, now: float) -> None:
        """That it is on is by us, from here on."""
        self.ours = True
        self.heard.enabled_at_is(now)

    def _enabled(self, result: CallResult) -> None:
        if result is Code.OK:
            self.on, self.unsure = True, False
            self.heard.enabled()
        elif did_nothing(result, known=self.known):
            # It did nothing. What was, or may have been, on before still is; a question without an answer stands.
            self.ours, _ = self._before
            self.heard.refused()
            self.unsure = self.ours or self.unanswered

    def _marked(self, result: CallResult) -> None:
        if result is Code.OK:
            self.on = True
            self.heard.beaten()
        elif result is Code.NOT_ENABLED:
            self.on = self.unanswered = False
        elif result is Code.UNTOLD:
            self.unsure = True

    def _asked(self, result: CallResult) -> None:
        if isinstance(result, bool):
            self.on = self.confirmed = result
            self.unsure = self.unanswered = False
            self.shown.asked()
            if not result:
                self.late.off()
                # What comes on from here on is somebody else's.
                self.ours = self.late.enable > NEVER
            return
        # What was off when it was asked last may be on by now.
        self.unsure |= self.to_be_asked
        self.shown.asked()
        if nothing_to_ask(result) and not (self.known or self.ours):
            # What does not exist, and never has, said no yes that was lost. No error word is more of a state than that.
            self.unanswered = False
        elif may_have_been_heard(result):
            self.unanswered = True

    def _posted(self, state: AppState | None, result: CallResult) -> None:
        before = self._before[1]
        if state is AppState.NEED_RESET:
            if result is Code.OK:
                self.request = ResetRequest.POSTED
            elif is_refusal_to_post(result, known=self.known) and not before.pending:
                # One before it, whose reply was lost, may be pending all the same.
                self.request = ResetRequest.REFUSED
        elif result is Code.OK:
            self.request = ResetRequest.TAKEN_BACK
            self.late.taken_back()
