"""What an exporter that died has left on at the host, where the one that starts sends no heartbeats: it is handed back.

The exporter is back, and its settings say that vSphere HA is to expect nothing (no ``--ha.enabled``, or a dry run): a reset
would serve nobody. This is not the crash that is meant to be a reset: after that one no exporter with this lock is started.

Until the host confirms it, the metrics show what is true there: monitoring is on, and no heartbeats are sent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from exporter import catalogue
from exporter.errors import ConfigError, VMGuestError
from exporter.ha import lock, metrics, sturdy
from exporter.ha.base import AppMonitor
from exporter.ha.explain import explain
from exporter.ha.hand_back import hand_back
from exporter.ha.health import HealthSummary
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.messages import HeartReport
from exporter.ha.rules import WINDOW, Health, Leftover
from exporter.metrics.families import Family
from exporter.protocol.appmonitor import Code

log = logging.getLogger("exporter.ha")

RETRY = 5.0
"""Seconds between two attempts."""
SHOWN = frozenset(
    {catalogue.HA_ENABLED, catalogue.HA_REQUESTED_RESET, catalogue.HA_HEARTBEATS, catalogue.HA_DRY_RUN}
)
"""Of these alone is it known what is true at the host."""


class LeftOn:
    """By the lock at ``lock_file``. ``connect`` opens the host; ``tell`` takes what happened, a sentence each."""

    def __init__(
        self,
        lock_file: str,
        connect: Callable[[], AppMonitor],
        tell: Callable[[str], None] = lambda _text: None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = lock_file
        self._connect = connect
        self._tell = tell
        self._created = wall()
        self._leftover = Leftover.NOTHING
        if lock.holder(lock_file) is None:
            self._leftover = lock.record(lock_file).leftover
        self._told = ""
        self._ended = threading.Event()
        self._threads = sturdy.Threads()

    @property
    def pending(self) -> bool:
        """The host may expect heartbeats, and nobody sends them."""
        return self._leftover is not Leftover.NOTHING

    def start(self) -> None:
        """Hand it back: at once, or in a thread for as long as the host does not confirm it. :meth:`stop` ends that."""
        if not self.pending:
            return
        log.warning(
            "an exporter that died has left monitoring by vSphere HA on, and this one sends no heartbeats: it is handed back now, "
            "for without heartbeats this VM would be reset (start with --ha.enabled, and without --ha.dry-run, to send them)"
        )
        self._attempt()
        if self.pending:
            self._threads.start(self._again, "ha-left-on")

    def stop(self) -> None:
        self._ended.set()
        self._threads.join(2.0)

    def families(self) -> list[Family]:
        """The host's real state while it may expect heartbeats; nothing from then on."""
        if not self.pending:
            return []
        report = HeartReport(enabled=True, requested_reset=self._leftover is Leftover.REQUEST)
        shown = metrics.families(report, HealthSummary(Health.UNKNOWN, "", {}), self._created)
        return [family for family in shown if family.metric in SHOWN]

    def until_then(self, families: Callable[[], list[Family]]) -> Callable[[], list[Family]]:
        """Those of a dry run, once the host expects nothing any more."""
        return lambda: self.families() or families()

    def _again(self) -> bool:
        if self._ended.wait(RETRY):
            return False
        self._attempt()
        return self.pending

    def _attempt(self) -> None:
        try:
            held = lock.acquire(self._path)
        except ConfigError as error:
            self._complain(str(error))
            return
        if held is None:
            settings = HeartSettings.of(lock.holder(self._path))
            if settings is None or not settings.dry_run:
                # Another exporter is there by now. Its heartbeats are its own.
                self._leftover = Leftover.NOTHING
                return
            # The dry run of this one.
            self._leftover = self._hand_back()
            return
        try:
            self._leftover = held.before.leftover
            if self.pending:
                self._leftover = self._hand_back()
                if not self.pending:
                    held.note(Leftover.NOTHING)
        finally:
            held.release()

    def _hand_back(self) -> Leftover:
        """What is left after an attempt."""
        try:
            with closing(self._connect()) as monitor:
                found = hand_back(monitor, self._leftover, 0.0, sleep=time.sleep, clock=time.monotonic)
        except VMGuestError as error:
            self._complain(explain(error))
            return self._leftover
        if found.confirmed:
            KeptChecks(self._path).clear()
            log.warning("monitoring by vSphere HA is off, confirmed by the host")
            self._tell("Monitoring that an exporter which died had left on is handed back.")
            return Leftover.NOTHING
        last = found.to_take_back if found.pending and found.off else found.last
        answered = f"the host answered {last.words}" if isinstance(last, Code) else "it is on all the same"
        self._complain(explain(last) if isinstance(last, VMGuestError) else answered)
        return self._leftover

    def _complain(self, why: str) -> None:
        if why == self._told:
            return
        self._told = why
        log.critical(
            "vSphere HA may still expect heartbeats, and nobody sends them: it RESETS this VM %g s after the last one, or later. "
            "Monitoring can't be handed back, which is tried again every %g s: %s. Run vmguest-exporter ha disable, or start with "
            "--ha.enabled and without --ha.dry-run",
            WINDOW,
            RETRY,
            why.rstrip("."),
        )
