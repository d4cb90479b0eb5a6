"""A batch in the SDK's data classes, which are public and know nothing of instruments.

Observable instruments could not say what is said here: their points carry the time of the export, not that at
which the host was read; their start time is fixed when they are first seen, so a session change would go
unnoticed; and their callbacks run one by one, so that a poll could come between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version

from exporter import __version__
from exporter.catalogue import Kind, Labels, Unit
from exporter.clock import OWN, Instant, Life
from exporter.metrics.families import Family
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.deltas import Deltas
from exporter.outputs.otlp.reader import Batch
from exporter.outputs.otlp.resource import SCHEMA_URL
from exporter.outputs.otlp.settings import Temporality
from exporter.outputs.otlp.starts import Starts
from exporter.snapshot import SCALE, Histogram

_SDK = {
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": sdk_version,
}
_COUNTER = Kind.COUNTER
_UCUM = {unit: unit.ucum for unit in Unit}
"""Beside the enum, whose properties cost a microsecond: there are a hundred points, and the encoder waits."""
_CUMULATIVE, _DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


class Converter:
    """Turns batches into ``MetricsData``. One thread's."""

    def __init__(
        self, temporality: Temporality, attributes: Mapping[str, str], *, exponential: bool = False
    ) -> None:
        """``attributes``: of the resource, which never changes: it is the identity of every series.

        ``exponential``: histograms go out with exponential buckets, not with those of the metrics page.
        """
        self._exponential = exponential
        self._delta_sums = temporality.delta_sums
        self._delta_histograms = temporality.delta_histograms
        self._of_sums = _DELTA if temporality.delta_sums else _CUMULATIVE
        self._of_histograms = _DELTA if temporality.delta_histograms else _CUMULATIVE
        self._deltas = Deltas()
        self._starts = Starts()
        self._points = 0
        self._scope = InstrumentationScope("vmguest-exporter", __version__)
        self._resource = Resource({**_SDK, **attributes}, SCHEMA_URL)

    def convert(self, batch: Batch) -> MetricsData:
        """The same for the same batch, until :meth:`settle`."""
        self._deltas.begin()
        self._starts.begin()
        metrics = list(self._metrics(batch))
        self._points = sum(len(metric.data.data_points) for metric in metrics)
        scope = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], SCHEMA_URL)])

    def settle(self, result: ExportResult) -> None:
        """What became of what was converted last.

        Differences move on also where the receiver blamed the data, which it must not be sent again. What stands in for an
        unknown start is what the receiver took: nothing where it refused all. Which of some points it refused it does not say.
        """
        took = result.outcome in {Outcome.SUCCESS, Outcome.PARTIAL}
        if took or result.data_refused:
            self._deltas.accepted()
        if took and result.refused_points < self._points:
            self._starts.accepted()

    def _metrics(self, batch: Batch) -> Iterator[Metric]:
        for family in batch.families:
            now = Instant(family.time, family.monotonic) if family.time else batch.now
            data: Sum | Gauge | HistogramData | ExponentialHistogram
            if family.histograms:
                data = self._histograms(family, batch.began, now)
            elif family.metric.kind is _COUNTER:
                sums = self._sums(family, batch.began, now)
                if not sums:
                    continue
                data = Sum(sums, self._of_sums, True)
            else:
                # Always floats: a series that changes between integer and double is two series to some.
                data = Gauge(
                    [
                        NumberDataPoint(
                            dict(point.labels), 0, nanoseconds((point.read or now).wall), float(point.value)
                        )
                        for point in family.points
                    ]
                )
            yield Metric(family.metric.otlp, family.metric.help, _UCUM[family.metric.unit], data)

    def _sums(self, family: Family, began: Life, of_family: Instant) -> list[NumberDataPoint]:
        found = []
        for point in family.points:
            now = point.read or of_family
            value, series = float(point.value), (family.name, point.labels)
            life = began if point.life is OWN else point.life
            if self._delta_sums:
                difference = self._deltas.difference(series, value, life, now)
                if difference is None:
                    continue
                value, start = difference
            else:
                start = self._starts.start(series, point.created, life, now.wall)
            found.append(
                NumberDataPoint(dict(point.labels), nanoseconds(start), nanoseconds(now.wall), value)
            )
        return found

    def _histograms(self, family: Family, began: Life, now: Instant) -> HistogramData | ExponentialHistogram:
        found = []
        for labels, histogram in family.histograms:
            series = family.name, labels
            if self._delta_histograms:
                counted, start = self._deltas.histogram(series, histogram, began.since or 0.0, now)
            else:
                counted, start = histogram, self._starts.start(series, began.start, began, now.wall)
            found.append((labels, counted, nanoseconds(start)))
        at = nanoseconds(now.wall)
        if self._exponential:
            return ExponentialHistogram([_exponential(*each, at) for each in found], self._of_histograms)
        return HistogramData([_explicit(*each, at) for each in found], self._of_histograms)


def _explicit(labels: Labels, histogram: Histogram, start: int, at: int) -> HistogramDataPoint:
    # Ours count what is at most each bound; OTLP wants what lies between two, and above the last.
    below = (0, *histogram.counts)
    between = [
        upper - lower for lower, upper in zip(below, (*histogram.counts, histogram.count), strict=True)
    ]
    return HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=start,
        time_unix_nano=at,
        count=histogram.count,
        sum=histogram.sum,
        bucket_counts=between,
        explicit_bounds=list(histogram.bounds),
        # Not kept; None leaves the optional field out, where 0 would be a lie.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )


def _exponential(labels: Labels, histogram: Histogram, start: int, at: int) -> ExponentialHistogramDataPoint:
    counts = histogram.exponential
    first, last = min(counts, default=0), max(counts, default=-1)
    return ExponentialHistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=start,
        time_unix_nano=at,
        count=histogram.count,
        sum=histogram.sum,
        scale=SCALE,
        zero_count=histogram.count - sum(counts.values()),
        positive=Buckets(first, [counts.get(index, 0) for index in range(first, last + 1)]),
        negative=Buckets(0, []),
        flags=0,
        # As above.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )
