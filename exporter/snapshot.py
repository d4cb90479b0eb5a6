"""What was read, as frozen values: the meeting point of all sources and of everything behind them.

A :class:`Snapshot` is what a source returns. A :class:`PollState` is what the poller publishes: one
reference, replaced whole, never edited, so readers need no lock and can't see half a poll.
Nothing here knows where the bytes came from or where the numbers go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.clock import Instant, Lives

STALE_INTERVALS = 3
"""A snapshot older than this many poll intervals is withheld: blank is honest, flat is a lie."""

POLL_DURATION_BOUNDS: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1, 1.0)
"""Seconds. A local poll takes well under 1 ms; 2 s is the kernel's vsock connect time-out."""

Value = int | str
"""A statistic exactly as the host sent it, in the host's unit (MHz, ms, MB); text for paths."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One answer of the host.

    ``values`` maps a catalogue key to the host's number or text. A statistic that the host does not give,
    or marks as not valid, is absent: never 0, never None.
    """

    session_id: int
    protocol: int
    """Version of the reply: 3, or 2 from ESX 3.x. VMware's library can't see it and says 0."""
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ExtendedValue:
    """One extended statistic: the host's own name, number or text, kind and unit."""

    name: str
    value: float | int | str
    type: str = ""
    """``static``, ``instant``, ``accumulate``; empty where the encoding carries none (text)."""
    units: str = ""


@dataclass(frozen=True, slots=True)
class ExtendedSnapshot:
    """One round over the categories of extended statistics.

    ``groups`` maps the host's name of a group (``resources``, ``vscsi scsi0:0``) to its statistics.
    """

    session_id: int
    groups: Mapping[str, tuple[ExtendedValue, ...]]
    read_time: float
    """Wall clock at which the round ended, seconds since the epoch."""
    read_monotonic: float
    answered: Mapping[str, Instant] = field(default_factory=dict)
    """When each group was answered; one that is not named: as the round ended."""

    def at(self, group: str) -> Instant:
        """When ``group`` was answered: its values are as of then, however long others took."""
        return self.answered.get(group) or Instant(self.read_time, self.read_monotonic)


@dataclass(frozen=True, slots=True)
class Guest:
    """What the guest's own kernel says; ``None`` where this operating system does not tell."""

    vcpus: int | None = None
    """Virtual CPUs online."""
    memory_bytes: int | None = None
    """Memory that the kernel manages: the VM's size less what firmware and kernel image keep."""
    installed_bytes: int | None = None
    """Memory of the VM by its memory blocks, which no balloon changes."""
    available_bytes: int | None = None
    """Memory that can be had without swapping (``MemAvailable``)."""
    swap_free_bytes: int | None = None
    possible_vcpus: int | None = None
    """Virtual CPUs that could be added while it runs, those online included."""
    steal_seconds: float | None = None
    """Steal of all vCPUs since the boot, as the kernel shows it."""
    boot_id: str | None = None
    held_seconds: float | None = None
    """Time in which tasks of the guest waited for CPU or memory, or this process's control group was throttled, since
    the boot."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where the statistics come from, for ``vmguest_source_info`` and for people.

    ``source``: guestrpc, library, simulated, replay. ``transport``: vsock, unix, memory, library, file.
    ``protocol``: 3, 2 or empty until known. ``note`` says in words why this source and not another.
    """

    source: str
    transport: str
    protocol: str = ""
    note: str = ""


SCALE = 3
"""Of the exponential buckets: eight to a doubling, so that a quantile is off by 4.5 % at most."""
TINY = 2.0**-20
"""What is at most this is counted as zero there: a microsecond, or a millionth of a vCPU. So there are few buckets."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram, twice: ``counts[i]`` observations were at most ``bounds[i]``; ``exponential[i]`` lay in
    (2^(i/8), 2^((i+1)/8)], as OpenTelemetry's data model has it (``metrics/data-model.md``, "ExponentialHistogram").
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int = 0
    sum: float = 0.0
    exponential: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Histogram:
        return cls(bounds, (0,) * len(bounds))

    def observe(self, value: float) -> Histogram:
        counts = tuple(n + (value <= bound) for n, bound in zip(self.counts, self.bounds, strict=True))
        exponential = self.exponential
        if value > TINY:
            index = math.ceil(math.log2(value) * 2**SCALE) - 1
            exponential = {**exponential, index: exponential.get(index, 0) + 1}
        return Histogram(self.bounds, counts, self.count + 1, self.sum + value, exponential)

    def since(self, before: Histogram) -> Histogram:
        """What was observed after ``before``, an earlier state of the same histogram."""
        counts = tuple(new - old for new, old in zip(self.counts, before.counts, strict=True))
        exponential = {
            index: more
            for index, count in self.exponential.items()
            if (more := count - before.exponential.get(index, 0))
        }
        return Histogram(self.bounds, counts, self.count - before.count, self.sum - before.sum, exponential)


@dataclass(frozen=True, slots=True)
class ExtendedState:
    """What is known after a step of :class:`exporter.session.rounds.ExtendedReader`. ``up`` None: the host has no extended statistics, or nothing is known yet."""

    snapshot: ExtendedSnapshot | None = None
    up: bool | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class PollState:
    """Everything that an output may know. Times in seconds; ``*_monotonic`` by the monotonic clock."""

    interval: float
    snapshot: Snapshot | None = None
    """The last good answer. Whether it is still fresh is for the reader to ask: :meth:`fresh`."""
    read_time: float = 0.0
    read_monotonic: float = 0.0
    lives: Lives = field(default_factory=Lives)
    """When each counter of the host began to count (:mod:`exporter.session.epoch`)."""
    basic: frozenset[str] = frozenset()
    """Statistics that the basic reply has given in this session. An extended one that stands for such a one would be of
    another age."""
    session_changes: int = 0
    late: float = 0.0
    """Seconds after its time that the last poll began: the polling thread was late in waking."""
    last_error: str = ""
    """Kind of the last poll's failure; empty after a good one."""
    last_error_text: str = ""
    last_error_advice: str = ""
    """What to do about it, and where; empty where nothing is known."""
    polls: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    missed: int = 0
    unchanged: int = 0
    duration: Histogram = field(default_factory=lambda: Histogram.empty(POLL_DURATION_BOUNDS))
    source: SourceInfo | None = None
    library_restarts: int | None = None
    """Times that the library's process had to be restarted; None where there is no process."""
    extended: ExtendedSnapshot | None = None
    extended_up: bool | None = None
    """None: not asked for or the host has none; else whether the last round was good."""
    extended_dropped: int = 0
    extended_interval: float = 0.0
    """Seconds between two rounds of extended statistics; 0 where they are switched off."""
    snapshot_before: Snapshot | None = None
    """The last one of this session with another sample (another ``elapsed``)."""
    extended_before: ExtendedSnapshot | None = None
    """The round of this session before the last."""

    def fresh(self, now_monotonic: float) -> bool:
        """Whether the snapshot may be shown: its poll is at most three intervals old."""
        return (
            self.snapshot is not None
            and now_monotonic - self.read_monotonic <= STALE_INTERVALS * self.interval
        )

    def fresh_extended(self, now_monotonic: float) -> ExtendedSnapshot | None:
        """The extended statistics that may be shown: of the session shown, at most three rounds old."""
        extended, snapshot = self.extended, self.snapshot
        if extended is None or snapshot is None or not self.fresh(now_monotonic):
            return None
        limit = STALE_INTERVALS * max(self.interval, self.extended_interval)
        fresh = (
            now_monotonic - extended.read_monotonic <= limit and extended.session_id == snapshot.session_id
        )
        return extended if fresh else None

    def up(self, now_monotonic: float) -> bool:
        """``vmguest_up``: the last poll was good, and it is fresh."""
        return not self.last_error and self.fresh(now_monotonic)
