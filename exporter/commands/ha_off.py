"""Disable, confirmed, as ``vmguest-exporter ha disable`` and ``ha finish-stop`` send it; what is not confirmed is told."""

from __future__ import annotations

from exporter.commands.ha_desk import NO, OK, Desk, complain
from exporter.errors import ConfigError, VMGuestError
from exporter.ha.hand_back import PAUSE, HandedBack, hand_back
from exporter.ha.host_state import CallResult
from exporter.ha.late import LATE, as_noted
from exporter.ha.rules import Leftover
from exporter.protocol.appmonitor import Code


def off(desk: Desk, limit: float, noted: Leftover = Leftover.NOTHING, *, time: float = float("inf")) -> int:
    """Hand monitoring back within ``limit`` seconds, a request for a reset included; tells what is not confirmed.

    ``noted``: what may be left at the host at least, whatever the lock's file says. Where a call that was given up may still be
    carried out, it takes at least until then if there is ``time`` for that.

    Raises:
        VMGuestError: the host's last word, where it was an error.
    """
    try:
        leftover, late_until = desk.leftover, desk.late_until
    except ConfigError:
        # Not known: whatever it may be is handed back, and may come late.
        leftover, late_until = Leftover.REQUEST, desk.clock() + LATE
    leftover = max(leftover, noted, key=[*Leftover].index)
    late = as_noted(late_until, desk.clock()) - desk.clock()
    if late > 0:
        complain(
            "a call was given up without an answer, and the host may still carry it out: whether monitoring stays off is watched for "
            f"{late:.0f} s"
        )
        limit = min(max(limit, late + 2 * PAUSE), time)
    found = hand_back(
        desk.monitor, leftover, limit, sleep=desk.sleep, clock=desk.clock, late_until=late_until
    )
    if found.confirmed:
        return OK
    if found.pending:
        complain(
            f"a request for a reset of this VM is NOT taken back ({_words(found.to_take_back)}), and vSphere HA may still "
            "act on it: repeat this, or `vmguest-exporter ha post-app-state ok`"
        )
    return _still_on(found, limit)


def _still_on(found: HandedBack, limit: float) -> int:
    if found.off and found.late:
        complain(
            "monitoring is off, and may come on again: the host may still carry out a call that was given up. Repeat this"
        )
    elif found.off:
        complain("monitoring is off, confirmed by the host")
    elif isinstance(found.last, VMGuestError):
        raise found.last
    else:
        complain(f"monitoring is still on after {limit:g} s; to Disable {_words(found.to_disable)}")
    return NO


def _words(result: CallResult) -> str:
    return f"the host answered {result.words}" if isinstance(result, Code) else str(result)
