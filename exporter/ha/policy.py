"""When to beat, and when not to: the whole judgement of the heartbeats as a pure state machine.

No clock, no I/O, no thread: :meth:`Policy.next` is told the time and the health and says what to do now;
:meth:`Policy.done` is told how it went. Whatever resets a machine, or fails to, is decided in this file; what is
known of the host it reads from :mod:`exporter.ha.host_state`.

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

from dataclasses import dataclass

from exporter.ha.events import Event, Events
from exporter.ha.host_state import HostState, Result
from exporter.ha.rules import Health, Leftover, OnUnhealthy, Phase, Rules
from exporter.protocol.appmonitor import AppState, Verb


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
    """The stop is over. ``confirmed``: the host expects no more heartbeats, and no reset is asked for."""

    confirmed: bool


Action = Call | Wait | End


class Policy:
    """Ask :meth:`next`, do it, report with :meth:`done`, again. Times are seconds of one steady clock.

    ``leftover``: what an exporter of this boot, that ended without a confirmed Disable, may have left at the host.
    """

    def __init__(self, rules: Rules, now: float, leftover: Leftover = Leftover.NOTHING) -> None:
        self.rules = rules
        self.phase = Phase.WAITING
        self._events = Events()
        self.host = HostState(rules, now, leftover, self._events)
        self._bad_since: float | None = None
        self._checks_bad_since: float | None = None
        self._reason = ""
        self._stop_by: float | None = None

    def next(self, now: float, health: Health, reason: str = "") -> Action:
        """What to do now. ``reason`` says in words why health is not good."""
        self._judge(now, health, reason)
        action = self._decide(now) if self._stop_by is None else self._stopping(now, self._stop_by)
        if isinstance(action, Call):
            self.host.sending(now, action.verb, action.state)
        return action

    def done(self, now: float, call: Call, result: Result) -> None:
        """How ``call`` went: the host's answer, or the error that stood in its place."""
        self.host.learn(now, self.phase, call.verb, call.state, result)

    def stop(self, now: float, limit: float | None = None) -> None:
        """An orderly stop: Disable, confirmed, within ``limit`` seconds. A second request changes nothing."""
        if self._stop_by is None:
            self._stop_by = now + (self.rules.stop_limit if limit is None else limit)
            host = self.host
            host.retry_at = host.ask_at = host.post_at = now
            host.off_tried = False
            self.phase = Phase.STOPPING
            self._events.tell("info", "Stopping: monitoring is handed back to vSphere HA first.")

    def session_changed(self, now: float) -> None:
        """The poller saw a new session id: vMotion, resume, revert; the host may know of no monitoring."""
        self.host.other_host(now)

    def events(self) -> list[Event]:
        """The log lines since the last call."""
        return self._events.take()

    # What is wanted

    def _judge(self, now: float, health: Health, reason: str) -> None:
        told = self.host.armed and self.phase is Phase.BEATING
        if health is Health.GOOD:
            if self._bad_since is not None and told:
                self._events.tell("info", "Health is good again, within the grace period.")
            self._bad_since = None
            self.host.healthy_once = True
        elif health is not Health.UNKNOWN and self._bad_since is None:
            self._bad_since = now
            if told:
                grace = f"Heartbeats go on for {self.rules.grace:g} s of grace."
                self._events.tell("warning", f"Health is bad: {reason}. {grace}")
        if health is not Health.BAD:
            self._checks_bad_since = None
        elif self._checks_bad_since is None:
            self._checks_bad_since = now
        self._reason = reason

    def _aim(self, now: float) -> Phase:
        rules, checks = self.rules, self._checks_bad_since
        if not self.host.healthy_once and not self.host.armed:
            return Phase.WAITING
        if self._bad_since is None or now < self._bad_since + rules.grace:
            return Phase.BEATING
        if rules.on_unhealthy is OnUnhealthy.DISABLE:
            return Phase.OFF
        # A reset is never asked for because of a fault of the exporter's own.
        lasting = checks is not None and now >= checks + rules.grace
        return (
            Phase.ASKING if rules.on_unhealthy is OnUnhealthy.REQUEST_RESET and lasting else Phase.WITHHOLDING
        )

    def _enter(self, aim: Phase, now: float) -> None:
        before, self.phase = self.phase, aim
        if before is aim:
            return
        host = self.host
        host.off_tried = host.reset_refused = False
        if aim is Phase.BEATING and before is not Phase.WAITING:
            host.due = now
        if not host.armed:
            return
        why = f"Health has been bad for {self.rules.grace:g} s: {self._reason}."
        if aim is Phase.WITHHOLDING:
            self._events.tell("critical", f"{why} Heartbeats are withheld.{host.left(now)}")
        elif aim is Phase.ASKING:
            self._events.tell("critical", f"{why} vSphere HA is asked to reset this VM now.")
        elif aim is Phase.OFF:
            self._events.tell("error", f"{why} Monitoring is handed back: there will be no reset.")
        elif before is not Phase.WAITING:
            self._events.tell("warning", f"Health is good again: heartbeats resume.{host.left(now)}")

    # What follows from it

    def _decide(self, now: float) -> Action:
        aim = self._aim(now)
        self._enter(aim, now)
        host = self.host
        # Not while it is unknown whether the application is well: a predecessor may have had its reasons.
        unwanted = host.reset_asked and aim is not Phase.ASKING and (host.healthy_once or aim is Phase.OFF)
        if unwanted and now >= host.post_at:
            return Call(Verb.POST_APP_STATE, AppState.OK)
        action: Action = Wait(host.retry_at)
        if now >= host.retry_at:
            if aim is Phase.BEATING:
                action = self._beating(now)
            elif aim in {Phase.WITHHOLDING, Phase.ASKING}:
                action = self._silent(now, aim)
            else:
                action = self._off(now)
        return Wait(min(action.until, host.post_at)) if unwanted and isinstance(action, Wait) else action

    def _beating(self, now: float) -> Action:
        host = self.host
        if host.unsure and now >= host.ask_at:
            return Call(Verb.IS_ENABLED)
        if not host.on or host.rearm:
            # A first Enable needs health that is good now; one that was lost is restored during a blip too.
            if self._bad_since is None or host.armed:
                return Call(Verb.ENABLE)
            return Wait(self._bad_since + self.rules.grace)
        if now >= host.due:
            return Call(Verb.MARK_ACTIVE)
        if not host.confirmed and now >= host.ask_at:
            return Call(Verb.IS_ENABLED)
        if now >= host.status_due:
            return Call(Verb.GET_APP_STATUS)
        times = [host.due, host.status_due]
        times += [] if host.confirmed and not host.unsure else [host.ask_at]
        times += [] if self._bad_since is None else [self._bad_since + self.rules.grace]
        return Wait(min(times))

    def _silent(self, now: float, aim: Phase) -> Action:
        """No beats: the host shall act. It can only where monitoring is on, so a lost one is restored."""
        host = self.host
        wanted = aim is Phase.ASKING and not host.reset_posted and not host.reset_refused
        if wanted and now >= host.post_at:
            return Call(Verb.POST_APP_STATE, AppState.NEED_RESET)
        if host.unsure and now >= host.ask_at:
            return Call(Verb.IS_ENABLED)
        if host.armed and not host.unsure and (host.rearm or not host.on):
            return Call(Verb.ENABLE)
        if host.armed and not host.confirmed and now >= host.ask_at:
            return Call(Verb.IS_ENABLED)
        if now >= host.due:
            host.due = now + self.rules.interval
            if host.armed:
                host.tally.withheld += 1
                # In the heartbeat's place: it shows Gray (another host) and Red, and keeps the connection alive.
                return Call(Verb.GET_APP_STATUS)
        times = [host.due]
        times += [host.post_at] if wanted else []
        times += [host.ask_at] if host.unsure or (host.armed and not host.confirmed) else []
        return Wait(min(times))

    def _off(self, now: float) -> Action:
        """Nobody shall expect heartbeats. Until that is confirmed, those that are ours go on."""
        host = self.host
        wanted = []
        if host.unsure and now >= host.ask_at:
            wanted.append(Verb.IS_ENABLED)
        # What a predecessor may have left on is not switched off unseen: it is to be taken over.
        if host.on or (host.may_be_on and self.phase is not Phase.WAITING):
            wanted.append(Verb.DISABLE)
        if host.armed and host.off_tried and host.may_be_on and now >= host.due:
            wanted.append(Verb.MARK_ACTIVE)
        if wanted:
            # In turns: while nothing gets through, none of them may keep the others from being tried.
            return Call(min(wanted, key=lambda verb: host.sent_at.get(verb, float("-inf"))))
        return Wait(host.ask_at if host.unsure else now + self.rules.interval)

    def _stopping(self, now: float, stop_by: float) -> Action:
        host = self.host
        if host.settled and not host.may_be_on and not host.reset_asked:
            return self._end(now, confirmed=True)
        if now >= stop_by:
            return self._end(now, confirmed=False)
        if host.reset_asked and now >= host.post_at:
            # Else a request that is still pending would reset a machine that nobody watches any more.
            return Call(Verb.POST_APP_STATE, AppState.OK)
        action: Action = Wait(host.retry_at)
        if now >= host.retry_at:
            action = self._off(now) if host.on or host.unsure else Wait(host.post_at)
        return Wait(min(action.until, stop_by)) if isinstance(action, Wait) else action

    def _end(self, now: float, *, confirmed: bool) -> End:
        if self.phase is not Phase.STOPPED:
            self.phase = Phase.STOPPED
            if not confirmed and self.host.may_be_on:
                self._events.tell(
                    "critical",
                    "Stopped WITHOUT a confirmed Disable. Unless monitoring is switched off now "
                    f"(vmguest-exporter ha disable), vSphere HA resets this VM.{self.host.left(now)}",
                )
            elif not confirmed:
                self._events.tell(
                    "critical",
                    "Stopped while a request for a reset may be pending. Take it back "
                    "(vmguest-exporter ha post-app-state ok), or vSphere HA resets this VM.",
                )
        return End(confirmed)
