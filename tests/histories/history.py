"""One random history: the exporter's own poller, page, status and push in a world of chance, judged by the oracle."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cache
from itertools import takewhile
from typing import Any

from opentelemetry.sdk.metrics.export import MetricsData, Sum

from exporter import catalogue
from exporter.catalogue import Kind
from exporter.clock import Instant
from exporter.insight.ledger import Ledger
from exporter.insight.observer import Insight
from exporter.metrics.families import Family
from exporter.metrics.published import Published
from exporter.outputs.api import Api
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Batch, Reader
from exporter.outputs.otlp.settings import Temporality
from exporter.outputs.page.overview import overview
from exporter.outputs.prometheus import as_metric
from exporter.poller import Poller
from exporter.session.missing import MOST
from exporter.session.remembered import Remembered
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import ExtendedSnapshot, Guest, PollState
from tests.histories.oracle import (
    CLOSE,
    HOST_COUNTERS,
    YEAR_2020,
    Beginning,
    Life,
    Readings,
    Recalled,
    Receiver,
    Series,
    Value,
    close,
)
from tests.histories.world import EXTENDED, IN_NO_CATALOGUE, MAC, SPEEDS, TODAY, TWINS, UNITS, Told, World

INTERVAL = 5.0
FRESH = 3 * INTERVAL
STEPS = 30

BASIC = {
    "elapsed": "vmguest_elapsed_seconds",
    "cpu_used": "vmguest_cpu_used_seconds",
    "cpu_stolen": "vmguest_cpu_stolen_seconds",
    "host_cpu_used": "vmguest_host_cpu_used_seconds",
}
BASIC_OF_VM = ("cpu_used", "cpu_stolen")
USED = ("resources", "cpu_used_us")
"""Stands for ``cpu_used`` where the basic reply has not given it."""
ROUNDS = {
    ("resources", "contention"): ("vmguest_cpu_contention_seconds", (("cause", "cpu"),), 1e6),
    USED: ("vmguest_cpu_used_seconds", (), 1e6),
    (f"vnet {MAC}", "received"): ("vmguest_network_receive_bytes", (("mac", MAC),), 1),
    (f"vnet {MAC}", "drops"): ("vmguest_network_num_drops", (("mac", MAC),), 1),
    ("host", "energy"): ("vmguest_host_energy_used_seconds", (), 1e3),
    ("host", "commands"): ("vmguest_host_io_commands", (), 1),
}
GUEST = Guest(2, 2**30)
POLLS: Series = ("vmguest_polls", ())
JUDGED = {
    POLLS[0],
    catalogue.SESSION_START.family,
    *BASIC.values(),
    *(name for name, _, _ in ROUNDS.values()),
}
"""Families of which the oracle knows what a page shows, and when it shows nothing."""


TAKEN, DOWN = ExportResult(Outcome.SUCCESS), ExportResult(Outcome.FAILED, "503")
REFUSED = ExportResult(Outcome.REJECTED, "400", data_refused=True)
QUEUE = 4
"""Exports that wait at most."""
SOON, AWHILE = 8, 60.0
"""Good polls of one epoch, and seconds, in which a host that answers at once has shown another round."""


SHARED = {
    (group, name)
    for group, names in EXTENDED.items()
    for host_name, (_, key) in names.items()
    if key in TWINS or key in TWINS.values()
    for name in (host_name, key)
}
"""Counters that share a series, by the host's name and by the one that is used here."""


class Memory:
    """Stands for the file in the unit's folder."""

    def __init__(self) -> None:
        self.known: Remembered | None = None

    def recall(self) -> Remembered | None:
        return self.known

    def keep(self, known: Remembered) -> None:
        # Which of two counters a series is of is settled anew by each process.
        alone = {name: start for name, start in known.alone.items() if name not in SHARED}
        read = {name: each for name, each in known.read.items() if name not in SHARED}
        self.known = known._replace(alone=alone, read=read)


class Once(Published):
    """Collects once for all outputs of one moment: it gives the same to each of them, and takes most of the time."""

    made: tuple[Instant, PollState, list[Family]] | None = None

    def collect(self, now: Instant | None = None) -> list[Family]:
        now = now or self.now()
        if self.made is None or self.made[0] != now or self.made[1] is not self.state:
            self.made = now, self.state, super().collect(now)
        return self.made[2]


class Push:
    """One converter and its receiver: batches wait in order, and are taken or not."""

    def __init__(self, temporality: Temporality) -> None:
        self.delta = temporality is Temporality.DELTA
        self._converter = Converter(temporality, {})
        self._waiting: deque[tuple[Batch, dict[Series, Value]]] = deque(maxlen=QUEUE)
        self._oracle = Receiver()
        self.away = 0
        """Exports for which the receiver goes on being away."""

    @property
    def points(self) -> int:
        return self._oracle.points

    def put(self, batch: Batch, expected: dict[Series, Value]) -> None:
        names = {family.name for family in batch.families}
        self._waiting.append(
            (batch, {series: each for series, each in expected.items() if series[0] in names})
        )

    def send(self, answer: Callable[[], ExportResult]) -> None:
        while self._waiting:
            batch, expected = self._waiting[0]
            found = points(self._converter.convert(batch))
            self._judge(expected, found)
            result = answer() if not self.away else DOWN
            self._converter.settle(result)
            self._oracle.tried(expected, taken=result is TAKEN, refused=result is REFUSED)
            if result is DOWN:
                break
            self._waiting.popleft()
        self.away = max(self.away - 1, 0)

    def _judge(self, expected: dict[Series, Value], found: dict[Series, tuple[float, float, float]]) -> None:
        for series, each in expected.items():
            if self.delta:
                self._oracle.difference(series, each, found.get(series))
            else:
                self._oracle.cumulative(series, each, *found[series])
        # What the oracle knows nothing of has no rule of its own.
        for series, (value, start, time) in found.items():
            assert value >= 0, (series, value)
            assert 0 <= start <= time, (series, start, time)


def points(data: MetricsData) -> dict[Series, tuple[float, float, float]]:
    """Value, start and time of every point of a sum."""
    return {
        (
            _family(metric.name, metric.unit),
            tuple((point.attributes or {}).items()),  # type: ignore[arg-type]
        ): (
            point.value,
            point.start_time_unix_nano / 1e9,
            point.time_unix_nano / 1e9,
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if isinstance(metric.data, Sum)
        for point in metric.data.data_points
    }


def is_sum(family: Family) -> bool:
    return family.metric.kind is Kind.COUNTER


_SUFFIX = {"s": "_seconds", "By": "_bytes"}


@cache
def _family(name: str, unit: str) -> str:
    return name.replace(".", "_") + _SUFFIX.get(unit, "")


class History:
    """``seed`` makes it; :meth:`run` raises AssertionError where something false came out."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.world = world = World(
            chance,
            signed=chance.random() < 0.6,
            slow=chance.choice((0.001, 0.01, 0.5, 2.0)),
            speed=chance.choice(SPEEDS),
            refresh=chance.choice((0.0, 0.0, 20.0)),
            uptime=chance.random() < 0.5,
        )
        world.age = chance.choice((0.0, chance.uniform(0, 60), chance.uniform(0, 1e7)))
        world.gives_elapsed = chance.random() < 0.85
        world.gives_used = chance.choice((1.0, 1.0, 0.9, 0.5, 0.0))
        world.sample()
        if chance.random() < 0.2:
            # A guest without a clock of its own, or with a flat battery.
            world.ahead = chance.choice((0.0, 1.4e9)) - world.monotonic
        world.while_asked = self.in_the_middle
        self.extended = chance.choice((0.0, 5.0, 15.0))
        self.memory = Memory()
        self.log: list[str] = []
        self.points = 0
        self.fell = False
        """Shortly before the exporter started."""
        self.fell_lately = False
        """A counter, by itself, before the last poll."""
        self.looks: set[tuple[float, float]] = set()
        """At the clocks, wall and monotonic, with the replies of the round that is shown."""
        self.pushes: list[Push] = []
        self.oracle = Readings()
        self.boot()

    def boot(self) -> None:
        """The exporter starts."""
        world = self.world
        self.rounds = (
            ExtendedReader(self.extended, clock=world.clock, wall=world.wall) if self.extended else None
        )
        recalled = self.recalled()
        self.oracle = Readings(recalled=recalled)
        self.poller = Poller(
            world,
            INTERVAL,
            clock=world.clock,
            wall=world.wall,
            extended=self.rounds,
            memory=self.memory,  # type: ignore[arg-type]
        )
        self.published = Once(
            lambda: self.poller.state, guest=lambda: GUEST, wall=world.wall, monotonic=world.clock
        )
        self.own = Beginning(world.monotonic)
        self.reader = Reader(self.published)
        self.points += sum(push.points for push in self.pushes)
        self.pushes = [Push(Temporality.CUMULATIVE), Push(Temporality.DELTA)]
        for push in self.pushes:
            push.away = self.chance.choice((0, 0, 0, self.chance.randrange(1, 3 * QUEUE)))
        self.polls, self.since = 0, world.monotonic
        """Good ones of this epoch since a round was shown, and since when they are counted."""
        self.shown: ExtendedSnapshot | None = None
        self.sources: dict[tuple[int, str], str] = {}
        """By session and counter: which of its two the series is of."""
        self.latest: dict[tuple[int, tuple[str, str]], tuple[float, str, Told]] = {}
        """Of each series of a session: what was shown last, and of which counter."""
        self.fresh_boot = True
        world.readings, world.replies, world.said = [], {}, "us"

    def recalled(self) -> Recalled | None:
        """What this process has to know of the one before, if it kept anything."""
        oracle, known = self.oracle, self.memory.known
        if known is None or not oracle.epochs:
            return oracle.recalled if known is not None else None

        def of_session(key: Hashable) -> bool:
            return key not in HOST_COUNTERS and key not in SHARED

        return Recalled(
            known.session_id,
            known.start,
            known.elapsed,
            {
                key: (each.begun, each.start)
                for key, each in oracle.alone.items()
                if of_session(key) and each.start is not None
            },
            oracle.late or oracle.beginning is None,
            {key: each for key, each in oracle.last.items() if of_session(key)},
            oracle.basic,
            oracle.substituted and not oracle.basic,
        )

    def run(self) -> int:
        """How many points were judged."""
        for step in range(STEPS):
            self.world.passes(
                self.chance.choice((INTERVAL, INTERVAL, INTERVAL, self.chance.uniform(0.1, 90)))
            )
            self.something_happens()
            self.poll()
            last = self.last_step = step == STEPS - 1
            if last or self.chance.random() < 0.6:
                self.between()
                self.export(whole=last or self.poller.state.polls % 4 == 0)
        return self.points + sum(push.points for push in self.pushes)

    # Chance.

    def say(self, what: str) -> None:
        self.log.append(f"{self.world.monotonic:.3f} {what}")

    @property
    def last(self) -> Told | None:
        """The last reading of this process."""
        return self.world.readings[-1] if self.world.readings else None

    @property
    def told(self) -> int | None:
        """Elapsed by the last reading, if it is of this life of the counters and the next one will tell it too."""
        last, world = self.last, self.world
        this_life = last is not None and last.generation == world.generation
        return last.elapsed if last is not None and this_life and world.gives_elapsed else None

    def something_happens(self) -> None:
        world, chance = self.world, self.chance
        last, told = self.last, self.told
        read = told is not None
        # A life that began in the middle of a round is seen by the next reading.
        begun = last is not None and last.session == world.session and last.generation != world.generation
        world.down = chance.random() < 0.08 and not begun
        world.blinks = chance.random() < 0.05 and not begun and not (self.fresh_boot and self.fell)
        if chance.random() < 0.15:
            world.unit = chance.choice(list(UNITS))
        world.plain = chance.random() < 0.1
        if world.wall() < YEAR_2020 and chance.random() < 0.1:
            world.ahead = TODAY
            self.say("the wall clock is set at last")
        if read and not begun and not self.fresh_boot and chance.random() < 0.01:
            self.say("elapsed is gone")
            world.gives_elapsed = read = False
            world.sample()
        roll = chance.random()
        # The round that shows it may wait for the next poll.
        fell_lately, self.fell_lately = self.fell_lately and chance.random() < 0.5, False
        if roll < 0.12:
            self.session_change()
        elif roll < 0.15 and read and not self.fresh_boot and (told or 0) > 10_000:
            # Seen by the next reading, before elapsed is where it was.
            world.down = world.blinks = False
            self.fall_back(world.monotonic - last.monotonic if last is not None else 0)
        elif roll < 0.18 and read and world.age > 1e5:
            self.say("renamed")
            world.down = False
            # Without elapsed, a counter that fell by itself since the last reading would speak for all.
            fell = last is not None and any(
                world.counters[name] < last.counters[name] for name in BASIC_OF_VM
            )
            world.blinks = world.blinks and not fell
            world.rename()
        elif roll < 0.26:
            name = chance.choice(list(world.counters))
            self.say(f"{name} falls")
            world.fall(name)
            self.fell_lately = True
        elif roll < 0.36 or fell_lately:
            self.step()
        elif roll < 0.39:
            seconds = chance.uniform(1, 1e5)
            self.say(f"suspended for {seconds:.1f} s")
            world.passes(seconds, asleep=True)
            world.begin()
        elif roll < 0.42 and read:
            self.say("asleep, without the host")
            world.passes(chance.uniform(1, 1e4), asleep=True)
        elif roll < 0.46:
            self.say("the exporter is restarted")
            self.boot()
        elif roll < 0.49:
            self.while_it_is_down()

    def fall_back(self, unseen: float) -> None:
        """Elapsed falls under the same id: to nothing, or to what it was a while ago.

        ``unseen``: seconds since the last reading; what is not much older than that might have begun since.
        """
        told = self.told or 0
        if told > 1_000_000 and told >= self.world.age * 999 and unseen < 400 and self.chance.random() < 0.3:
            self.say("elapsed falls to what it was")
            self.world.roll_back()
        else:
            self.say("elapsed falls")
            self.world.begin(same_id=True)

    def while_it_is_down(self) -> None:
        """The exporter ends, the world goes on, the exporter starts again."""
        world, chance = self.world, self.chance
        self.say("the exporter is down")
        reboot, self.fell = False, False
        for _ in range(chance.randrange(1, 4)):
            match chance.randrange(8):
                case 0:
                    self.session_change()
                case 1 | 2:
                    self.fall_back(0)
                    # A first reading without elapsed would seem to be before a fall that was shortly before it.
                    self.fell = chance.random() < 0.5
                    world.passes(0 if self.fell else 200)
                case 3:
                    name = chance.choice(list(world.counters))
                    self.say(f"{name} falls")
                    world.fall(name)
                case 4:
                    self.step()
                case 5:
                    self.say("asleep")
                    world.passes(chance.uniform(1, 1e5), asleep=True)
                case 6:
                    self.say("the guest is booted")
                    world.reboot()
                    reboot = True
                case 7:
                    self.say("a new id")
                    world.rename()
            world.passes(chance.choice((0.5, chance.uniform(0, 60), chance.uniform(0, 1e5))))
        if reboot or chance.random() < 0.1:
            # Of another boot, or there is no folder that is kept.
            self.memory.known = None
        self.say("the exporter starts again")
        world.blinks = world.blinks and not self.fell
        self.boot()

    def in_the_middle(self) -> None:
        """Of a round of extended statistics."""
        roll = self.chance.random()
        if roll < 0.02:
            self.session_change()
        elif roll < 0.03:
            self.step()
        elif roll < 0.2 and self.would_be_seen():
            self.say("elapsed falls in the middle of a round")
            self.world.begin(same_id=True)

    def would_be_seen(self) -> bool:
        """Whether a new life under the same id shows in the round that is under way, and in the next reading.

        Not so one that began when little had risen, or of which no round was shown: that is the limit of what can be
        known.
        """
        world, shown = self.world, self.shown
        if (self.told or 0) < 1e9 or shown is None or shown.session_id != world.session:
            return False
        if self.rounds is None or self.rounds.state.snapshot is not shown:
            # One that waited is shown since this poll.
            return False
        return all(
            told.generation == world.generation and told.counters[key] > 1e5
            for (group, key), told in self.round.items()
            if group != "host"
        )

    def between(self) -> None:
        """A poll and an export."""
        roll = self.chance.random()
        if roll < 0.03:
            self.step()
        elif roll < 0.06:
            self.world.passes(self.chance.uniform(0, 30))
        elif roll < 0.07 and self.told is not None:
            self.say("asleep between poll and export")
            self.world.passes(self.chance.uniform(0, 1e4), asleep=True)

    def session_change(self) -> None:
        world, last = self.world, self.last
        # Under an id that was there before, if somebody saw the one between.
        seen = last is not None and (last.session, last.generation) == (world.session, world.generation)
        again = seen and self.chance.random() < 0.1
        self.say("session change, to the id before" if again else "session change")
        world.begin(again=again)

    def step(self) -> None:
        """Somebody sets the wall clock."""
        world, chance = self.world, self.chance
        before = world.ahead
        world.ahead = chance.choice(
            (
                before + chance.uniform(-3, 3),
                before - chance.uniform(0, 2 * world.age + 1),
                before + chance.choice((-1, 1)) * chance.uniform(3600, 3e7),
                TODAY - 1000.0,
                -world.monotonic + chance.uniform(0, 100),
            )
        )
        world.ahead = max(world.ahead, 1.0 - world.monotonic)
        self.say(f"the wall clock is set by {world.ahead - before:+.3f} s")

    # The exporter, and what the oracle is told of it.

    def poll(self) -> None:
        world, good = self.world, len(self.world.readings)
        self.poller.poll()
        if len(world.readings) > good:
            self.fresh_boot = False
            self.was_read()
            # A round that waited for this poll, perhaps.
            self.was_shown()
        if self.poller.state.last_error or not self.extended:
            return
        self.poller.poll_extended(world.monotonic + self.chance.uniform(0.1, INTERVAL))
        self.was_shown()
        waits = self.polls >= SOON and world.monotonic - self.since > AWHILE
        assert world.slow > 0.1 or not waits, "no round is shown any more"

    def was_read(self) -> None:
        told, epochs = self.world.readings[-1], self.oracle.epochs
        counters = {key: told.counters[key] / 1000 for key in BASIC_OF_VM}
        if not told.used or not self.oracle.basic:
            del counters["cpu_used"]
        self.oracle.read(told.session, told.generation, told.elapsed, told.wall, told.monotonic, counters)
        self.polls += 1
        if self.oracle.epochs > epochs:
            self.shown, self.polls, self.since = None, 0, told.monotonic
        self.used = told.used and self.oracle.used(told.counters["cpu_used"] / 1000, basic=True)
        for key in ("cpu_used", "cpu_stolen", "host_cpu_used"):
            if key != "cpu_used" or self.used:
                self.oracle.counter(key, told.counters[key] / 1000, told.wall, told.monotonic)
        if self.oracle.epochs > epochs and self.oracle.start("session") is None:
            # The round comes before anything is shown.
            extended = self.poller.state.extended
            if extended is not None and self.world.uptime and "session" in extended.groups:
                begun = min(self.uptime_began(extended), told.monotonic)
                self.oracle.uptime(begun, told.wall, told.monotonic)
            self.was_shown()

    def uptime_began(self, extended: ExtendedSnapshot) -> float:
        (uptime,) = (each.value for each in extended.groups["session"] if each.name == "uptime")
        assert isinstance(uptime, int)
        return extended.at("session").monotonic - uptime / 1e6

    def was_shown(self) -> None:
        """A round that is shown now for the first time: each reply is of the session that it is shown under."""
        extended, world = self.poller.state.extended, self.world
        if extended is None or extended is self.shown:
            return
        self.shown, self.polls, self.since = extended, 0, world.monotonic
        self.round: dict[tuple[str, str], Told] = {}
        counters: list[tuple[Told, Any, float, float]] = []
        self.numbers: dict[tuple[str, str], float] = {}
        for group, names in EXTENDED.items():
            if group not in extended.groups:
                # Or the list of groups was, or so many others that nothing more was asked in that round.
                assert world.late & {group, ""} or len(world.late) >= MOST, (group, "was given")
                continue
            told = [
                each for each in world.replies.get(group, []) if each.monotonic <= extended.read_monotonic
            ][-1]
            assert told.session == extended.session_id == world.readings[-1].session, "of another session"
            # What counts on the host does not begin anew with the VM's counters.
            assert group == "host" or told.generation == world.readings[-1].generation, "of another life"
            found = {each.name: each.value for each in extended.groups[group]}
            for name, (_, key) in names.items():
                if key in TWINS.values():
                    continue
                place: Any = (group, key)
                source = key if key not in TWINS else self.source(place, told, found)
                shown = found.get(next(each for each, (_, of) in names.items() if of == source))
                if shown is None:
                    assert self.may_be_missing(place, source, told), (name, told)
                    continue
                assert shown == told.given[source], (name, shown, told)
                self.round[place] = told
                number, unit = float(shown), 0.0
                if key == "contention":
                    number, unit = shown / UNITS[told.unit], 1 / UNITS[told.unit]
                self.did_it_fall(place, number, source, told)
                if place == USED:
                    place, number = "cpu_used", shown / 1e6
                    if not self.oracle.used(number, basic=False):
                        continue
                self.numbers[group, key] = number
                counters.append((told, place, number, unit))
        self.were_answered(extended, counters)

    def were_answered(
        self, extended: ExtendedSnapshot, counters: list[tuple[Told, Any, float, float]]
    ) -> None:
        """What the oracle is told of a round, in the order of time. The last reading may be in the middle of it, or after it."""
        last = self.world.readings[-1]
        looks = {
            [each for each in self.world.replies[group] if each.monotonic <= extended.read_monotonic][
                -1
            ].answered
            for group in extended.groups
        }
        looks.add((last.wall, last.monotonic))
        self.looks = looks
        for wall, monotonic in sorted(looks, key=lambda each: each[1]):
            if monotonic == last.monotonic:
                self.oracle.look(wall, monotonic)
            else:
                self.oracle.answered(wall, monotonic, waited=monotonic < last.monotonic)
            for told, place, number, unit in counters:
                if told.answered == (wall, monotonic):
                    self.oracle.counter(place, number, wall, monotonic, unit)

    def source(self, place: tuple[str, str], told: Told, found: dict[str, Any]) -> str:
        """Which of the two counters of one series is shown: never both, and while a session lasts never the other one."""
        group, key = place
        both = {name: of for name, (_, of) in EXTENDED[group].items() if of in (key, TWINS[key])}
        shown = [of for name, of in both.items() if name in found]
        assert len(shown) <= 1, (place, shown)
        known = self.oracle.visits, key
        if shown:
            assert self.sources.setdefault(known, shown[0]) == shown[0], (place, "is of another counter")
        elif not told.plain and known not in self.sources:
            assert not told.given.keys() >= {key, TWINS[key]}, (place, "neither is shown")
        return self.sources.get(known, key)

    def may_be_missing(self, place: tuple[str, str], source: str, told: Told) -> bool:
        """Whether there is a reason not to show what the host gave."""
        group, key = place
        if key in IN_NO_CATALOGUE and told.plain:
            return True
        if key in TWINS:
            return source not in told.given or (self.oracle.visits, key) not in self.sources
        if key != "contention":
            return False
        readings = takewhile(lambda each: each.session == told.session, reversed(self.world.readings))
        since = min(each.monotonic for each in readings)
        replies = list(takewhile(lambda each: each.monotonic >= since, reversed(self.world.replies[group])))
        if replies[-1].plain and any(each.unit != "us" for each in replies):
            # What was shown without a unit may have been in another all the time.
            return True
        if told.plain and told.unit != "us":
            return True
        # Behind one in another unit by less than the coarser of the two.
        number = told.given[key] / UNITS[told.unit]
        return any(
            0
            < before.given[key] / UNITS[before.unit] - number
            < 1 / min(UNITS[before.unit], UNITS[told.unit])
            for before in replies
            if before.unit != told.unit
        )

    def did_it_fall(self, place: tuple[str, str], number: float, source: str, told: Told) -> None:
        """What is shown falls only where the host's counter did."""
        series = self.oracle.visits, place
        before, of, then = self.latest.get(series, (number, source, told))
        assert of == source, (place, "is of another counter")
        name = source.removesuffix("_us")
        fallen = (told.generation, told.fallen.get(name)) != (then.generation, then.fallen.get(name))
        assert number >= before or fallen, (place, number, before, told)
        self.latest[series] = number, source, told

    # What comes out.

    def export(self, *, whole: bool) -> None:
        """``whole``: with what takes most of the time and says least: the status page, which reads what the metrics page
        reads, and the counters that the oracle does not know.
        """
        now = self.published.now()
        self.own.look(now.wall, now.monotonic)
        expected = self.expected()
        self.judge_page(expected, status=whole)
        if self.poller.state.polls % 10 == 0:
            assert self.published.collect() == Published.collect(self.published), (
                "another answer when asked again"
            )
        batch = self.reader.collect()
        # Nothing is said here about what is no sum.
        sums = tuple(each for each in batch.families if is_sum(each) and (whole or each.name in JUDGED))
        batch = replace(batch, families=sums)
        for push in self.pushes:
            push.put(batch, expected)
            if self.chance.random() < 0.03:
                push.away = self.chance.randrange(QUEUE, 3 * QUEUE)
            answer = TAKEN if self.chance.random() < 0.7 else DOWN
            if self.chance.random() < 0.03:
                answer = REFUSED
            push.send(lambda answer=answer: answer)  # type: ignore[misc]

    def expected(self) -> dict[Series, Value]:
        oracle, world = self.oracle, self.world
        polls = Life("own", 0, zero_seen=True)
        found = {
            POLLS: Value(
                float(self.poller.state.polls), world.monotonic, polls, "own", self.own.start, world.wall()
            )
        }
        told = world.readings[-1] if world.readings and oracle.epochs else None
        if told is None or world.monotonic - told.monotonic > FRESH:
            return found
        session = (("session_id", f"{told.session:#x}"),)

        def add(
            key: Any, name: str, labels: Any, value: float, at: tuple[float, float], generation: int
        ) -> None:
            wall, monotonic = at
            falls = oracle.falls.get(key, 0)
            if name.startswith("vmguest_host_"):
                # Nobody tells since when it counts, nor whether one that fell began anew or went back by a moment.
                life = Life(oracle.visits, falls, zero_seen=False)
                found[name, labels + session] = Value(value, monotonic, life, oracle.visits, None, wall)
                return
            seen = oracle.first_generation is not None and generation > oracle.first_generation
            seen = seen and generation not in world.older and not oracle.continued
            alone = key in oracle.alone
            # It may have fallen before the eyes of the process before, or of none.
            seen = seen or (alone and falls > 0 and key not in oracle.unseen)
            life = Life(generation, falls, seen, alone)
            late = oracle.late_before and not alone
            start = oracle.start(key)
            set_back = wall > told.wall and monotonic <= told.monotonic
            if start is not None and (wall < start or set_back):
                # The clock was set in between: it was read so long ago.
                wall = max(start, told.wall - (told.monotonic - monotonic))
            found[name, labels] = Value(value, monotonic, life, oracle.epochs, start, wall, late)

        for key, name in BASIC.items():
            raw = told.elapsed if key == "elapsed" else told.counters[key]
            if raw is not None and (key != "cpu_used" or self.used):
                add(key, name, (), raw / 1000, (told.wall, told.monotonic), told.generation)
        if self.shown is not None and world.monotonic - self.shown.read_monotonic <= 3 * max(
            INTERVAL, self.extended
        ):
            for place, (name, labels, scale) in ROUNDS.items():
                if place not in self.numbers or (place == USED and self.oracle.basic):
                    continue
                reply = self.round[place]
                value = self.numbers[place] / (1 if place == USED else scale)
                known: Any = "cpu_used" if place == USED else place
                add(known, name, labels, value, reply.answered, reply.generation)
        return found

    def judge_page(self, expected: dict[Series, Value], *, status: bool) -> None:
        """Page and status say the same as the oracle, and so as the push."""
        families = [family for family in self.published.collect() if family.name in JUDGED]
        created: dict[Series, float] = {}
        values: dict[Series, float] = {}
        sessions: list[float] = []
        for family in families:
            for sample in as_metric(family).samples:
                labels = tuple(sample.labels.items())
                if sample.name == family.name + "_created":
                    created[family.name, labels] = sample.value
                elif sample.name == family.name + "_total":
                    values[family.name, labels] = sample.value
                elif sample.name == "vmguest_session_start_timestamp_seconds":
                    sessions.append(sample.value)
        assert values.keys() == expected.keys(), values.keys() ^ expected.keys()
        for series, each in expected.items():
            assert close(values[series], each.value), (series, values[series], each)
            assert (series in created) == (each.start is not None), (series, created.get(series), each)
            if each.start is not None:
                assert close(created[series], each.start), (series, created[series], each)
        last = self.last
        if last is not None and created and last.wall >= YEAR_2020:
            # But the exporter's own, which goes by the clock of this moment.
            began = [each for (name, _), each in created.items() if name != POLLS[0]]
            replies = [wall for wall, monotonic in self.looks if monotonic > last.monotonic]
            latest = max([last.wall, *replies])
            assert max(began, default=0) <= latest + CLOSE, ("a beginning in the future", began, last)
        start = self.oracle.start("session")
        shown = start is not None and len(expected) > 1
        assert len(sessions) == shown, (sessions, start)
        if start is not None and shown:
            assert close(sessions[0], start), (sessions, start)
        if status:
            page = self.status()
            rows = [row[1] for fact in page["facts"] for row in fact["rows"] if row[0] == "Session began"]
            assert len(rows) == shown, rows
            assert start is None or all(close(each, start) for each in rows), (rows, start)

    def status(self) -> dict[str, Any]:
        """What the status page shows; of the last one the whole document is made, which reads more than that."""
        if self.last_step:
            return Api(self.published).content()
        known = self.published.known()
        insight = Insight(Ledger.empty(histograms=False))
        return overview(known.state, self.published.collect(), insight, known.now.monotonic, known.now.wall)


def judge(seed: int) -> int:
    """Play one history; the number of points that were judged. Raises AssertionError, with its seed and what happened."""
    history = History(seed)
    try:
        return history.run()
    except Exception as error:
        told = "\n".join((f"history {seed}: {type(error).__name__}: {error}", *history.log))
        raise AssertionError(told) from error
