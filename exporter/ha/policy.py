"""When to beat, and when not to: the whole judgement of the heartbeats as a pure state machine.

No clock, no I/O, no thread: :meth:`Policy.next` is told the time and the health and says what to do now;
:meth:`Policy.done` is told how it went. Whatever resets a machine, or fails to, is decided in this file.

::

                   first good health              bad for --ha.grace
    waiting (off) ------------------> beating ---------------------------> withholding | asking for a reset | off
        ^   Enable, MarkActive, IsEnabled  ^                                            |
        |                                  +--------- good again: beats at once <-------+
        + a predecessor of this boot left monitoring on: beat at once (a restart must reset nothing)

    host says "not enabled" or Gray, anywhere: Enable again, and MarkActive where beats are due
    stop, anywhere: Disable, confirmed by IsEnabled; until then beats go on, up to the stop's time limit

Three rules stand above all others. Before the first good health nothing is enabled. A state that is not sure
(a lost reply) is asked for, never guessed. While monitoring may be on and nobody decided against it, beats go on.

Sources: "Guest and HA Application Monitoring SDK Programming Guide" (flow, 30 s limit, statuses), SDK release
notes (one process, one thread, Disable before every planned end).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from exporter.errors import (
    LibraryError,
    LibraryNotFound,
    NotVMwareError,
    RpcError,
    VMGuestError,
)
from exporter.ha.explain import NOT_IN_CLUSTER, explain
from exporter.ha.rules import Health, OnUnhealthy, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the host, then report to :meth:`Policy.done`."""

    verb: Verb
    state: AppState | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then, unless health, session or a stop changes."""

    until: float


@dataclass(frozen=True, slots=True)
class End:
    """The stop is over. ``confirmed``: the host expects no more heartbeats."""

    confirmed: bool


Action = Call | Wait | End
Result = Code | bool | AppStatus | VMGuestError


@dataclass(frozen=True, slots=True)
class Event:
    """A line for the log. ``level``: info, warning, error or critical."""

    level: str
    text: str


class Phase(Enum):
    """Where the heartbeats stand, in a word for people."""

    WAITING = "waiting for the first good health"
    BEATING = "beating"
    WITHHOLDING = "withholding heartbeats"
    ASKING = "asking for a reset"
    OFF = "monitoring handed back"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(slots=True)
class Tally:
    """What has been counted since the start."""

    heartbeats: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    reenables: int = 0


class Policy:
    """Ask :meth:`next`, do it, report with :meth:`done`, again. Times are seconds of one steady clock.

    ``predecessor``: an exporter of this boot ended without a confirmed Disable, so monitoring may be on.
    """

    def __init__(self, rules: Rules, now: float, *, predecessor: bool = False) -> None:
        self.rules = rules
        self.tally = Tally()
        self.phase = Phase.WAITING
        self.armed = False
        """Monitoring was switched on or taken over here: heartbeats are ours to give."""
        self.confirmed = False
        """The host's last word on it: monitoring is on."""
        self.status: AppStatus | None = None
        self.last_beat: float | None = None
        """When the last heartbeat that the host took was sent."""
        self.reset_asked = False
        """A request for a reset may be pending at the host."""
        self.settled = False
        """The host has answered once, or could not be asked."""
        self._events: list[Event] = []
        self._complaints: dict[Verb, str] = {}
        self._predecessor = predecessor
        self._healthy_once = False
        self._bad_since: float | None = None
        self._checks_bad_since: float | None = None
        self._reason = ""
        self._on = False
        """The host expects heartbeats, by the last that was heard."""
        self._unsure = True
        """Something was not heard: ask IsEnabled before relying on ``_on``."""
        self._ours = predecessor
        """If it is on, then by us: a stop has to hand it back."""
        self._lost = False
        self._rearm = False
        """Enable is due again though monitoring may still be on."""
        self._failures = 0
        self._unconfirmed = 0
        self._trouble = ""
        self._not_in_cluster = False
        self._seen_green = False
        self._reset_posted = False
        self._reset_refused = False
        self._off_tried = False
        self._silent_since: float | None = None
        """Since when the host has heard neither Enable nor a heartbeat."""
        self._armed_at = self._enabled_at = now
        self._sent = self._due = self._status_due = self._retry_at = self._ask_at = self._post_at = now
        self._stop_by: float | None = None

    @property
    def problem(self) -> str:
        """Why there are no heartbeats, or why nobody acts on them, and what to do; empty while all is well."""
        return self._trouble or (NOT_IN_CLUSTER if self._not_in_cluster else "")

    @property
    def may_be_on(self) -> bool:
        """The host may expect heartbeats, by our doing or by a predecessor's."""
        return self._on or (self._unsure and self._ours)

    # What is asked and told

    def next(self, now: float, health: Health, reason: str = "") -> Action:
        """What to do now. ``reason`` says in words why health is not good."""
        self._judge(now, health, reason)
        self._sent = now
        if self._stop_by is not None:
            return self._stopping(now, self._stop_by)
        aim = self._aim(now)
        self._announce(aim, now)
        if now < self._retry_at:
            return Wait(self._retry_at)
        if aim is Phase.BEATING:
            return self._beating(now)
        if aim in {Phase.WITHHOLDING, Phase.ASKING}:
            return self._silent(now, aim)
        return self._off(now)

    def done(self, now: float, call: Call, result: Result) -> None:
        """How ``call`` went: the host's answer, or the error that stood in its place."""
        self.settled = True
        match call.verb:
            case Verb.ENABLE:
                self._enabled(now, result)
            case Verb.MARK_ACTIVE:
                self._marked(now, result)
            case Verb.IS_ENABLED:
                self._asked(now, result)
            case Verb.GET_APP_STATUS:
                self._looked(now, result)
            case Verb.DISABLE:
                self._disabled(now, result)
            case Verb.POST_APP_STATE if call.state is AppState.NEED_RESET:
                self._requested(now, result)
            case Verb.POST_APP_STATE:
                self._took_back(now, result)

    def stop(self, now: float, limit: float | None = None) -> None:
        """An orderly stop: Disable, confirmed, within ``limit`` seconds. A second request changes nothing."""
        if self._stop_by is None:
            self._stop_by = now + (self.rules.stop_limit if limit is None else limit)
            self._retry_at = self._ask_at = self._post_at = now
            self._off_tried = False
            self.phase = Phase.STOPPING
            self._tell("info", "Stopping: monitoring is handed back to vSphere HA first.")

    def session_changed(self, now: float) -> None:
        """The poller saw a new session id: this may be another host, which knows of no monitoring."""
        self._status_due = now
        self._enabled_at = float("-inf")
        self._retry_at = min(self._retry_at, now)

    def events(self) -> list[Event]:
        """The log lines since the last call."""
        events, self._events = self._events, []
        return events

    def time_left(self, now: float) -> float | None:
        """Seconds until the host may act on silence; None while it expects nothing."""
        if not self._on or self._silent_since is None:
            return None
        return max(0.0, self._silent_since + self.rules.window - now)

    # What is wanted

    def _judge(self, now: float, health: Health, reason: str) -> None:
        told = self.armed and self.phase is Phase.BEATING
        if health is Health.GOOD:
            if self._bad_since is not None and told:
                self._tell("info", "Health is good again, within the grace period.")
            self._bad_since = None
            self._healthy_once = True
        elif health is not Health.UNKNOWN and self._bad_since is None:
            self._bad_since = now
            if told:
                grace = f"Heartbeats go on for {self.rules.grace:g} s of grace."
                self._tell("warning", f"Health is bad: {reason}. {grace}")
        if health is not Health.BAD:
            self._checks_bad_since = None
        elif self._checks_bad_since is None:
            self._checks_bad_since = now
        self._reason = reason

    def _aim(self, now: float) -> Phase:
        if not self._healthy_once and not self.armed:
            return Phase.WAITING
        if self._bad_since is None or now < self._bad_since + self.rules.grace:
            return Phase.BEATING
        if self.rules.on_unhealthy is OnUnhealthy.DISABLE:
            return Phase.OFF
        checks = self._checks_bad_since
        asks = self.rules.on_unhealthy is OnUnhealthy.REQUEST_RESET
        # Never for a fault of the exporter's own.
        return (
            Phase.ASKING
            if asks and checks is not None and now >= checks + self.rules.grace
            else Phase.WITHHOLDING
        )

    def _announce(self, aim: Phase, now: float) -> None:
        before, self.phase = self.phase, aim
        if before is aim:
            return
        self._off_tried = self._reset_refused = False
        if aim is Phase.BEATING and before is not Phase.WAITING:
            self._due = now
        if not self.armed:
            return
        why = f"Health has been bad for {self.rules.grace:g} s: {self._reason}."
        if aim is Phase.WITHHOLDING:
            self._tell("critical", f"{why} Heartbeats are withheld.{self._left(now)}")
        elif aim is Phase.ASKING:
            self._tell("critical", f"{why} vSphere HA is asked to reset this VM now.")
        elif aim is Phase.OFF:
            self._tell("error", f"{why} Monitoring is handed back: there will be no reset.")
        elif before is not Phase.WAITING:
            self._tell("warning", f"Health is good again: heartbeats resume.{self._left(now)}")

    # What follows from it

    def _beating(self, now: float) -> Action:
        if self.reset_asked and now >= self._post_at:
            return Call(Verb.POST_APP_STATE, AppState.OK)
        if self._unsure and now >= self._ask_at:
            return Call(Verb.IS_ENABLED)
        if not self._on or self._rearm:
            # A first Enable needs health that is good now; one that was lost is restored during a blip too.
            if self._bad_since is None or self.armed:
                return self._enable()
            return Wait(self._bad_since + self.rules.grace)
        if now >= self._due:
            return Call(Verb.MARK_ACTIVE)
        if not self.confirmed and now >= self._ask_at:
            return Call(Verb.IS_ENABLED)
        if now >= self._status_due:
            return Call(Verb.GET_APP_STATUS)
        times = [self._due, self._status_due]
        times += [] if self.confirmed and not self._unsure else [self._ask_at]
        times += [self._post_at] if self.reset_asked else []
        times += [] if self._bad_since is None else [self._bad_since + self.rules.grace]
        return Wait(min(times))

    def _silent(self, now: float, aim: Phase) -> Action:
        """No beats: the host shall act. It can only where monitoring is on, so a lost one is restored."""
        if aim is Phase.WITHHOLDING and self.reset_asked and now >= self._post_at:
            return Call(Verb.POST_APP_STATE, AppState.OK)
        wanted = aim is Phase.ASKING and not self._reset_posted and not self._reset_refused
        if wanted and now >= self._post_at:
            self.reset_asked = True
            return Call(Verb.POST_APP_STATE, AppState.NEED_RESET)
        if self._unsure and now >= self._ask_at:
            return Call(Verb.IS_ENABLED)
        if self.armed and not self._unsure and (self._rearm or not self._on):
            return self._enable()
        if now >= self._due:
            self.tally.withheld += 1
            self._due = now + self.rules.interval
            # In the beat's place: it shows Gray (another host) and Red, and keeps the connection alive.
            return Call(Verb.GET_APP_STATUS)
        return Wait(min([self._due, *[self._post_at] * wanted, *[self._ask_at] * self._unsure]))

    def _off(self, now: float) -> Action:
        """Nobody shall expect heartbeats. Until that is confirmed, those that are ours go on."""
        if self._unsure and now >= self._ask_at:
            return Call(Verb.IS_ENABLED)
        if not self._on:
            return Wait(self._ask_at if self._unsure else now + self.rules.interval)
        if self.armed and self._off_tried and now >= self._due:
            return Call(Verb.MARK_ACTIVE)
        self._off_tried = True
        return Call(Verb.DISABLE)

    def _stopping(self, now: float, stop_by: float) -> Action:
        if self.settled and not self.may_be_on and not self.reset_asked:
            return self._end(confirmed=True)
        if now >= stop_by:
            return self._end(confirmed=False)
        if self.reset_asked and now >= self._post_at:
            # Else a request that is still pending would reset a machine that nobody watches any more.
            return Call(Verb.POST_APP_STATE, AppState.OK)
        action: Action = Wait(self._retry_at)
        if now >= self._retry_at:
            action = self._off(now) if self._on or self._unsure else Wait(self._post_at)
        return Wait(min(action.until, stop_by)) if isinstance(action, Wait) else action

    def _enable(self) -> Call:
        # From here on the host may expect beats, whether or not its reply arrives.
        self._ours = True
        return Call(Verb.ENABLE)

    def _end(self, *, confirmed: bool) -> End:
        if self.phase is not Phase.STOPPED:
            self.phase = Phase.STOPPED
            if confirmed:
                self._tell("info", "Monitoring is off: no heartbeat is due any more.")
            else:
                self._tell(
                    "critical",
                    "Stopped WITHOUT a confirmed Disable. Unless monitoring is switched off now "
                    f"(vmguest-exporter ha disable), vSphere HA resets this VM.{self._left(self._sent)}",
                )
        return End(confirmed)

    # What the host answered

    def _enabled(self, now: float, result: Result) -> None:
        self._rearm = False
        if result is Code.OK:
            self._fine(Verb.ENABLE)
            self._on, self._unsure = True, False
            self._silent_since = self._enabled_at = self._sent
            self._ask_at = self._status_due = now
            if self.phase is Phase.BEATING:
                self._due = now
            if self._lost:
                self._lost = False
                self.tally.reenables += 1
            self._tell(
                "info", f"Monitoring is on: the host expects a heartbeat every {self.rules.window:g} s."
            )
            self._arm(now)
            return
        if isinstance(result, RpcError | NotVMwareError | LibraryNotFound):
            self._ours = self.armed or self._predecessor
        else:
            # Lost, or refused because it is on: either way it may be on now.
            self._unsure = True
        self._failed(now, Verb.ENABLE, result)

    def _marked(self, now: float, result: Result) -> None:
        if result is Code.OK:
            if self._failures and self.tally.heartbeats:
                self._tell("info", "Heartbeats reach the host again.")
            self._fine(*Verb)
            self.tally.heartbeats += 1
            self.last_beat = self._silent_since = self._sent
            self._due = self._sent + self.rules.interval
            return
        self.tally.errors[error_kind(result)] += 1
        if result is Code.NOT_ENABLED:
            self._on = False
            self._lose("the host answered 2 (monitoring is not enabled)")
        elif result is Code.UNTOLD:
            self._unsure, self._ask_at = True, now
        elif isinstance(result, LibraryError) and self._healthy_once:
            # The library lives in a new process now: only Enable makes it keep its channel open.
            self._rearm = True
        if self.phase in {Phase.OFF, Phase.STOPPING}:
            # So that Disable has its turn between two attempts.
            self._due = now + 2 * self.rules.retry
        self._failed(now, Verb.MARK_ACTIVE, result)

    def _asked(self, now: float, result: Result) -> None:
        if not isinstance(result, bool):
            self._ask_at = now + self.rules.retry
            if isinstance(result, NotVMwareError) or (
                isinstance(result, RpcError) and result.reason == "unknown_command"
            ):
                # What does not exist is not on.
                self._on = self.confirmed = self._unsure = False
            self._failed(now, Verb.IS_ENABLED, result)
            return
        self._fine(Verb.IS_ENABLED)
        if self.phase is Phase.WAITING:
            self._fine(*Verb)
        was_on, was_unsure = self._on, self._unsure
        self._on = self.confirmed = result
        self._unsure = False
        if result:
            self._unconfirmed = 0
            if not was_on:
                self._due = now
            if not self.armed:
                self._found_on(now)
            if self._off_tried:
                # Disable was answered, and yet it is on: not again in the same instant.
                self._retry_at = now + self.rules.retry
        elif self._off_tried:
            self._tell("info", "Monitoring is off, confirmed by the host.")
        elif self.phase is Phase.BEATING and was_on:
            if was_unsure:
                self._lose("the host says that it is not enabled")
                return
            self._unconfirmed += 1
            self._retry_at = now + (self.rules.retry if self._unconfirmed == 1 else self.rules.interval)
            if self._unconfirmed > 1:
                self._doubt_cluster()

    def _looked(self, now: float, result: Result) -> None:
        before = self.status
        self.status = result if isinstance(result, AppStatus) else None
        rules = self.rules
        self._status_due = now + (rules.status_interval if result is AppStatus.GREEN else rules.interval)
        if isinstance(result, VMGuestError):
            self._complain(Verb.GET_APP_STATUS, "warning", f"The status can't be read: {result}.")
            return
        self._fine(Verb.GET_APP_STATUS)
        if result is AppStatus.GREEN:
            self._seen_green, self._not_in_cluster = True, False
            if before is not AppStatus.GREEN:
                self._tell("info", "vSphere HA sees the application as Green.")
        elif result is AppStatus.RED and before is not AppStatus.RED:
            self._tell(
                "critical",
                "vSphere HA sees the application as Red: heartbeats have stopped in its eyes, and it may reset this "
                f"VM at any moment. Here: {self.phase.value}, {self._reason or 'health is good'}.",
            )
        elif result is AppStatus.GRAY and self._on:
            if not self._seen_green and self.last_beat and now - self._armed_at >= rules.patience:
                self._doubt_cluster()
            # Right after Enable the host needs its time to notice; a refused beat shows if it is more than that.
            if self.phase is not Phase.BEATING or now - self._enabled_at >= rules.window:
                self._lose("its status is Gray")

    def _requested(self, now: float, result: Result) -> None:
        verb = Verb.POST_APP_STATE
        if result is Code.OK:
            self._fine(verb)
            self._reset_posted = True
            self._tell("critical", "The host has taken the request for a reset of this VM.")
        elif isinstance(result, Code | RpcError):
            self._reset_refused, self.reset_asked = True, False
            text = f"The request for a reset: {_words(result)}. Heartbeats are withheld instead.{self._left(now)}"
            self._complain(verb, "error", text)
        else:
            self._post_at = now + self.rules.retry
            self._complain(verb, "error", f"The request for a reset: {_words(result)}. It is repeated.")

    def _took_back(self, now: float, result: Result) -> None:
        if result is Code.OK:
            self._fine(Verb.POST_APP_STATE)
            self.reset_asked = self._reset_posted = False
            self._tell("warning", "The request for a reset is taken back.")
            return
        self._post_at = now + self.rules.retry
        text = f"The request for a reset can't be taken back: {_words(result)}. It is repeated."
        self._complain(Verb.POST_APP_STATE, "critical", text)

    def _disabled(self, now: float, result: Result) -> None:
        self._unsure, self._ask_at = True, now
        self.confirmed = False
        if result not in {Code.OK, Code.NOT_ENABLED, Code.UNTOLD}:
            self._failed(now, Verb.DISABLE, result)
            self._ask_at = self._retry_at

    # What is noted

    def _arm(self, now: float) -> None:
        if not self.armed:
            self.armed = self._ours = True
            self._armed_at = now

    def _found_on(self, now: float) -> None:
        """IsEnabled said yes before anything was confirmed here."""
        if self._ours or self._healthy_once:
            self._silent_since = None
            self._enabled_at = now
            self._arm(now)
            self._tell(
                "warning", "Monitoring was on already (the exporter crashed or was killed): taken over."
            )
        elif not self._off_tried:
            self._tell(
                "warning",
                "Monitoring is on though no exporter has left it on since this machine started: it is switched "
                "off until health has been good once.",
            )

    def _lose(self, why: str) -> None:
        """The host knows of no monitoring any more."""
        self.confirmed = self._reset_posted = False
        if self.phase in {Phase.OFF, Phase.STOPPING}:
            return
        if not self._healthy_once:
            # Taken over, and never seen healthy here: nothing to restore, back to waiting.
            self.armed = False
            return
        self._rearm = True
        if not self._lost:
            self._lost = True
            self._tell("warning", f"Monitoring was lost: {why}. Another host, probably. It is enabled again.")

    def _doubt_cluster(self) -> None:
        if not self._not_in_cluster:
            self._not_in_cluster = True
            self._tell("error", NOT_IN_CLUSTER)

    def _failed(self, now: float, verb: Verb, result: Result) -> None:
        """The call did not do what it should: say so once, and set the time of the next attempt."""
        self._failures += 1
        refused = isinstance(result, RpcError | NotVMwareError | LibraryNotFound)
        if self._failures == 1:
            # At once, on a new connection: the slack is for this.
            self._retry_at = now
        elif self.armed or (self._predecessor and self._unsure):
            self._retry_at = now + (self.rules.interval if refused else self.rules.retry)
        else:
            self._retry_at = now + (self.rules.unavailable_retry if refused else self.rules.interval)
        words = _words(result)
        self._trouble = f"{verb.value}: {words}"
        if verb is Verb.ENABLE and result is Code.NOT_ENABLED:
            self._trouble += f". {NOT_IN_CLUSTER}"
        if result is Code.NOT_ENABLED and verb is Verb.MARK_ACTIVE:
            return
        level, more = "warning", ""
        if self.phase is Phase.STOPPING:
            level, more = (
                "critical",
                " Monitoring can't be handed back: heartbeats go on while it is tried again.",
            )
        elif not self.armed:
            level, more = "error", " No heartbeats are sent."
        self._complain(verb, level, f"{self._trouble}.{more}", self._left(now))

    def _complain(self, verb: Verb, level: str, text: str, more: str = "") -> None:
        """Tell once until it changes; ``more`` is not compared."""
        if self._complaints.get(verb) != text:
            self._complaints[verb] = text
            self._tell(level, text + more)

    def _fine(self, *verbs: Verb) -> None:
        for verb in verbs:
            self._complaints.pop(verb, None)
        if Verb.MARK_ACTIVE in verbs:
            self._failures = 0
            self._trouble = ""

    def _tell(self, level: str, text: str) -> None:
        self._events.append(Event(level, text))

    def _left(self, now: float) -> str:
        left = self.time_left(now)
        if left is None:
            return ""
        return f" {left:.0f} s are left before vSphere HA may act (it usually takes 61 to 89 s from the last heartbeat)."


def error_kind(result: Result) -> str:
    """The ``kind`` of a heartbeat that failed: the error tree's word, ``not_enabled``, or ``host_error``."""
    if isinstance(result, VMGuestError):
        return result.kind
    return "not_enabled" if result in {Code.NOT_ENABLED, Code.UNTOLD} else "host_error"


def _words(result: Result) -> str:
    if isinstance(result, VMGuestError):
        return explain(result).rstrip(".")
    return f"the host answered {result.words}" if isinstance(result, Code) else f"the host answered {result}"
