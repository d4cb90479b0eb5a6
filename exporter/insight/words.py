"""Numbers for people."""

from __future__ import annotations


def percent(ratio: float) -> str:
    """``0.0312`` as ``3.1 %``."""
    number = 100 * ratio
    return f"{number:.0f} %" if number >= 10 or number == 0 else f"{max(number, 0.1):.1f} %"


def size(count: float, more: int = 0) -> str:
    """Bytes for people; ``more``: digits beyond the usual."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            number = count / factor
            if number >= 100 and not more:
                return f"{number:.0f} {unit}"
            return f"{number:.{1 + more}f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{count:.0f} bytes"


def hertz(rate: float, more: int = 0) -> str:
    """Hertz for people; ``more``: digits beyond the usual."""
    digits = 3 + more
    return f"{rate / 1e9:.{digits}g} GHz" if rate >= 1e9 else f"{rate / 1e6:.{digits}g} MHz"


def span(seconds: float) -> str:
    """A length of time for people: ``300 µs``, ``40 s``, ``5 minutes``, ``2.5 hours``."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1e3:.3g} ms" if seconds >= 0.001 else f"{seconds * 1e6:.3g} µs"
    for name, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            number = seconds / length
            return (
                f"{number:.0f} {name}"
                if number >= 10 or abs(number - round(number)) < 0.05
                else f"{number:.1f} {name}"
            )
    return f"{seconds:.0f} s" if seconds >= 10 or seconds == int(seconds) else f"{seconds:.1f} s"
