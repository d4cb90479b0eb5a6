"""What the heartbeats tell people: the lines of the log, the counters, and what the present problem is.

Told of everything, asked for nothing: no decision is taken by what stands here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from exporter.errors import VMGuestError
from exporter.ha.actions import Wish
from exporter.ha.events import Event, Events
from exporter.ha.explain import NOT_IN_CLUSTER, explain
from exporter.ha.host_state import (
    REFUSALS,
    CallResult,
    HostState,
    ResetRequest,
    is_refusal_to_post,
    nothing_to_ask,
)
from exporter.ha.rules import Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb


@dataclass(slots=True)
class Tally:
    """What has been counted since the start."""

    heartbeats: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    reenables: int = 0


class Reporter:
    """Reads the host's state, writes only what people see."""

    def __init__(self, rules: Rules, host: HostState) -> None:
        self.tally = Tally()
        self._rules = rules
        self._host = host
        self._events = Events()
        self._trouble = ""
        self._refused = False
        self._ever_green = False
        self._not_in_cluster = False
        self._lost = False
        self._overdue = False
        self._status: AppStatus | None = None

    @property
    def problem(self) -> str:
        """Why there are no heartbeats, or why nobody acts on them, and what to do; empty while all is well."""
        return self._trouble or (NOT_IN_CLUSTER if self._not_in_cluster else "")

    def hopeless(self, *, armed: bool) -> bool:
        """Since the start, heartbeats have not been possible or nobody acted on them, and a retry will not help."""
        return (self._refused and not armed) or (self._not_in_cluster and not self._ever_green)

    def take(self) -> list[Event]:
        """The log lines since the last call."""
        return self._events.take()

    def tell(self, level: str, text: str) -> None:
        self._events.tell(level, text)

    def left(self, now: float) -> str:
        """The seconds until the host may act, for the end of a log line."""
        left = self._host.time_left(now)
        if left is None:
            return ""
        usual = "61 to 89 s after the last heartbeat is usual"
        return f" {left:.0f} s are left before vSphere HA may act ({usual})."

    # Phases

    def entered(self, before: Phase, after: Phase, now: float, reason: str) -> None:
        """Another phase, with monitoring ours."""
        why = f"Health has been bad for {self._rules.grace:g} s: {reason}."
        match after:
            case Phase.WITHHOLDING:
                self.tell("critical", f"{why} Heartbeats are withheld.{self.left(now)}")
            case Phase.ASKING:
                self.tell("critical", f"{why} vSphere HA is asked to reset this VM now.")
            case Phase.OFF:
                self.tell("error", f"{why} Monitoring is handed back: there will be no reset.")
            case Phase.BEATING if before in {Phase.WITHHOLDING, Phase.ASKING, Phase.OFF}:
                unwell = (
                    f"Health is not known to have been bad for {self._rules.grace:g} s any more ({reason})"
                )
                why = unwell if reason else "Health is good again"
                self.tell("warning", f"{why}: heartbeats resume.{self.left(now)}")

    def ended(self, now: float, *, confirmed: bool) -> None:
        if confirmed:
            return
        if self._host.may_come_on:
            text = (
                "Stopped WITHOUT a confirmed Disable. Unless monitoring is switched off now "
                f"(vmguest-exporter ha disable), vSphere HA resets this VM.{self.left(now)}"
            )
        else:
            text = (
                "Stopped while a request for a reset may be pending. Take it back "
                "(vmguest-exporter ha post-app-state ok), or vSphere HA resets this VM."
            )
        self.tell("critical", text)

    # Replies

    def enabled(self, *, was_on: bool) -> None:
        if not was_on:
            window = f"{self._rules.window:g} s"
            self.tell("info", f"Monitoring is on: the host expects a heartbeat every {window}.")
        if self._lost:
            self._lost = False
            self.tally.reenables += 1
        self._events.settle(Verb.ENABLE)

    def beat(self) -> None:
        if self._events.settle(Verb.MARK_ACTIVE) and self.tally.heartbeats:
            self.tell("info", "Heartbeats reach the host again.")
        self.recovered()
        self._events.settle(Verb.ENABLE)
        self.tally.heartbeats += 1

    def no_beat(self, now: float, result: CallResult) -> None:
        self.tally.errors[error_kind(result)] += 1
        if self._host.time_left(now) == 0 and not self._overdue:
            self._overdue = True
            silence = f"No heartbeat has got through for {self._rules.window:g} s"
            self.tell("critical", f"{silence}: vSphere HA may reset this VM at any moment.")

    def withheld(self) -> None:
        """A heartbeat that was due was not sent."""
        self.tally.withheld += 1

    def taken_over(self) -> None:
        self.tell(
            "warning", "Monitoring is on already, from before or by a call whose reply was lost: taken over."
        )

    def found_on(self) -> None:
        self.tell(
            "warning",
            "Monitoring is on though no exporter has left it on, by another program or a call that came late: it is switched "
            "off until health has been good once.",
        )

    def on_again(self) -> None:
        self.tell(
            "warning",
            "Monitoring is on again, by a call that came late or by another program: it is switched off.",
        )

    def off(self, now: float, *, again: bool) -> None:
        """IsEnabled says no, after Disable; ``again``: it has said so since."""
        if not self._host.to_be_asked:
            self.tell("info", "Monitoring is off, confirmed by the host.")
        elif not again:
            left = self._host.late.enable - now
            self.tell(
                "warning",
                "Monitoring is off, and may come on again: an Enable was given up without an answer, and the host may still "
                f"carry it out. It is asked again for {left:.0f} s.",
            )

    def lost(self, why: str) -> None:
        """Monitoring has to be switched on again."""
        if not self._lost:
            self._lost = True
            self.tell("warning", f"Monitoring was lost: {why}. Another host, probably. It is enabled again.")

    def lost_before_good(self, why: str) -> None:
        self.tell("warning", f"Monitoring was lost: {why}. It stays off until health is good.")

    def status(self, now: float, wish: Wish, result: CallResult) -> None:
        """What the host says of the application, where that is new."""
        before, self._status = self._status, result if isinstance(result, AppStatus) else None
        if not isinstance(result, AppStatus):
            text = f"The application's status can't be read: {words(result)}."
            self._events.complain(Verb.GET_APP_STATUS, "warning", text)
            return
        self._events.settle(Verb.GET_APP_STATUS)
        if result is AppStatus.GREEN:
            self._ever_green, self._not_in_cluster = True, False
        if result is before:
            return
        if result is AppStatus.RED:
            self.tell(
                "critical",
                "vSphere HA sees this application as Red: heartbeats have stopped in its eyes, and it may reset this "
                f"VM at any moment. The exporter is {'silent' if now < wish.silent_until else wish.phase.value}.",
            )
        else:
            self.tell("info", f"vSphere HA sees this application as {result.value.title()}.")

    def nobody_acts(self) -> None:
        """The host takes heartbeats, and vSphere HA does not look at them."""
        if not self._not_in_cluster:
            self._not_in_cluster = True
            self.tell("error", NOT_IN_CLUSTER)

    def posted(self, now: float, state: AppState | None, result: CallResult, before: ResetRequest) -> None:
        """What the host said to a request for a reset, or to its end. ``before``: what had been asked of it."""
        if state is AppState.NEED_RESET:
            self._request_answered(now, result)
        else:
            self._withdrawal_answered(now, result, again=before is ResetRequest.TAKEN_BACK)

    def _request_answered(self, now: float, result: CallResult) -> None:
        verb = Verb.POST_APP_STATE
        if result is Code.OK:
            self._events.settle(verb)
            self.tell("critical", "The host has taken the request for a reset of this VM.")
            return
        what = f"The request for a reset: {words(result)}."
        if is_refusal_to_post(result, known=self._host.known):
            text = f"{what} Heartbeats are withheld instead."
            self._events.complain(verb, "error", text, self.left(now))
        else:
            self._events.complain(verb, "error", f"{what} It is repeated for as long as health is bad.")

    def _withdrawal_answered(self, now: float, result: CallResult, *, again: bool) -> None:
        if result is Code.OK:
            self._events.settle(Verb.POST_APP_STATE)
            left, more = self._host.late.request - now, ""
            if left > 0:
                more = f" One was given up without an answer, and may still be carried out: this is repeated for {left:.0f} s."
            if not again:
                self.tell("warning", f"The request for a reset is taken back.{more}")
            return
        text = f"The request for a reset can't be taken back: {words(result)}. It is repeated."
        self._events.complain(Verb.POST_APP_STATE, "critical", text)

    def answered(self, verb: Verb) -> None:
        """It works again: the next complaint about it is news."""
        self._events.settle(verb)

    def recovered(self) -> None:
        self._trouble = ""
        self._refused = self._overdue = False

    def failed(self, now: float, phase: Phase, verb: Verb, result: CallResult, *, expected: bool) -> None:
        """The call did not do what it should. ``expected``: heartbeats that are sent all the same."""
        known = self._host.known or self._host.may_be_on
        self._refused = isinstance(result, REFUSALS) and not known
        self._trouble = f"{verb.value}: {words(result)}."
        if known and isinstance(result, VMGuestError) and nothing_to_ask(result):
            self._trouble = f"{verb.value}: {result}. It was not always so, and is tried again."
        if verb is Verb.ENABLE and result is Code.NOT_ENABLED:
            self._trouble += f" {NOT_IN_CLUSTER}"
        if verb is Verb.MARK_ACTIVE and result is Code.NOT_ENABLED:
            return
        level, more = "warning", ""
        if phase in {Phase.STOPPING, Phase.MAINTENANCE} and self._host.may_be_on:
            level = "critical"
            more = " Monitoring can't be handed back: heartbeats go on while it is tried again."
        elif not expected:
            level, more = "error", " No heartbeats are sent."
        self._events.complain(verb, level, self._trouble + more, self.left(now))


def error_kind(result: CallResult) -> str:
    """The ``kind`` of a heartbeat that failed: the error tree's word, ``not_enabled``, or ``host_error``."""
    if isinstance(result, VMGuestError):
        return result.kind
    return "not_enabled" if result in {Code.NOT_ENABLED, Code.UNTOLD} else "host_error"


def words(result: CallResult) -> str:
    """For a sentence that begins with the name of a call."""
    if isinstance(result, VMGuestError):
        return explain(result).rstrip(".")
    return f"the host answered {result.words}" if isinstance(result, Code) else f"the host answered {result}"
