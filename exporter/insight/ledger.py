"""Where vCPU time was lost since the exporter started: intervals, added up.

Frozen: an addition gives a new ledger, and the reference is replaced whole, so readers need no lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.insight.interval import Cause, Interval
from exporter.snapshot import Histogram

SHARES: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Bounds of the histograms: share of one vCPU's time in one sample of the host."""
HIGH = 0.1
"""Share of one sample above which it counts as a burst, as in a histogram's bucket: the upper step of the CPU ready scale."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sums of all sessions seen. limit + host + undetermined is the growth of stolen, exactly: whole milliseconds."""

    limit: int = 0
    host: int = 0
    undetermined: int = 0
    memory: float = 0.0
    """Seconds of memory contention, from the extended statistics; may overlap with stolen."""
    stolen_ratio: Histogram | None = None
    """None: histograms are off."""
    memory_ratio: Histogram | None = None

    @classmethod
    def empty(cls, *, histograms: bool = True) -> Ledger:
        start = Histogram.empty(SHARES) if histograms else None
        return cls(stolen_ratio=start, memory_ratio=start)

    def add(self, interval: Interval, longest: float) -> Ledger:
        """With one interval more. One longer than ``longest`` (seconds) is no sample, and left out of the histogram."""
        if interval.stolen is None:
            return self
        ratio, share = self.stolen_ratio, interval.stolen_share
        if ratio is not None and share is not None and interval.elapsed <= 1000 * longest:
            ratio = ratio.observe(share)
        cause = interval.cause
        return Ledger(
            self.limit + (interval.stolen if cause is Cause.LIMIT else 0),
            self.host + (interval.stolen if cause is Cause.HOST else 0),
            self.undetermined + (interval.stolen if cause is Cause.UNDETERMINED else 0),
            self.memory,
            ratio,
            self.memory_ratio,
        )

    def add_memory(self, seconds: float, share: float | None) -> Ledger:
        """With the memory contention of one extended round more; ``share``: of one vCPU's time, where it is a sample."""
        ratio = self.memory_ratio
        if ratio is not None and share is not None:
            ratio = ratio.observe(share)
        return replace(self, memory=self.memory + seconds, memory_ratio=ratio)
