"""Extended statistics as metrics: the host's own names, units and kinds, turned into families by rule.

A known statistic has a row in the catalogue. An unknown one is published all the same, since a host sends its
unit and kind along: ``vmguest_``, the category, the host's name in snake_case, the base unit, ``_total`` for
what accumulates. What could break a page or grow without bound is refused by the one gate,
:class:`exporter.session.gate.Gate`, which counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from exporter.catalogue import (
    EXTENDED,
    METRICS,
    SESSION_ID,
    ExtendedStatistic,
    Kind,
    Labels,
    Metric,
    Unit,
    scale,
    well_formed,
)
from exporter.snapshot import ExtendedValue

MAX_DEVICES = 256
"""Disks, and network cards, each: as many disks as vSphere allows in one VM."""
MAX_STATISTICS = 256
"""Statistics of one group. A real group has 6 to 30."""
MAX_UNKNOWN = 24 * MAX_DEVICES
"""Series of statistics that the catalogue does not know, in all groups together: 24 for each possible disk."""
MAX_FACTS = 32
"""Labels of ``vmguest_host_info``."""
MAX_LABEL = 128
"""Length of a label's value, characters."""

CATEGORIES = ("session", "host", "resources", "vscsi", "vnet")
"""In the order in which they are asked for."""
SESSION = frozenset(("uptime", "version", "provider", "uuid.bios"))
"""Names of ``session`` that mean something here; none has a row."""
_WORDS = {"vscsi": "disk", "vnet": "network"}
_DEVICE_LABEL = {"vscsi": "disk", "vnet": "mac"}

_SCALES: dict[str, tuple[Unit, int, int]] = {
    "bytes": (Unit.BYTES, 1, 1),
    "B": (Unit.BYTES, 1, 1),
    "KB": (Unit.BYTES, 2**10, 1),
    "MB": (Unit.BYTES, 2**20, 1),
    "GB": (Unit.BYTES, 2**30, 1),
    "ns": (Unit.SECONDS, 1, 10**9),
    "us": (Unit.SECONDS, 1, 10**6),
    "ms": (Unit.SECONDS, 1, 10**3),
    "s": (Unit.SECONDS, 1, 1),
    "Hz": (Unit.HERTZ, 1, 1),
    "KHz": (Unit.HERTZ, 10**3, 1),
    "MHz": (Unit.HERTZ, 10**6, 1),
    "GHz": (Unit.HERTZ, 10**9, 1),
    "Bps": (Unit.BYTES_PER_SECOND, 1, 1),
    "KBps": (Unit.BYTES_PER_SECOND, 2**10, 1),
    "MBps": (Unit.BYTES_PER_SECOND, 2**20, 1),
    "packets": (Unit.PACKETS, 1, 1),
}
"""The host's unit strings that are understood: base unit and factor (numerator, denominator)."""

_NOTHING = (-1, 2**64 - 1)
_NOTHING_IN_32_BITS = 2**32 - 1
"""-1, signed and not: as a limit there is none, of all else the host has no such number."""

_BY_NAME = {(row.category, row.name): row for row in EXTENDED}
_RESERVED = frozenset(name for metric in METRICS for name in (metric.family, metric.otlp))
"""Names of the catalogue, Prometheus's and OTLP's: no name from a host may become one of these by rule."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One statistic as it is published."""

    metric: Metric
    labels: Labels
    value: float
    basic: str = ""
    """Key of the basic statistic that wins over it, where there is one."""
    row: bool = False
    """Whether it has a row in the catalogue, and so its name there."""
    step: float = 1
    """One of the host's unit, stated or assumed, in base units."""


def category(group: str) -> tuple[str, str]:
    """A group's category and device: ``vscsi scsi0:0`` is (vscsi, scsi0:0); (``""``, ``""``) if unusable."""
    word, _, device = group.partition(" ")
    needs_device = word in _DEVICE_LABEL
    usable = (
        word in CATEGORIES and bool(device) == needs_device and len(device) <= MAX_LABEL and device.isascii()
    ) and (not device or (device.isprintable() and " " not in device))
    return (word, device) if usable else ("", "")


def known(word: str, name: str) -> bool:
    """Whether the statistic ``name`` of the category ``word`` has a row in the catalogue."""
    return (word, name) in _BY_NAME


def usable(names: Iterable[str]) -> tuple[str, ...]:
    """The groups that can be published, of each kind of device no more than :data:`MAX_DEVICES`: the first by name.

    Always in one order, so that a bound cuts off the same ones each time: by category, then by name.
    """
    found: dict[str, list[str]] = {word: [] for word in CATEGORIES}
    for name in names:
        if word := category(name)[0]:
            found[word].append(name)
    return tuple(name for group in found.values() for name in sorted(group)[:MAX_DEVICES])


# A round's values are looked at by the gate, for falls, for growth and by each page.
@lru_cache(maxsize=MAX_STATISTICS)
def map_value(group: str, value: ExtendedValue) -> Mapped | None:
    """The metric for one number of ``group``; None for words and for what can't be published."""
    word, device = category(group)
    if not word or isinstance(value.value, str):
        return None
    labels: Labels = ((_DEVICE_LABEL[word], device),) if device else ()
    row = _BY_NAME.get((word, value.name))
    if row is not None:
        # In a unit or of a type that does not fit it is left out: under a name by rule nobody would look for it.
        return _known(row, value.value, value.units or row.units, labels) if _fits(row, value) else None
    if not value.type or word == "session":
        return None
    metric = _by_rule(word, value.name, value.type, value.units)
    if metric is None:
        return None
    scaled = _scaled(value.value, value.units)
    limit = value.name.rpartition(".")[2].lower() == "limit"
    nothing = _is_nothing(value.value, metric.kind)
    if limit and nothing and metric.kind is not Kind.COUNTER:
        scaled = float("inf")
    elif nothing or (scaled < 0 and (limit or metric.kind is Kind.COUNTER or value.units in _SCALES)):
        # No amount of bytes, seconds or hertz, and -1 of nothing: the host's way to say that it has none to give.
        return None
    return Mapped(metric, labels, scaled, step=_scaled(1, value.units))


def contradicts(word: str, value: ExtendedValue) -> bool:
    """Whether the host states a unit or a type that is not the one of its row in the catalogue."""
    row = _BY_NAME.get((word, value.name))
    return row is not None and not _fits(row, value)


def _fits(row: ExtendedStatistic, value: ExtendedValue) -> bool:
    """Whether the unit is of the row's dimension (what is merely counted may have any other word), and the type, where it is
    one that is known, is no contradiction: a level is no counter.
    """
    units = value.units or row.units
    unit = _SCALES[units][0] if units in _SCALES else Unit.CPUS
    known_type = value.type in ("static", "instant", "accumulate")
    return unit is row.metric.unit and (
        not known_type or (value.type == "accumulate") == (row.metric.kind is Kind.COUNTER)
    )


def _known(row: ExtendedStatistic, value: float, units: str, labels: Labels) -> Mapped | None:
    """By the catalogue's row; None for -1 and its like, which mean *unlimited* for a limit and else nothing."""
    scaled = _scaled(value, units)
    nothing = _is_nothing(value, row.metric.kind)
    if nothing and row.name.endswith("limit"):
        scaled = float("inf")
    elif nothing or scaled < 0:
        return None
    return Mapped(row.metric, row.labels + labels, scaled, row.basic, row=True, step=_scaled(1, units))


def _is_nothing(value: float, kind: Kind) -> bool:
    """-1. In 32 bits not of what counts: every counter comes by that number, and would be gone for that one reading."""
    return value in _NOTHING or (value == _NOTHING_IN_32_BITS and kind is not Kind.COUNTER)


def _scaled(value: float, units: str) -> float:
    return scale(value, *_SCALES[units][1:]) if units in _SCALES else value


def snake(name: str) -> str:
    """The host's ``dotted.camelCase`` as snake_case words; empty where nothing is left."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")


def fact(name: str) -> str:
    """The label of ``vmguest_host_info`` for the host's ``name``; empty where it can't be one."""
    label = snake(name).removeprefix("host_")
    return "" if label[:1].isdigit() else label


_ENDINGS = {
    Kind.COUNTER: r"(^|_)(total|info|created)$",
    Kind.GAUGE: r"(^|_)(total|info|created|bucket|count|sum)$",
}
"""They mean something to Prometheus at the end of a name, and of the family's name where they are all of it."""


# All of a round: one that does not fit would be worked out anew each time that it is looked at.
@lru_cache(maxsize=MAX_UNKNOWN + MAX_STATISTICS)
def _by_rule(word: str, name: str, type_: str, units: str) -> Metric | None:
    """The metric for a statistic without a row."""
    prefix = _WORDS.get(word, word)
    words = snake(name)
    scale = _SCALES.get(units)
    unit_word = ""
    if scale is None or not scale[0].suffix:
        unit_word = "percent" if units == "%" else snake(units.lower())
    # No stutter: the category, and a unit that the host's name ends in, are said once.
    words = words.removeprefix(f"{prefix}_").removesuffix(f"_{units.lower()}" if scale else "")
    if unit_word and (words == unit_word or words.endswith(f"_{unit_word}")):
        unit_word = ""
    body = "_".join(part for part in (words, unit_word) if part)
    if not words:
        return None
    kind = Kind.COUNTER if type_ == "accumulate" else Kind.GAUGE
    unit = scale[0] if scale is not None else Unit.NONE
    label = _DEVICE_LABEL.get(word)
    if kind is Kind.COUNTER:
        body = body.removesuffix("_total")
    if re.search(_ENDINGS[kind], body):
        body += "_value"
    of_host = word == "host" and kind is Kind.COUNTER
    metric = Metric(
        f"{prefix}.{body}",
        kind,
        Unit.NONE if unit is Unit.PACKETS else unit,
        f"The host's extended statistic {name!r} ({word}); not in this exporter's catalogue."
        + (f" Unit by the host: {well_formed(units)}." if units and scale is None else ""),
        (SESSION_ID,) if of_host else (label,) if label else (),
        of_host,
    )
    return None if metric.family in _RESERVED or metric.otlp in _RESERVED else metric


def uptime(groups: Mapping[str, Iterable[ExtendedValue]]) -> float | None:
    """Seconds since the session began by the host's clock (``uptime`` of ``session``, µs where it has no unit), or None."""
    for value in groups.get("session", ()):
        if value.name == "uptime" and not isinstance(value.value, str):
            unit = _SCALES.get(value.units or "us")
            usable = unit is not None and unit[0] is Unit.SECONDS
            usable = usable and value.value >= 0 and value.value not in _NOTHING
            return _scaled(value.value, value.units or "us") if usable else None
    return None


def counters(
    groups: Mapping[str, Iterable[ExtendedValue]],
) -> Iterator[tuple[tuple[str, str], Mapped]]:
    """Each counter of a round, by its group and name."""
    for group, values in groups.items():
        for value in values:
            mapped = map_value(group, value)
            if mapped is not None and mapped.metric.kind is Kind.COUNTER:
                yield (group, value.name), mapped


def fell(before: Mapping[str, Iterable[ExtendedValue]], after: Mapping[str, Iterable[ExtendedValue]]) -> bool:
    """Whether something that can only rise while a session lasts is less in the later round: a counter, or the uptime."""
    risen = _rising(before)
    return any(value < risen.get(key, value) for key, value in _rising(after).items())


def _rising(groups: Mapping[str, Iterable[ExtendedValue]]) -> dict[tuple[str, str], float]:
    """By group and name, in base units."""
    found = {key: mapped.value for key, mapped in counters(groups)}
    if (seconds := uptime(groups)) is not None:
        found["session", "uptime"] = seconds
    return found
