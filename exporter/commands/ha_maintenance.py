"""``vmguest-exporter ha disable | enable | status``: maintenance.

They tell what they know, and exit so: an exporter's heart that does not react is not one that has stopped.
"""

from __future__ import annotations

import math
from pathlib import Path

from exporter.commands.ha_desk import (
    HELD,
    NO,
    NOBODY,
    NOBODY_BEATS,
    NOT_NOTED,
    OK,
    Desk,
    complain,
    not_noted,
    off,
    until,
    unwatched,
    without_note,
)
from exporter.commands.ha_refused import ask
from exporter.errors import ConfigError, RpcError, TransportError, VMGuestError
from exporter.ha import lock
from exporter.ha.host_state import may_have_been_heard
from exporter.ha.rules import Leftover
from exporter.protocol.appmonitor import Code

DISABLE_LIMIT = 5.0
"""Seconds for the host to confirm that monitoring is off."""
HEART_PATIENCE = 2.0
"""Seconds for a heart to hand monitoring back: it looks every second. One that is silent may have been so for most of
the host's 30 s, so that Disable is sent without it then."""
ORPHAN_LIMIT = 2.5
"""Seconds for the heart of an exporter that has ended to end as well: a call takes 2 s at most."""
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
    if beats or desk.dry_run or (seconds is not None and not desk.unseen):
        try:
            maintenance.begin(math.inf if seconds is None else seconds)
            noted = True
        except ConfigError as error:
            problem = str(error)
    heard = not beats or (not problem and desk.wait(desk.nobody_switches_on, HEART_PATIENCE))
    status = _off(desk, problem)
    if status != OK:
        return status
    if not heard and not problem:
        heard = desk.wait(desk.nobody_switches_on, HEART_LIMIT - HEART_PATIENCE)
        # It may have switched monitoring on meanwhile.
        if (status := _off(desk, problem)) != OK:
            return status
    forgotten = _forget(desk)
    if not problem and not noted and desk.beats():
        # An exporter was starting meanwhile, and knows of nothing.
        return disable(desk, seconds)
    print("monitoring is off, confirmed by the host")
    if problem:
        complain(f"{problem}. {without_note(desk)}")
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


def enable(desk: Desk, *, unattended: bool) -> int:
    """End maintenance: the exporter's heart switches monitoring on. Without one only where nobody is to beat.

    Raises:
        ConfigError: maintenance can't be ended.
        VMGuestError: the host does not answer.
    """
    if desk.unseen:
        raise ConfigError(desk.unseen)
    if desk.hidden:
        complain(f"nothing was changed: who holds the lock is {desk.heart}. Repeat this as root")
        return HELD
    maintenance = desk.maintenance
    stranger = desk.stranger()
    if not unattended and maintenance.path.exists() and _no_lock(desk):
        # Nobody holds a lock that is not there, and root can't make one for the exporter's user.
        return _without_exporter(desk, stranger)
    # An exporter whose heart has just died starts the next one, and that needs the lock.
    held = None if desk.beats() else desk.acquire()
    if held is None:
        maintenance.end()
        if desk.dry_run:
            complain(
                f"maintenance is over. {desk.requested}{unwatched(desk)} The exporter that runs is a dry run, which never "
                "switches monitoring on"
            )
            return NO
        if not desk.wait(lambda: not desk.orphan(), ORPHAN_LIMIT):
            complain(
                f"maintenance is over. {desk.requested}{unwatched(desk)} No exporter is there to send heartbeats: {desk.heart} holds the "
                "lock, and sends none"
            )
            return NOBODY
        refused: list[RpcError | TransportError] = []

        def switched_on() -> bool:
            refused.clear()
            try:
                return desk.beats() and not desk.orphan() and not desk.heart_is_done() and desk.is_enabled()
            except (RpcError, TransportError) as error:
                refused.append(error)
                return False

        on = desk.wait(switched_on, HEART_LIMIT)
        if not desk.beats() or desk.orphan():
            # It died meanwhile, and may have left monitoring on.
            return enable(desk, unattended=unattended)
        if on:
            print(f"monitoring is on: {desk.heart} sends the heartbeats")
            if stranger:
                complain(stranger)
            return HELD if stranger else OK
        state = (
            f"whether monitoring is on is not known ({refused[0]})" if refused else "monitoring is not on yet"
        )
        complain(
            f"maintenance is over, and {state}: {desk.heart} switches it on once health is good (look at "
            "vmguest_ha_check_healthy and the exporter's log)"
        )
        if refused and isinstance(refused[0], TransportError):
            raise refused[0]
        return NO
    try:
        if stranger or not unattended:
            return _without_exporter(desk, stranger)
        maintenance.end()
        # An exporter that starts from now on takes it over, and a request for a reset that was noted before.
        held.note(max(held.before.leftover, Leftover.BY_HAND, key=[*Leftover].index))
        code = desk.monitor.enable()
    except VMGuestError as error:
        if not may_have_been_heard(error):
            held.note(held.before.leftover)
        complain(
            "maintenance is over, and whether monitoring was switched on is not known: if it was, vSphere HA resets this VM "
            "unless a heartbeat comes within 30 s (vmguest-exporter ha disable keeps it from that)"
            if may_have_been_heard(error)
            else "maintenance is over, and monitoring was not switched on"
        )
        raise
    finally:
        held.release()
    if code is not Code.OK:
        unclear = may_have_been_heard(code)
        word = (
            "whether monitoring was switched on is not known" if unclear else "monitoring was not switched on"
        )
        complain(f"maintenance is over, and {word}: the host answered {code.words}")
        return NO
    print("monitoring is on: a heartbeat is due every 30 s, or vSphere HA resets this VM. Nobody sends one")
    return OK


def _without_exporter(desk: Desk, stranger: str) -> int:
    """Only the maintenance is ended, and not beside a stranger."""
    maintenance = desk.maintenance
    if stranger:
        complain(stranger)
        if maintenance.left() is not None:
            complain(f"nothing was changed. Maintenance: {until(maintenance)}")
        return HELD
    maintenance.end()
    complain(
        f"maintenance is over. {desk.requested}{unwatched(desk)} No exporter is there to send heartbeats: one that starts with "
        "--ha.enabled switches monitoring on once health is good. --unattended switches it on at once, though 30 s "
        "later vSphere HA would reset the machine"
    )
    return NOBODY


def status(desk: Desk) -> int:
    """Print who beats, what the host expects, and whether this is maintenance."""
    maintenance = desk.maintenance
    pid = lock.holder(desk.path)
    print(f"exporter: {f'none holds {desk.path}' if pid is None else desk.heart}")
    print(f"maintenance: {'none' if maintenance.left() is None else until(maintenance)}")
    enabled = desk.is_enabled()
    print(f"monitoring: {'on' if enabled else 'off'}")
    print(f"application status: {ask(desk, desk.monitor.get_app_status).value}")
    if stranger := desk.unseen or desk.stranger():
        complain(stranger)
        return HELD if enabled else NO
    if enabled and desk.hidden:
        complain(f"whether somebody sends heartbeats is {desk.heart}. Repeat this as root")
        return HELD
    if enabled and (not desk.beats() or desk.orphan()):
        complain(f"nobody sends heartbeats: {NOBODY_BEATS}")
        return NOBODY
    return OK if enabled else NO


def _no_lock(desk: Desk) -> bool:
    """There is no lock's file: nobody can hold it. Where this user may not look, there may be one."""
    try:
        return not Path(desk.path).exists()
    except PermissionError:
        return False


def _forget(desk: Desk) -> bool:
    """Nothing is left for a later exporter to take over; False: that could not be noted."""
    if _no_lock(desk):
        return True
    try:
        held = desk.acquire()
    except ConfigError:
        return desk.leftover is Leftover.NOTHING
    if held is None:
        return True
    try:
        return held.note(Leftover.NOTHING)
    finally:
        held.release()


def _off(desk: Desk, problem: str) -> int:
    """Disable; where it is not confirmed, what holds of the maintenance is told too. ``problem``: why it was not noted."""
    status = NO
    try:
        status = off(desk, DISABLE_LIMIT)
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
