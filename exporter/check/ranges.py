"""Ranges of the Monitoring Plugins guidelines: ``[@]start:end``, an alert being what lies outside, or with ``@`` inside.

Source: Monitoring Plugins Development Guidelines, "Threshold and Ranges"; draft-kaestle-monitoring-plugins-interface.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_FORM = re.compile(r"(?P<at>@?)(?:(?P<start>~|[-+]?\d*\.?\d*):)?(?P<end>[-+]?\d*\.?\d*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends belong to it. ``text`` is how it was written, without a ``%``."""

    start: float
    end: float
    inside: bool
    text: str

    def alerts(self, value: float) -> bool:
        return (self.start <= value <= self.end) is self.inside


def parse(text: str) -> Range:
    """A range; ``10`` is ``0:10``, ``10:`` has no end, ``~:10`` no start. A ``%`` at the end of a number is left out.

    Raises:
        ValueError: it is none, in words.
    """
    plain = text.replace("%", "").strip()
    match = _FORM.fullmatch(plain)
    if match is None or not re.search(r"\d|~", plain):
        raise ValueError(f"{text!r}: expected a range such as 10, 10:, ~:10, 10:20 or @10:20")
    start, end = match["start"], match["end"]
    low = -math.inf if start == "~" else float(start or 0.0)
    high = float(end) if end else math.inf
    if low > high:
        raise ValueError(f"{text!r}: the start is above the end; above 10 is 10, below 10 is 10:")
    return Range(low, high, bool(match["at"]), plain)
