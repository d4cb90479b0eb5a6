"""``vmguest-exporter ha enable``: the end of maintenance; with ``--unattended``, monitoring on at once."""

from __future__ import annotations

from exporter.commands.ha_desk import (
    BEAT_SLACK,
    HELD,
    LONGEST_INTERVAL,
    NO,
    NOBODY,
    NOBODY_BEATS,
    OK,
    Desk,
    complain,
    no_lock,
    until,
)
from exporter.commands.ha_refused import ask
from exporter.errors import ConfigError, RpcError, VMGuestError
from exporter.ha.host_state import CallResult, may_have_been_heard
from exporter.ha.late import LATE
from exporter.ha.lock import Lock
from exporter.ha.rules import Leftover
from exporter.protocol.appmonitor import Code

ORPHAN_LIMIT = 2.5
"""Seconds for the heart of an exporter that has ended to end as well: a call takes 2 s at most."""
BEAT_LIMIT = LONGEST_INTERVAL + BEAT_SLACK
"""Seconds for a heart to send its next heartbeat."""


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
    over = "maintenance is over" if desk.maintenance.path.exists() else "there was no maintenance"
    while True:
        stranger = desk.stranger()
        if not unattended and no_lock(desk):
            # Nobody holds a lock that is not there, and root can't make one for the exporter's user.
            return _without_exporter(desk, over, stranger)
        # An exporter whose heart has just died starts the next one, and that needs the lock.
        held = None if desk.beats() else desk.acquire()
        if held is not None:
            try:
                if unattended and not stranger:
                    return _by_hand(desk, over, held)
                return _without_exporter(desk, over, stranger)
            finally:
                held.release()
        desk.maintenance.end()
        status = _by_exporter(desk, over)
        # It may have died meanwhile, and have left monitoring on.
        if status is not None:
            if status == OK and stranger:
                complain(stranger)
            return HELD if status == OK and stranger else status


def _by_exporter(desk: Desk, over: str) -> int | None:
    """One has the lock, or is about to; None: not any more."""
    if desk.dry_run:
        complain(
            f"{over}. {desk.requested}{_unwatched(desk)} The exporter that runs is a dry run, which never "
            "switches monitoring on"
        )
        return NOBODY
    if not desk.wait(lambda: not desk.orphan(), ORPHAN_LIMIT):
        complain(
            f"{over}. {desk.requested}{_unwatched(desk)} No exporter is there to send heartbeats: {desk.heart} holds the "
            "lock, and sends none"
        )
        return NOBODY
    begun, on = desk.clock(), False
    error: VMGuestError | None = None

    def sends() -> bool:
        nonlocal on, error
        on, error = False, None
        try:
            on = desk.beats() and not desk.orphan() and not desk.heart_is_done() and desk.is_enabled()
        except VMGuestError as found:
            error = found
        return on and desk.beat_since(begun)

    sent = desk.wait(sends, BEAT_LIMIT)
    if not desk.beats() or desk.orphan():
        return None
    if sent:
        print(f"monitoring is on: {desk.heart} sends the heartbeats")
        return OK
    if on:
        complain(f"{over}. {desk.silent() or f'No heartbeat of {desk.heart} has been taken since'}")
        return NOBODY
    state = (
        "monitoring is not on yet" if error is None else f"whether monitoring is on is not known ({error})"
    )
    complain(
        f"{over}, and {state}: {desk.heart} switches it on once health is good and the host takes it, unless it stands still (look "
        "at vmguest_ha_check_healthy and the exporter's log)"
    )
    if error is not None and not isinstance(error, RpcError):
        raise error
    return NO


def _by_hand(desk: Desk, over: str, held: Lock) -> int:
    """Monitoring on, though nobody sends heartbeats."""
    desk.maintenance.end()
    before = held.before.leftover
    # An exporter that starts from now on takes it over, and a request for a reset that was noted before.
    leftover = Leftover.REQUEST if before is Leftover.REQUEST else Leftover.BY_HAND
    held.note(leftover, late_until=desk.clock() + LATE)
    try:
        result: CallResult = ask(desk, desk.monitor.enable)
    except VMGuestError as error:
        result = error
    if result is Code.OK:
        held.note(leftover, late_until=held.before.late_until)
        print(
            "monitoring is on: a heartbeat is due every 30 s, or vSphere HA resets this VM. Nobody sends one"
        )
        return OK
    answered = f": the host answered {result.words}" if isinstance(result, Code) else ""
    if may_have_been_heard(result):
        complain(
            f"{over}, and whether monitoring was switched on is not known{answered}. If it was, vSphere HA resets this VM unless a "
            "heartbeat comes within 30 s (vmguest-exporter ha disable keeps it from that)"
        )
    else:
        held.note(before, late_until=held.before.late_until)
        complain(f"{over}, and monitoring was not switched on{answered}")
    if isinstance(result, VMGuestError):
        raise result
    return NO


def _without_exporter(desk: Desk, over: str, stranger: str) -> int:
    """Only the maintenance is ended, and not beside a stranger."""
    maintenance = desk.maintenance
    if stranger:
        complain(stranger)
        if maintenance.left() is not None:
            complain(f"nothing was changed. Maintenance: {until(maintenance)}")
        return HELD
    maintenance.end()
    complain(
        f"{over}. {desk.requested}{_unwatched(desk)} No exporter is there to send heartbeats: one that starts with "
        "--ha.enabled switches monitoring on once health is good. --unattended switches it on at once, though 30 s "
        "later vSphere HA would reset the machine"
    )
    return NOBODY


def _unwatched(desk: Desk) -> str:
    """Whether monitoring is on where nobody beats."""
    try:
        on = desk.is_enabled()
    except VMGuestError as error:
        return f"Whether monitoring is on is not known: {str(error).rstrip('.')}."
    if on:
        return f"Monitoring is on from before: {NOBODY_BEATS}."
    return f"Monitoring is off{desk.may_come_on or ', and stays so for now'}."
