"""Another reading of the Monitoring Plugins guidelines, with which the plugin's output is judged. Nothing of the program's.

A line is ``SERVICE STATUS - text | 'label'=value[UOM];[warn];[crit];[min];[max] …``; a range ``10`` alerts below 0 and
above 10, ``10:`` below 10, ``~:10`` above 10, ``10:20`` outside, ``@10:20`` inside, ends included.
"""

from __future__ import annotations

from typing import NamedTuple


class Datum(NamedTuple):
    value: float
    unit: str
    warning: str
    critical: str


def status(line: str) -> tuple[str, dict[str, Datum]]:
    """The status word and the performance data of one plugin line."""
    assert "\n" not in line
    words, bar, data = line.partition("|")
    assert words.split()[1] in {"OK", "WARNING", "CRITICAL", "UNKNOWN"}
    found = {}
    for item in data.split() if bar else []:
        label, equals, rest = item.partition("=")
        assert equals
        assert label
        assert not set(label) & set("'= ")
        first, *others = rest.split(";")
        assert len(others) <= 4
        number = first.rstrip("%s")
        assert all(character in "-.0123456789" for character in number)
        found[label] = Datum(float(number), first[len(number) :], *[*others, "", ""][:2])
    return words.split()[1], found


def alerts(text: str, value: float) -> bool:
    """Whether ``value`` raises an alert under the range ``text``, by cases."""
    if text.startswith("@"):
        low, _, high = text[1:].partition(":")
        return float(low) <= value <= float(high)
    if ":" not in text:
        return value < 0 or value > float(text)
    low, high = text.split(":")
    below = low != "~" and value < float(low or 0)
    above = high != "" and value > float(high)
    return below or above
