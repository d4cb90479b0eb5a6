"""Disable, confirmed, as ``vmguest-exporter ha disable`` and ``ha finish-stop`` send it; what is not confirmed is told."""

from __future__ import annotations

from exporter.commands.ha_desk import NO, OK, Desk, complain
from exporter.errors import ConfigError, VMGuestError
from exporter.ha.hand_back import HandedBack, hand_back
from exporter.ha.host_state import CallResult
from exporter.ha.rules import Leftover
from exporter.protocol.appmonitor import Code


def off(desk: Desk, limit: float, noted: Leftover = Leftover.NOTHING) -> int:
    """Hand monitoring back within ``limit`` seconds, a request for a reset included; tells what is not confirmed.

    ``noted``: what may be left at the host at least, whatever the lock's file says.

    Raises:
        VMGuestError: the host's last word, where it was an error.
    """
    try:
        leftover = desk.leftover
    except ConfigError:
        # Not known: whatever it may be is handed back.
        leftover = Leftover.REQUEST
    leftover = max(leftover, noted, key=[*Leftover].index)
    found = hand_back(desk.monitor, leftover, limit, sleep=desk.sleep, clock=desk.clock)
    if found.confirmed:
        return OK
    if found.pending:
        complain(
            f"a request for a reset of this VM is NOT taken back ({_words(found.to_take_back)}), and vSphere HA may still "
            "act on it: repeat this, or `vmguest-exporter ha post-app-state ok`"
        )
    return _still_on(found, limit)


def _still_on(found: HandedBack, limit: float) -> int:
    if found.off:
        complain("monitoring is off, confirmed by the host")
    elif isinstance(found.last, VMGuestError):
        raise found.last
    else:
        complain(f"monitoring is still on after {limit:g} s; to Disable {_words(found.to_disable)}")
    return NO


def _words(result: CallResult) -> str:
    return f"the host answered {result.words}" if isinstance(result, Code) else str(result)
