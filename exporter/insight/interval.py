"""What passed between two snapshots of one session, and whom the stolen part of it is laid to.

An interval ends where the host's ``elapsed`` has moved, however many polls failed or repeated between. Nothing in it
is rescaled: used time includes virtualization work and may exceed the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.catalogue import BY_KEY
from exporter.clock import Lives
from exporter.snapshot import Snapshot, Value

BINDING = 0.98
"""A limit below this share of what the VM could use binds; one that scales with the VM is no fault (dashdiag)."""
USED_UP = 0.95
"""Share of a binding limit from which on it counts as used up. A guest can't see esxtop's %MLMTD."""
HELD_BACK = 0.01
"""Stolen time per vCPU from which on a limit that is used up counts as throttling."""


class Cause(StrEnum):
    """Whom stolen time is laid to; the words are a label's values."""

    LIMIT = "limit"
    """A CPU limit binds and was used up. May hold some loss to the host too."""
    HOST = "host"
    """No limit binds: neighbours, a parent pool's limit, co-stop or clock reduction; a guest can't tell which."""
    UNDETERMINED = "undetermined"
    """A limit binds and use was below it on average: a burst into the limit, or the host; or too little is known."""


class LimitState(StrEnum):
    """What the CPU limit does; the words are a label's values."""

    NONE = "none"
    NOT_BINDING = "not_binding"
    BINDING = "binding"
    THROTTLING = "throttling"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may bound the VM's CPU use, in hertz; None where it is not known."""

    limit: float | None
    """+Inf without one."""
    frequency: float | None
    vcpus: int | None

    @property
    def capacity(self) -> float | None:
        """What the vCPUs could use if nothing held them back."""
        return self.vcpus * self.frequency if self.vcpus and self.frequency else None

    @property
    def state(self) -> LimitState | None:
        """None, not binding or binding; whether it throttles takes an interval to tell. None where unknown."""
        if self.limit is None:
            return None
        if self.limit == float("inf"):
            return LimitState.NONE
        if self.capacity is None:
            return None
        return LimitState.BINDING if self.limit < BINDING * self.capacity else LimitState.NOT_BINDING

    @classmethod
    def of(cls, snapshot: Snapshot, vcpus: int | None) -> Bounds:
        return cls(number(snapshot, "cpu_limit"), number(snapshot, "host_cpu_frequency"), vcpus)


@dataclass(frozen=True, slots=True)
class Interval:
    """Times in milliseconds, as the host counts; sums over all vCPUs."""

    elapsed: int
    """By the host's clock; more than 0."""
    used: int | None
    stolen: int | None
    """None where the host does not give it, or it fell."""
    before: Bounds
    after: Bounds

    @property
    def cause(self) -> Cause:
        """Whom the whole stolen time is laid to. A limit that changed meanwhile must lead to one answer either way."""
        cause = self._under(self.after)
        return cause if self.before == self.after or self._under(self.before) is cause else Cause.UNDETERMINED

    @property
    def stolen_share(self) -> float | None:
        """Of the time of one vCPU; None where their number is not known, or changed meanwhile."""
        if self.stolen is None or self.vcpus is None:
            return None
        return self.stolen / self.elapsed / self.vcpus

    @property
    def vcpus(self) -> int | None:
        """Throughout the interval; None where that is not known, or changed meanwhile."""
        return self.after.vcpus if self.after.vcpus and self.after.vcpus == self.before.vcpus else None

    @property
    def limit_state(self) -> LimitState | None:
        state = self.after.state
        if (
            state is LimitState.BINDING
            and self._used_up(self.after)
            and (self.stolen_share or 0.0) > HELD_BACK
        ):
            return LimitState.THROTTLING
        return state

    def _under(self, bounds: Bounds) -> Cause:
        state = bounds.state
        if state is None:
            return Cause.UNDETERMINED
        if state is not LimitState.BINDING:
            return Cause.HOST
        return Cause.LIMIT if self._used_up(bounds) else Cause.UNDETERMINED

    def _used_up(self, bounds: Bounds) -> bool:
        if self.used is None or bounds.frequency is None or bounds.limit is None:
            return False
        return self.used / self.elapsed * bounds.frequency >= USED_UP * bounds.limit


def between(
    before: Snapshot, after: Snapshot, vcpus: int | None = None, fell: Collection[str] = ()
) -> Interval | None:
    """None across a session change, and where ``elapsed`` is missing or has not moved on. ``fell``: counters that began
    anew in between, whatever they have grown to since.
    """
    if before.session_id != after.session_id:
        return None
    elapsed = growth(before.values, after.values, "elapsed")
    if not elapsed:
        return None
    bounds = Bounds.of(after, vcpus)
    unchanged = all(
        before.values.get(key) == after.values.get(key) for key in ("cpu_limit", "host_cpu_frequency")
    )
    return Interval(
        elapsed=elapsed,
        used=None if "cpu_used" in fell else growth(before.values, after.values, "cpu_used"),
        stolen=None if "cpu_stolen" in fell else growth(before.values, after.values, "cpu_stolen"),
        before=bounds if unchanged else Bounds.of(before, vcpus),
        after=bounds,
    )


class Readings:
    """The intervals of one counter, each from the last snapshot that gave it with ``elapsed`` to the next: one that lacks
    either is passed over, so nothing is lost, and no other counter waits for it. For one thread.
    """

    def __init__(self, key: str) -> None:
        self._needs = ("elapsed", key)
        self.begin()

    def begin(self) -> None:
        """Another epoch: nothing of the one before is compared with it."""
        self._last: tuple[Snapshot, Lives, int | None] | None = None

    def next(self, snapshot: Snapshot, lives: Lives, vcpus: int | None) -> Interval | None:
        """The interval that ends with this snapshot; None where none does. ``vcpus``: as of now."""
        if any(key not in snapshot.values for key in self._needs):
            return None
        last = self._last
        if last is not None and repeats(last[0], snapshot):
            return None
        self._last = snapshot, lives, vcpus
        if last is None:
            return None
        before, old, were = last
        fell = [key for key in ("cpu_used", "cpu_stolen") if lives.of(key).number != old.of(key).number]
        found = between(before, snapshot, vcpus, fell)
        return found if found is None or were == vcpus else replace(found, before=Bounds.of(before, were))


def repeats(before: Snapshot, after: Snapshot) -> bool:
    """Whether the host took no new sample in between, as far as it tells."""
    elapsed = after.values.get("elapsed")
    return (
        elapsed is not None
        and before.session_id == after.session_id
        and before.values.get("elapsed") == elapsed
    )


def growth(before: Mapping[str, Value], after: Mapping[str, Value], key: str) -> int | None:
    """Of a counter, in the host's unit; None where it is missing on one side, or fell."""
    then, now = before.get(key), after.get(key)
    return now - then if isinstance(now, int) and isinstance(then, int) and now >= then else None


def number(snapshot: Snapshot, key: str) -> float | None:
    """A statistic's number in base units; +Inf for *unlimited*, None where the host does not give it."""
    value = snapshot.values.get(key)
    return BY_KEY[key].scaled(value) if isinstance(value, int) else None
