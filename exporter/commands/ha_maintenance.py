"""``vmguest-exporter ha disable | status``: the beginning of maintenance, and how things stand.

They tell what they know, and exit so: an exporter's heart that does not react is not one that has stopped.
"""

from __future__ import annotations

import math
from contextlib import suppress

from exporter.commands.ha_desk import (
    HELD,
    NO,
    NOBODY,
    NOBODY_BEATS,
    NOT_NOTED,
    OK,
    Desk,
    complain,
    no_lock,
    until,
)
from exporter.commands.ha_not_noted import not_noted, without_note
from exporter.commands.ha_off import off
from exporter.commands.ha_refused import answered, ask, may_be_on
from exporter.errors import ConfigError, RpcError, VMGuestError
from exporter.ha import lock
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.rules import Leftover

DISABLE_LIMIT = 5.0
"""Seconds for the host to confirm that monitoring is off."""
HEART_PATIENCE = 2.0
"""Seconds for a heart to hand monitoring back: it looks every second. One that is silent may have been so for most of
the host's 30 s, so that Disable is sent without it then."""
HEART_LIMIT = 12.0
"""Seconds for a heart to do what was asked, and to say so: a call takes 2 s at most."""


def disable(desk: Desk, seconds: float | None) -> int:
    """Monitoring off, confirmed; a running exporter leaves it off until the end of maintenance.

    First the host and then the notes: a lock's directory that is full or read-only keeps Disable from nothing.

    Raises:
        VMGuestError: the host does not answer.
    """
    maintenance = desk.maintenance
    beats = desk.beats()
    stranger = desk.stranger()
    problem, noted = "", False
    # Where the host has no such commands, what is noted here would only say that it may.
    needless = maintenance.left() is None and not may_be_on(desk) and not beats
    if beats or desk.dry_run or (seconds is not None and not desk.unseen):
        try:
            maintenance.begin(math.inf if seconds is None else seconds)
            noted = True
        except ConfigError as error:
            problem = str(error)
    if noted and not beats:
        # What can't be read in a shortage is not known to be left.
        with suppress(ConfigError):
            _forget(desk, off=False)
    heard = not beats or (not problem and desk.wait(desk.nobody_switches_on, HEART_PATIENCE))
    # A host that has no such commands has none for a heart that is there either: it may only say so for now.
    noted_on = Leftover.MONITORING if beats else Leftover.NOTHING
    status = _off(desk, problem, noted_on, needless=needless)
    if status != OK:
        return status
    if not heard and not problem:
        heard = desk.wait(desk.nobody_switches_on, HEART_LIMIT - HEART_PATIENCE)
        if noted and maintenance.left() is None:
            complain(
                f"monitoring was switched off, confirmed by the host, and maintenance is over by now. {desk.heart} has not "
                "confirmed it meanwhile: `vmguest-exporter ha status` tells whether it has switched monitoring on again"
            )
            return HELD
        # It may have switched monitoring on meanwhile.
        if (status := _off(desk, problem, noted_on, needless=False)) != OK:
            return status
    forgotten = _forget(desk, off=True)
    if not problem and not noted and desk.beats():
        # An exporter was starting meanwhile, and knows of nothing.
        return disable(desk, seconds)
    print("monitoring is off, confirmed by the host")
    if problem:
        complain(f"{problem}. {'So this is no maintenance' if stranger else without_note(desk)}")
        if not stranger:
            return NOT_NOTED
    if desk.unseen or stranger:
        if beats and noted:
            print(f"maintenance: {until(maintenance)}, for {desk.heart} alone")
        complain(desk.unseen or stranger)
        return HELD
    if not noted and maintenance.left() is None:
        print(
            f"no exporter holds {desk.path}; one that starts switches monitoring on again, and --for keeps it from that"
        )
    elif maintenance.left() is None:
        print(
            "maintenance is over by now: an exporter that sends heartbeats switches monitoring on again once health is good"
        )
    else:
        print(f"maintenance: {until(maintenance)}; `vmguest-exporter ha enable` ends it")
        if not beats:
            print(f"it holds for an exporter that starts with {desk.path}, and for no other")
    if not heard and (ended := desk.orphan()):
        complain(
            f"{desk.heart} stands still, or is in a call that may still switch monitoring on: end it (kill -9 {ended.pid}), and repeat "
            "this"
        )
        return HELD
    if not heard:
        complain(
            f"{desk.heart} has not confirmed it: it stands still, or does not see {maintenance.path}, and may switch "
            "monitoring on again. Stop that exporter"
        )
        return HELD
    return OK if forgotten else not_noted(desk)


def status(desk: Desk) -> int:
    """Print who beats, what the host expects, and whether this is maintenance.

    Raises:
        VMGuestError: the host does not say what it expects.
    """
    maintenance = desk.maintenance
    pid = lock.holder(desk.path)
    print(f"exporter: {f'none holds {desk.path}' if pid is None else desk.heart}")
    silence = desk.silence
    unknown = "not known" if desk.hidden else "none"
    print(f"last heartbeat: {unknown if silence is None else f'{silence:.0f} s ago'}")
    print(f"maintenance: {'none' if maintenance.left() is None else until(maintenance)}")
    enabled = desk.is_enabled()
    print(f"monitoring: {'on' if enabled else f'off{desk.may_come_on}'}")
    refused: VMGuestError | None = None
    try:
        print(f"application status: {ask(desk, desk.monitor.get_app_status).value}")
    except VMGuestError as error:
        print("application status: not known")
        refused = error
    if stranger := desk.unseen or desk.stranger():
        complain(stranger)
        return HELD if enabled else NO
    if enabled and desk.hidden:
        complain(f"whether somebody sends heartbeats is {desk.heart}. Repeat this as root")
        return HELD
    if enabled and (not desk.beats() or desk.orphan()):
        complain(f"nobody sends heartbeats: {NOBODY_BEATS}")
        return NOBODY
    if enabled and (silent := desk.silent()):
        complain(silent)
        return NOBODY
    if refused is not None:
        raise refused
    return OK if enabled else NO


def _forget(desk: Desk, *, off: bool) -> bool:
    """No bad time is left for a later exporter to take over, and where it is ``off`` nothing at the host; False: that could not be
    noted.
    """
    if no_lock(desk):
        return True
    try:
        held = desk.acquire()
    except ConfigError:
        return desk.leftover is Leftover.NOTHING
    if held is None:
        return True
    try:
        if not off:
            return held.note(held.before.leftover, late_until=held.before.late_until)
        # That of an exporter which has ended; one that runs does so itself. Its bad time of before a maintenance counts no more anyway.
        KeptChecks(desk.path).clear()
        return held.note(Leftover.NOTHING)
    finally:
        held.release()


def _off(desk: Desk, problem: str, noted: Leftover, *, needless: bool) -> int:
    """Disable; where it is not confirmed, what holds of the maintenance is told too. ``problem``: why it was not noted; ``noted`` as in
    :func:`off`;
    ``needless``: it ends where the host has no such command.
    """
    status = NO
    try:
        status = off(desk, DISABLE_LIMIT, noted)
    except RpcError as error:
        if needless and error.reason == "unknown_command" and not answered(desk):
            desk.maintenance.end()
            complain("there is nothing to switch off, and no maintenance is noted")
        raise
    finally:
        if status != OK and desk.maintenance.left() is not None:
            complain(
                f"maintenance is noted all the same, {until(desk.maintenance)}: an exporter that runs, or starts, switches "
                "monitoring off as soon as the host takes it, and leaves it off. Repeat this, or `vmguest-exporter ha enable` "
                "ends it"
            )
        elif status != OK and problem:
            complain(problem)
    return status
