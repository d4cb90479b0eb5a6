"""The heart: a process of its own, with one thread, that does nothing but beat.

:func:`main`, started and fed by :mod:`exporter.ha.heartbeat`. It owns the connection (or
VMware's library) and the lock from first call to last. A stall of the exporter - a blocked log write, garbage
collection, a slow check, a busy scrape - can't reach it: news come in and reports go out over pipes that it never
waits for. When news get old it judges health to be bad by itself; when the exporter dies it ends, without Disable:
unless a stop had been asked for before, which it then finishes alone.

SIGTERM and SIGINT are an orderly stop also when they reach only this process, as systemd sends them to every
process of a unit: a wedged exporter still hands monitoring back.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Callable

from exporter.errors import ConfigError, Passing
from exporter.ha import lock, shared_lock
from exporter.ha.base import AppMonitor
from exporter.ha.dry_run import DryRunMonitor
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.late import NEVER
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.maintenance import Maintenance
from exporter.ha.messages import BROKEN, MASKED, REFUSED, STOPPED, STOPS, UNCONFIRMED, LogLine, Refusal
from exporter.ha.policy import Policy
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote
from exporter.ha.wire import WireAppMonitor
from exporter.library.appmonitor_process import LibraryAppMonitor
from exporter.machine import process
from exporter.session.wire import Channel
from exporter.transport.unix import UnixConnector
from exporter.transport.vsock import VsockConnector

LOCK_PATIENCE = 4.0
"""Seconds to wait for the lock: the heart of an exporter that was killed may be inside a call, 2 s at most."""
CALL_LIMIT = 2.0
"""Seconds for one call. The guide's heartbeat may be late, not absent: well below the slack of 10 s."""
NOTE_PATIENCE = 3.0
"""Seconds for which it may be unknown whether a stop was asked for. No heartbeat is sent meanwhile."""
LOST_PATIENCE = 6.0
"""Seconds for which another process may hold the lock's file that has come in the place of this heart's: a command that
asks who holds it, or makes one call, lets go of it sooner."""


class LockKeeper:
    """Looks after the file of ``held``. ``tell`` takes what people have to know, once."""

    def __init__(
        self, held: lock.Lock, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._held = held
        self._tell = tell
        self._clock = clock
        self._since: float | None = None
        self._lost = False

    def lost(self) -> bool:
        """Another process has the lock now, its file having been removed or replaced: the heartbeats are that one's."""
        if self._lost or self._held.keep():
            self._since = None
            return self._lost
        now = self._clock()
        if self._since is None:
            self._since = now
        if now - self._since >= LOST_PATIENCE:
            self._lost = True
            self._tell(
                "The lock's file was removed or replaced, and another process holds it now: two would mask each other. "
                "This exporter hands monitoring back; the other one switches it on for itself."
            )
        return self._lost


def run(heart: Heart, link: Link, wakeup: int) -> int:
    """Turn until it is over. ``wakeup``: a pipe in which signals leave a byte."""
    while (status := heart.turn()) is None:
        if heart.pause:
            sources = [wakeup] if link.closed else [wakeup, link.incoming]
            ready, _, _ = select.select(sources, [], [], heart.pause)
            if wakeup in ready:
                os.read(wakeup, 64)
    return status


def monitor_for(settings: HeartSettings) -> AppMonitor:
    """The host by the source of ``settings``; opens nothing yet."""
    if settings.dry_run:
        return DryRunMonitor(settings.rules.window)
    if settings.source == "library":
        return LibraryAppMonitor(settings.library, CALL_LIMIT)
    connector = VsockConnector() if settings.socket is None else UnixConnector(settings.socket)
    return WireAppMonitor(Channel(connector, CALL_LIMIT))


def wait_for_lock(
    path: str, patience: float, sleep: Callable[[float], None] = time.sleep, *, exporter: str = ""
) -> lock.Lock:
    """Take the lock for the heart of ``exporter``, waiting a little for what may pass: a shortage, a heart that is dying.

    Raises:
        ConfigError: another heart holds it, of an exporter that is there. ``passing``, where that can't be told, or the lock can't
            be had for now.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            taken, problem = lock.acquire(path, exporter=exporter), None
        except ConfigError as error:
            if not error.passing:
                raise
            taken, problem = None, error
        if taken is not None:
            return taken
        if time.monotonic() >= deadline:
            raise problem or ConfigError(_held(path))
        sleep(0.05)


def _held(path: str) -> str:
    """By whom the lock is held. Settings that can't be used that is only where it is known to go on."""
    holder = lock.holding(path) or lock.Holder()
    if process.runs(holder.exporter):
        return (
            f"another process, pid {holder.pid}, sends the heartbeats of this VM (lock {path}). Two would mask each other: stop "
            "that one, or leave --ha.enabled out here"
        )
    whose = "of an exporter that has ended " if holder.orphaned else ""
    return Passing(
        f"another process {whose}holds the lock of this VM's heartbeats (pid {holder.pid or 'unknown'}, lock {path}). Two would "
        "mask each other: end that one, or leave --ha.enabled out here"
    )


def taken_over(before: lock.Record, settings: HeartSettings) -> tuple[Leftover, float, float, float]:
    """What may be left at the host, for how long health was bad, for how long the exporter itself was not well, and until when a
    call that was given up may still be carried out: by the lock's file, and by what the exporter knows.

    The file may not have been written, and the exporter has not seen the last word of a heart that died.
    """
    # A heart that stood still has noted less than its exporter has seen.
    kept = 0.0 if before.leftover is Leftover.NOTHING else settings.kept_bad_for
    bad_for = max(before.bad_for, kept) if settings.bad_for is None else settings.bad_for
    return (
        max(before.leftover, Leftover(settings.leftover), key=[*Leftover].index),
        bad_for,
        settings.fault_for,
        NEVER if before.late_until is None else before.late_until,
    )


def stop_was_noted(
    note: StopNote,
    exporter: str,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether the ``exporter`` that is gone had been asked to stop; yes, where that is not known for all of ``patience``.

    Then monitoring is handed back: a crash taken for a stop may be a reset that is missed, should the exporter not come back;
    a stop taken for a crash is a wrong one.
    """
    deadline = clock() + patience
    while True:
        try:
            return note.exporter() == exporter
        except ConfigError as error:
            if not error.passing or clock() >= deadline:
                return True
        sleep(0.05)


def main(argv: list[str]) -> int:
    """Beat until told to stop. ``argv``: the :class:`HeartSettings`. The pipes are standard input and output."""
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    exporter = os.getppid()
    stops: list[bool] = []
    """Of each that was asked for: whether the exporter was there."""
    for number in STOPS:
        signal.signal(number, lambda _number, _frame: stops.append(os.getppid() == exporter))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Whoever started this process masked them until here: one that came earlier is delivered now, and is a stop.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, MASKED)
    link = Link(0, 1)
    settings = HeartSettings.parse(argv[0])
    rules = settings.rules
    try:
        rules.check()
        if settings.socket is None and not settings.dry_run:
            shared_lock.check_shared(settings.lock_file)
        held = wait_for_lock(settings.lock_file, LOCK_PATIENCE, exporter=settings.exporter)
    except ConfigError as error:
        link.send(Refusal(str(error), error.passing))
        return REFUSED
    # A dry run neither takes over what is real nor leaves anything behind.
    before, note = (lock.Record(), _forget) if settings.dry_run else (held.before, held.note)
    stop_note = StopNote(settings.lock_file)
    maintenance = Maintenance(settings.lock_file, tell=lambda text: link.send(LogLine("error", text)))
    keeper = LockKeeper(held, lambda text: link.send(LogLine("critical", text)))
    heart = Heart(
        monitor_for(settings),
        Policy(rules, time.monotonic(), *taken_over(before, settings)),
        link,
        stop=lambda: bool(stops) or keeper.lost(),
        cut_short=lambda: any(stops) or stop_was_noted(stop_note, settings.exporter, NOTE_PATIENCE),
        note=note,
        maintenance=maintenance.left,
        begun=maintenance.begun,
        maintained=settings.maintained,
    )
    try:
        status = run(heart, link, wakeup)
    except Exception:  # noqa: BLE001  whatever it is, the exporter's log is the only place for it
        link.send(LogLine("critical", f"The heart is broken: {traceback.format_exc()[-2000:]}"))
        return BROKEN
    else:
        if status in {STOPPED, UNCONFIRMED} and os.getppid() != exporter and not settings.dry_run:
            # The end of a stop in which this heart was alone.
            KeptChecks(settings.lock_file).clear()
        return status
    finally:
        held.release()


def _forget(*_: object) -> bool:
    """The note of a dry run."""
    return True
