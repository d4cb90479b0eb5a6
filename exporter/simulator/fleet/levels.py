"""What its host's state means to one VM over time: levels that hold for a step each, as the physics read them."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from exporter.simulator.curves import OverTime
from exporter.simulator.scenario import Drive

STEP = 5.0
"""Seconds for which levels hold."""
KEPT = 36
"""Steps that are kept: a VM that is polled later than that (3 minutes) gets the oldest for what is gone."""


class Levels(NamedTuple):
    """The fields of :class:`~exporter.simulator.scenario.Drive` that the fleet decides; same names, same units."""

    demand: float = 0.0
    neighbours: float = 0.0
    balloon: float = 0.0
    compress: float = 0.0
    swap: float = 0.0
    host_load: float = 0.0
    host_memory: float = 0.0


class Timeline:
    """The last steps of one VM. Step ``n`` holds from ``n * STEP`` seconds on; times outside get the nearest."""

    def __init__(self) -> None:
        self._steps: deque[Levels] = deque([Levels()], maxlen=KEPT)
        self._last = -1

    def add(self, step: int, levels: Levels) -> None:
        """Steps are added one by one, from 0 on."""
        self._last = step
        self._steps.append(levels)

    def at(self, time: float) -> Levels:
        back = self._last - int(time / STEP)
        return self._steps[-1 - min(max(back, 0), len(self._steps) - 1)]

    def drive(self, own: Drive) -> Drive:
        """``own`` with these levels in place of what the fleet decides."""
        told: dict[str, OverTime] = {name: _Field(self, place) for place, name in enumerate(Levels._fields)}
        return own._replace(**told)


class _Field:
    """One of the levels as the physics want it."""

    __slots__ = ("_place", "_timeline")

    def __init__(self, timeline: Timeline, place: int) -> None:
        self._timeline = timeline
        self._place = place

    def number(self, time: float) -> float:
        return self._timeline.at(time)[self._place]
