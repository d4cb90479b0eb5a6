"""The heart's loop, without the process round it: news in, calls out, reports back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from exporter.errors import VMGuestError
from exporter.ha.base import AppMonitor
from exporter.ha.dry_run import DryRunMonitor
from exporter.ha.host_state import Result
from exporter.ha.link import Link
from exporter.ha.messages import ORPHANED, STOPPED, UNCONFIRMED, HealthUpdate, Line, Report
from exporter.ha.policy import Call, End, Policy, Wait
from exporter.ha.rules import Health, Leftover
from exporter.protocol.appmonitor import AppState, AppStatus, Verb

REPORT_INTERVAL = 1.0
"""Seconds between two reports while nothing changes, and the longest wait."""


class Heart:
    """The loop: news in, calls out, reports back. The one caller of ``monitor``, in the one thread.

    ``stop`` says whether an orderly stop is wanted. ``note`` is told, before a call and after it, what a successor would have to take over. ``parent`` says which
    process is the parent: another answer than at the start means that the exporter died.
    """

    def __init__(
        self,
        monitor: AppMonitor,
        policy: Policy,
        link: Link,
        *,
        stop: Callable[[], bool],
        note: Callable[[Leftover], None] = lambda _leftover: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        parent: Callable[[], int] = os.getppid,
    ) -> None:
        self.pause = 0.0
        """Seconds for which there is nothing to do after a :meth:`turn`, unless something comes in."""
        self._monitor = monitor
        self._policy = policy
        self._link = link
        self._stop = stop
        self._note = note
        self._clock = clock
        self._wall = wall
        self._parent = parent
        self._born_of = parent()
        self._started = clock()
        self._news: HealthUpdate | None = None
        self._stopping = False
        self._noted: Leftover | None = None
        self._reported: Report | None = None
        self._reported_at = float("-inf")
        self._resets = 0

    def turn(self) -> int | None:
        """One step. Returns the exit status when all is over."""
        now = self._clock()
        self._listen(now)
        if not self._stopping:
            # First: when the exporter crashes, systemd sends a SIGTERM after it to whatever is left of the unit.
            if self._link.closed or self._parent() != self._born_of:
                self._monitor.close()
                return ORPHANED
            if self._stop():
                self._stopping = True
                self._policy.stop(now)
        action = self._policy.next(now, *self._health(now))
        self.pause = 0.0
        if isinstance(action, Call):
            self._remember()
            self._policy.done(self._clock(), action, self._perform(action))
            self._remember()
        elif isinstance(action, Wait):
            self.pause = max(0.0, min(action.until - now, REPORT_INTERVAL))
        self._report()
        if isinstance(action, End):
            self._monitor.close()
            return STOPPED if action.confirmed else UNCONFIRMED
        return None

    def _listen(self, now: float) -> None:
        for message in self._link.receive():
            if isinstance(message, HealthUpdate):
                if self._news and message.session_changes != self._news.session_changes:
                    self._policy.session_changed(now)
                self._news = message

    def _health(self, now: float) -> tuple[Health, str]:
        news = self._news
        silence = now - (news.at if news else self._started)
        # One interval: a stalled exporter is found out within it, and then the grace period still runs.
        if silence > self._policy.rules.interval:
            return Health.FAULT, f"the exporter's main process has said nothing for {silence:.0f} s"
        return (news.health, news.reason) if news else (Health.UNKNOWN, "")

    def _perform(self, call: Call) -> Result:
        monitor = self._monitor
        try:
            match call.verb:
                case Verb.ENABLE:
                    return monitor.enable()
                case Verb.DISABLE:
                    return monitor.disable()
                case Verb.IS_ENABLED:
                    return monitor.is_enabled()
                case Verb.MARK_ACTIVE:
                    return monitor.mark_active()
                case Verb.GET_APP_STATUS:
                    return monitor.get_app_status()
                case Verb.POST_APP_STATE:
                    return monitor.post_app_state(call.state or AppState.OK)
        except VMGuestError as error:
            return error

    def _remember(self) -> None:
        leftover = self._policy.host.leftover
        if leftover is not self._noted:
            self._noted = leftover
            self._note(leftover)

    def _report(self) -> None:
        dry_run = self._monitor if isinstance(self._monitor, DryRunMonitor) else None
        prefix = "Dry run: " if dry_run else ""
        for event in self._policy.events():
            self._link.send(Line(event.level, prefix + event.text))
        if dry_run and dry_run.resets > self._resets:
            self._resets = dry_run.resets
            self._link.send(Line("critical", f"{prefix}vSphere HA would have reset this VM now."))
        report = self._state(dry_run)
        now = self._clock()
        if report != self._reported or now - self._reported_at >= REPORT_INTERVAL:
            self._reported, self._reported_at = report, now
            self._link.send(report)

    def _state(self, dry_run: DryRunMonitor | None) -> Report:
        host = self._policy.host
        tally = host.tally
        report = Report(
            phase=self._policy.phase.value,
            armed=host.armed,
            settled=host.settled,
            problem=host.problem,
            hopeless=host.hopeless,
            withheld=tally.withheld,
        )
        if dry_run:
            # Nothing of this has reached a host: enabled, heartbeats and the like would be lies.
            return replace(report, app_status=AppStatus.GRAY.value, dry_run_resets=dry_run.resets)
        beat = host.last_beat
        return replace(
            report,
            enabled=host.confirmed,
            app_status=host.status.value if host.status else "",
            requested_reset=host.reset_asked,
            heartbeats=tally.heartbeats,
            errors=dict(tally.errors),
            reenables=tally.reenables,
            last_heartbeat=0.0 if beat is None else round(self._wall() - (self._clock() - beat), 1),
        )
