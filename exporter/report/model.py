"""What a report is made of, before anybody writes it down: sections of paragraphs, tables and charts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; with a ``level`` of the insight, an answer of that level."""

    words: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """``times`` in seconds before the report, rising to 0; ``values`` beside them, None where nothing is known.

    ``unit``: ratio or bytes. ``full``: what the top of the chart stands for, None: the largest value. ``gap``: seconds
    after which a line ends.
    """

    title: str
    text: str
    unit: str
    times: tuple[float, ...]
    values: tuple[float | None, ...]
    full: float | None
    gap: float


Block = Text | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    summary: Text
    facts: tuple[tuple[str, str], ...]
    """What stands below the title: of what, from where, when."""
    sections: tuple[Section, ...]
