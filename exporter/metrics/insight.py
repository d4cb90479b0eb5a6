"""What was worked out, as families.

What follows from a reading has the time of that reading: it says nothing of any later moment, and a difference over OTLP
is over the time between two readings. What is counted here (changes, pauses, the samples of a histogram) has no
such time and goes on being said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

from exporter import catalogue
from exporter.catalogue import Metric
from exporter.clock import UNSEEN, Instant
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
        yield from _states(catalogue.CPU_LIMIT_STATE, LimitState, insight.cpu_limit, insight.read)
        yield from _states(catalogue.MEMORY_LIMIT_STATE, MemoryLimitState, insight.memory_limit, insight.read)
        ahead, read = reclaim(snapshot, insight.guest), Instant(state.read_time, state.read_monotonic)
        yield from _gauge(catalogue.RECLAIM_PENDING, ahead.pending, read)
        yield from _gauge(catalogue.RECLAIM_WORST_CASE, ahead.worst_case, read)
        yield from _gauge(catalogue.RECLAIM_DEFICIT, ahead.deficit, read)
        yield from _gauge(catalogue.REFRESH_INTERVAL, insight.refresh, insight.read)
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
    if state.fresh(now_monotonic):
        if (steal := insight.guest.steal_seconds) is not None:
            # Each fall is a life of its own, of which nobody knows whether it began at 0.
            life = replace(UNSEEN, number=UNSEEN.number - insight.steal_falls)
            yield _read(catalogue.GUEST_STEAL, (Point(steal, life=life),), insight.guest_read)
        yield from _gauge(catalogue.GUEST_STEAL_ACCOUNTING, insight.steal_accounting, insight.guest_read)


def _lost(insight: Insight, state: PollState, now_monotonic: float) -> Iterator[Family]:
    ledger, snapshot = insight.ledger, state.snapshot
    sums: dict[str, float] = {}
    # What is laid to somebody grows by intervals: without the host's clock there are none.
    if snapshot is not None and {"cpu_stolen", "elapsed"} <= snapshot.values.keys():
        sums = {
            Cause.LIMIT: ledger.limit / 1000,
            Cause.HOST: ledger.host / 1000,
            Cause.UNDETERMINED: ledger.undetermined / 1000,
        }
    points = [Point(value, (("cause", str(cause)),)) for cause, value in sums.items()]
    if insight.measured is not None and state.fresh_extended(now_monotonic) is not None:
        points.append(Point(ledger.memory, (("cause", "memory"),), read=insight.measured))
    if points:
        yield _read(catalogue.CPU_LOST, tuple(points), insight.read)


def _states(
    metric: Metric, states: type[StrEnum], present: StrEnum | None, read: Instant
) -> Iterator[Family]:
    if present is not None:
        points = tuple(Point(float(word is present), (("state", str(word)),)) for word in states)
        yield _read(metric, points, read)


def _gauge(metric: Metric, value: float | None, read: Instant) -> Iterator[Family]:
    if value is not None:
        yield _read(metric, (Point(float(value)),), read)


def _read(metric: Metric, points: tuple[Point, ...], read: Instant) -> Family:
    return Family(metric, points, read.wall, monotonic=read.monotonic)
