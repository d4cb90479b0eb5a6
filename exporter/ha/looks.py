"""What has been seen of a check so far: what :mod:`exporter.ha.check_state` judges by."""

from __future__ import annotations

from typing import NamedTuple

from exporter.ha.rules import Health

NEVER = float("-inf")


class Looks(NamedTuple):
    """What has been seen so far; replaced whole, so that a reader in another thread sees one state."""

    begun: float | None
    """When the look that is under way began."""
    idle_since: float
    born: float
    """Since when a clear result is awaited: later by all time for which the exporter itself could not look."""
    blind_since: float | None = None
    """When the look began that it could not take, until the next one begins."""
    awaited: float = 0.0
    """Seconds for which predecessors have waited for one."""
    looked: bool = False
    """A look has come back in this process."""
    failed_looks: int = 0
    """Looks that have failed in this process."""
    good_verdicts: int = 0
    """Looks of this process by which it was good."""
    was_good: bool = False
    """It was good for a predecessor, and has not been bad since: the first good look makes it good again."""
    was_bad: bool = False
    """It was bad for a predecessor, and no look has come back since."""
    unsure: float = 0.0
    """Seconds for which it was so after the predecessor's last look."""
    found_again: float = 0.0
    """Seconds that it was bad for a predecessor after its last look, and that the look took which found it bad again."""
    same_until: float = NEVER
    """Until when a failed look is the one that a predecessor has counted, found once more."""
    failed_until: float = NEVER
    """When the interval of the last failure that counts is over."""
    failures: int = 0
    successes: int = 0
    own_faults: int = 0
    """Looks in a row that the exporter could not take."""
    spoiled: int = 0
    """Looks in a row in which it stood still."""
    extra: float = 0.0
    """Seconds that a look has beyond its time limit, as the exporter stood still for so long of those that ended at theirs."""
    health: Health = Health.UNKNOWN
    reason: str = "no result yet"
