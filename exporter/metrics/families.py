"""The neutral form of what is published: families of points, in base units.

A :class:`Family` has, beside its own fields, the attributes of ``prometheus_client.Metric`` (``name``,
``documentation``, ``type``, ``unit``, ``samples``), and :class:`Sample` those of its ``Sample``: an object
whose ``collect()`` yields families fulfils prometheus_client's ``Collector`` protocol and can be registered
in any of its registries, without this module importing that package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.catalogue import Kind, Labels, Metric
from exporter.snapshot import Histogram


class Sample(NamedTuple):
    """One exposition line; field for field ``prometheus_client.samples.Sample``."""

    name: str
    labels: Mapping[str, str]
    value: float
    timestamp: None = None
    exemplar: None = None
    native_histogram: None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One value in base units. ``created``: wall time at which a counter began, seconds, or None."""

    value: float
    labels: Labels = ()
    created: float | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its points. ``time``: wall time at which the host was read, 0 for the exporter's own."""

    metric: Metric
    points: tuple[Point, ...]
    time: float = 0.0
    histogram: Histogram | None = None

    @property
    def name(self) -> str:
        return self.metric.family

    @property
    def documentation(self) -> str:
        return self.metric.help

    @property
    def type(self) -> str:
        return self.metric.kind.value

    @property
    def unit(self) -> str:
        return self.metric.unit.prometheus

    @property
    def samples(self) -> list[Sample]:
        """The lines of this family, in exposition order."""
        name, kind = self.metric.family, self.metric.kind
        if self.histogram is not None:
            histogram = self.histogram
            bounds = [*zip(histogram.bounds, histogram.counts, strict=True), (float("inf"), histogram.count)]
            return [
                *(
                    Sample(f"{name}_bucket", {"le": "+Inf" if bound == float("inf") else repr(bound)}, count)
                    for bound, count in bounds
                ),
                Sample(f"{name}_count", {}, histogram.count),
                Sample(f"{name}_sum", {}, histogram.sum),
            ]
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(kind, "")
        lines = []
        for point in self.points:
            labels = dict(point.labels)
            lines.append(Sample(name + suffix, labels, point.value))
            if kind is Kind.COUNTER and point.created is not None:
                lines.append(Sample(f"{name}_created", labels, point.created))
        return lines
