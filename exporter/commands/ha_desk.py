"""Where the single calls of ``vmguest-exporter ha`` are made from: what they see, ask, and say."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import ConfigError, VMGuestError
from exporter.ha import lock
from exporter.ha.base import AppMonitor
from exporter.ha.hand_back import PAUSE
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.maintenance import Maintenance, boottime
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote
from exporter.ha.stranger import StrangerNote

TRIES = 3
"""Times that the host is asked whether monitoring is on, where it answers with an error."""
OK, NO, HELD, NOBODY, NOT_NOTED = 0, 1, 6, 7, 8


NOBODY_BEATS = (
    "unless an exporter starts within 30 s of the last heartbeat, vSphere HA resets this VM (vmguest-exporter ha disable keeps "
    "it from that)"
)
UNSEEN = (
    "monitoring was on, and {path} names nobody who switched it on: somebody whom this command can't see may send "
    "heartbeats, and switch it on again. Look for an exporter with another --ha.lock-file, in a container, or started "
    "from another mount namespace, and make this call there (this one is kept in mind until an exporter with this lock sends "
    "heartbeats)"
)

SEEN = (
    "another exporter's heart (pid {pid}) is there with the lock {path}: it may send heartbeats of this VM, and switch monitoring on "
    "again. Make this call where that exporter runs, with --ha.lock-file={path}, or stop it"
)
NOT_THIS_FILE = (
    "another exporter's heart (pid {pid}) is there with the lock {path}, which is not the file that this command sees: that was removed "
    "or replaced since it started, or it runs in another mount namespace. It may send heartbeats of this VM, and switch monitoring on "
    "again. Restart that exporter or stop it, or make this call where it runs"
)
LONGEST_INTERVAL = 15.0
"""Seconds between two heartbeats at most, of a heart whose settings can't be seen from here."""
BEAT_SLACK = 3.0
"""Seconds by which one may be late: a call takes 2 s at most."""
STARTING = 5.0
"""Seconds for which the heart of an exporter with this lock may be there without holding it: it is starting, refused, or ending."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the calls are made from: the lock that says who beats, the host, and a way to wait."""

    path: str
    monitor: AppMonitor
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    unseen: str = ""
    """Why the machine's lock can't be seen from here, as in a container that has its directory not mounted."""

    socket: str | None = None
    """That of a simulated host; None: the hypervisor's. Who sends heartbeats to another host is no stranger."""
    processes: Path = Path("/proc")
    boot_id: Path = lock.BOOT_ID
    boottime: Callable[[], float] = boottime

    @property
    def maintenance(self) -> Maintenance:
        return Maintenance(self.path, boot_id=self.boot_id, clock=self.boottime)

    @property
    def stop_note(self) -> StopNote:
        return StopNote(self.path, boot_id=self.boot_id)

    def acquire(self) -> lock.Lock | None:
        """Take the lock; None when another process holds it.

        Raises:
            ConfigError: it can't be had.
        """
        return lock.acquire(self.path, boot_id=self.boot_id)

    @property
    def heart(self) -> str:
        """Who holds the lock, in words."""
        if self.hidden:
            return f"not known, for only root and the exporter's user can read {self.path}"
        found = f"the exporter's heart (pid {lock.holder(self.path) or 'unknown'})"
        if ended := self.orphan():
            found = f"the heart (pid {ended.pid}) of an exporter that has ended"
            with suppress(ConfigError):
                if self.stop_note.exporter() == ended.exporter:
                    return f"{found} in the middle of a stop, which it finishes"
        return f"{found}, in a dry run: it sends nothing" if self.dry_run else found

    @property
    def hidden(self) -> bool:
        """Whether this user may not see who holds the lock."""
        return lock.holder(self.path) == 0 and not os.access(self.path, os.R_OK)

    @property
    def dry_run(self) -> bool:
        """An exporter's heart is there, and calls no host."""
        settings = HeartSettings.of(lock.holder(self.path))
        return settings is not None and settings.dry_run

    @property
    def leftover(self) -> Leftover:
        """What may be left at the host, by the lock's file; nothing, where this user may not read it.

        Raises:
            ConfigError: it can't be read for now, so that is not known.
        """
        return self._record().leftover

    @property
    def late_until(self) -> float | None:
        """Until when the host may carry out a call that an exporter gave up, by :attr:`clock`; None where there is none. Errors
        as :attr:`leftover`.
        """
        return self._record().late_until

    @property
    def may_come_on(self) -> str:
        """That monitoring which is off may not stay so, in words. Errors as :attr:`leftover`."""
        until = self.late_until
        left = 0.0 if until is None else until - self.clock()
        return f", and may come on by a call that was given up, for another {left:.0f} s" if left > 0 else ""

    @property
    def silence(self) -> float | None:
        """Seconds since the last heartbeat that the host took, by the lock's file; None where none is known. Errors as
        :attr:`leftover`.
        """
        beat = self._record().last_beat
        # One from the future was noted by another clock.
        return None if beat is None or beat > self.clock() else self.clock() - beat

    def silent(self) -> str:
        """That who holds the lock sends no heartbeats, in words. Errors as :attr:`leftover`."""
        settings = HeartSettings.of(lock.holder(self.path))
        longest = (LONGEST_INTERVAL if settings is None else settings.interval) + BEAT_SLACK
        silence = self.silence
        if silence is not None and silence <= longest:
            return ""
        since = "none so far" if silence is None else f"none for {silence:.0f} s"
        return (
            f"No heartbeat of {self.heart} has been taken ({since}): it stands still, health is bad, or the host refuses them (look at "
            "vmguest_ha_check_healthy and the exporter's log). Unless one comes within 30 s of the last, vSphere HA resets this VM (vmguest-exporter ha disable "
            "keeps it from that)"
        )

    def _record(self) -> lock.Record:
        try:
            return lock.record(self.path, boot_id=self.boot_id)
        except ConfigError as error:
            if error.passing:
                raise
            return lock.Record()

    @property
    def requested(self) -> str:
        """A sentence where an exporter that died may have left a request for a reset."""
        if self.leftover is not Leftover.REQUEST:
            return ""
        return (
            "A request for a reset of this VM was noted, and vSphere HA may still act on it (vmguest-exporter ha disable takes it "
            "back). "
        )

    def stranger(self) -> str:
        """That somebody sends heartbeats whom this lock does not name, in words.

        A heart without this lock; or monitoring is on, or was before, and no exporter with this lock has left it on.
        """
        if self.hidden:
            return ""
        if seen := self.seen():
            return seen
        if self.beats() or self.leftover is not Leftover.NOTHING:
            return ""
        note = StrangerNote(self.path, boot_id=self.boot_id)
        try:
            if self.is_enabled():
                note.write()
                return UNSEEN.format(path=self.path)
        except VMGuestError:
            pass
        return UNSEEN.format(path=self.path) if note.stands() else ""

    def seen(self) -> str:
        """That a heart without this lock is there, in words."""
        other = self._other()
        if other and not self.wait(lambda: self._other() is None, STARTING):
            pid, path = other
            return (NOT_THIS_FILE if path == self.path else SEEN).format(pid=pid, path=path)
        return ""

    def is_enabled(self) -> bool:
        """Whether monitoring is on. An error may be as passing as a lost reply: only the last of a few is one.

        Raises:
            VMGuestError: the host's last word.
        """
        for _ in range(TRIES - 1):
            with suppress(VMGuestError):
                return self.monitor.is_enabled()
            self.sleep(PAUSE)
        return self.monitor.is_enabled()

    def _other(self) -> tuple[int, str] | None:
        """A heart without this lock that sends heartbeats to this host, as far as it can be seen from here: its pid, and its lock."""
        held = lock.holding(self.path)
        holder = held or lock.Holder()
        # One that a full disk kept from writing down who it is.
        nameless = held is not None and not held.pid
        for pid, heart in HeartSettings.running(self.processes):
            # In a pid namespace of its own, the holder has written down another pid than is seen from here.
            named = pid == holder.pid or (heart.exporter and heart.exporter == holder.exporter)
            named = named or (nameless and heart.lock_file == self.path)
            if not named and not heart.dry_run and heart.socket == self.socket:
                return pid, heart.lock_file
        return None

    def orphan(self) -> lock.Holder | None:
        """The heart that has the lock, where its exporter has ended: it sends nothing any more, but may finish a call, or a stop."""
        holder = lock.holding(self.path)
        return holder if holder is not None and holder.orphaned else None

    def beats(self) -> bool:
        """An exporter's heart is there that sends heartbeats, or is started in a moment; it may be another user's, or frozen."""
        if lock.holder(self.path) is not None:
            return not self.dry_run
        with suppress(ConfigError):
            return lock.record(self.path, boot_id=self.boot_id).exporter_runs
        return False

    def beat_since(self, begun: float) -> bool:
        """The host has taken a heartbeat that was sent since ``begun``. Errors as :attr:`leftover`."""
        beat = self._record().last_beat
        return beat is not None and begun <= beat <= self.clock()

    def nobody_switches_on(self) -> bool:
        """The exporter's heart has handed monitoring back, or is gone."""
        return self.heart_is_done() or not self.beats()

    def heart_is_done(self) -> bool:
        """By its own word it has handed monitoring back."""
        return self.leftover is Leftover.NOTHING

    def wait(self, true: Callable[[], bool], limit: float) -> bool:
        """Whether it became true in time."""
        deadline = self.clock() + limit
        while not (found := true()) and self.clock() < deadline:
            self.sleep(0.1)
        return found


def until(maintenance: Maintenance) -> str:
    left = maintenance.left()
    if left is None:
        return "over by now"
    if left == math.inf:
        return "without an end"
    end = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
    return f"until {end}, another {f'{left:.0f} s' if left < 90 else f'{left / 60:.0f} min'}"


def no_lock(desk: Desk) -> bool:
    """There is no lock's file: nobody can hold it. Where this user may not look, there may be one."""
    try:
        return not Path(desk.path).exists()
    except PermissionError:
        return False


def complain(sentence: str) -> None:
    print(f"vmguest-exporter: {sentence}", file=sys.stderr)
