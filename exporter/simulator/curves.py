"""A value over time: constant, in steps, or in ramps; once or again and again.

Integers stay exact: a ramp between two 64-bit numbers never goes through a float.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

from exporter.errors import ConfigError

CurveValue = int | float | str | bool
"""A number in the host's unit, a text, or False for *the host marks it as not valid*."""

_TIME = itemgetter(0)


class OverTime(Protocol):
    """A number over time, wherever it comes from."""

    def number(self, time: float) -> float:
        """The number at ``time`` (seconds)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """``points`` are (seconds, value), by rising time; before the first and after the last nothing changes.

    ``steps``: a value holds until the next point; else numbers go there in a straight line. ``every``: seconds
    after which the curve begins anew, 0 for never.
    """

    points: tuple[tuple[float, CurveValue], ...]
    steps: bool = False
    every: float = 0.0

    def __post_init__(self) -> None:
        times = [time for time, _ in self.points]
        if not times or times != sorted(set(times)):
            raise ConfigError("a curve: expected one point or more, by rising time")

    def at(self, time: float) -> CurveValue:
        """The value at ``time`` (seconds)."""
        points = self.points
        if len(points) == 1:
            return points[0][1]
        if self.every and time > 0:
            time %= self.every
        index = bisect_right(points, time, key=_TIME)
        if index == 0:
            return points[0][1]
        since, value = points[index - 1]
        if self.steps or index == len(points) or isinstance(value, str | bool):
            return value
        until, target = points[index]
        if isinstance(target, str | bool):
            return value
        if isinstance(value, int) and isinstance(target, int):
            passed, whole = round((time - since) * 1e6), round((until - since) * 1e6)
            return value + (target - value) * passed // max(whole, 1)
        return value + (target - value) * (time - since) / (until - since)

    def number(self, time: float) -> float:
        """The value at ``time`` of a curve that holds numbers only."""
        value = self.at(time)
        return 0 if isinstance(value, str) else value


def constant(value: CurveValue) -> Curve:
    return Curve(((0.0, value),))


def ramp(*points: tuple[float, CurveValue], every: float = 0.0) -> Curve:
    return Curve(points, every=every)


def steps(*points: tuple[float, CurveValue], every: float = 0.0) -> Curve:
    return Curve(points, steps=True, every=every)
