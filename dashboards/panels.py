"""Dashboards as data: what the three boards are made of, without a word of Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Shape(Enum):
    """How a panel draws; the value is Grafana's panel type."""

    LINES = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"
    TABLE = "table"
    STATES = "state-timeline"
    HEATMAP = "heatmap"


OVER_TIME = (Shape.LINES, Shape.STATES, Shape.HEATMAP)
"""Those that show a range; the others show one moment."""


@dataclass(frozen=True)
class Query:
    """One PromQL expression. ``legend`` names its series; in a table, its column."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True)
class Panel:
    """One panel. ``empty`` is what it says where there is no data, and why that may be."""

    title: str
    about: str
    unit: str
    empty: str
    queries: tuple[Query, ...]
    shape: Shape = Shape.LINES
    width: int = 8
    height: int = 8
    steps: tuple[tuple[float | None, str], ...] = ()
    """Thresholds: value from which on, colour. The first value is None."""
    words: tuple[tuple[str, str, str], ...] = ()
    """Values said in words: value, text, colour."""
    stacked: bool = False
    unstacked: tuple[str, ...] = ()
    """Legends of a stacked panel that are lines of their own."""
    low: float | None = None
    high: float | None = None
    columns: tuple[tuple[str, str], ...] = ()
    """Of a table: label or legend, and the heading; what is not named is left out."""
    column_units: tuple[tuple[str, str], ...] = ()
    """Of a table: heading and unit, where it is not the panel's."""
    drill_down: bool = False
    """Whether a click leads to the board of the one VM."""


@dataclass(frozen=True)
class Section:
    """A row of panels."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A template variable filled by a query. ``matches_all`` is the pattern of *All*."""

    name: str
    label: str
    query: str
    many: bool = True
    matches_all: str | None = ".+"
    """None: what the variable lists and nothing else, so that strangers' jobs stay out."""
    pattern: str = ""
    """Of a query_result(): which part of a line is shown (``text``) and which goes into queries (``value``)."""


def VMS(scope: str = 'job=~"$job"', *, many: bool = True) -> Variable:  # noqa: N802  it makes a row of a table
    """The variable ``instance``, shown as the VM's name where there is one: by OTLP an instance is a UUID."""
    return Variable(
        "instance",
        "VM",
        f"query_result(last_over_time(vmguest_up{{{scope}}}[$__range]))",
        many,
        pattern='/[{,](?:host_name="(?<text>[^"]+)".*,)?instance="(?<value>[^"]+)"/',
    )


@dataclass(frozen=True)
class Mark:
    """An annotation: where ``expr`` has a value."""

    name: str
    expr: str
    colour: str


@dataclass(frozen=True)
class Board:
    uid: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    sections: tuple[Section, ...]
    marks: tuple[Mark, ...] = ()
    since: str = "now-6h"
    tags: tuple[str, ...] = field(default=("vmguest", "vmware"))
