"""What of the extended statistics is published: within bounds, and each series from one source for as long as a session lasts.

A host may give two statistics whose names become one, in one order now and another then, and a statistic in one unit, type or
encoding now and another then. Each would bend a series: it would fall, or leap, where nothing did. So what a series is made of
is settled when a session is first seen to have it, and the rest is left out and counted:

- A family, and an OTLP name, which has no unit in it, is of one statistic (name, kind and unit). Of two in one reply it is the first by name, whatever their order. Where the
  one that has it stays away its series pauses. Nothing takes over: of a counter that would be a fall, and coming back another;
  and a gauge that tells of two things by turns is no better.
- A factor that was only assumed, since the reply had no unit, must be the one that the host stated. Where the host contradicts
  what was assumed, all that was shown may be false, and the series ends. It does so too by a unit or type that is left out
  itself: from then on nothing is assumed of that statistic.
- Two units that the host stated are both right. A counter that is behind by less than one of the coarser of them did not fall.

What counts on the host goes on when the VM's counters begin anew under the same session id: a gate lasts as long as the id.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.catalogue import Kind, Labels, Metric
from exporter.catalogue.extended_names import (
    MAX_DEVICES,
    MAX_FACTS,
    MAX_STATISTICS,
    MAX_UNKNOWN,
    SESSION,
    Mapped,
    category,
    contradicts,
    fact,
    known,
    map_value,
)
from exporter.snapshot import ExtendedValue

log = logging.getLogger("exporter.extended")

MAX_SERIES = 3 * MAX_UNKNOWN
"""Series of one session, also those that have gone since: of statistics with a catalogue row, and of others."""

MAX_ROUND = 2 << 20
"""Bytes of all replies of one round, in whatever encoding. 256 disks and 64 network cards take a quarter."""
MAX_ROUND_STATISTICS = 16 * 1024
"""Statistics of one round; those take a quarter too."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What passed the gate, and how many statistics did not."""

    groups: Mapping[str, tuple[ExtendedValue, ...]]
    dropped: int


@dataclass(slots=True)
class _Read:
    """A statistic as it was taken last."""

    metric: Metric
    value: float
    step: float
    """Of its unit."""
    unit: float
    """The step of the unit that the host stated last, whether that reading was taken or not; or that was assumed."""
    stated: bool
    """Whether the host has stated a unit that fits."""
    typed: bool
    """The same of its type."""
    refuted: bool = False
    """Whether the host stated another one after it was assumed."""


class Gate:
    """Of one session id at a time. ``unknown`` false leaves out statistics without a catalogue row (a wish, not a drop)."""

    def __init__(self, *, unknown: bool = True) -> None:
        self._unknown = unknown
        self._session_id = -1
        self.belongs_to(0)

    def belongs_to(self, session_id: int) -> None:
        """From now on replies are of this session; another one may be another host's, and nothing is known of it."""
        if session_id == self._session_id:
            return
        self._session_id = session_id
        self._metrics: dict[str, Metric] = {}
        """Family or OTLP name -> its metric. That of a statistic without a row has the statistic's name in its help."""
        self._facts: dict[str, str] = {}
        """Label of the host's facts -> the host's name of it."""
        self._read: dict[tuple[str, str], _Read] = {}
        """By group and name."""
        self._series = {True: 0, False: 0}
        """How many of these have a catalogue row, and how many have none."""
        self._contradicted: set[tuple[str, str]] = set()
        """Those of which the host stated a unit or type that can't be: nothing is assumed of them any more."""
        self._said: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Begin a round."""
        self._bytes = self._statistics = self._strangers = 0
        self._devices = {"vscsi": 0, "vnet": 0}

    def weigh(self, reply: bytes) -> bytes:
        """Count what the host sent, understood or not."""
        self._bytes += len(reply)
        return reply

    @property
    def full(self) -> bool:
        """Whether no more is looked at in this round."""
        over = self._bytes >= MAX_ROUND or self._statistics >= MAX_ROUND_STATISTICS
        if over:
            self._say(f"a round of more than {MAX_ROUND} bytes or {MAX_ROUND_STATISTICS} statistics")
        return over

    def take(self, group: str, values: Iterable[ExtendedValue]) -> tuple[tuple[ExtendedValue, ...], int]:
        """What can be published of one group, in its order, and how many statistics can't."""
        values = tuple(values)
        self._statistics += len(values)
        word, device = category(group)
        if device:
            self._devices[word] += 1
        if not word or self._devices.get(word, 0) > MAX_DEVICES:
            return (), len(values)
        dropped = 0
        found: list[tuple[int, ExtendedValue, Mapped | None]] = []
        first: dict[str, str] = {}
        facts: dict[str, str] = {}
        # What a bound cuts off is the last by name of what nobody knows, in whatever order the host gives it.
        for place, value in sorted(enumerate(values), key=lambda each: _importance(word, each[1])):
            row = known(word, value.name)
            if row and contradicts(word, value):
                self._contradict((group, value.name))
            if len(found) >= MAX_STATISTICS:
                self._say(f"more than {MAX_STATISTICS} statistics in one group")
                dropped += 1
            elif isinstance(value.value, str):
                label = fact(value.name)
                if label and word in ("session", "host"):
                    facts[label] = min(facts.get(label, value.name), value.name)
                    found.append((place, value, None))
                else:
                    dropped += 1
            elif word == "session":
                found.append((place, value, None))
            elif not row and not value.type and not value.units:
                # A text reply has neither, so only known names can be published from it: that is no drop.
                continue
            elif not row and self._strangers >= MAX_UNKNOWN:
                # No further work: a host may send thousands of them in one round.
                self._say(f"more than {MAX_UNKNOWN} statistics without a catalogue row in one round")
                dropped += self._unknown
            elif row or self._unknown:
                self._strangers += not row
                mapped = map_value(group, value)
                if mapped is None:
                    dropped += 1
                    continue
                for name in _names(mapped.metric):
                    first[name] = min(first.get(name, value.name), value.name)
                found.append((place, value, mapped))
        kept: list[tuple[int, ExtendedValue]] = []
        series: set[tuple[str, Labels]] = set()
        for place, value, mapped in found:
            if mapped is None:
                passes = word == "session" or self._is_fact(value.name, facts)
            else:
                key = mapped.metric.family, mapped.labels
                passes = key not in series and self._is_source(group, value, mapped, first)
                if passes:
                    series.add(key)
            if passes:
                kept.append((place, value))
        kept.sort(key=lambda each: each[0])
        return tuple(value for _, value in kept), dropped + len(found) - len(kept)

    def _is_fact(self, name: str, first: Mapping[str, str]) -> bool:
        label = fact(name)
        if label not in self._facts and len(self._facts) < MAX_FACTS and first[label] == name:
            self._facts[label] = name
        return self._facts.get(label) == name

    def _is_source(self, group: str, value: ExtendedValue, mapped: Mapped, first: Mapping[str, str]) -> bool:
        """Whether this is what its series is made of, in a unit that does not bend it."""
        metric, place = mapped.metric, (group, value.name)
        if place in self._contradicted and not (value.units and value.type):
            return False
        read = self._read.get(place)
        if read is None:
            for name in _names(metric):
                settled = self._metrics.get(name)
                if settled != metric and (settled or (not mapped.row and first[name] != value.name)):
                    return False
            # Each kind has a bound of its own: of what is known nothing gives way to what is not.
            if max(self._series[mapped.row], mapped.row * len(self._contradicted)) >= MAX_SERIES:
                self._say(
                    f"more than {MAX_SERIES} series {'with' if mapped.row else 'without'} a catalogue row in one session"
                )
                return False
            self._series[mapped.row] += 1
            self._metrics |= dict.fromkeys(_names(metric), metric)
            self._read[place] = _Read(
                metric, mapped.value, mapped.step, mapped.step, bool(value.units), bool(value.type)
            )
            return True
        read.typed |= bool(value.type)
        if read.metric != metric or not _goes_on(read, bool(value.units), mapped):
            return False
        read.step, read.value = mapped.step, mapped.value
        return True

    def _contradict(self, place: tuple[str, str]) -> None:
        read = self._read.get(place)
        if read is not None and not (read.stated and read.typed):
            read.refuted = True
        if read is not None or len(self._contradicted) < MAX_SERIES:
            # Where no more are remembered no further statistic is taken either.
            self._contradicted.add(place)

    def _say(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("extended statistics beyond a bound are left out", extra={"bound": what})


def _importance(word: str, value: ExtendedValue) -> tuple[bool, bool, str]:
    """Of a statistic in its group, to sort by: what has a meaning here, then words, then other numbers, each by name."""
    meant = known(word, value.name) or (word == "session" and value.name in SESSION)
    return not meant, not isinstance(value.value, str), value.name


def _names(metric: Metric) -> tuple[str, str]:
    """Under which it is published; they can't be taken for one another."""
    return metric.family, metric.otlp


def _goes_on(read: _Read, stated: bool, mapped: Mapped) -> bool:
    """Whether a reading goes on where ``read`` was. What it says of the unit is remembered."""
    if stated and not read.stated:
        read.refuted |= read.unit != mapped.step
        read.stated = True
    if read.refuted or (not stated and read.unit != mapped.step):
        return False
    read.unit = mapped.step
    behind = read.value - mapped.value
    finer, coarser = sorted((read.step, mapped.step))
    # What rounding hides is at least one of the finer less than one of the coarser; half of it is what floats may be off by.
    hidden = coarser - finer / 2 if finer < coarser else 0
    return mapped.metric.kind is not Kind.COUNTER or not 0 < behind < hidden


def accept(groups: Mapping[str, Iterable[ExtendedValue]], *, unknown: bool = True) -> Accepted:
    """The first round of a session, with all its groups at once."""
    gate = Gate(unknown=unknown)
    taken = {group: gate.take(group, values) for group, values in groups.items()}
    return Accepted(
        {group: values for group, (values, _) in taken.items()}, sum(dropped for _, dropped in taken.values())
    )
