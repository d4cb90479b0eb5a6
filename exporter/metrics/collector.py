"""From one published state to the list of families that every output spells in its own way.

Pure: the state, two clock readings and the guest's own facts go in, families in base units come out. Nothing is
remembered, rounded, derived or rated here; a rate belongs to whoever queries. A statistic that the host did not
give has no sample. Whether something may be shown at all is decided here alone, by :meth:`PollState.fresh`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from exporter import __version__, catalogue
from exporter.catalogue import BY_KEY, SESSION_ID, Kind, Metric
from exporter.clock import Instant
from exporter.errors import POLL_ERROR_KINDS
from exporter.insight.observer import Insight
from exporter.metrics import extended
from exporter.metrics import insight as worked_out
from exporter.metrics.families import Family, Point, counted
from exporter.snapshot import Guest, PollState, Snapshot

PYTHON = ".".join(map(str, sys.version_info[:3]))


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose to publish."""

    expose_identity: bool = False
    """The resource pool's path and the BIOS uuid."""
    deprecated_metrics: bool = False


DEFAULT = Options()
NO_GUEST = Guest()


def collect(
    state: PollState,
    now_monotonic: float,
    options: Options = DEFAULT,
    guest: Guest = NO_GUEST,
    insight: Insight | None = None,
) -> list[Family]:
    """Everything that is known at this moment, in the order of the page.

    ``now_monotonic`` is the clock of :attr:`PollState.read_monotonic`, in seconds. A stale snapshot takes statistics, session and extended statistics with it; what the exporter says of itself
    stays. After a failed poll the values stand until they are stale, with ``vmguest_up`` 0 beside them.
    """
    families = [_one(catalogue.UP, float(state.up(now_monotonic)))]
    snapshot = state.snapshot
    if snapshot is not None and state.fresh(now_monotonic):
        families += _host(state, snapshot, options)
    if snapshot is not None and (latest := state.fresh_extended(now_monotonic)) is not None:
        families += extended.families(
            latest,
            basic=snapshot.values.keys() | state.basic,
            lives=state.lives,
            expose_identity=options.expose_identity,
            now=Instant(state.read_time, state.read_monotonic),
        )
    if insight is not None:
        families += worked_out.families(insight, state, now_monotonic)
    return [*families, *_guest(guest), *_exporter(state, now_monotonic)]


def _one(metric: Metric, value: float) -> Family:
    return Family(metric, (Point(value),))


def _info(metric: Metric, *words: str) -> Family:
    return Family(metric, (Point(1.0, tuple(zip(metric.labels, words, strict=True))),))


def _host(state: PollState, snapshot: Snapshot, options: Options) -> Iterator[Family]:
    """The basic statistics and the session that they belong to."""

    def read(metric: Metric, point: Point) -> Family:
        return Family(metric, (point,), state.read_time, monotonic=state.read_monotonic)

    for key, row in BY_KEY.items():
        value = snapshot.values.get(key)
        if value is None or (row.deprecated and not options.deprecated_metrics):
            continue
        if isinstance(value, str):
            if options.expose_identity or not row.identity:
                yield read(row.metric, Point(1.0, (("path", value),)))
        elif row.metric.kind is Kind.COUNTER:
            life = state.lives.of(key, of_host=row.metric.of_host)
            yield read(row.metric, counted(row.metric, row.scaled(value), (), life, snapshot.session_id))
        else:
            yield read(row.metric, Point(row.scaled(value)))
    yield read(catalogue.SESSION, Point(1.0, ((SESSION_ID, f"{snapshot.session_id:#x}"),)))
    if (start := state.lives.session.start) is not None:
        yield read(catalogue.SESSION_START, Point(start))


def _guest(guest: Guest) -> Iterator[Family]:
    if guest.vcpus is not None:
        yield _one(catalogue.VCPUS, float(guest.vcpus))
    if guest.memory_bytes is not None:
        yield _one(catalogue.GUEST_MEMORY, float(guest.memory_bytes))


def _exporter(state: PollState, now_monotonic: float) -> Iterator[Family]:
    """What the exporter says about itself, whatever the host does."""

    def counter(metric: Metric, count: int) -> Family:
        return _one(metric, float(count))

    yield counter(catalogue.SESSION_CHANGES, state.session_changes)
    yield counter(catalogue.POLLS, state.polls)
    kinds = {**dict.fromkeys(POLL_ERROR_KINDS, 0), **state.errors}
    yield Family(
        catalogue.POLL_ERRORS,
        tuple(Point(float(count), (("kind", kind),)) for kind, count in kinds.items()),
    )
    yield Family(catalogue.POLL_DURATION, (), histograms=(((), state.duration),))
    yield counter(catalogue.POLLS_MISSED, state.missed)
    yield counter(catalogue.POLLS_UNCHANGED, state.unchanged)
    if state.library_restarts is not None:
        yield counter(catalogue.LIBRARY_RESTARTS, state.library_restarts)
    if state.snapshot is not None:
        yield _one(catalogue.LAST_POLL, state.read_time)
    if (source := state.source) is not None:
        yield _info(catalogue.SOURCE, source.source, source.transport, source.protocol)
    yield _info(catalogue.BUILD, __version__, PYTHON)
    if state.extended_up is not None:
        shown = state.fresh_extended(now_monotonic) is not None
        yield _one(catalogue.EXTENDED_UP, float(state.extended_up and shown))
        yield counter(catalogue.EXTENDED_DROPPED, state.extended_dropped)
