"""Units: those in which the host counts, the base units that are published, and the exact factor between them."""

from __future__ import annotations

from enum import Enum


class Unit(Enum):
    """Base units: UCUM code (OTLP) and Prometheus suffix."""

    BYTES = ("By", "bytes")
    SECONDS = ("s", "seconds")
    HERTZ = ("Hz", "hertz")
    BYTES_PER_SECOND = ("By/s", "bytes_per_second")
    SHARES = ("{share}", "")
    CPUS = ("{cpu}", "")
    PACKETS = ("{packet}", "")
    EVENTS = ("{event}", "")
    CHANGES = ("{change}", "")
    RATIO = ("1", "")
    """Of histograms alone. The standard translation appends ``_ratio`` to gauges only, so it is part of their name."""
    NONE = ("", "")
    """No unit at all. Not "1": the standard translation to Prometheus would append ``_ratio``."""
    TIMESTAMP = ("s", "timestamp_seconds")
    """Seconds since the epoch. ``unit`` of OpenMetrics is then ``seconds``."""

    @property
    def ucum(self) -> str:
        return self.value[0]

    @property
    def suffix(self) -> str:
        """What the Prometheus name ends in."""
        return self.value[1]

    @property
    def prometheus(self) -> str:
        """The OpenMetrics ``# UNIT``."""
        return "seconds" if self is Unit.TIMESTAMP else self.value[1]


class HostUnit(Enum):
    """Units in which the host counts: base unit, and factor to it as a ratio of integers (exact)."""

    MHZ = (Unit.HERTZ, 10**6, 1)
    MS = (Unit.SECONDS, 1, 10**3)
    MB = (Unit.BYTES, 2**20, 1)
    SHARES = (Unit.SHARES, 1, 1)
    CORES = (Unit.CPUS, 1, 1)
    NONE = (Unit.NONE, 1, 1)

    @property
    def unit(self) -> Unit:
        return self.value[0]

    def scale(self, value: float) -> float:
        """``value`` in base units."""
        return scale(value, *self.value[1:])


def scale(value: float, numerator: int, denominator: int) -> float:
    """``value`` times a ratio of integers: rounded once, and an integer stays one where nothing is divided."""
    return value * numerator if denominator == 1 else value * numerator / denominator
