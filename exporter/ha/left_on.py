"""What an exporter that died has left on at the host, where the one that starts sends no heartbeats: it is handed back.

The exporter is back, and its settings say that vSphere HA is to expect nothing (no ``--ha.enabled``, or a dry run): a reset
would serve nobody. This is not the crash that is meant to be a reset: after that one no exporter with this lock is started.

Until the host confirms it, the metrics show what is true there: monitoring is on, and no heartbeats are sent. A stop before
that is noted like any other, and is not over until the host has confirmed it, or its time is up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

from exporter import catalogue
from exporter.errors import ConfigError, VMGuestError
from exporter.ha import lock, metrics, sturdy
from exporter.ha.base import AppMonitor
from exporter.ha.explain import explain
from exporter.ha.hand_back import PAUSE, hand_back
from exporter.ha.health import HealthSummary
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.host_state import nothing_to_ask
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.messages import NOT_CONFIRMED, HeartReport
from exporter.ha.rules import WINDOW, Health, Leftover, Rules
from exporter.ha.stop_note import StopNote
from exporter.machine import process
from exporter.metrics.families import Family
from exporter.protocol.appmonitor import Code

log = logging.getLogger("exporter.ha")

RETRY = 5.0
"""Seconds between two attempts."""
LOOK = 0.5
"""Seconds between two looks while it is not known whether there is anything to hand back."""
PATIENCE = 2.5
"""Seconds for that: the heart of an exporter that died ends after its call, 2 s at most; a shortage may pass."""
STOP_LIMIT = Rules().stop_limit
"""Seconds for it at a stop."""
ATTEMPT_LIMIT = 7.0
"""Seconds for an attempt that is under way then: three calls, 2 s each at most."""
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
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = lock_file
        self._connect = connect
        self._tell = tell
        self._created = wall()
        self._clock = clock
        self._sleep = sleep
        self._stop_note = StopNote(lock_file)
        self._leftover = Leftover.NOTHING
        self._late_until: float | None = None
        self._settled = False
        self._unknown_since: float | None = None
        self._seen = False
        self._beside_whom = ""
        """The heart that stands still beside which all was handed back."""
        self._warned = False
        self._told = ""
        self._ended = threading.Event()
        self._threads = sturdy.Threads()

    @property
    def pending(self) -> bool:
        """The host may expect heartbeats, and nobody sends them; or that is not known yet."""
        return not self._settled

    def start(self) -> None:
        """Look, and hand it back: at once, or in a thread for as long as that takes. :meth:`stop` ends that."""
        self.attempt()
        if self.pending:
            self._threads.start(self._again, "ha-left-on")

    def stop(self) -> bool:
        """End that; whether nothing is left on. Where something is, it is tried for as long as at any stop."""
        deadline = self._clock() + STOP_LIMIT
        self._ended.set()
        noted: str | None = None
        while self.pending:
            if noted is None:
                noted = self._stop_note.write_for_the_dead()
            self._threads.join(ATTEMPT_LIMIT)
            # Files or memory may be short only now.
            with suppress(OSError, MemoryError):
                self.attempt()
            holder = lock.holding(self._path)
            if holder is not None and holder.identity and holder.identity == self._beside_whom:
                # The heart that stands still finds the note, should it go on, and finishes the stop.
                return noted is not None
            if self._settled:
                break
            if self._clock() >= deadline:
                log.critical(NOT_CONFIRMED)
                return False
            self._sleep(PAUSE)
        if noted is not None:
            self._stop_note.clear_that_of(noted)
        return True

    def families(self) -> list[Family]:
        """The host's real state while it may expect heartbeats; nothing from then on."""
        if self._leftover is Leftover.NOTHING:
            return []
        report = HeartReport(enabled=True, requested_reset=self._leftover is Leftover.REQUEST)
        shown = metrics.families(report, HealthSummary(Health.UNKNOWN, "", {}), self._created)
        return [family for family in shown if family.metric in SHOWN]

    def until_then(self, families: Callable[[], list[Family]]) -> Callable[[], list[Family]]:
        """Those of a dry run, once the host expects nothing any more."""
        return lambda: self.families() or families()

    def _again(self) -> bool:
        if self._ended.wait(LOOK if self._patient else RETRY):
            return False
        self.attempt()
        return self.pending

    def attempt(self) -> None:
        """Look who holds the lock, and what its file says, and do what follows from that."""
        try:
            found = lock.record(self._path)
            noted, self._late_until = found.leftover, found.late_until
        except ConfigError as error:
            if isinstance(error.__cause__, PermissionError):
                # They are another user's.
                self._settle()
            else:
                self._not_known(str(error))
            return
        holder = lock.holding(self._path)
        if noted is Leftover.NOTHING:
            self._settle()
        elif noted is Leftover.BY_HAND:
            log.warning(
                "monitoring by vSphere HA was switched on by hand (ha enable --unattended), and this exporter sends no heartbeats: "
                "whoever switched it on has to"
            )
            self._settle()
        elif holder is None:
            self._found(noted)
            self._with_lock()
        else:
            self._beside(holder, noted)

    def _with_lock(self) -> None:
        try:
            held = lock.acquire(self._path)
        except ConfigError as error:
            if not error.passing:
                self._complain(str(error))
            elif self._unknown_since is None or self._patient:
                self._not_known(str(error))
            elif self._hand_back():
                # A directory that is read-only by now, say: nobody holds the lock, and nobody can take it. Whoever starts next
                # asks the host once more.
                self._settle()
            return
        if held is None:
            return  # Somebody was faster. The next look says who.
        try:
            self._leftover, self._late_until = held.before.leftover, held.before.late_until
            if self._leftover is Leftover.BY_HAND:
                return  # Since the look. The next one says so.
            if self._leftover is Leftover.NOTHING or self._hand_back():
                held.note(Leftover.NOTHING)
                self._settle()
        finally:
            held.release()

    def _beside(self, holder: lock.Holder, noted: Leftover) -> None:
        """Another process has the lock, and something may be left on."""
        settings = HeartSettings.of(holder.pid)
        lives = process.runs(holder.exporter)
        if (lives and holder.exporter == process.own()) or (settings is not None and settings.dry_run):
            # A dry run, that of this exporter or another one: it sends nothing, and leaves alone what the file says.
            self._found(noted)
            if self._hand_back():
                self._settle()
            return
        if lives and settings is not None:
            # Another exporter is there. Its heartbeats are its own.
            self._settle()
            return
        # The heart of an exporter that has ended ends as well as soon as it goes on, and a command lets go.
        self._seen = self._seen or holder.seen
        unknown = f"another process (pid {holder.pid or 'unknown'}) holds {self._path}"
        if self._unknown_since is None or self._patient or not holder.pid:
            self._not_known(unknown)
        elif lives or not self._seen:
            log.warning("%s, and can't be seen from here: heartbeats are taken for its own", unknown)
            self._settle()
        elif not holder.orphaned:
            self._complain(unknown)
        elif holder.identity != self._beside_whom:
            # It stands still. What it has left when it has gone on is looked at once more, with the lock.
            self._found(noted)
            if self._hand_back():
                self._beside_whom = holder.identity

    @property
    def _patient(self) -> bool:
        """It is not known yet whether there is anything to hand back, and may be in a moment."""
        return self._unknown_since is not None and self._clock() - self._unknown_since < PATIENCE

    def _not_known(self, why: str) -> None:
        if self._unknown_since is None:
            self._unknown_since = self._clock()
        if not self._patient:
            self._complain(why)

    def _found(self, leftover: Leftover) -> None:
        self._leftover = leftover
        if not self._warned:
            self._warned = True
            log.warning(
                "an exporter that died has left monitoring by vSphere HA on, and this one sends no heartbeats: it is handed back "
                "now, for without heartbeats this VM would be reset (start with --ha.enabled, and without --ha.dry-run, to send them)"
            )

    def _settle(self) -> None:
        self._leftover = Leftover.NOTHING
        self._settled = True

    def _hand_back(self) -> bool:
        """One attempt; whether nothing is left."""
        try:
            with closing(self._connect()) as monitor:
                found = hand_back(
                    monitor,
                    self._leftover,
                    0.0,
                    sleep=time.sleep,
                    clock=self._clock,
                    late_until=self._late_until,
                )
        except VMGuestError as error:
            self._complain(_words(error))
            return False
        if found.confirmed:
            self._leftover = Leftover.NOTHING
            KeptChecks(self._path).clear()
            log.warning("monitoring by vSphere HA is off, confirmed by the host")
            self._tell("Monitoring that an exporter which died had left on is handed back.")
            return True
        if found.off and found.late and not found.pending:
            if not self._told:
                self._told = "monitoring by vSphere HA is off, and may come on again: the host may still carry out a call that was given up"
                log.warning("%s, so that it is asked again", self._told)
            return False
        last = found.to_take_back if found.pending and found.off else found.last
        answered = f"the host answered {last.words}" if isinstance(last, Code) else "it is on all the same"
        self._complain(_words(last) if isinstance(last, VMGuestError) else answered)
        return False

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


def _words(error: VMGuestError) -> str:
    """With what to change, unless that would be to leave the heartbeats out: it had them."""
    return str(error) if nothing_to_ask(error) else explain(error)
