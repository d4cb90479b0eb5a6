"""The neutral form of what is published: families of points, in base units.

Every output spells these in its own way: :mod:`exporter.outputs.prometheus` as families of prometheus_client,
:mod:`exporter.outputs.otlp.points` as the SDK's data classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.catalogue import Labels, Metric, well_formed
from exporter.snapshot import Histogram


@dataclass(frozen=True, slots=True)
class Point:
    """One value in base units. ``created``: wall time at which a counter began, seconds, or None.

    Label values come from the host and from settings. A lone surrogate in one, which no output could encode,
    becomes ``?`` here.
    """

    value: float
    labels: Labels = ()
    created: float | None = None

    def __post_init__(self) -> None:
        if not all(text.isascii() for _, text in self.labels):
            object.__setattr__(self, "labels", tuple((name, well_formed(text)) for name, text in self.labels))


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its points. ``time``: wall time at which the host was read, 0 for the exporter's own.

    All points have the same label names.
    """

    metric: Metric
    points: tuple[Point, ...]
    time: float = 0.0
    histogram: Histogram | None = None

    @property
    def name(self) -> str:
        return self.metric.family
