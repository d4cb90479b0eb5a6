"""What an exporter has to know of the one before it, so that a session that goes on goes on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from exporter.clock import Instant, Start

Name = str | tuple[str, str]
"""Of a counter: its key of the catalogue, or group and name of an extended statistic."""


class Remembered(NamedTuple):
    """An epoch as an exporter before this one knew it."""

    session_id: int
    start: float | None
    """Wall clock, seconds."""
    elapsed: int | None
    """Milliseconds, when it was written down."""
    alone: Mapping[Name, Start] = MappingProxyType({})
    """Those of counters that fell by themselves, by both clocks."""
    late: bool = False
    """Whether something of the epoch was shown before its start was known."""
    read: Mapping[Name, tuple[float, Instant]] = MappingProxyType({})
    """What was read last of each of the session's counters, in base units, and when."""
    substituted: frozenset[str] = frozenset()
    """Basic counters among them that an extended statistic stood for."""
