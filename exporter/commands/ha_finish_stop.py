"""``vmguest-exporter ha finish-stop``: the end of an orderly stop that was cut short, and nothing else.

A crash stays what it is: it acts only where a stop was noted in this boot (:mod:`exporter.ha.stop_note`), or where systemd
says that a SIGTERM was the end of an exporter that had not begun.

At that moment the heart of that stop may still hold the lock: systemd runs this as soon as the main process has ended. What
holds it, and what is done then:

- nobody: Disable, with the lock held;
- the heart of that stop, which goes on with it: it is waited for, and Disable is sent once more;
- the heart of that stop, which stands still: it is killed (it would beat, or hand back, at some later time), then as above;
- the heart of an exporter that runs again: nothing, that one has taken the heartbeats over;
- a dry run: Disable is sent beside it, for it calls no host;
- a process that can't be told, a command that makes one call say: it is waited for, never killed.

What can't be read is no "no": it is tried again until the time is up, and then told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from exporter.commands.ha_desk import HELD, NOT_NOTED, OK, Desk, complain, no_lock
from exporter.commands.ha_not_noted import not_noted
from exporter.commands.ha_off import off
from exporter.errors import ConfigError, VMGuestError
from exporter.ha import lock
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.rules import Leftover
from exporter.machine import process

STOP_LIMIT = 45.0
"""Seconds for the host to confirm that monitoring is off."""
LOCK_LIMIT = 63.0
"""Seconds for another process to let go of the lock: an orderly stop takes a heart 60 s at most."""
WHOLE_LIMIT = 70.0
"""Seconds for both: below the unit's TimeoutStopSec."""
STILL = 3.0
"""Seconds in which a heart that goes on has run: it pauses for 1 s at most, and a call takes 2 s."""
KILL_LIMIT = 2.0
"""Seconds for a killed heart to be gone. One that the kernel holds on to does nothing any more, whenever it is let go."""
BY_AN_EXPORTER = frozenset({Leftover.MONITORING, Leftover.REQUEST})
"""What one that crashed has left. What was switched on by hand is not the unit's to switch off."""
PAUSE = 0.1
"""Seconds between two looks at the lock."""


def finish_stop(desk: Desk, environ: Mapping[str, str] = os.environ) -> int:
    """Finish the stop. ``environ``: how the service ended, by systemd.

    Raises:
        ConfigError: the lock can't be had.
        VMGuestError: the host does not answer.
    """
    try:
        return _finish(desk, environ)
    except UnknownError as error:
        complain(
            f"{error}. So whether a stop was asked for is not known, and nothing was done: vSphere HA may reset this VM. If it was, "
            "run `vmguest-exporter ha disable`"
        )
        return HELD


class UnknownError(Exception):
    """Something that hangs on a file that could not be read for as long as there is time."""


def _finish(desk: Desk, environ: Mapping[str, str]) -> int:
    note = desk.stop_note
    deadline, limit = desk.clock() + WHOLE_LIMIT, desk.clock() + LOCK_LIMIT

    def sure(question: Callable[[], bool]) -> bool:
        while True:
            try:
                return question()
            except ConfigError as error:
                if not error.passing or desk.clock() >= limit:
                    raise UnknownError(str(error)) from error
            desk.sleep(PAUSE)

    def cut_short() -> bool:
        return sure(
            lambda: note.stands() or (_stopped_unprepared(environ) and desk.leftover in BY_AN_EXPORTER)
        )

    if not cut_short():
        if _stopped_unprepared(environ) and desk.hidden:
            raise UnknownError(f"{desk.path}: this user can't read it")
        # A lock that is gone with its directory says nothing of what is left.
        gone = no_lock(desk)
        if sure(lambda: (desk.leftover is Leftover.NOTHING and not gone) or desk.beats() or note.has_room()):
            return OK
        # The exporter may have handed it back itself, and could not note that either.
        enabled = _enabled(desk)
        if (enabled is False and desk.leftover is not Leftover.REQUEST) or (enabled is None and gone):
            return OK
        complain(
            f"{note.path} can't be written, so a stop could not be noted there: this end is taken for a crash, and unless an "
            "exporter starts within 30 s vSphere HA resets this VM (vmguest-exporter ha disable keeps it from that)"
        )
        return NOT_NOTED
    held, status = _take(desk, cut_short, sure, limit)
    if status is not None:
        return status
    try:
        # Once more: an exporter may have begun and ended since.
        if not cut_short():
            return OK
        left = deadline - desk.clock()
        status = off(desk, min(STOP_LIMIT, left), Leftover.MONITORING, time=left)
        if status != OK:
            return status
        # Beside a dry run the lock's file stays as it is: whoever starts next asks the host once more.
        written = desk.dry_run if held is None else held.note(Leftover.NOTHING)
        if not desk.dry_run:
            KeptChecks(desk.path).clear()
        noted = all([written, note.clear()])
        print("the stop is finished: monitoring is off, confirmed by the host")
        return OK if noted else not_noted(desk)
    finally:
        if held is not None:
            held.release()


def _enabled(desk: Desk) -> bool | None:
    """By the host's word; None: it does not say."""
    try:
        return desk.is_enabled()
    except VMGuestError:
        return None


def _take(
    desk: Desk, cut_short: Callable[[], bool], sure: Callable[[Callable[[], bool]], bool], limit: float
) -> tuple[lock.Lock | None, int | None]:
    """The lock, None where nobody else can have it either, or a dry run has; or the exit status where nothing is to be done.

    Raises:
        ConfigError: it can't be had.
    """
    killed = float("inf")
    movement, moved = "", desk.clock()
    while True:
        try:
            held = desk.acquire()
        except ConfigError as error:
            if lock.holder(desk.path) is None or desk.dry_run:
                # A directory that is read-only by now. Nobody holds the lock, and nobody can take it.
                return None, None
            if not error.passing or desk.clock() >= limit:
                raise
            held = None
        if held is not None:
            return held, None
        now, holder = desk.clock(), lock.holding(desk.path)
        if not cut_short():
            return None, OK
        if desk.dry_run:
            return None, None
        if sure(partial(_runs_again, desk, holder)):
            return None, OK
        if now - killed >= KILL_LIMIT:
            return None, None
        if holder is not None:
            seen = process.moves(holder.pid)
            movement, moved = seen, now if seen != movement else moved
            over = now - moved >= STILL or now >= limit
            if (
                over
                and killed == float("inf")
                and sure(partial(_of_the_stop, desk, holder))
                and process.kill(holder.identity)
            ):
                killed = now
        if now >= limit and killed == float("inf"):
            complain(
                f"a stop was asked for and did not end, and another process (pid {lock.holder(desk.path) or 'unknown'}) still holds "
                f"{desk.path}: whether it sends heartbeats can't be told from here, so nothing was done. `vmguest-exporter ha "
                "disable` hands monitoring back beside it"
            )
            return None, HELD
        desk.sleep(PAUSE)


def _of_the_stop(desk: Desk, holder: lock.Holder) -> bool:
    """It is the heart of the exporter whose stop is noted, and that exporter has ended."""
    return holder.orphaned and holder.exporter == desk.stop_note.exporter()


def _runs_again(desk: Desk, holder: lock.Holder | None) -> bool:
    """An exporter has started since, and beats."""
    if holder is None or not holder.exporter or holder.exporter == desk.stop_note.exporter():
        return False
    return holder.seen and process.runs(holder.exporter)


def _stopped_unprepared(environ: Mapping[str, str]) -> bool:
    """SIGTERM was the end of the main process: one that had not begun yet, and so could not hand monitoring back.

    systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager": of a stop that it asked for, and
    of a kill by hand; never of a crash, a watchdog, a time limit or a lack of memory, which have results of their own.
    """
    ended = (environ.get(name, "") for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"))
    return tuple(ended) == ("success", "killed", "TERM")
