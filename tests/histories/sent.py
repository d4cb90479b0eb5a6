"""What the figures ask for and are made of, in any version of the exporter: a reply, and the points of a push."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.sdk.metrics.export import MetricsData, Sum

from exporter.snapshot import Snapshot, SourceInfo

INFO = SourceInfo("guestrpc", "memory", "3")


class Sent(NamedTuple):
    """A point of a sum: seconds, by the wall clock. ``labels``: by name."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    start: float
    time: float


def snapshot(session_id: int, values: dict[str, int | str]) -> Snapshot:
    return Snapshot(session_id, 3, values)


def sums(data: MetricsData) -> list[Sent]:
    """The points of all sums."""
    return [
        Sent(
            metric.name,
            tuple((name, str(value)) for name, value in (point.attributes or {}).items()),
            point.value,
            point.start_time_unix_nano / 1e9,
            point.time_unix_nano / 1e9,
        )
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if isinstance(metric.data, Sum)
        for point in metric.data.data_points
    ]
