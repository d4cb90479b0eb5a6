"""What the Collector's debug exporter prints (verbosity: detailed), read back into values.

Nothing of the exporter under test is used here: the Collector is the witness, and this is its statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

Attributes = tuple[tuple[str, str], ...]


@dataclass
class Point:
    """Times in nanoseconds. ``buckets`` of a histogram: counts between the bounds."""

    attributes: dict[str, str] = field(default_factory=dict)
    start: int = 0
    time: int = 0
    value: float = 0.0
    count: int = 0
    sum: float = 0.0
    bounds: list[float] = field(default_factory=list)
    buckets: list[int] = field(default_factory=list)

    @property
    def key(self) -> Attributes:
        return tuple(sorted(self.attributes.items()))


@dataclass
class Metric:
    name: str = ""
    description: str = ""
    unit: str = ""
    type: str = ""
    monotonic: bool = False
    temporality: str = ""
    points: list[Point] = field(default_factory=list)


@dataclass
class Export:
    resource: dict[str, str] = field(default_factory=dict)
    scope: str = ""
    metrics: dict[str, Metric] = field(default_factory=dict)


_FIELD = re.compile(r"     -> ([^:]+): ?(.*)")
_TYPED = re.compile(r"(?:Str|Int|Double|Bool)\((.*)\)", re.DOTALL)


def read(text: str) -> list[Export]:
    """Every export that was printed whole; what was being printed when the Collector was killed is left out."""
    exports = []
    for piece in re.split(r"^ResourceMetrics #0$", text, flags=re.MULTILINE)[1:]:
        body, end, _ = piece.partition("\n\n")
        if end:
            exports.append(_export(iter(body.splitlines())))
    return exports


def _export(lines: Iterator[str]) -> Export:
    export, metric, point = Export(), Metric(), Point()
    # Where a line with an arrow belongs.
    into: dict[str, str] = export.resource
    descriptor = False
    for line in lines:
        if line.startswith("InstrumentationScope "):
            export.scope = line.removeprefix("InstrumentationScope ")
        elif line == "Descriptor:":
            metric, descriptor = Metric(), True
        elif re.fullmatch(r"(Number|Histogram)DataPoints #\d+", line):
            if descriptor:
                assert metric.name not in export.metrics, f"{metric.name} came twice"
                export.metrics[metric.name] = metric
            point, descriptor = Point(), False
            metric.points.append(point)
        elif line == "Data point attributes:":
            into = point.attributes
        elif match := _FIELD.fullmatch(line):
            name, text = match.groups()
            if descriptor:
                _describe(metric, name, text)
            elif typed := _TYPED.fullmatch(text):
                into[name] = typed[1]
        else:
            _measure(point, line)
    return export


def _describe(metric: Metric, name: str, text: str) -> None:
    if name == "IsMonotonic":
        metric.monotonic = text == "true"
    else:
        setattr(
            metric,
            {"DataType": "type", "AggregationTemporality": "temporality"}.get(name, name.lower()),
            text,
        )


def _measure(point: Point, line: str) -> None:
    if match := re.fullmatch(r"ExplicitBounds #\d+: (.*)", line):
        point.bounds.append(float(match[1]))
    elif match := re.fullmatch(r"Buckets #\d+, Count: (\d+)", line):
        point.buckets.append(int(match[1]))
    elif match := re.fullmatch(r"(StartTimestamp|Timestamp|Value|Count|Sum): (.*)", line):
        name, text = match.groups()
        if name == "StartTimestamp":
            point.start = nanoseconds(text)
        elif name == "Timestamp":
            point.time = nanoseconds(text)
        elif name == "Count":
            point.count = int(text)
        else:
            setattr(point, name.lower(), float(text))


def nanoseconds(text: str) -> int:
    """Of Go's ``2026-11-24 20:06:50.75284352 +0000 UTC``."""
    match = re.fullmatch(r"(\S+ \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? \+0000 UTC", text)
    assert match, text
    seconds = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    return int(seconds) * 10**9 + int((match[2] or "").ljust(9, "0"))
