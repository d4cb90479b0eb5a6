"""What a question and its answer are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from exporter.insight.vitals import Vitals


class Level(IntEnum):
    """How much an answer matters; the name in lower case is its word."""

    OK = 0
    UNKNOWN = 1
    INFO = 2
    WARNING = 3
    CRITICAL = 4


Said = tuple[Level, str]
"""What a question's function gives."""


@dataclass(frozen=True, slots=True)
class Question:
    """A row. ``threshold``: what the level rests on, and where that comes from."""

    key: str
    title: str
    threshold: str
    answer: Callable[[Vitals], Said]
    aside: bool = False
    """Worth knowing beside the rest; never speaks at the top of a page."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, answered."""

    key: str
    question: str
    level: Level
    text: str
    threshold: str
    aside: bool = False
