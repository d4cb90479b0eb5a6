"""What the host may still take of the memory, and what the memory limit does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exporter.insight.interval import BINDING, USED_UP, number
from exporter.snapshot import Guest, Snapshot


class MemoryLimitState(StrEnum):
    """What the memory limit does; the words are a label's values."""

    NONE = "none"
    NOT_BINDING = "not_binding"
    BINDING = "binding"
    RECLAIMING = "reclaiming"


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Bytes; None where the host, or the guest, does not tell."""

    pending: float | None
    """What the balloon's target is ahead of its size; a target is no promise."""
    worst_case: float | None
    """What the largest balloon allowed would take beyond the present one."""
    swap_pending: float | None
    """What the target of the host's swap is ahead of its size."""
    spare: float | None
    """What the guest can give without killing: available memory and free swap."""

    @property
    def deficit(self) -> float | None:
        """What is missing if the host takes what is pending; above 0 the guest may run out."""
        if self.pending is None or self.spare is None:
            return None
        return max(self.pending - self.spare, 0.0)


def reclaim(snapshot: Snapshot, guest: Guest) -> Reclaim:
    """Work out what is ahead."""
    ballooned, most = number(snapshot, "memory_ballooned"), number(snapshot, "memory_balloon_max")
    available, swap = guest.available_bytes, guest.swap_free_bytes
    return Reclaim(
        pending=_balloon_ahead(snapshot),
        worst_case=None if most is None or ballooned is None else max(most - ballooned, 0.0),
        swap_pending=_ahead(snapshot, "memory_swap_target", "memory_swapped"),
        spare=None if available is None or swap is None else float(available + swap),
    )


def _growth(before: Snapshot, after: Snapshot) -> float:
    """Bytes by which what is ballooned, swapped and compressed grew; what is not told on both sides counts as none."""
    keys = ("memory_ballooned", "memory_swapped", "memory_zipped")
    pairs = ((number(before, key), number(after, key)) for key in keys)
    return sum(now - then for then, now in pairs if then is not None and now is not None)


def limit_state(snapshot: Snapshot, guest: Guest, before: Snapshot | None) -> MemoryLimitState | None:
    """``before``: the sample before, where there is one. None where too little is known."""
    limit = number(snapshot, "memory_limit")
    if limit is None:
        return None
    if limit == float("inf"):
        return MemoryLimitState.NONE
    if not guest.memory_bytes:
        return None
    if limit >= BINDING * guest.memory_bytes:
        return MemoryLimitState.NOT_BINDING
    used = number(snapshot, "memory_used")
    if used is not None and used >= USED_UP * limit:
        growing = before is not None and _growth(before, snapshot) > 0
        ahead = (
            _balloon_ahead(snapshot),
            _ahead(snapshot, "memory_swap_target", "memory_swapped"),
        )
        if growing or any(ahead):
            return MemoryLimitState.RECLAIMING
    return MemoryLimitState.BINDING


def balloon_goal(target: float | None, most: float | None) -> float | None:
    """Bytes that the balloon can be steered to: the host's target may lie beyond the largest balloon allowed."""
    return target if target is None or most is None else min(target, most)


def _balloon_ahead(snapshot: Snapshot) -> float | None:
    wanted = balloon_goal(number(snapshot, "memory_balloon_target"), number(snapshot, "memory_balloon_max"))
    return _difference(wanted, number(snapshot, "memory_ballooned"))


def _ahead(snapshot: Snapshot, target: str, level: str) -> float | None:
    return _difference(number(snapshot, target), number(snapshot, level))


def _difference(wanted: float | None, there: float | None) -> float | None:
    return None if wanted is None or there is None else max(wanted - there, 0.0)


AHEAD = 64 * 2**20
"""Bytes that the balloon's target may be ahead of its size before it is mentioned. Our own choice: nobody else shows the target."""
INCH = 2**20
"""Bytes by which a balloon must grow to count as moving: the host counts in MB."""


class Balloon:
    """For how long the balloon has not followed its target: its driver may be missing."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._size = 0.0

    def stuck(self, snapshot: Snapshot, at: float) -> float:
        """Seconds up to ``at`` (monotonic); 0 while it follows, or has nothing to follow."""
        pending = _balloon_ahead(snapshot)
        size = number(snapshot, "memory_ballooned") or 0.0
        if pending is None or pending <= AHEAD:
            self._since = None
            return 0.0
        if self._since is None or abs(size - self._size) >= INCH:
            self._since, self._size = at, size
        return at - self._since
