"""Exponential histograms against OpenTelemetry's own aggregation, which shares nothing with ours."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ExponentialHistogram, InMemoryMetricReader, Metric
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from exporter.catalogue import STOLEN_RATIO
from exporter.clock import Instant, Life
from exporter.metrics.families import Family
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Batch
from exporter.outputs.otlp.settings import Temporality
from exporter.snapshot import TINY, Histogram

Buckets = tuple[int, int, int, float, dict[int, int]]
"""Scale, count, count of zeros, sum, counts by index."""


def ours(converter: Converter, histogram: Histogram) -> tuple[Buckets, int]:
    family = Family(STOLEN_RATIO, (), histograms=(((), histogram),))
    batch = Batch(Instant(1000.0, 10.0), (family,), Life(0, 990.0, 0.0))
    (resource,) = converter.convert(batch).resource_metrics
    (metric,) = resource.scope_metrics[0].metrics
    assert isinstance(metric.data, ExponentialHistogram)
    return found(metric), metric.data.aggregation_temporality


def theirs(values: list[float]) -> Buckets:
    reader = InMemoryMetricReader()
    aggregation = ExponentialBucketHistogramAggregation(max_size=1000, max_scale=3)
    provider = MeterProvider([reader], views=[View(instrument_name="h", aggregation=aggregation)])
    histogram = provider.get_meter("test").create_histogram("h")
    for value in values:
        histogram.record(value)
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    return found(metric)


def found(metric: Metric) -> Buckets:
    assert isinstance(metric.data, ExponentialHistogram)
    (point,) = metric.data.data_points
    counts = {
        point.positive.offset + index: count for index, count in enumerate(point.positive.bucket_counts)
    }
    counts = {index: count for index, count in counts.items() if count}
    return point.scale, point.count, point.zero_count, round(point.sum, 6), counts


def histogram(values: list[float]) -> Histogram:
    made = Histogram.empty((0.1, 1.0))
    for value in values:
        made = made.observe(value)
    return made


VALUES = [random.Random(1).lognormvariate(-3, 3) for _ in range(2000)]


@pytest.mark.parametrize(
    "values",
    [
        [0.3],
        [0.0, 0.0, 0.01],
        [2.0**power for power in range(-19, 18)],
        [each for each in VALUES if each > TINY],
    ],
    ids=["one", "zeros", "powers of two", "many"],
)
def test_they_are_opentelemetrys(values: list[float]) -> None:
    made, _ = ours(Converter(Temporality.CUMULATIVE, {}, exponential=True), histogram(values))
    assert made == theirs(values)


def test_what_is_tiny_is_zero_and_nothing_is_lost() -> None:
    made, _ = ours(Converter(Temporality.CUMULATIVE, {}, exponential=True), histogram([TINY, TINY / 2, 0.5]))
    assert made[1:3] == (3, 2)
    assert sum(made[4].values()) == 1


def test_none_observed_is_an_empty_one() -> None:
    made, _ = ours(Converter(Temporality.CUMULATIVE, {}, exponential=True), Histogram.empty((1.0,)))
    assert made[1:] == (0, 0, 0, {})


def test_differences_are_what_was_observed_since_the_export_before() -> None:
    converter = Converter(Temporality.DELTA, {}, exponential=True)
    first, more = [0.3, 0.3, 0.0], [0.3, 7.0, 0.0]
    ours(converter, histogram(first))
    converter.settle(ExportResult(Outcome.SUCCESS))
    made, temporality = ours(converter, histogram(first + more))
    assert temporality == 1
    assert made == theirs(more)
