"""What to ask the host next, so that it comes to what the phase wants, and what its replies mean for that.

Decides no phase: :mod:`exporter.ha.policy` does. It knows the host's state and what is due when, and chooses one call.
"""

from __future__ import annotations

from exporter.errors import LibraryError
from exporter.ha.actions import Call, Wait, Wish
from exporter.ha.claim import Claim
from exporter.ha.host_state import REFUSALS, CallResult, HostState, ResetRequest
from exporter.ha.late import NEVER, as_noted
from exporter.ha.reporter import Reporter
from exporter.ha.rules import NO_BEATS, QUIET, Leftover, Phase, Rules
from exporter.ha.schedule import Schedule
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb


class Conversation:
    """Times are seconds of one steady clock. ``leftover`` and ``late_until`` as in :class:`HostState`."""

    def __init__(self, rules: Rules, now: float, leftover: Leftover, late_until: float = NEVER) -> None:
        self.host = HostState(rules.window, leftover, as_noted(late_until, now))
        self.claim = Claim(self.host)
        self.schedule = Schedule(rules, now)
        self.reporter = Reporter(rules, self.host)
        self._rules = rules
        self._rearm = False
        """Enable is due again though monitoring may still be on."""
        self._off_tried = False
        """Disable has been sent since it was decided upon."""
        self._taking_back = False
        """A request for a reset is: until that is over, whatever comes between."""
        self._unconfirmed = 0
        """Times in a row that Enable was taken and IsEnabled said no."""

    def enter(self, now: float, before: Phase, after: Phase) -> None:
        """Another phase begins."""
        self._off_tried = False
        self.schedule.entered(now, before, after)
        if after is Phase.STOPPING:
            self.host.before_the_end()

    def another_host(self, now: float) -> None:
        """This may be one that knows of no monitoring."""
        self.host.moved()
        self.schedule.another_host(now)

    def forget(self) -> None:
        """Maintenance is over: what is off is not ours any more."""
        self.claim.forget()

    def next(self, now: float, wish: Wish) -> Call | Wait:
        """What to ask now, or when to come again."""
        action = self._choose(now, wish)
        if isinstance(action, Call):
            self._off_tried |= action.verb is Verb.DISABLE
            self.claim.sent(action.verb)
            self.host.sent(now, action.verb, action.state)
            self.schedule.sent(now, action.verb)
        return action

    def _choose(self, now: float, wish: Wish) -> Call | Wait:
        due, phase = self.schedule, wish.phase
        # Not while it is unknown whether the application is well: a predecessor may have had its reasons.
        known = self._taking_back or wish.healthy_once or phase in QUIET
        unwanted = self.host.may_be_asked_to_reset and phase is not Phase.ASKING and known
        self._taking_back = unwanted
        if unwanted and now >= due.post:
            return Call(Verb.POST_APP_STATE, AppState.OK)
        action: Call | Wait = Wait(due.retry)
        if now >= due.retry:
            if phase is Phase.BEATING:
                action = self._beating(now, wish)
            elif phase in NO_BEATS:
                action = self._silent(now, phase)
            else:
                action = self._off(now, phase)
        return Wait(min(action.until, due.post)) if unwanted and isinstance(action, Wait) else action

    def _beating(self, now: float, wish: Wish) -> Call | Wait:
        host, due = self.host, self.schedule
        beat = max(due.beat, wish.silent_until)
        ask = host.to_be_asked or self.claim.unsettled
        if ask and now >= due.ask:
            return Call(Verb.IS_ENABLED)
        wanted = []
        # A first Enable needs health that is good now; one that was lost is restored during a blip too.
        if (not host.on or self._rearm) and (self.claim.armed or (wish.well and wish.healthy_once)):
            wanted.append(Verb.ENABLE)
        # A host that refuses those two alone may count the seconds all the same.
        if host.may_be_on and self.claim.expected and now >= beat:
            wanted.append(Verb.MARK_ACTIVE)
        # What is not to be had here may be on by another program.
        looks = host.known and not host.may_be_on and (due.failures or not wanted)
        if looks and now >= due.status:
            return Call(Verb.GET_APP_STATUS)
        if wanted:
            return Call(due.least_recent(wanted))
        if not self.claim.expected:
            return Wait(due.ask if ask else now + max(wish.grace_left, self._rules.retry))
        if not host.confirmed and now >= due.ask:
            return Call(Verb.IS_ENABLED)
        if now >= due.status:
            return Call(Verb.GET_APP_STATUS)
        times = [beat, due.status]
        times += [] if host.confirmed and not host.unsure else [due.ask]
        # It shrinks with verdicts alone: the last of it is not waited for in a spin.
        times += [] if wish.well else [now + max(wish.grace_left, 0.1)]
        return Wait(min(times))

    def _silent(self, now: float, phase: Phase) -> Call | Wait:
        """No beats: the host shall act. It can only where monitoring is on, so a lost one is restored."""
        host, due = self.host, self.schedule
        wanted = phase is Phase.ASKING and host.request is not ResetRequest.POSTED
        if wanted and now >= due.post:
            return Call(Verb.POST_APP_STATE, AppState.NEED_RESET)
        if host.to_be_asked and now >= due.ask:
            return Call(Verb.IS_ENABLED)
        if self.claim.armed and not host.unsure and (self._rearm or not host.on):
            return Call(Verb.ENABLE)
        if self.claim.armed and not host.confirmed and now >= due.ask:
            return Call(Verb.IS_ENABLED)
        if now >= due.beat:
            due.beat_at(now + self._rules.interval)
            if self.claim.armed:
                self.reporter.withheld()
                # In the heartbeat's place: it shows Gray (another host) and Red, and keeps the connection alive.
                return Call(Verb.GET_APP_STATUS)
        times = [due.beat, due.post] if wanted else [due.beat]
        times += [due.ask] if host.to_be_asked or (self.claim.armed and not host.confirmed) else []
        return Wait(min(times))

    def _off(self, now: float, phase: Phase) -> Call | Wait:
        """Nobody shall expect heartbeats. Until that is confirmed, those that are ours go on."""
        host, due = self.host, self.schedule
        wanted = []
        if host.to_be_asked and now >= due.ask:
            wanted.append(Verb.IS_ENABLED)
        # What a predecessor may have left on is not switched off unseen: it is to be taken over.
        if host.on or (host.may_be_on and phase is not Phase.WAITING):
            wanted.append(Verb.DISABLE)
        # What is not known to be on is beaten for where the host does not even say whether it is.
        ours = self.claim.armed or (self.claim.expected and now < due.ask)
        if ours and self._off_tried and host.may_be_on and now >= due.beat:
            wanted.append(Verb.MARK_ACTIVE)
        if wanted:
            return Call(due.least_recent(wanted))
        if phase is not Phase.STOPPING and host.known and now >= due.status:
            # It shows what is on by a call that came late, or by another program.
            return Call(Verb.GET_APP_STATUS)
        return Wait(due.ask if host.to_be_asked else now + self._rules.interval)

    def done(self, now: float, wish: Wish, call: Call, result: CallResult) -> None:
        """What a reply changes. ``result``: the host's answer, or the error that stood in its place."""
        was_on, was_unsure, request = self.host.on, self.host.unsure, self.host.request
        self.host.answered(now, call.verb, call.state, result)
        match call.verb:
            case Verb.ENABLE:
                self._enabled(now, wish, result, was_on=was_on)
            case Verb.MARK_ACTIVE:
                self._marked(now, wish, result)
            case Verb.IS_ENABLED:
                self._asked(now, wish, result, was_on=was_on, was_unsure=was_unsure)
            case Verb.GET_APP_STATUS:
                self._looked(now, wish, result)
            case Verb.DISABLE:
                self.schedule.ask_at(now)
                if result not in {Code.OK, Code.NOT_ENABLED, Code.UNTOLD}:
                    self._failed(now, wish, Verb.DISABLE, result)
                    self.schedule.ask_at(self.schedule.retry)
            case Verb.POST_APP_STATE:
                self.reporter.posted(now, call.state, result, request)
                self.schedule.posted(now, taken=result is Code.OK, pending=self.host.may_be_asked_to_reset)

    def _enabled(self, now: float, wish: Wish, result: CallResult, *, was_on: bool) -> None:
        self._rearm = False
        if result is not Code.OK:
            self._failed(now, wish, Verb.ENABLE, result)
            return
        self.claim.switched_on()
        self.reporter.enabled(was_on=was_on)
        self.schedule.ask_at(now)
        self.schedule.status_at(now)
        if wish.phase is Phase.BEATING:
            self.schedule.beat_at(now)

    def _marked(self, now: float, wish: Wish, result: CallResult) -> None:
        if result is Code.OK:
            if not self.claim.armed and self.host.ours:
                self._take_over(now)
            self.reporter.beat()
            self.schedule.beat_taken()
            return
        if result is Code.NOT_ENABLED and self.claim.armed:
            self._lose(wish, "the host answered 2 (monitoring is not enabled)")
        elif result is Code.UNTOLD:
            self.schedule.ask_at(now)
        elif isinstance(result, LibraryError) and wish.healthy_once:
            # The library lives in a new process now: only Enable makes it keep its channel open.
            self._rearm = True
        self._failed(now, wish, Verb.MARK_ACTIVE, result)
        self.reporter.no_beat(now, result)

    def _asked(self, now: float, wish: Wish, result: CallResult, *, was_on: bool, was_unsure: bool) -> None:
        if not isinstance(result, bool):
            self._failed(now, wish, Verb.IS_ENABLED, result)
            # What comes after it gets its turn, however far the next attempt is put off.
            retry = self._rules.retry
            self.schedule.ask_at(max(now + 2 * retry, self.schedule.retry + retry))
            return
        self.reporter.answered(Verb.IS_ENABLED)
        wanted = self.claim.armed or wish.healthy_once
        if wish.phase is Phase.WAITING or (not result and (wish.phase in QUIET or not wanted)):
            self.schedule.recovered()
            self.reporter.recovered()
        if self.host.to_be_asked:
            self.schedule.ask_at(now + self._rules.retry)
        if result:
            self._found_on(now, wish, was_on=was_on)
        elif self._off_tried:
            self.reporter.off(now, again=not was_unsure)
            self._off_tried = self.host.to_be_asked
        elif wanted and wish.phase not in QUIET:
            self._found_off(now, wish, was_on=was_on, was_unsure=was_unsure)

    def _found_on(self, now: float, wish: Wish, *, was_on: bool) -> None:
        self._unconfirmed = 0
        if not was_on:
            self.schedule.beat_at(now)
        if self._off_tried:
            # Disable was answered, and yet it is on: not again in the same instant.
            self.schedule.retry_at(now + self._rules.retry)
        if self.claim.armed:
            if wish.phase in QUIET and not was_on:
                self.reporter.on_again()
        elif self.claim.may_be_taken(wish.phase, healthy_once=wish.healthy_once):
            self._take_over(now)
        elif not self._off_tried:
            self.reporter.found_on()

    def _take_over(self, now: float) -> None:
        self.claim.take_over(now)
        self.reporter.taken_over()

    def _found_off(self, now: float, wish: Wish, *, was_on: bool, was_unsure: bool) -> None:
        """IsEnabled says no where monitoring is wanted."""
        if was_unsure and self.claim.armed:
            self._lose(wish, "the host says that it is not enabled")
        elif was_on and not was_unsure:
            # Enable was taken, and yet it is off: not again and again in the same instant.
            self._unconfirmed += 1
            if self._unconfirmed > 1:
                self.reporter.nobody_acts()
            once = self._unconfirmed == 1
            self.schedule.retry_at(now + (self._rules.retry if once else self._rules.interval))
        elif was_unsure and self.schedule.failures > 1:
            self.schedule.retry_at(now + self._rules.interval)

    def _looked(self, now: float, wish: Wish, result: CallResult) -> None:
        beating = wish.phase is Phase.BEATING
        self.schedule.looked(now, self.host.shown.status, beating=beating and self.host.on)
        self.reporter.status(now, wish, result)
        since = self.host.shown.gray_since
        if result is not AppStatus.GRAY or since is None:
            return
        # It was lost, or the host has not noticed it yet, or nobody there ever will.
        if beating and now - since >= self._rules.patience:
            self.reporter.nobody_acts()
        # Right after Enable the host needs its time; a refused heartbeat would show that it is more than that.
        if now - self.host.heard.enabled_at < self._rules.window + (0 if beating else self._rules.interval):
            if not beating:  # It may be on all the same, and begin its patience anew with each Enable.
                self.host.doubt()
                self.schedule.ask_at(now)
        elif self.host.shown.green:
            self._lose(wish, "its status is Gray")
        else:
            self._rearm = wish.healthy_once

    def _lose(self, wish: Wish, why: str) -> None:
        """The host knows of no monitoring any more."""
        self.host.lost()
        if wish.phase in QUIET:
            return
        if not wish.healthy_once:
            self.claim.give_up()
            self.reporter.lost_before_good(why)
            return
        self._rearm = True
        self.reporter.lost(why)

    def _failed(self, now: float, wish: Wish, verb: Verb, result: CallResult) -> None:
        self.schedule.failed(
            now,
            refused=isinstance(result, REFUSALS),
            known=self.host.known,
            expected=self.claim.armed or self.host.may_be_on or wish.phase is Phase.STOPPING,
            overdue=self.host.heard.overdue(now),
        )
        self.reporter.failed(now, wish.phase, verb, result, expected=self.claim.expected)
