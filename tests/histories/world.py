"""A host, a guest with its two clocks, and chance: what a history of the session's clock is made of.

Nothing here knows how the exporter works. What is true is kept beside what is told: the generation of the counters
(another one is another zero) and, of each reply, the session that it really was of.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from exporter.errors import ConnectionLost, RpcError, TimeoutExpired
from exporter.snapshot import Snapshot, SourceInfo, Value

MAC = "00:50:56:00:00:01"
TODAY = 1_700_000_000.0

EXTENDED = {
    "resources": {"vm.cpu.contention.cpu": ("us", "contention"), "vm.cpu.used": ("us", "cpu_used_us")},
    f"vnet {MAC}": {
        "size.rx": ("bytes", "received"),
        "num.drops": ("", "drops"),
        "numDrops": ("", "other_drops"),
    },
    "host": {
        "energy.used": ("ms", "energy"),
        "io.commands": ("", "commands"),
        "ioCommands": ("", "other_commands"),
    },
}
"""Group -> the host's name of a counter -> its unit, and its name here. ``vm.cpu.used`` is the basic reply's ``cpu_used``,
finer, and of another moment. That of contention is counted in µs and told in any unit of :data:`UNITS`."""

IN_NO_CATALOGUE = ("drops", "other_drops", "energy", "commands", "other_commands")
TWINS = {"drops": "other_drops", "commands": "other_commands"}
"""Counters of which the host's names become one series, though they count different things."""
UNITS = {"ns": 1000.0, "us": 1.0, "ms": 0.001}
"""How many make a microsecond."""

OF_HOST = ("host_cpu_used", "energy", "commands", "other_commands")
"""Counters that go on over a session of the VM."""


SPEEDS = (1.0, 1.0, 1.0001, 0.98, 1.02)
"""Of a host's clock."""


class Told(NamedTuple):
    """One reply, and what was true when the host gave it."""

    wall: float
    monotonic: float
    session: int
    generation: int
    elapsed: int | None
    counters: dict[str, int]
    fallen: dict[str, int]
    """How often each had begun anew by itself."""
    used: bool = True
    """Whether it held ``cpu_used``."""
    answered: tuple[float, float] = (0.0, 0.0)
    """Wall and monotonic clock when a reply of extended statistics arrived."""
    plain: bool = False
    """Of a reply of extended statistics: in text, without units."""
    unit: str = "us"
    """In which it told of contention."""
    given: Mapping[str, int] = {}
    """The numbers in it."""


@dataclass
class World:
    """Source of statistics for a poller, and its clocks. ``chance`` moves everything."""

    chance: random.Random
    monotonic: float = 1000.0
    ahead: float = TODAY - 1000.0
    """How far the wall clock is ahead of the monotonic one, seconds."""
    signed: bool = True
    """Whether the host gives XML, which says of which session it is, or JSON, which does not."""
    slow: float = 0.0
    """Seconds that a request takes at most."""
    speed: float = 1.0
    """Of the host's clock."""
    refresh: float = 0.0
    """Seconds for which the host repeats a sample."""
    uptime: bool = False
    session: int = 0
    former: int = 0
    """The id before this one."""
    generation: int = 0
    age: float = 0.0
    """Seconds of the session, by the host's clock."""
    gives_elapsed: bool = True
    down: bool = False
    blinks: bool = False
    """Leaves elapsed out of the next reply."""
    plain: bool = False
    """Whether it answers in text alone."""
    unit: str = "us"
    """In which it tells of contention, where it says so."""
    said: str = "us"
    """In which it does so where it does not: the one that it said last to this exporter in the session of its last reading,
    or VMware's own. Any other could not be known."""
    gives_used: float = 1.0
    """How often a basic reply holds ``cpu_used``, or marks it as not valid."""
    counters: dict[str, int] = field(default_factory=dict)
    fallen: dict[str, int] = field(default_factory=dict)
    older: set[int] = field(default_factory=set)
    """Generations that were older than the reading before them: what was restored had been counted once."""
    readings: list[Told] = field(default_factory=list)
    replies: dict[str, list[Told]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    """Groups for which there was no time once."""
    while_asked: Callable[[], None] = lambda: None
    """Called in the middle of each request for extended statistics."""

    info = SourceInfo("guestrpc", "memory", "3")
    restarts = None

    def __post_init__(self) -> None:
        names = ("cpu_used", "cpu_stolen", "contention", "received", "drops", "other_drops", *OF_HOST)
        self.counters = {name: self.chance.randrange(10**9) for name in names}
        self._fraction = self.chance.randrange(1000)
        self._rates = {name: self.chance.choice((0, 1, 300, 4000)) for name in names}
        self._sample: tuple[float, int | None, dict[str, int]] = (0.0, None, {})
        self.session = self.chance.getrandbits(64) | 1
        self.sample()

    # The clocks.

    def clock(self) -> float:
        return self.monotonic

    def wall(self) -> float:
        return self.monotonic + self.ahead

    def passes(self, seconds: float, *, asleep: bool = False) -> None:
        """Time passes; ``asleep``: the guest's monotonic clock stands still meanwhile."""
        if asleep:
            self.ahead += seconds
        else:
            self.monotonic += seconds
        self.age += seconds * self.speed
        random, counters = self.chance.random, self.counters
        for name, rate in self._rates.items():
            counters[name] += int(rate * seconds * random())
        if self.age - self._sample[0] >= self.refresh:
            self.sample()

    # The host.

    def sample(self) -> None:
        """The host makes a new one."""
        self._sample = (self.age, int(self.age * 1000) if self.gives_elapsed else None, dict(self.counters))

    def begin(self, *, same_id: bool = False, again: bool = False) -> None:
        """All counters of the session begin anew: vMotion, reset, resume; or under the same id, which is a fault.

        ``again``: the new id is the one before, where there is one.
        """
        if not same_id:
            self.session, self.former = (
                self.former if again and self.former else self.chance.getrandbits(64) | 1,
                self.session,
            )
            self.said = "us"
            self.gives_elapsed = self.chance.random() < 0.8
            self.gives_used = self.chance.choice((1.0, self.gives_used, 0.9, 0.5, 0.0))
            self.speed = self.chance.choice((self.speed, *SPEEDS))
            for name in OF_HOST:
                self.counters[name] = self.chance.randrange(10**11)
        self.generation += 1
        self.age = 0.0
        for name in self.counters.keys() - set(OF_HOST):
            self.counters[name] = 0
        self.sample()

    def roll_back(self) -> None:
        """Age and counters are those of a while ago, under the same id."""
        kept = self.chance.uniform(0.9, 0.999)
        self.generation += 1
        self.older.add(self.generation)
        self.age *= kept
        for name in self.counters.keys() - set(OF_HOST):
            self.counters[name] = int(self.counters[name] * kept)
        self.sample()

    def reboot(self) -> None:
        """The guest starts anew, and its monotonic clock with it; on the host nothing begins."""
        wall, self.monotonic = self.wall(), self.chance.uniform(1, 100)
        self.ahead = wall - self.monotonic

    def rename(self) -> None:
        """A new id, and the counters go on: some hot-plug."""
        self.session = self.chance.getrandbits(64) | 1
        self.said = "us"
        self.sample()

    def fall(self, name: str) -> None:
        """One counter begins anew by itself."""
        self.counters[name] = self.chance.randrange(3)
        self.fallen = {**self.fallen, name: self.fallen.get(name, 0) + 1}
        self.sample()

    # What the exporter asks.

    def read(self) -> Snapshot:
        self.passes(self.chance.random() * self.slow)
        if self.down:
            raise ConnectionLost("gone")
        _, elapsed, counters = self._sample
        elapsed = None if self.blinks else elapsed
        self.blinks = False
        used = self.chance.random() < self.gives_used
        self.readings.append(self._told(elapsed, dict(counters), used=used))
        names = ("cpu_used", "cpu_stolen", "host_cpu_used") if used else ("cpu_stolen", "host_cpu_used")
        values: dict[str, Value] = {name: counters[name] for name in names}
        return Snapshot(self.session, 3, values if elapsed is None else {"elapsed": elapsed, **values})

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        took = self.chance.random() * self.slow
        if timeout is not None and took > timeout:
            self.passes(timeout)
            self.late.add(name)
            raise TimeoutExpired("slow")
        self.passes(took / 2)
        self.while_asked()
        if self.down:
            raise ConnectionLost("gone")
        if not name:
            reply = "\n".join(("session", *EXTENDED)).encode()
        elif encoding != ("text" if self.plain else "xml" if self.signed else "json"):
            raise RpcError("bad encoding")
        else:
            if not self.plain and name == "resources" and self.readings[-1].session == self.session:
                self.said = self.unit
            rows = self._statistics(name)
            reply = {"xml": self._xml, "json": self._json, "text": self._text}[encoding](rows)
            self.replies.setdefault(name, []).append(
                self._told(
                    None,
                    self._now(),
                    plain=self.plain,
                    unit=self.said,
                    given={key: value for key, _, _, _, value in rows},
                )
            )
        self.passes(took / 2)
        if name:
            self.replies[name][-1] = self.replies[name][-1]._replace(answered=(self.wall(), self.monotonic))
        return reply

    def close(self) -> None:
        pass

    def _told(self, elapsed: int | None, counters: dict[str, int], **more: Any) -> Told:
        """``more``: fields of :class:`Told`."""
        return Told(
            self.wall(), self.monotonic, self.session, self.generation, elapsed, counters, self.fallen, **more
        )

    def _now(self) -> dict[str, int]:
        """What the extended statistics show, which are as fresh as can be."""
        return {**self.counters, "cpu_used_us": self.counters["cpu_used"] * 1000 + self._fraction}

    def _statistics(self, group: str) -> list[tuple[str, str, str, str, int]]:
        """Name here, the host's name, type, unit and value, in any order."""
        if group == "session":
            return [("uptime", "uptime", "instant", "us", int(self.age * 1e6))] if self.uptime else []
        now, rows = self._now(), []
        for name, (unit, key) in EXTENDED[group].items():
            value = now[key]
            if key == "contention":
                rows.append((key, name, "accumulate", self.said, int(value * UNITS[self.said])))
            elif not (key in TWINS or key in TWINS.values()) or self.chance.random() < 0.9:
                rows.append((key, name, "accumulate", unit, value))
        if self.chance.random() < 0.5:
            rows.reverse()
        return rows

    def _xml(self, rows: list[tuple[str, str, str, str, int]]) -> bytes:
        metrics = "".join(
            f'<metric name="{name}" type="{kind}" units="{unit}">{value}</metric>'
            for _, name, kind, unit, value in rows
        )
        return f'<metrics session="{self.session}">{metrics}</metrics>'.encode()

    def _json(self, rows: list[tuple[str, str, str, str, int]]) -> bytes:
        found = {name: {"type": kind, "units": unit, "value": value} for _, name, kind, unit, value in rows}
        return json.dumps(found).encode()

    def _text(self, rows: list[tuple[str, str, str, str, int]]) -> bytes:
        return "".join(f"{name} = {value}\n" for _, name, _, _, value in rows).encode()
