"""A reading in the SDK's data classes, which are public and know nothing of instruments.

Observable instruments could not say what is said here: their points carry the time of the export, not that at
which the host was read; their start time is fixed when they are first seen, so a session change would go
unnoticed; and their callbacks run one by one, so that a poll could come between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version

from exporter import __version__
from exporter.catalogue import Kind
from exporter.outputs.otlp.capture import Reading
from exporter.outputs.otlp.deltas import Deltas
from exporter.outputs.otlp.settings import Temporality
from exporter.samples import Family
from exporter.snapshot import Histogram

_SDK = {
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": sdk_version,
}
_CUMULATIVE, _DELTA = sdk.AggregationTemporality.CUMULATIVE, sdk.AggregationTemporality.DELTA


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


class Spelling:
    """Turns readings into ``MetricsData``. One thread's.

    ``started``: wall time at which this process began, the start of what it counts about itself.
    """

    def __init__(self, temporality: Temporality, started: float) -> None:
        self._started = started
        self._delta_sums = temporality.delta_sums
        self._delta_histograms = temporality.delta_histograms
        self._deltas = Deltas(started)
        self._scope = InstrumentationScope("vmguest-exporter", __version__)
        self._attributes: Mapping[str, str] | None = None
        self._resource = Resource({})

    def spell(self, reading: Reading) -> sdk.MetricsData:
        """The same for the same reading, until :meth:`accepted`."""
        self._deltas.begin()
        metrics = list(self._metrics(reading))
        if reading.attributes is not self._attributes:
            self._attributes = reading.attributes
            self._resource = Resource({**_SDK, **reading.attributes})
        scope = sdk.ScopeMetrics(self._scope, metrics, "")
        return sdk.MetricsData([sdk.ResourceMetrics(self._resource, [scope], "")])

    def accepted(self) -> None:
        """The receiver took what was spelt last."""
        self._deltas.accepted()

    def _metrics(self, reading: Reading) -> Iterator[sdk.Metric]:
        for family in reading.families:
            metric, time = family.metric, family.time or reading.time
            data: sdk.Sum | sdk.Gauge | sdk.Histogram
            if family.histogram is not None:
                data = self._histogram(family.name, family.histogram, time)
            elif metric.kind is Kind.COUNTER:
                points = list(self._sums(family, time))
                if not points:
                    continue
                data = sdk.Sum(points, _DELTA if self._delta_sums else _CUMULATIVE, is_monotonic=True)
            else:
                at = nanoseconds(time)
                data = sdk.Gauge(
                    [
                        sdk.NumberDataPoint(dict(point.labels), 0, at, float(point.value))
                        for point in family.points
                    ]
                )
            yield sdk.Metric(metric.otlp, metric.help, metric.unit.ucum, data)

    def _sums(self, family: Family, time: float) -> Iterator[sdk.NumberDataPoint]:
        # Always floats: a series whose points change between integer and double is two series to some.
        at = nanoseconds(time)
        for point in family.points:
            value, start = float(point.value), self._started if point.created is None else point.created
            if self._delta_sums:
                difference = self._deltas.difference((family.name, point.labels), value, start, time)
                if difference is None:
                    continue
                value, start = difference
            # A clock that was set back must not put the start behind the end.
            yield sdk.NumberDataPoint(dict(point.labels), min(nanoseconds(start), at), at, value)

    def _histogram(self, name: str, histogram: Histogram, time: float) -> sdk.Histogram:
        start = self._started
        if self._delta_histograms:
            histogram, start = self._deltas.histogram(name, histogram, time)
        at = nanoseconds(time)
        # Ours count what is at most each bound; OTLP wants what lies between two, and above the last.
        below = (0, *histogram.counts)
        between = [
            upper - lower for lower, upper in zip(below, (*histogram.counts, histogram.count), strict=True)
        ]
        point = sdk.HistogramDataPoint(
            attributes={},
            start_time_unix_nano=min(nanoseconds(start), at),
            time_unix_nano=at,
            count=histogram.count,
            sum=histogram.sum,
            bucket_counts=between,
            explicit_bounds=list(histogram.bounds),
            # Not kept; None leaves the optional field out, where 0 would be a lie.
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
        )
        return sdk.Histogram([point], _DELTA if self._delta_histograms else _CUMULATIVE)
