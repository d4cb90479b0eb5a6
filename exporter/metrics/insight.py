"""What was worked out, as families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

from exporter import catalogue
from exporter.catalogue import Metric
from exporter.clock import UNSEEN
from exporter.insight.interval import Cause, LimitState
from exporter.insight.memory import MemoryLimitState, reclaim
from exporter.insight.observer import Insight
from exporter.metrics.families import Family, Point
from exporter.snapshot import PollState


def families(insight: Insight, state: PollState, now_monotonic: float) -> Iterator[Family]:
    """What follows from the host's numbers goes with them when they are stale; counts of our own stay."""
    ledger, snapshot = insight.ledger, state.snapshot
    if snapshot is not None and state.fresh(now_monotonic):
        yield from _lost(insight, state, now_monotonic)
        yield from _states(catalogue.CPU_LIMIT_STATE, LimitState, insight.cpu_limit)
        yield from _states(catalogue.MEMORY_LIMIT_STATE, MemoryLimitState, insight.memory_limit)
        ahead = reclaim(snapshot, insight.guest)
        yield from _gauge(catalogue.RECLAIM_PENDING, ahead.pending)
        yield from _gauge(catalogue.RECLAIM_WORST_CASE, ahead.worst_case)
        yield from _gauge(catalogue.RECLAIM_DEFICIT, ahead.deficit)
        yield from _gauge(catalogue.REFRESH_INTERVAL, insight.refresh)
    counts = insight.setting_changes.items()
    points = tuple(Point(float(count), (("setting", setting),)) for setting, count in counts)
    if points:
        yield Family(catalogue.SETTING_CHANGES, points)
    if ledger.stolen_ratio is not None:
        yield Family(catalogue.STOLEN_RATIO, (), histograms=(((), ledger.stolen_ratio),))
    if ledger.memory_ratio is not None:
        yield Family(catalogue.MEMORY_CONTENTION_RATIO, (), histograms=(((), ledger.memory_ratio),))
    if insight.pauses:
        seen = tuple(((("seen_by", word),), histogram) for word, histogram in insight.pauses.items())
        yield Family(catalogue.PAUSE, (), histograms=seen)
    if state.fresh(now_monotonic) and (steal := insight.guest.steal_seconds) is not None:
        # Each fall is a life of its own, of which nobody knows whether it began at 0.
        life = replace(UNSEEN, number=UNSEEN.number - insight.steal_falls)
        wall, monotonic = insight.guest_read
        yield Family(catalogue.GUEST_STEAL, (Point(steal, life=life),), wall, monotonic=monotonic)
    if insight.steal_accounting is not None:
        yield Family(catalogue.GUEST_STEAL_ACCOUNTING, (Point(float(insight.steal_accounting)),))


def _lost(insight: Insight, state: PollState, now_monotonic: float) -> Iterator[Family]:
    ledger, snapshot = insight.ledger, state.snapshot
    sums: dict[str, float] = {}
    if snapshot is not None and "cpu_stolen" in snapshot.values:
        sums = {
            Cause.LIMIT: ledger.limit / 1000,
            Cause.HOST: ledger.host / 1000,
            Cause.UNDETERMINED: ledger.undetermined / 1000,
        }
    if insight.measured and state.fresh_extended(now_monotonic) is not None:
        sums["memory"] = ledger.memory
    if sums:
        points = tuple(Point(value, (("cause", str(cause)),)) for cause, value in sums.items())
        yield Family(catalogue.CPU_LOST, points)


def _states(metric: Metric, states: type[StrEnum], present: StrEnum | None) -> Iterator[Family]:
    if present is not None:
        yield Family(metric, tuple(Point(float(word is present), (("state", str(word)),)) for word in states))


def _gauge(metric: Metric, value: float | None) -> Iterator[Family]:
    if value is not None:
        yield Family(metric, (Point(value),))
