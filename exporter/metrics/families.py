"""The neutral form of what is published: families of points, in base units.

Every output spells these in its own way: :mod:`exporter.outputs.prometheus` as families of prometheus_client,
:mod:`exporter.outputs.otlp.points` as the SDK's data classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exporter.catalogue import SESSION_ID, Kind, Labels, Metric, well_formed
from exporter.clock import OWN, Instant, Life
from exporter.snapshot import Histogram


@dataclass(frozen=True, slots=True)
class Point:
    """One value in base units. ``created``: wall time at which a counter began, seconds, or None.

    ``life``: of a counter, which life it is in; the default is this process's own. ``read``: when it was read, where that
    was not at the time of its family.

    Label values come from the host and from settings. A lone surrogate in one, which no output could encode,
    becomes ``?`` here.
    """

    value: float
    labels: Labels = ()
    created: float | None = None
    life: Life = OWN
    read: Instant | None = None

    def __post_init__(self) -> None:
        if self.labels and not all(text.isascii() for _, text in self.labels):
            object.__setattr__(self, "labels", tuple((name, well_formed(text)) for name, text in self.labels))


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its points. ``time``: wall time at which the host was read, 0 for the exporter's own;
    ``monotonic``: the same by the monotonic clock.

    All points have the same label names.
    """

    metric: Metric
    points: tuple[Point, ...]
    time: float = 0.0
    histograms: tuple[tuple[Labels, Histogram], ...] = ()
    """Each with its labels."""
    monotonic: float = 0.0

    @property
    def name(self) -> str:
        return self.metric.family


def counted(
    metric: Metric,
    value: float,
    labels: Labels,
    life: Life,
    session_id: int,
    read: Instant | None = None,
    now: Instant | None = None,
) -> Point:
    """A counter of the host, which is in the life ``life`` in the session ``session_id``. ``read`` as :class:`Point`; ``now``: a
    later look at the clocks.
    """
    if metric.of_host:
        # It counts from a time that nobody tells. The session's beginning is none of its own, and after a fall it may be less
        # by a moment as well as begun anew: its value is no growth that anybody saw.
        unknown = life if life.start is None and life.since is None else replace(life, start=None, since=None)
        return Point(value, (*labels, (SESSION_ID, f"{session_id:#x}")), None, unknown, read)
    return Point(value, labels, life.start, life, _not_before(life.start, read, now))


def _not_before(start: float | None, read: Instant | None, now: Instant | None) -> Instant | None:
    """``read``, but by the clock of ``now`` where it seems to be before a beginning, which became known since, or after ``now``: the
    clock was set in between, and the beginning is by that clock.
    """
    if read is None or start is None:
        return read
    set_back = now is not None and now.monotonic >= read.monotonic and now.wall < read.wall
    if read.wall >= start and not set_back:
        return read
    wall = now.wall - max(now.monotonic - read.monotonic, 0.0) if now is not None else start
    return read._replace(wall=max(start, wall))


def begun(families: Iterable[Family], start: float | None, now: Instant) -> Iterator[Family]:
    """The same, with ``start`` (wall clock, seconds; None: unknown) as the beginning of this process's own counters, as of
    ``now``.
    """
    for family in families:
        # The host's counters, most of a page, pass as they are.
        if family.metric.kind is Kind.COUNTER and any(point.life is OWN for point in family.points):
            points = tuple(
                Point(each.value, each.labels, start, OWN, _not_before(start, each.read, now))
                if each.life is OWN
                else each
                for each in family.points
            )
            read = _not_before(start, Instant(family.time, family.monotonic), now) if family.time else None
            time = read.wall if read is not None else family.time
            yield Family(family.metric, points, time, family.histograms, family.monotonic)
        else:
            yield family
