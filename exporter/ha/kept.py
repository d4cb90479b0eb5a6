"""What an exporter that is killed leaves of a check to the next one."""

from __future__ import annotations

from typing import NamedTuple

from exporter.ha.look import LookMemory


class Kept(NamedTuple):
    """What a successor has to know of a check. ``failures``: looks in a row, at most as many as make it bad."""

    failures: int = 0
    memory: LookMemory = ()
    successes: int = 0
    """Good looks in a row; at least as many as make it good where it is good."""
    awaited: float = 0.0
    """Seconds for which a clear result has been waited for, where there is none."""
    same_for: float = 0.0
    """Seconds for which another failed look is the last failure once more: until an interval after that look began."""
    bad_for: float = 0.0
    """Seconds for which it was known to be bad, since its last good verdict."""
    unsure: float = 0.0
    """Seconds of a bad verdict after the last look: bad time as well if the next one finds the same."""
    of: str = ""
    """What is checked: another check of the same name begins anew."""
