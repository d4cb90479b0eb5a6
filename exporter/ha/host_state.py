"""What is known of the host's side, and when it is to be asked again: everything that is learnt from replies.

Decides nothing: :mod:`exporter.ha.policy` does. The rule here is that a state which is not sure - a lost reply, a
refusal without a reason - is marked as such, so that it is asked for and never guessed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from exporter.errors import LibraryError, LibraryNotFound, NotVMwareError, RpcError, VMGuestError
from exporter.ha.events import Events
from exporter.ha.explain import NOT_IN_CLUSTER, explain
from exporter.ha.rules import Leftover, Phase, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

Result = Code | bool | AppStatus | VMGuestError
"""The host's answer to a call, or the error that stands in its place."""

_REFUSALS = (RpcError, NotVMwareError, LibraryNotFound)
"""A clear no: the command did nothing, and will do nothing until a setting is changed."""


@dataclass(slots=True)
class Tally:
    """What has been counted since the start."""

    heartbeats: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    reenables: int = 0


class HostState:
    """Where things stand at the host. Times are seconds of one steady clock."""

    def __init__(self, rules: Rules, now: float, leftover: Leftover, events: Events) -> None:
        self.tally = Tally()
        self.healthy_once = False
        """Health was good once in this process's life. Set by the policy: before it nothing is enabled."""
        self.settled = False
        """The host has answered once, or could not be asked."""
        self.armed = False
        """Monitoring was switched on or taken over here: heartbeats are ours to give."""
        self.on = False
        """The host expects heartbeats, by the last that was heard."""
        self.unsure = True
        """Something was not heard: ask IsEnabled before relying on ``on``."""
        self.confirmed = False
        """IsEnabled has said yes since the last change."""
        self.rearm = False
        """Enable is due again though monitoring may still be on."""
        self.status: AppStatus | None = None
        self.last_beat: float | None = None
        """When the last heartbeat that the host took was sent."""
        self.reset_asked = leftover is Leftover.REQUEST
        """A request for a reset may be pending."""
        self.reset_posted = False
        """The host has taken that request."""
        self.reset_refused = False
        self.off_tried = False
        """Disable has been sent since it was decided upon."""
        self.due = self.status_due = self.ask_at = self.post_at = self.retry_at = now
        """When the next heartbeat, status poll, IsEnabled, PostAppState are due; before the last one, nothing is."""
        self.sent_at: dict[Verb, float] = {}
        """When each was last asked."""
        self._rules = rules
        self._events = events
        self._predecessor = leftover is not Leftover.NOTHING
        self._ours = self._predecessor
        """If it is on, then by us."""
        self._lost = False
        self._green = False
        """Seen since the last Enable that mattered."""
        self._ever_green = False
        self._gray_since: float | None = None
        self._not_in_cluster = False
        self._trouble = ""
        self._refused = False
        self._failures = 0
        self._unconfirmed = 0
        self._overdue = False
        self._sent = self._enabled_at = now
        self._silent_since: float | None = None
        """Since when the host has heard neither Enable nor a heartbeat."""

    @property
    def problem(self) -> str:
        """Why there are no heartbeats, or why nobody acts on them, and what to do; empty while all is well."""
        return self._trouble or (NOT_IN_CLUSTER if self._not_in_cluster else "")

    @property
    def hopeless(self) -> bool:
        """Since the start, heartbeats have not been possible or nobody acted on them, and a retry will not help."""
        return (self._refused and not self.armed) or (self._not_in_cluster and not self._ever_green)

    @property
    def may_be_on(self) -> bool:
        """The host may expect heartbeats, by our doing or by a predecessor's."""
        return self.on or (self.unsure and self._ours)

    @property
    def leftover(self) -> Leftover:
        """What would be left at the host if this process died now."""
        if self.reset_asked:
            return Leftover.REQUEST
        return Leftover.MONITORING if self.may_be_on else Leftover.NOTHING

    def time_left(self, now: float) -> float | None:
        """Seconds until the host may act on silence; None while it expects nothing."""
        if not self.on or self._silent_since is None:
            return None
        return max(0.0, self._silent_since + self._rules.window - now)

    def left(self, now: float) -> str:
        """The same for the end of a log line."""
        left = self.time_left(now)
        if left is None:
            return ""
        usual = "61 to 89 s after the last heartbeat is usual"
        return f" {left:.0f} s are left before vSphere HA may act ({usual})."

    def sending(self, now: float, verb: Verb, state: AppState | None) -> None:
        """A call goes out: from here on the host may act on it, whether or not its reply arrives."""
        self._sent = self.sent_at[verb] = now
        if verb is Verb.ENABLE:
            self._ours = self.unsure = True
            self.ask_at = now
        elif verb is Verb.DISABLE:
            self.off_tried = True
        elif state is AppState.NEED_RESET:
            self.reset_asked = True

    def other_host(self, now: float) -> None:
        """This may be another host, which knows of no monitoring: ask, and believe a Gray."""
        self.status_due = now
        self._enabled_at = float("-inf")
        self.retry_at = min(self.retry_at, now)

    def learn(self, now: float, phase: Phase, verb: Verb, state: AppState | None, result: Result) -> None:
        """What came back from a call."""
        self.settled = True
        match verb:
            case Verb.ENABLE:
                self._enabled(now, phase, result)
            case Verb.MARK_ACTIVE:
                self._marked(now, phase, result)
            case Verb.IS_ENABLED:
                self._asked(now, phase, result)
            case Verb.GET_APP_STATUS:
                self._looked(now, phase, result)
            case Verb.DISABLE:
                self._disabled(now, phase, result)
            case Verb.POST_APP_STATE if state is AppState.NEED_RESET:
                self._requested(now, result)
            case Verb.POST_APP_STATE:
                self._took_back(now, result)

    def _enabled(self, now: float, phase: Phase, result: Result) -> None:
        self.rearm = False
        if result is not Code.OK:
            if isinstance(result, _REFUSALS):
                # Anything else may mean that it is on: a lost reply, or a refusal because it is.
                self._ours = self.unsure = self.armed or self._predecessor
            self._failed(now, phase, Verb.ENABLE, result)
            return
        if not self.on:
            window = f"{self._rules.window:g} s"
            self._events.tell("info", f"Monitoring is on: the host expects a heartbeat every {window}.")
        if self._lost:
            self._lost = False
            self.tally.reenables += 1
        self._events.settle(Verb.ENABLE)
        self.on, self.unsure, self.armed = True, False, True
        self._silent_since = self._enabled_at = self._sent
        self.ask_at = self.status_due = now
        if phase is Phase.BEATING:
            self.due = now

    def _marked(self, now: float, phase: Phase, result: Result) -> None:
        if result is Code.OK:
            if self._failures and self.tally.heartbeats:
                self._events.tell("info", "Heartbeats reach the host again.")
            self._recovered()
            self._events.settle(Verb.MARK_ACTIVE, Verb.ENABLE)
            self.tally.heartbeats += 1
            self.last_beat = self._silent_since = self._sent
            self.due = self._sent + self._rules.interval
            return
        self.tally.errors[error_kind(result)] += 1
        if result is Code.NOT_ENABLED:
            self.on = False
            self._lose(phase, "the host answered 2 (monitoring is not enabled)")
        elif result is Code.UNTOLD:
            self.unsure, self.ask_at = True, now
        elif isinstance(result, LibraryError) and self.healthy_once:
            # The library lives in a new process now: only Enable makes it keep its channel open.
            self.rearm = True
        self._failed(now, phase, Verb.MARK_ACTIVE, result)
        if self.time_left(now) == 0 and not self._overdue:
            self._overdue = True
            silence = f"No heartbeat has got through for {self._rules.window:g} s"
            self._events.tell("critical", f"{silence}: vSphere HA may reset this VM at any moment.")

    def _asked(self, now: float, phase: Phase, result: Result) -> None:
        if not isinstance(result, bool):
            # So that what stands behind it has its turn between two attempts.
            self.ask_at = now + 2 * self._rules.retry
            unknown = isinstance(result, RpcError) and result.reason == "unknown_command"
            if unknown or isinstance(result, NotVMwareError):
                # What does not exist is not on.
                self.on = self.confirmed = self.unsure = False
            self._failed(now, phase, Verb.IS_ENABLED, result)
            return
        self._events.settle(Verb.IS_ENABLED)
        if phase is Phase.WAITING:
            self._recovered()
        was_on, was_unsure = self.on, self.unsure
        self.on = self.confirmed = result
        self.unsure = False
        if result:
            self._found_on(now, was_on)
        elif self.off_tried:
            self._recovered()
            self._events.tell("info", "Monitoring is off, confirmed by the host.")
        elif phase in {Phase.BEATING, Phase.WITHHOLDING, Phase.ASKING}:
            self._found_off(now, phase, was_on, was_unsure)

    def _found_on(self, now: float, was_on: bool) -> None:
        self._unconfirmed = 0
        if not was_on:
            self.due = now
        if self.off_tried:
            # Disable was answered, and yet it is on: not again in the same instant.
            self.retry_at = now + self._rules.retry
        if self.armed:
            return
        if self._ours or self.healthy_once:
            self.armed = self._ours = True
            self._enabled_at = now
            self._events.tell(
                "warning",
                "Monitoring is on already, from before or by a call whose reply was lost: taken over.",
            )
        elif not self.off_tried:
            self._events.tell(
                "warning",
                "Monitoring is on though no exporter has left it on since this machine started: it is switched off "
                "until health has been good once.",
            )

    def _found_off(self, now: float, phase: Phase, was_on: bool, was_unsure: bool) -> None:
        """IsEnabled says no where monitoring is wanted."""
        if was_unsure and self.armed:
            self._lose(phase, "the host says that it is not enabled")
        elif was_on and not was_unsure:
            # Enable was taken, and yet it is off: not again and again in the same instant.
            self._unconfirmed += 1
            if self._unconfirmed > 1:
                self._doubt_cluster()
            self.retry_at = now + (self._rules.retry if self._unconfirmed == 1 else self._rules.interval)
        elif self._failures > 1:
            self.retry_at = now + self._rules.interval

    def _looked(self, now: float, phase: Phase, result: Result) -> None:
        before, rules = self.status, self._rules
        self.status = result if isinstance(result, AppStatus) else None
        self.status_due = now + (rules.status_interval if result is AppStatus.GREEN else rules.interval)
        if not isinstance(result, AppStatus):
            text = f"The application's status can't be read: {_words(result)}."
            self._events.complain(Verb.GET_APP_STATUS, "warning", text)
            return
        self._events.settle(Verb.GET_APP_STATUS)
        if result is not AppStatus.GRAY:
            self._gray_since = None
        if result is AppStatus.GREEN:
            self._green, self._ever_green, self._not_in_cluster = True, True, False
        if result is AppStatus.RED and before is not AppStatus.RED:
            self._events.tell(
                "critical",
                "vSphere HA sees this application as Red: heartbeats have stopped in its eyes, and it may reset this "
                f"VM at any moment. The exporter is {phase.value}.",
            )
        elif result is not before:
            self._events.tell("info", f"vSphere HA sees this application as {result.value.title()}.")
        if result is AppStatus.GRAY and self.on:
            self._grayed(now, phase)

    def _grayed(self, now: float, phase: Phase) -> None:
        """Monitoring was lost, or the host has not noticed it yet, or nobody there ever will."""
        self._gray_since = now if self._gray_since is None else self._gray_since
        if now - self._gray_since >= self._rules.patience and phase is Phase.BEATING:
            self._doubt_cluster()
        # Right after Enable the host needs its time; a refused heartbeat would show that it is more than that.
        if phase is Phase.BEATING and now - self._enabled_at < self._rules.window:
            return
        if self._green:
            self._lose(phase, "its status is Gray")
        else:
            self.rearm = self.healthy_once

    def _requested(self, now: float, result: Result) -> None:
        verb = Verb.POST_APP_STATE
        if result is Code.OK:
            self._events.settle(verb)
            self.reset_posted = True
            self._events.tell("critical", "The host has taken the request for a reset of this VM.")
        elif isinstance(result, Code | RpcError):
            self.reset_refused, self.reset_asked = True, False
            text = f"The request for a reset: {_words(result)}. Heartbeats are withheld instead."
            self._events.complain(verb, "error", text, self.left(now))
        else:
            self.post_at = now + self._rules.retry
            self._events.complain(
                verb, "error", f"The request for a reset: {_words(result)}. It is repeated."
            )

    def _took_back(self, now: float, result: Result) -> None:
        if result is Code.OK:
            self._events.settle(Verb.POST_APP_STATE)
            self.reset_asked = self.reset_posted = False
            self._events.tell("warning", "The request for a reset is taken back.")
            return
        self.post_at = now + self._rules.retry
        text = f"The request for a reset can't be taken back: {_words(result)}. It is repeated."
        self._events.complain(Verb.POST_APP_STATE, "critical", text)

    def _disabled(self, now: float, phase: Phase, result: Result) -> None:
        self.unsure, self.ask_at = True, now
        self.confirmed = False
        if result not in {Code.OK, Code.NOT_ENABLED, Code.UNTOLD}:
            self._failed(now, phase, Verb.DISABLE, result)
            self.ask_at = self.retry_at

    def _lose(self, phase: Phase, why: str) -> None:
        """The host knows of no monitoring any more."""
        self.confirmed = self.reset_posted = self._green = False
        if phase in {Phase.OFF, Phase.STOPPING}:
            return
        if not self.healthy_once:
            # Taken over, and health has not been good here yet: nothing to restore.
            self.armed = False
            self._events.tell("warning", f"Monitoring was lost: {why}. It stays off until health is good.")
            return
        self.rearm = True
        if not self._lost:
            self._lost = True
            text = f"Monitoring was lost: {why}. Another host, probably. It is enabled again."
            self._events.tell("warning", text)

    def _doubt_cluster(self) -> None:
        if not self._not_in_cluster:
            self._not_in_cluster = True
            self._events.tell("error", NOT_IN_CLUSTER)

    def _recovered(self) -> None:
        self._failures = 0
        self._trouble = ""
        self._refused = False
        self._overdue = False

    def _failed(self, now: float, phase: Phase, verb: Verb, result: Result) -> None:
        """The call did not do what it should: say so once, and set the time of the next attempt."""
        self._failures += 1
        refused, rules = isinstance(result, _REFUSALS), self._rules
        self._refused = refused
        if self._failures == 1:
            # At once, on a new connection: the slack is for this.
            self.retry_at = now
        elif self.armed or self.may_be_on:
            self.retry_at = now + (rules.interval if refused else rules.retry)
        else:
            self.retry_at = now + (rules.unavailable_retry if refused else rules.interval)
        self._trouble = f"{verb.value}: {_words(result)}."
        if verb is Verb.ENABLE and result is Code.NOT_ENABLED:
            self._trouble += f" {NOT_IN_CLUSTER}"
        if verb is Verb.MARK_ACTIVE and result is Code.NOT_ENABLED:
            return
        level, more = "warning", ""
        if phase is Phase.STOPPING:
            level = "critical"
            more = " Monitoring can't be handed back: heartbeats go on while it is tried again."
        elif not self.armed:
            level, more = "error", " No heartbeats are sent."
        self._events.complain(verb, level, self._trouble + more, self.left(now))


def error_kind(result: Result) -> str:
    """The ``kind`` of a heartbeat that failed: the error tree's word, ``not_enabled``, or ``host_error``."""
    if isinstance(result, VMGuestError):
        return result.kind
    return "not_enabled" if result in {Code.NOT_ENABLED, Code.UNTOLD} else "host_error"


def _words(result: Result) -> str:
    if isinstance(result, VMGuestError):
        return explain(result).rstrip(".")
    return f"the host answered {result.words}" if isinstance(result, Code) else f"the host answered {result}"
