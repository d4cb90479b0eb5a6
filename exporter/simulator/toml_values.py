"""What TOML holds, as values of a scenario: one function per kind of value, each raising :class:`Wrong`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from exporter.catalogue import NO_LIMIT, STATISTICS
from exporter.protocol.stat_get import ENCODINGS
from exporter.simulator.curves import Curve, CurveValue
from exporter.simulator.scenario import EVENTS

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


class Wrong(Exception):
    """What was expected instead, to stand after "expected"."""


def text(raw: object) -> str:
    if not isinstance(raw, str):
        raise Wrong("a text")
    return raw


def boolean(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise Wrong("true or false")
    return raw


def duration(raw: object) -> float:
    """Seconds, from a number of them or a text with a unit."""
    if isinstance(raw, str) and (match := _DURATION.fullmatch(raw.strip())):
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw < math.inf:
        raise Wrong('seconds, or a time such as "500ms", "90s", "5m"')
    return float(raw)


def period(raw: object) -> float:
    seconds = duration(raw)
    if 0 < seconds < 1:
        raise Wrong("a second or more, or 0 for never")
    return seconds


def session_id(raw: object) -> int:
    return whole(0, 2**64 - 1)(raw)


def event(raw: object) -> str:
    if raw not in EVENTS:
        raise Wrong(f"one of {', '.join(EVENTS)}")
    return str(raw)


def list_of(convert: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    def convert_all(raw: object) -> tuple[T, ...]:
        if not isinstance(raw, list):
            raise Wrong("a list")
        return tuple(convert(each) for each in raw)

    return convert_all


def whole(least: int, most: int) -> Callable[[object], int]:
    def convert(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
            raise Wrong(f"a whole number from {least} to {most}")
        return raw

    return convert


def encodings(raw: object) -> tuple[str, ...]:
    """A list of encodings; false for none."""
    if raw is False:
        return ()
    if not isinstance(raw, list) or any(each not in ENCODINGS for each in raw):
        raise Wrong(f"a list of {', '.join(ENCODINGS)}, or false for a host without extended statistics")
    return tuple(raw)


def like(value: object) -> Callable[[object], Any]:
    """The conversion to the type of ``value``: floats are times, and whole numbers may be "unlimited"."""
    if isinstance(value, bool):
        return boolean
    if isinstance(value, str):
        return text
    if isinstance(value, float):
        return duration
    return lambda raw: NO_LIMIT if raw == "unlimited" else whole(-1, 2**64 - 1)(raw)


HOST: Mapping[str, Callable[[object], object]] = {
    "versions": list_of(whole(2, 3)),
    "statistics": whole(0, len(STATISTICS)),
    "refresh": duration,
    "host_info": boolean,
    "encodings": encodings,
    "json_list": boolean,
    "secure_only": boolean,
    "privileged": boolean,
    "disks": list_of(text),
    "nics": list_of(text),
}
"""Keys of ``[host]``, which are fields of Scenario."""


def curve(raw: object) -> Curve:
    """A value, ``[[time, value], …]``, or a table of ``ramp`` or ``steps`` and perhaps ``every``."""
    if isinstance(raw, list):
        return Curve(_points(raw))
    if not isinstance(raw, dict):
        return Curve(((0.0, _single(raw)),))
    if not raw.keys() <= {"ramp", "steps", "every"} or len(raw.keys() & {"ramp", "steps"}) != 1:
        raise Wrong("ramp = [[time, value], …] or steps = [[time, value], …], and perhaps every = time")
    points = _points(raw["ramp"] if "ramp" in raw else raw["steps"])
    every = period(raw.get("every", 0))
    if every and every < points[-1][0]:
        raise Wrong(f"every to be the last point's time ({points[-1][0]:g} s) or more")
    return Curve(points, steps="steps" in raw, every=every)


def drive(raw: object) -> Curve:
    """A curve of numbers only."""
    found = curve(raw)
    if any(isinstance(value, str | bool) for _, value in found.points):
        raise Wrong("numbers")
    return found


def _points(raw: object) -> tuple[tuple[float, CurveValue], ...]:
    if not isinstance(raw, list) or not raw:
        raise Wrong("points: [[time, value], …]")
    found: list[tuple[float, CurveValue]] = []
    for point in raw:
        if not isinstance(point, list) or len(point) != 2:
            raise Wrong(f"points of a time and a value, not {point!r}")
        at = duration(point[0])
        if found and at <= found[-1][0]:
            raise Wrong(f"points by rising time; {at:g} s comes after {found[-1][0]:g} s")
        found.append((at, _single(point[1])))
    return tuple(found)


def _single(raw: object) -> CurveValue:
    if raw == "unlimited":
        return NO_LIMIT
    usable = isinstance(raw, str) or raw is False
    if not usable and (isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw)):
        raise Wrong('a number, a text, "unlimited", or false for not valid')
    return raw  # type: ignore[return-value]  # one of the four by now
