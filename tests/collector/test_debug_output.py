from __future__ import annotations

from tests.collector.debug_output import nanoseconds, read

PRINTED = """Metrics\t{"resource metrics": 1, "metrics": 2, "data points": 3}
ResourceMetrics #0
Resource SchemaURL:\x20
Resource attributes:
     -> service.name: Str(vmguest-exporter)
ScopeMetrics #0
ScopeMetrics SchemaURL:\x20
InstrumentationScope vmguest-exporter 0.1.0
Metric #0
Descriptor:
     -> Name: a.b
     -> Description: What it is: this.
     -> Unit: {event}
     -> DataType: Sum
     -> IsMonotonic: true
     -> AggregationTemporality: Cumulative
NumberDataPoints #0
Data point attributes:
     -> kind: Str(x (y))
StartTimestamp: 1970-01-01 00:00:01 +0000 UTC
Timestamp: 1970-01-01 00:00:02.5 +0000 UTC
Value: 3.000000
NumberDataPoints #1
Data point attributes:
     -> kind: Str(z)
StartTimestamp: 1970-01-01 00:00:01 +0000 UTC
Timestamp: 1970-01-01 00:00:02.5 +0000 UTC
Value: +Inf
Metric #1
Descriptor:
     -> Name: h
     -> Description:\x20
     -> Unit: s
     -> DataType: Histogram
     -> AggregationTemporality: Delta
HistogramDataPoints #0
StartTimestamp: 1970-01-01 00:00:01 +0000 UTC
Timestamp: 1970-01-01 00:00:02 +0000 UTC
Count: 3
Sum: 0.500000
ExplicitBounds #0: 0.100000
Buckets #0, Count: 1
Buckets #1, Count: 2

"""


def test_an_export_is_read_back() -> None:
    (export,) = read(PRINTED + PRINTED[:-1])
    assert export.resource == {"service.name": "vmguest-exporter"}
    assert export.scope == "vmguest-exporter 0.1.0"
    counter, histogram = export.metrics["a.b"], export.metrics["h"]
    assert (counter.description, counter.unit, counter.type, counter.monotonic, counter.temporality) == (
        "What it is: this.", "{event}", "Sum", True, "Cumulative",
    )  # fmt: skip
    first, second = counter.points
    assert (first.attributes, first.start, first.time, first.value) == (
        {"kind": "x (y)"}, 10**9, 2_500_000_000, 3.0,
    )  # fmt: skip
    assert (second.key, second.value) == ((("kind", "z"),), float("inf"))
    (point,) = histogram.points
    assert (histogram.description, histogram.temporality) == ("", "Delta")
    assert (point.count, point.sum, point.bounds, point.buckets) == (3, 0.5, [0.1], [1, 2])


def test_times_keep_their_nanoseconds() -> None:
    assert nanoseconds("2026-11-24 20:08:45.64457472 +0000 UTC") % 10**9 == 644_574_720
