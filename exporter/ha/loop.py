"""The heart's loop, without the process round it: health in, calls out, reports back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from exporter.ha.actions import Call, End, Wait, perform
from exporter.ha.base import AppMonitor
from exporter.ha.dry_run import DryRunMonitor
from exporter.ha.host_state import NotNotedError
from exporter.ha.link import Link
from exporter.ha.messages import ORPHANED, STOPPED, UNCONFIRMED, HealthUpdate, HeartReport, LogLine
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Leftover
from exporter.protocol.appmonitor import AppState, Verb

REPORT_INTERVAL = 1.0
"""Seconds between two reports while nothing changes, and the longest wait."""


class Heart:
    """The loop: health in, calls out, reports back. The one caller of ``monitor``, in the one thread.

    ``stop`` says whether an orderly stop is wanted, ``maintenance`` for how many seconds none are sent (None: there is
    none), ``begun`` when the last maintenance began, and ``maintained`` the last one that is known (None: that one). ``note`` is told, before a call and after it, what a successor would have to take over, and again while it
    answers that this could not be written. ``parent`` says which process is the parent: another answer than at the start
    means that the exporter died. ``cut_short`` says then whether a stop had been asked for before: that is no crash.
    """

    def __init__(
        self,
        monitor: AppMonitor,
        policy: Policy,
        link: Link,
        *,
        stop: Callable[[], bool],
        note: Callable[[Leftover, float, float | None, float | None], bool] = lambda *_: True,
        maintenance: Callable[[], float | None] = lambda: None,
        begun: Callable[[], float] = lambda: 0.0,
        maintained: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        parent: Callable[[], int] = os.getppid,
        cut_short: Callable[[], bool] = lambda: False,
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
        self._cut_short = cut_short
        self._born_of = parent()
        self._started = clock()
        self._update: HealthUpdate | None = None
        self._stopping = False
        self._noted: tuple[Leftover, float, float | None] | None = None
        self._beat_noted: float | None = None
        self._maintenance = maintenance
        self._maintenance_end = 0.0
        self._begun = begun
        self._maintained = begun() if maintained is None else maintained
        self._missed_at: float | None = None
        """When it was seen that a maintenance had come and gone while this heart, or the one before it, stood still."""
        self._reported: HeartReport | None = None
        self._reported_at = float("-inf")
        self._resets = 0

    def turn(self) -> int | None:
        """One step. Returns the exit status when all is over."""
        now = self._clock()
        self._listen(now)
        if not self._stopping:
            # When the exporter crashes, systemd sends a SIGTERM after it to whatever is left of the unit: then only a stop that was
            # asked for while it lived is one.
            gone = self._link.closed or self._parent() != self._born_of
            stop = self._cut_short() if gone else self._stop()
            if gone and not stop:
                self._monitor.close()
                return ORPHANED
            if stop:
                self._stopping = True
                self._policy.stop(now)
        left = self._maintenance()
        missed = self._missed_maintenance(now, in_one=left is not None)
        self._maintenance_end = 0.0 if left is None else self._ends_at(left)
        action = self._policy.next(now, self._verdict(now), maintenance=left is not None or missed)
        self.pause = 0.0
        noted = self._remember()
        if isinstance(action, Call):
            known = self._is_known_of(action, noted=noted)
            result = perform(self._monitor, action) if known else NotNotedError()
            self._policy.done(self._clock(), action, result)
        elif isinstance(action, Wait):
            self.pause = max(0.0, min(action.until - now, REPORT_INTERVAL))
        self._remember()
        self._report()
        if isinstance(action, End):
            self._monitor.close()
            return STOPPED if action.confirmed else UNCONFIRMED
        return None

    def _listen(self, now: float) -> None:
        for message in self._link.receive():
            if isinstance(message, HealthUpdate):
                if self._update and message.session_changes != self._update.session_changes:
                    self._policy.session_changed(now)
                self._update = message
                # Each counts, though only the newest is acted upon: while a heart starts, or waits for the host, several come in.
                self._policy.hear(message)

    def _missed_maintenance(self, now: float, *, in_one: bool) -> bool:
        """Whether one has passed unseen, and monitoring is not handed back yet: what was known before it is worth nothing."""
        begun, host = self._begun(), self._policy.conversation.host
        if self._missed_at is None and begun > self._maintained and not in_one:
            self._missed_at = now
        elif in_one or (
            self._missed_at is not None
            and (host.over or now - self._missed_at > self._policy.rules.stop_limit)
        ):
            self._maintained, self._missed_at = begun, None
        return self._missed_at is not None

    def _ends_at(self, left: float) -> float:
        """The end of maintenance by the wall clock: the same number for as long as that clock is not set."""
        end = round(self._wall() + left, 0)
        return self._maintenance_end if abs(end - self._maintenance_end) <= 1 else end

    def _verdict(self, now: float) -> HealthUpdate:
        """The newest one, or what is so without it."""
        interval = self._policy.rules.interval
        # The main process has not said what it waits for: it does within an interval, or else stands still.
        update = self._update or HealthUpdate(
            Health.UNKNOWN, "", self._started, first_look_by=self._started + interval
        )
        silence = now - update.at
        # One interval: a stalled exporter is found out within it, and then the grace period still runs.
        if silence > interval:
            reason = f"the exporter's main process has said nothing for {silence:.0f} s"
            return replace(update, health=Health.FAULT, reason=reason, at=now)
        return update if self._update else replace(update, at=now)

    def _remember(self) -> bool:
        """What a successor has to know stands in the lock's file before a call and after it; whether it does."""
        host = self._policy.conversation.host
        leftover, bad_for, late = known = host.leftover, round(self._policy.bad_time.sure, 3), host.late.until
        beat = host.heard.last_beat
        # One that could not be written is tried again with the next turn: the disk may have room by then.
        if (known, beat) != (self._noted, self._beat_noted) and self._note(leftover, bad_for, beat, late):
            self._noted, self._beat_noted = known, beat
        return known == self._noted

    def _is_known_of(self, call: Call, *, noted: bool) -> bool:
        """Whether a successor would know of what ``call`` may leave at the host; ``noted``: by the file, to the last second.

        What nobody could take back is not asked for: silence leads to the same reset, and ends with good health. Nor is
        monitoring switched on where the file says that nothing is.
        """
        if call.state is AppState.NEED_RESET:
            return noted
        return call.verb is not Verb.ENABLE or (self._noted or (Leftover.NOTHING,))[0] is not Leftover.NOTHING

    def _report(self) -> None:
        dry_run = self._monitor if isinstance(self._monitor, DryRunMonitor) else None
        prefix = "Dry run: " if dry_run else ""
        for event in self._policy.events():
            self._link.send(LogLine(event.level, prefix + event.text))
        if dry_run and dry_run.resets > self._resets:
            self._resets = dry_run.resets
            self._link.send(LogLine("critical", f"{prefix}vSphere HA would have reset this VM now."))
        report = self._state()
        now = self._clock()
        if report != self._reported or now - self._reported_at >= REPORT_INTERVAL:
            self._reported, self._reported_at = report, now
            self._link.send(report)

    def _state(self) -> HeartReport:
        conversation, reporter = self._policy.conversation, self._policy.reporter
        host, tally = conversation.host, reporter.tally
        return HeartReport(
            phase=self._policy.phase.value,
            armed=conversation.claim.armed,
            settled=host.settled,
            problem=reporter.problem,
            hopeless=reporter.hopeless(armed=conversation.claim.armed),
            enabled=host.confirmed,
            app_status=host.shown.status.value if host.shown.status else "",
            requested_reset=host.request.pending,
            heartbeats=tally.heartbeats,
            errors=dict(tally.errors),
            withheld=tally.withheld,
            reenables=tally.reenables,
            last_beat=host.heard.last_beat,
            dry_run_resets=self._resets,
            bad_for=self._policy.bad_time.checks,
            fault_for=self._policy.bad_time.own,
            leftover=host.leftover.value,
            maintenance_end=self._maintenance_end,
            maintained=self._maintained,
        )
