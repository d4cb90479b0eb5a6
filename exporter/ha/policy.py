"""When to beat, and when not to: every decision about heartbeats, as a pure state machine.

No clock, no I/O, no thread: :meth:`Policy.next` is told the time and the health and says what to do now;
:meth:`Policy.done` is told how it went. Whatever resets a machine, or fails to, is decided in this file: the phase. How
the host is brought to what a phase wants is :mod:`exporter.ha.conversation`; the phases and what leads to them are
:mod:`exporter.ha.transitions`. Every object is written by its own methods alone.

Three rules come before all others. Before the first good health nothing is enabled. A state that is not sure
(a lost reply) is asked for, never guessed. While monitoring may be on and nobody decided against it, beats go on: also
those of a predecessor, whatever the host answers to all but them.

Sources: "Guest and HA Application Monitoring SDK Programming Guide" (flow, 30 s limit, statuses), SDK release
notes (one process, one thread, Disable before every planned end).
"""

from __future__ import annotations

from exporter.ha.actions import Action, Call, End, Wait, Wish
from exporter.ha.bad_time import ROUNDING, BadTime
from exporter.ha.conversation import Conversation
from exporter.ha.events import Event
from exporter.ha.host_state import CallResult
from exporter.ha.late import NEVER
from exporter.ha.messages import HealthUpdate
from exporter.ha.rules import Health, Leftover, OnUnhealthy, Phase, Rules
from exporter.ha.transitions import AIM, PhaseCause

UNWELL = frozenset({Health.BAD, Health.FAULT})


class Policy:
    """Ask :meth:`next`, do it, report with :meth:`done`, again. Times are seconds of one steady clock.

    ``leftover``: what an exporter of this boot, that ended without a confirmed Disable, may have left at the host;
    ``bad_for``: seconds for which it had known health to be bad; ``fault_for``: for which it had not been well itself;
    ``late_until``: until when the host may carry out a call that it had given up.
    """

    def __init__(
        self,
        rules: Rules,
        now: float,
        leftover: Leftover = Leftover.NOTHING,
        bad_for: float = 0.0,
        fault_for: float = 0.0,
        late_until: float = NEVER,
    ) -> None:
        self.rules = rules
        self.phase = Phase.WAITING
        self.conversation = Conversation(rules, now, leftover, late_until)
        self.reporter = self.conversation.reporter
        self.bad_time = BadTime(rules.interval, bad_for, fault_for)
        self._update = HealthUpdate(Health.UNKNOWN, "", now)
        """The newest verdict on health."""
        self._healthy_once = False
        """Health was good once in this process's life, or since maintenance: before it nothing is enabled."""
        self._maintenance = False
        self._stop_by: float | None = None

    def hear(self, update: HealthUpdate) -> None:
        """A verdict on health. The same one again changes nothing, so that :meth:`next` may be given it once more."""
        self.bad_time.observe(
            update.at,
            update.health,
            update.bad_for,
            update.found_again,
            unsure=update.unsure,
            fault=update.fault,
            known_bad=update.known_bad,
        )

    def next(self, now: float, update: HealthUpdate, *, maintenance: bool = False) -> Action:
        """What to do now, by the newest verdict. Those between it and the one before are told to :meth:`hear`."""
        self.hear(update)
        self._observe(update)
        self._maintain(wanted=maintenance)
        self._enter(now, AIM[self._cause()])
        if self._stop_by is not None and (self.conversation.host.over or now >= self._stop_by):
            return self._end(now)
        action = self.conversation.next(now, self._wish)
        if isinstance(action, Wait) and self._stop_by is not None:
            return Wait(min(action.until, self._stop_by))
        return action

    def done(self, now: float, call: Call, result: CallResult) -> None:
        """How ``call`` went: the host's answer, or the error that stood in its place."""
        self.conversation.done(now, self._wish, call, result)

    def stop(self, now: float, limit: float | None = None) -> None:
        """An orderly stop: Disable, confirmed, within ``limit`` seconds. A second request changes nothing."""
        if self._stop_by is None:
            self._stop_by = now + (self.rules.stop_limit if limit is None else limit)
            self.bad_time.clear()
            self._enter(now, AIM[PhaseCause.STOP])
            late, more = self.conversation.host.late.until, ""
            if late is not None and late > now:
                more = f" A call was given up without an answer, and the host may still carry it out: this takes {late - now:.0f} s at least."
            self.reporter.tell("info", f"Stopping: monitoring is handed back to vSphere HA first.{more}")

    def session_changed(self, now: float) -> None:
        """The poller saw a new session id: vMotion, resume, revert; the host may know of no monitoring."""
        self.bad_time.clear()
        self.conversation.another_host(now)

    def events(self) -> list[Event]:
        """The log lines since the last call."""
        return self.reporter.take()

    @property
    def _health(self) -> Health:
        return self._update.health

    @property
    def _wish(self) -> Wish:
        # Whichever check it was that spent it, it may not have been looked at again since a restart: silence goes on for so long, else
        # each restart would begin with a heartbeat.
        spent = self.bad_time.checks > 0 and self.bad_time.checks >= self.rules.grace - ROUNDING
        acts = self.rules.on_unhealthy is not OnUnhealthy.DISABLE
        waits = spent and acts and self._health in {Health.UNKNOWN, Health.BAD}
        return Wish(
            self.phase,
            self._healthy_once,
            self._health not in UNWELL,
            self._grace_left,
            self._update.first_look_by if waits else float("-inf"),
        )

    @property
    def _grace_left(self) -> float:
        """Seconds of bad health that are still to come before something is done."""
        return self.bad_time.left(self.rules.grace, self._health)

    def _observe(self, update: HealthUpdate) -> None:
        told = self.conversation.claim.expected and self.phase is Phase.BEATING
        was_unwell, health = self._health in UNWELL, update.health
        self._update = update
        self._healthy_once |= health is Health.GOOD
        if told and was_unwell and health is Health.GOOD:
            self.reporter.tell("info", "Health is good again, within the grace period.")
        elif told and not was_unwell and health in UNWELL and self._grace_left > 0:
            grace = f"Heartbeats go on for {self._grace_left:.4g} s of grace."
            self.reporter.tell("warning", f"Health is bad: {update.reason}. {grace}")

    def _maintain(self, *, wanted: bool) -> None:
        if wanted and not self._maintenance:
            self.reporter.tell(
                "warning",
                "Maintenance: monitoring is handed back to vSphere HA. `vmguest-exporter ha status` tells until when, "
                "`vmguest-exporter ha enable` ends it.",
            )
        elif self._maintenance and not wanted:
            self.reporter.tell("warning", "Maintenance is over: monitoring is enabled once health is good.")
            self.conversation.forget()
            self._healthy_once = self._health is Health.GOOD
        self._maintenance = wanted
        if wanted or self._stop_by is not None:
            self.bad_time.clear()

    def _cause(self) -> PhaseCause:
        """Why the heartbeats are to be in the phase that they are to be in."""
        if self._stop_by is not None:
            return PhaseCause.STOP
        if self._maintenance:
            return PhaseCause.MAINTENANCE
        if not self._healthy_once and not self.conversation.claim.expected:
            return PhaseCause.NEVER_GOOD
        # What was handed back for bad health is on again with good health alone.
        stays_off = self.phase is Phase.OFF and self._health is not Health.GOOD
        if not stays_off and (self._health not in UNWELL or self._grace_left > 0):
            return PhaseCause.WELL
        if self.rules.on_unhealthy is OnUnhealthy.DISABLE:
            return PhaseCause.HAND_BACK
        # A reset is never asked for because of a fault of the exporter's own, nor for a check that it can't look at.
        grace = self.rules.grace
        asks = (
            self._health is Health.BAD
            and self.bad_time.spent(grace)
            and self._update.bad_now >= grace - ROUNDING
        )
        return (
            PhaseCause.ASK
            if self.rules.on_unhealthy is OnUnhealthy.REQUEST_RESET and asks
            else PhaseCause.WITHHOLD
        )

    def _enter(self, now: float, aim: Phase) -> None:
        before = self.phase
        if before not in {aim, Phase.STOPPED}:
            self.phase = aim
            self.conversation.enter(now, before, aim)
            if self.conversation.claim.expected:
                self.reporter.entered(before, aim, now, self._update.reason)

    def _end(self, now: float) -> End:
        confirmed = self.conversation.host.over
        if self.phase is not Phase.STOPPED:
            self.phase = Phase.STOPPED
            self.reporter.ended(now, confirmed=confirmed)
        return End(confirmed)
