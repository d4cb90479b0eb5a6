"""Arbitrary histories against the second model: no wrong reset, none that is missed, no double beats.

The heart's real loop, policy, lock, channel and maintenance run on a clock of the test's own. A hundred histories, two
thousand in a complete run; ``HISTORIES=100000 pytest tests/ha/test_histories.py`` plays so many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from exporter.errors import ConnectionLost, RefusedError, TimeoutExpired
from exporter.ha import lock
from exporter.ha.heart import CALL_LIMIT
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.maintenance import Maintenance
from exporter.ha.messages import ORPHANED, STOPPED, HealthUpdate, Message
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, OnUnhealthy, Rules
from exporter.ha.wire import WireAppMonitor
from exporter.protocol import packet, rpci
from exporter.session.wire import Channel
from tests.ha.oracle import SETTLE, WINDOW, Host, Promises

HISTORIES = int(os.environ.get("HISTORIES", "2000" if os.environ.get("COMPLETE") else "100"))
PARTS = 10
STEPS = 25
PREFIX = "GuestAppMonitor.Cmd."
NEED_RESET = "PostAppState appStateNeedReset"
APP_STATE_OK = "PostAppState appStateOk"


class Quiet(Link):
    def __init__(self) -> None:
        self.inbox: list[Message] = []
        self.closed = False

    def receive(self) -> list[Message]:
        inbox, self.inbox = self.inbox, []
        return inbox

    def send(self, message: Message) -> None:
        pass


class Stream:
    """A connection of the process ``number``: exchanges go wrong as the world says."""

    transport = "memory"

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number, self.moves = world, number, world.moves
        self.reply = b""

    def connect(self, timeout: float) -> Stream:
        self.world.now += 0.002
        if self.world.now < self.world.away_until:
            raise RefusedError("unreachable")
        return Stream(self.world, self.number)

    def send(self, data: bytes, timeout: float) -> None:
        world = self.world
        fault = world.faults.pop(0) if world.faults else ""
        if fault == "broken" or self.moves != world.moves:
            raise ConnectionLost("broken")
        world.now += 1.5 if fault == "slow" else 0.0
        if fault == "lost" or world.now < world.away_until:
            return
        decoder = packet.PacketDecoder()
        decoder.feed(data)
        body = decoder.next()
        assert body is not None
        if fault == "refused" or world.now < world.secure_until:
            self.reply = rpci.reply(b"Permission denied", ok=False)
            return
        text = rpci.parse_request(body).command.decode().removeprefix(PREFIX)
        if text == "Enable":
            world.promises.enabling(world.now)
        answer = world.host.command(world.now, self.number, text)
        if text == "Enable":
            world.promises.enabled()
        if world.losses and text == world.aimed_at:
            world.losses -= 1
            fault = "reply lost"
        self.reply = b"" if fault == "reply lost" else rpci.reply(answer.encode())

    def receive(self, timeout: float) -> bytes:
        if not self.reply:
            self.world.now += max(0.0, timeout)
            raise TimeoutExpired("no reply")
        self.world.now += 0.002
        reply, self.reply = self.reply, b""
        return reply

    def close(self) -> None:
        pass


class World:
    """One VM and its history."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance, self.now = chance, 1000.0
        self.rules = Rules(
            chance.choice([5.0, 10.0, 15.0]),
            chance.choice([0.0, 5.0, 30.0]),
            chance.choice(list(OnUnhealthy)),
        )
        self.host = Host(chance.choice([0.0, 20.0]))
        self.promises = Promises(self.rules.interval, self.rules.grace, self.rules.on_unhealthy.value)
        self.boot, self.path = folder / "boot_id", str(folder / "ha.lock")
        self.boots = self.moves = self.number = self.sessions = 0
        self.boot.write_text("boot-0")
        self.maintenance = Maintenance(self.path, boot_id=self.boot, clock=lambda: self.now)
        self.faults: list[str] = []
        self.aimed_at, self.losses = "", 0
        """The command whose next replies are lost, and how many."""
        self.away_until = self.secure_until = self.unknown_until = 0.0
        self.heart: Heart | None = None
        self.held: lock.Lock | None = None
        self.link = Quiet()
        self.truth = Health.GOOD
        self.stalled = self.full = self.stop = False
        self.told = self.begun = 0.0
        self.stopped = True
        self.steps: list[str] = []
        self.lasting_since: float | None = None
        self.start()

    @property
    def budget(self) -> float:
        return WINDOW - self.rules.interval - SETTLE

    def start(self) -> None:
        held = lock.acquire(self.path, boot_id=self.boot)
        assert held is not None
        self.number += 1
        self.held, self.link, self.begun = held, Quiet(), self.now
        self.promises.fresh(on=self.host.enabled)
        if self.boots or self.number > 1:
            self.promises.bad = max(held.before.bad_for, self.promises.bad)
        connector = Stream(self, self.number)
        self.heart = Heart(
            WireAppMonitor(Channel(connector, CALL_LIMIT, clock=lambda: self.now)),
            Policy(self.rules, self.now, held.before.leftover, held.before.bad_for),
            self.link,
            stop=lambda: self.stop,
            note=lambda leftover, bad_for: not self.full and held.note(leftover, bad_for),
            maintenance=self.maintenance.left,
            clock=lambda: self.now,
            wall=lambda: self.now + self.chance.choice([0, 0, 3600, -3600]),
        )
        self.stop = self.stopped = self.stalled = False
        self.told = float("-inf")

    def end(self, *, stopped: bool) -> None:
        assert self.held is not None
        self.held.release()
        self.heart = self.held = None
        self.stopped = stopped

    def run(self, seconds: float) -> int | None:
        until = self.now + seconds
        turns = 0
        while self.now < until:
            turns += 1
            assert turns < 300 + 10 * seconds, f"the heart does not rest: {self.steps[-6:]}"
            if self.heart is None:
                step = min(1.0, until - self.now)
                if not self.stopped:
                    self.promises.outage(self.now, step)
                self.now += step
            else:
                if not self.stalled and self.now - self.told >= 1.0:
                    self.tell()
                self.promises.look(
                    self.now, self.begun, wanted=not self.stop and self.maintenance.left() is None
                )
                self.watch_for_missed()
                begun = self.now
                status = self.heart.turn()
                if self.now - begun > 1:
                    self.promises.outage(begun, self.now - begun)
                if status is not None:
                    self.end(stopped=status == STOPPED)
                    return status
                self.now += min(self.heart.pause, 1.0, max(0.0, until - self.now))
            self.reset_if_due()
        return None

    def tell(self) -> None:
        self.told = self.now
        health = Health.UNKNOWN if self.now < self.unknown_until else self.truth
        self.promises.verdict(self.now, health.value)
        self.link.inbox.append(HealthUpdate(health, "a check fails", self.now, self.sessions))

    def reset_if_due(self) -> None:
        before = len(self.host.resets)
        self.host.advance(self.now)
        if len(self.host.resets) == before and before == getattr(self, "seen", 0):
            return
        self.seen = len(self.host.resets)
        when, why, heard = self.host.resets[-1]
        self.promises.judge(when, why, heard, stopped=self.stopped and self.heart is None)
        if self.held:
            self.end(stopped=True)
        self.boots += 1
        self.boot.write_text(f"boot-{self.boots}")
        self.truth, self.lasting_since = Health.GOOD, None
        self.host.forget()
        self.promises.clear()
        self.promises.handed_back()
        self.start()

    def watch_for_missed(self) -> None:
        """Bad health that lasts, with heart, host and monitoring as they should be, ends in a reset."""
        promises = self.promises
        permitted = bool(promises.permitted) and promises.permitted[-1] == self.now
        quiet = self.now >= max(self.away_until, self.secure_until) and not self.faults and not self.losses
        if not (permitted and quiet and self.host.enabled and not self.stalled):
            self.lasting_since = None
            return
        if self.lasting_since is None:
            self.lasting_since = self.now
        limit = WINDOW + self.rules.interval + SETTLE
        if self.now - self.lasting_since > limit:
            promises.missed.append(f"at {self.now:.1f}, {self.rules}, since {self.lasting_since:.1f}")
            self.lasting_since = self.now

    # What happens

    def step(self) -> None:
        chance = self.chance
        name = chance.choice([name for name in dir(self) if name.startswith("do_")])
        self.steps.append(name)
        getattr(self, name)(chance)

    def do_pass(self, chance: random.Random) -> None:
        self.run(chance.uniform(0.1, 90))

    def do_bad(self, chance: random.Random) -> None:
        self.truth = chance.choice([Health.BAD, Health.FAULT])
        self.run(chance.choice([1.0, self.rules.grace, 80.0]))

    def do_good(self, _: random.Random) -> None:
        self.truth = Health.GOOD
        self.run(SETTLE)

    def do_stall(self, chance: random.Random) -> None:
        if self.heart:
            self.stalled = True
            self.run(chance.uniform(0, 60))
            self.stalled = False

    def do_faults(self, chance: random.Random) -> None:
        kinds = ["broken", "lost", "reply lost", "slow", "refused"]
        self.faults = [chance.choice(kinds) for _ in range(chance.randint(1, 3))]
        self.run(self.rules.interval + SETTLE)
        self.faults = []

    def do_away(self, chance: random.Random) -> None:
        seconds = chance.uniform(0, self.budget)
        self.away_until = self.now + seconds
        self.promises.outage(self.now, seconds + 2)
        self.run(seconds + SETTLE)

    def do_secure(self, chance: random.Random) -> None:
        """The secure channel is demanded for a while: everything is refused."""
        seconds = chance.uniform(0, self.budget)
        self.secure_until = self.now + seconds
        self.promises.outage(self.now, seconds + 2)
        self.run(seconds + SETTLE)

    def do_move(self, chance: random.Random) -> None:
        """vMotion, resume, revert, a restart of the host."""
        self.host.forget()
        self.moves += 1
        if chance.random() < 0.5:
            self.sessions += 1
            self.told = float("-inf")
            self.promises.clear()
        self.run(SETTLE)

    def do_freeze(self, chance: random.Random) -> None:
        """The whole machine, or the heart alone."""
        seconds = chance.choice([chance.uniform(0, self.budget), 3600.0])
        self.promises.outage(self.now, seconds)
        self.now += seconds
        if chance.random() < 0.5 and self.heart and not self.stalled:
            self.tell()
        self.reset_if_due()
        self.run(SETTLE)

    def do_crash(self, chance: random.Random) -> None:
        """Of the exporter, and a restart; or none for long."""
        if self.heart is None:
            return
        self.link.closed = True
        status = self.run(5)
        assert status == ORPHANED or self.boots, status
        if self.heart is None:
            self.run(chance.choice([0.2, chance.uniform(0, self.budget), 60.0]))
        if self.heart is None:
            self.unknown_until = self.now + chance.choice([0.0, 0.0, 45.0, 100.0])
            self.start()
        self.run(SETTLE)

    def do_heart_dies(self, _: random.Random) -> None:
        """The heart alone: the main process starts another at once, and tells it what it last knew."""
        if self.heart:
            bad = self.promises.bad
            self.end(stopped=False)
            self.start()
            self.promises.bad = bad
            self.run(SETTLE)

    def stop_in_order(self) -> bool:
        """False: a reset that was deserved came first."""
        self.stop = True
        boots = self.boots
        self.promises.clear()
        status = self.run(self.rules.stop_limit + 5)
        self.faults, self.losses = [], 0
        if boots != self.boots:
            return False
        assert status == STOPPED
        assert not self.host.enabled
        assert self.host.asked is None
        self.promises.handed_back()
        return True

    def do_stop(self, chance: random.Random) -> None:
        """At any moment, with faults beside it; then a pause, and a start."""
        if self.heart is None:
            return
        kinds = ["", "broken", "lost", "reply lost", "refused"]
        self.faults = [chance.choice(kinds) for _ in range(chance.randint(0, 3))]
        if self.stop_in_order():
            self.run(chance.choice([1.0, 100.0]))
            self.unknown_until = self.now + chance.choice([0.0, 100.0])
            self.start()
        self.run(SETTLE)

    def do_stop_after_a_lost_enable(self, chance: random.Random) -> None:
        """It has taken effect, though nobody was told; the successor of one that died then need not hear of it either."""
        if self.heart and self.stop_in_order():
            self.truth, self.unknown_until = Health.GOOD, self.now
            self.start()
            self.aimed_at, self.losses = "Enable", chance.randint(1, 4)
            self.run(chance.uniform(0.1, 8))
            if self.held and chance.random() < 0.5:
                self.end(stopped=False)
                self.start()
                self.aimed_at, self.losses = "IsEnabled", chance.randint(1, 2)
                self.run(chance.uniform(0.1, 3))
            if self.stop_in_order():
                self.start()
        self.run(SETTLE)

    def do_good_for_a_moment(self, chance: random.Random) -> None:
        """The host cannot be reached while health is good, and can while it is bad."""
        if self.heart and self.stop_in_order():
            self.truth, self.unknown_until = Health.GOOD, self.now
            self.start()
            seconds = chance.uniform(3, 10)
            self.away_until = self.now + seconds
            self.run(chance.uniform(1, 3))
            self.do_bad(chance)
            self.truth = Health.GOOD
        self.run(SETTLE)

    def do_lose_replies(self, chance: random.Random) -> None:
        """To one command, whenever it comes next."""
        self.aimed_at = chance.choice(["Enable", "MarkActive", "IsEnabled", "Disable", APP_STATE_OK])
        self.losses = chance.randint(1, 3)
        self.run(SETTLE)

    def do_ask_unheard(self, chance: random.Random) -> None:
        """A request for a reset is taken, its reply is lost, and health returns before it is acted upon."""
        if self.heart and not self.stalled:
            self.aimed_at, self.losses = NEED_RESET, chance.randint(1, 3)
            self.truth = Health.BAD
            self.run(self.rules.grace + chance.uniform(1, 6))
            self.truth = Health.GOOD
            self.run(20 + SETTLE)
            self.losses = 0

    def do_full_disk(self, chance: random.Random) -> None:
        self.full = True
        self.run(chance.uniform(0, 20))
        self.full = False

    def do_maintenance(self, chance: random.Random) -> None:
        boots = self.boots
        self.maintenance.begin(chance.choice([5.0, 120.0]))
        self.promises.clear()
        self.run(SETTLE)
        if boots == self.boots and self.heart and self.maintenance.left() is not None:
            assert not self.host.enabled
            resets = len(self.host.resets)
            assert self.host.asked is None
            self.promises.handed_back()
            self.run(self.maintenance.left() or 0.0)
            assert len(self.host.resets) == resets
        if chance.random() < 0.5:
            self.maintenance.end()


def play(seed: int, folder: Path) -> World:
    folder.mkdir(exist_ok=True)
    (folder / "ha.lock").unlink(missing_ok=True)
    (folder / "ha.maintenance").unlink(missing_ok=True)
    world = World(random.Random(seed), folder)
    try:
        for _ in range(STEPS):
            world.step()
            if world.heart is None:
                world.start()
            assert not world.promises.wrong, (seed, world.promises.wrong, world.rules, world.steps[-6:])
            assert not world.promises.missed, (seed, world.promises.missed, world.rules, world.steps[-6:])
        numbers = [who for _, who in world.host.beats]
        assert numbers == sorted(numbers), f"{seed}: a heart beat after the one that followed it"
    finally:
        if world.held:
            world.held.release()
    return world


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_wrong_missed_or_doubled(part: int, tmp_path: Path) -> None:
    seen = Counter[str]()
    for seed in range(part, HISTORIES, PARTS):
        world = play(seed, tmp_path / "vm")
        seen["beats"] += len(world.host.beats)
        seen["resets"] += len(world.host.resets)
    assert seen["beats"] > 0
    assert seen["resets"] > 0, "what never happens is never judged"
    print(f"{HISTORIES // PARTS} histories: {dict(seen)}")
