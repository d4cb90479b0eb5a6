"""The exporter's side of the heartbeats: start the heart, tell it about health, restart it, stop it.

Two threads, neither of which the heart ever waits for: one gives it news, one takes its reports and starts it again
whenever it dies. A process: a thread is stalled by whoever holds the interpreter's lock (``benchmarks/heartbeat.py``).
"""

from __future__ import annotations

import logging
import math
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from exporter.errors import ConfigError, VMGuestError
from exporter.ha import heart_process, messages, metrics, sturdy
from exporter.ha.happened import Happened
from exporter.ha.health import HealthSummary
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.messages import HealthUpdate, HeartReport, LogLine, Message, Refusal
from exporter.ha.stop_note import StopNote
from exporter.ha.stranger import StrangerNote
from exporter.ha.without_heart import hand_back_alone
from exporter.machine.process import own
from exporter.metrics.families import Family

log = logging.getLogger("exporter.ha")

START_LIMIT = 10.0
"""Seconds for the heart's first word; it waits 4 s for the lock of one that was killed."""
SETTLE_LIMIT = 6.0
"""Seconds for the host's first answer where heartbeats are required: a call takes 2 s at most."""
STOP_MARGIN = 5.0
"""Seconds beyond the heart's own limit for an orderly stop."""
SOON, YOUNG = 0.1, 10.0
"""Seconds between two verdicts within the first ones: an exporter that lives for a second leaves behind what it has found."""
RESTART_PAUSE = 1.0
"""Seconds between starts when the heart dies each time; the first start is immediate."""
SIGNAL_GAP = 0.5
"""Seconds by which the exporter may hear of a stop after its heart: systemd and terminals signal both."""


class Heartbeat:
    """Owns the heart's process.

    ``judge`` gives the verdict on health; it may not wait. ``required``: :meth:`start` fails where heartbeats are not
    possible, and ``fatal`` is told when that shows later, before the first heartbeat. ``tell`` takes what happened, a sentence each.
    """

    def __init__(
        self,
        settings: HeartSettings,
        judge: Callable[[], HealthSummary],
        *,
        required: bool = False,
        fatal: Callable[[str], None] = lambda _problem: None,
        tell: Callable[[str], None] = lambda _text: None,
        program: Sequence[str] = heart_process.PROGRAM,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._summary = judge()
        kept = self._summary.bad_for if math.isfinite(self._summary.bad_for) else 0.0
        self._settings = replace(settings, exporter=own(), kept_bad_for=kept)
        self._judge = judge
        self._required = required
        self._fatal = fatal
        self._happened = Happened(tell)
        self._program = tuple(program)
        self._stop_note = StopNote(settings.lock_file)
        self._kept = KeptChecks(settings.lock_file)
        self._stranger = StrangerNote(settings.lock_file)
        self._clock = clock
        self._created = wall()
        self._lock = threading.Lock()
        """Around the heart's pipe: what is written must not reach another file by the same number."""
        self._process: subprocess.Popen[bytes] | None = None
        self._update = self._summary.update(clock())
        self._report = self._before = HeartReport()  # The latter: the counters of the hearts before this one.
        self._reported_bad = self._summary.bad_for  # When that report came.
        self._fault_for = 0.0  # By it, unless the exporter has been well since.
        self._newborn = True
        """The heart has not reported yet: the report is still the last one's."""
        self._refusal = self._refused = ""
        self._heard = threading.Condition()
        self._started = self._confirmed = False
        self._over = threading.Event()
        self._born = self._heard_at = clock()  # The latter: when the heart last said anything.
        self._life = threading.Lock()
        """Around the decision to start a heart: none is started beside a stop."""
        self._threads = sturdy.Threads()

    @property
    def pid(self) -> int | None:
        """The heart's."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the heart and wait for its first word; where heartbeats are required, for the host's too.

        Raises:
            ConfigError: another process sends the heartbeats of this VM, or the lock can't be had.
            VMGuestError: heartbeats are required and not possible; the message says what to change.
        """
        self._spawn()
        try:
            self._threads.start(self._listen, "ha-heart")
            self._threads.start(self._feed, "ha-news")
        except RuntimeError as error:
            self.stop()
            raise VMGuestError(f"no heartbeats: {error}") from error
        self._wait(lambda: bool(self._refusal) or not self._newborn, START_LIMIT)
        if self._refusal:
            self._over.set()
            raise ConfigError(self._refusal)
        if self._required:
            self._wait(lambda: self._report.settled and not self._report.taking_over, SETTLE_LIMIT)
            report = self._report
            if not report.settled or (report.problem and not report.armed):
                self.stop()
                raise VMGuestError(f"--ha.required: {report.problem or 'the host has not answered yet'}")
        self._started = True

    def stop(self) -> bool:
        """Have monitoring switched off and the heart ended; whether the host confirmed it.

        Waits for as long as that needs: well under a second, or 60 s when the host does not answer. Where the heart
        dies of it, another one is started to finish it. A second call only tells the outcome again.
        """
        with self._life:
            if self._over.is_set():
                return self._confirmed
            self._over.set()
            noted = not self._settings.dry_run and not self._another_beats()
            if noted:
                self._stop_note.write(self._settings.exporter)
                self._kept.clear()
        self._confirmed = self._hand_back(self._clock() + self._settings.rules.stop_limit + STOP_MARGIN)
        self._threads.join(2.0)
        if noted:
            self._kept.clear()  # A thread may have been about to write.
            if self._confirmed:
                self._stop_note.clear()
        return self._confirmed

    def _hand_back(self, deadline: float) -> bool:
        """Until Disable is confirmed, or ``deadline``: by whoever can be started for it, or else by this process."""
        attempts = 0
        heard = self._threads.alive("ha-heart")
        while True:
            process = self._process
            if process is not None:
                # Where nobody hears whether it hangs, it gets all of the time there is.
                self._heard_at = self._clock() if heard else math.inf
                status = heart_process.end(process, deadline, lambda: self._heard_at, self._clock)
                if status == messages.STOPPED:
                    return True
                # It has used up the whole time limit, and said so.
                if status == messages.UNCONFIRMED:
                    return False
            if self._another_beats():
                return True
            if process is not None:
                log.error(
                    "the heart died during the stop; another one is started to finish it",
                    extra={"status": status},
                )
                self._threads.join(2.0)
            if self._clock() >= deadline:
                log.critical(messages.NOT_CONFIRMED)
                return False
            if attempts:
                time.sleep(min(RESTART_PAUSE, deadline - self._clock()))
            attempts += 1
            self._process = None
            self._spawn()
            if self.pid is None and hand_back_alone(self._settings.after(self._report)):
                log.warning("no heart can be started, and the exporter itself has handed monitoring back")
                return True
            try:
                self._threads.start(self._listen, "ha-heart")
                heard = True
            except RuntimeError:
                heard = False

    def _another_beats(self) -> bool:
        """Then there is nothing to hand back, and a crash is that one's and no stop."""
        return heart_process.another_beats(self._settings.lock_file, self._settings.exporter)

    def families(self) -> list[Family]:
        """Where the heartbeats stand, for every output."""
        total, dry_run = metrics.total(self._before, self._report), self._settings.dry_run
        return metrics.families(total, self._summary, self._created, dry_run=dry_run)

    def _wait(self, condition: Callable[[], bool], limit: float) -> None:
        with self._heard:
            self._heard.wait_for(condition, limit)

    def _spawn(self) -> None:
        """Start a heart; an error of the system is told and tried again later."""
        try:
            bad_since = self._summary.bad_for - self._reported_bad
            settings = self._settings.after(self._report, bad_since, self._fault_for)
            process = heart_process.spawn([*self._program, settings.argument])
        except (OSError, MemoryError) as error:
            why = getattr(error, "strerror", "no memory")
            log.critical("the heart can't be started", extra={"error": why})
            return
        with self._lock:
            self._process = process
        self._newborn = True
        self._tell(self._update)

    def _feed(self) -> bool:
        # Several within one interval: the heart takes health to be bad when it has heard nothing for an interval.
        pause = min(1.0, self._settings.interval / 5)
        if self._over.wait(SOON if self._clock() - self._born < YOUNG else pause):
            return False
        self._summary = self._judge()
        self._update = self._summary.update(self._clock())
        self._fault_for = self._fault_for if self._summary.fault else 0.0
        # Once a heart of this exporter has had the lock, and no other's has it. A dry run leaves nothing behind.
        if self._report.phase and not (self._settings.dry_run or (self._newborn and self._another_beats())):
            self._kept.write(self._summary.kept)
        self._tell(self._update)
        return True

    def _tell(self, news: HealthUpdate) -> None:
        with self._lock, suppress(OSError, ValueError):
            # A heart that is stopped does not read. When the pipe is full this writes nothing, and returns None.
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(messages.encode(news))

    def _listen(self) -> bool:
        begun, process = self._clock(), self._process
        if process is not None and not self._attend(process):
            return False
        self._over.wait(RESTART_PAUSE if self._clock() - begun < 10 * RESTART_PAUSE else 0)
        with self._life:
            if self._over.is_set():
                return False
            self._spawn()
        return True

    def _attend(self, process: subprocess.Popen[bytes]) -> bool:
        """Take a heart's reports until it ends; whether another one is wanted."""
        for message in heart_process.reports(process):
            self._take(message)
        status = process.wait()
        with self._lock:
            heart_process.close(process)
        if self._over.wait(SIGNAL_GAP if status == messages.STOPPED else 0):
            return False
        if status == messages.STOPPED:
            # Somebody's kill, or the lock is another exporter's: the settings still ask for heartbeats, as after a kill -9.
            self._report = metrics.handed_back(self._report)
            log.warning("the heart was told to stop, and has handed monitoring back; it is started again")
            self._happened.tell("The process that sends heartbeats was told to stop, and is started again.")
            return True
        with self._life:
            if not self._over.is_set():
                self._process = None
        # One that finds the lock taken ends each time: told once.
        if not self._refusal or self._refusal != self._refused:
            why = self._refusal
            log.critical("the heart has ended and is started again", extra={"status": status, "why": why})
            self._happened.tell("The process that sends heartbeats has ended and is started again.")
        self._refused, self._refusal = self._refusal, ""
        return True

    def _take(self, message: Message) -> None:
        self._heard_at = self._clock()
        match message:
            case HeartReport():
                if self._newborn:
                    # It has the lock: what one before it noted has an end. Not by a dry run, which hands nothing back.
                    with self._life:
                        if not self._over.is_set() and not self._settings.dry_run:
                            self._stop_note.clear()
                    self._before = metrics.total(self._before, self._report)
                if message.enabled and not self._report.enabled and not self._settings.dry_run:
                    self._stranger.clear()
                self._report, self._newborn = message, False
                self._reported_bad, self._fault_for = self._summary.bad_for, message.fault_for
                self._happened.reported(message)
                if self._required and self._started and message.hopeless:
                    self._required = False
                    self._fatal(message.problem)
            case LogLine():
                level = logging.getLevelNamesMapping().get(message.level.upper(), logging.ERROR)
                log.log(level, "%s", message.text)
            case Refusal():
                self._refusal = message.problem
        with self._heard:
            self._heard.notify_all()
