"""Arbitrary histories against the second model: no wrong reset, none that is missed, no double beats.

The heart's real loop, policy, lock, channel and maintenance, and the main process's verdict on a check that is slow, fails,
hangs or can't be looked at, run on a clock of the test's own. A hundred histories, two
thousand in a complete run; ``python -m tests.ha 100000`` plays so many.
"""

from __future__ import annotations

import ast
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import pytest

from exporter.commands import ha_enable, ha_finish_stop, ha_maintenance
from exporter.commands.ha_desk import Desk
from exporter.errors import (
    ConfigError,
    ConnectionLost,
    RefusedError,
    RpcError,
    TimeoutExpired,
    VMGuestError,
)
from exporter.ha import lock
from exporter.ha.base import AppMonitor
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import CheckState, CheckTiming
from exporter.ha.health import HealthJudge
from exporter.ha.heart import CALL_LIMIT, taken_over
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.maintenance import Maintenance
from exporter.ha.messages import ORPHANED, STOPPED, HealthUpdate, HeartReport, Message
from exporter.ha.policy import Policy
from exporter.ha.rules import Leftover, OnUnhealthy, Rules
from exporter.ha.running_clock import RunningClock
from exporter.ha.stop_note import StopNote
from exporter.ha.stranger import StrangerNote
from exporter.ha.wire import WireAppMonitor
from exporter.library.appmonitor_process import LibraryAppMonitor
from exporter.library.messages import LibraryMessage
from exporter.machine import process
from exporter.protocol import appmonitor, packet, rpci
from exporter.protocol.appmonitor import Verb
from exporter.session.wire import Channel
from tests.ha import oracle
from tests.ha.oracle import SETTLE, WINDOW, Check, Host, Inheritance, Promises

HISTORIES = 2000 if os.environ.get("COMPLETE") else 100
PARTS = 10
STEPS = 25
PREFIX = "GuestAppMonitor.Cmd."
NEED_RESET = "PostAppState appStateNeedReset"
APP_STATE_OK = "PostAppState appStateOk"
EXPORTER = "1:1"
"""The identity of every main process: one that has ended, as that of a stop which is finished by another has."""
WORDS = {"refused": b"Permission denied", "unknown": b"Unknown command"}
"""Of a host that starts, moves, or wants the secure channel."""
FAULTS = ["broken", "lost", "reply lost", "cut", "slow", "late", *WORDS]
LATEST = 25.0
"""Seconds after which the host carries out what it was asked for, at most."""
BY_HAND = 0
"""Who sends a command of ``vmguest-exporter ha``; hearts are counted from 1."""


class Quiet(Link):
    def __init__(self) -> None:
        self.inbox: list[Message] = []
        self.closed = False
        self.report: HeartReport | None = None

    def receive(self) -> list[Message]:
        inbox, self.inbox = self.inbox, []
        return inbox

    def send(self, message: Message) -> None:
        if isinstance(message, HeartReport):
            self.report = message


class Looked(CheckRunner):
    """A check whose looks are the world's."""

    def __init__(self, timing: CheckTiming, now: float) -> None:
        self.name, self.state = "check", CheckState(timing, now)

    def kept(self, now: float) -> Kept:
        return self.state.kept(now)

    def goes_on(self, kept: Kept) -> bool:
        self.state.goes_on(kept)
        return True


class Second(Looked):
    """Another check, of which is known what the world says."""

    def __init__(self, now: float) -> None:
        super().__init__(CheckTiming(1.0, 5.0, 1, 1), now)
        self.name = "second"

    def goes_on(self, kept: Kept) -> bool:
        return True

    def found_again(self, _: float) -> float:
        return 0.0

    def look(self, now: float, found: str) -> None:
        self.state.begin(now)
        if found == "unknown":
            self.state.not_known(now, "too early")
        else:
            self.state.end(now, None if found == "good" else "refused")


class Running(RunningClock):
    """Its ticks are left out for the time in which it ran."""

    def run_on(self) -> None:
        now = self._clock()
        self._ran, self._ticked = self._ran + now - self._ticked, now


class Main:
    """The main process: it looks, judges and tells its heart; and, beside it, what a look found by the second model."""

    def __init__(self, world: World, bad_for: float) -> None:
        self.world, self.timing = world, world.timing
        timing = self.timing
        self.running = Running(lambda: world.now)
        self.looked = Looked(timing, self.running())
        self.second, self.second_is = Second(self.running()), "unknown"
        self.judge = HealthJudge(
            [self.looked, self.second],
            lambda: world.now,
            30.0,
            clock=lambda: world.now,
            running=self.running,
            longest=world.rules.interval,
            grace=world.rules.grace,
            session_changes=lambda: world.sessions,
            maintained=self.maintained,
        )
        self.sessions, self.begun, self.was_maintained = world.sessions, world.last_begun, False
        left = world.kept.read(world.last_begun)
        self.judge.goes_on(left, bad_for)
        if not left:
            world.promises.forget_checks(bad_for)
        self.failed = self.goods = 0
        self.last_found: dict[str, str] = {}
        self.again = 0.0
        """Seconds of before it that its looks have found bad again."""
        self.check = Check(timing.interval, timing.timeout, timing.failures, timing.successes)
        self.check.goes_on(world.handed_over, world.now - world.handed_at)
        self.ran = self.stood = self.stood_before = self.counted_before = 0.0
        """Seconds for which it ran (a standstill looks like 0.1 of them) and stood still, the latter until the look too, as
        the world and as the program know it."""
        self.began = self.began_running = 0.0
        self.due, self.ends, self.found = world.now, float("inf"), ""
        self.report: HeartReport | None = None
        """The last word of its heart."""
        self.update: HealthUpdate | None = None
        """Its own last word."""
        self.reported_bad = float("inf")
        """Seconds for which it had known health to be bad when that report came."""
        self.kept_bad_for = self.judge.judge().bad_for

    def maintained(self) -> bool:
        left = self.world.in_maintenance()
        self.was_maintained = left is not None or self.begun < self.world.last_begun
        self.begun = max(self.begun, self.world.last_begun)
        return self.was_maintained

    def heard(self, report: HeartReport | None) -> None:
        """Of a heart that has died before it reported anything, the word of the one before goes on to hold."""
        if report is not None and report is not self.report:
            self.report = report
            self.reported_bad = self.update.bad_for if self.update else float("inf")

    @property
    def at(self) -> float:
        """:attr:`ran`; where the program's count differs by rounding alone, that: both ask whether it was a second or more."""
        counted = self.running()
        return counted if abs(counted - self.ran) < 1e-6 else self.ran

    def run(self, seconds: float, *, stood: bool = False) -> None:
        """Look, if it is time; ``stood``: after a standstill."""
        world, state = self.world, self.looked.state
        if stood and seconds > 0.2:
            self.ran += 0.1
            self.stood += seconds - 0.1
            self.running()
        else:
            self.ran += seconds
            self.running.run_on()
        while True:
            if self.check.begun is None and world.now >= self.due:
                self.began, self.began_running = world.now, self.running()
                self.stood_before, self.counted_before = self.stood, self.running.stood
                state.begin(self.began_running)
                self.check.begin(self.at)
                self.found = "unknown" if world.now < world.unknown_until else world.finds
                took = world.chance.choice([0.0, 0.0, 1.5])
                took = state.limit if self.found == "bad" and took else took
                self.ends = world.now + took
            if self.found == "stuck" and world.finds == "stuck":
                return
            if self.check.begun is None or world.now < self.ends:
                return
            self.end()
            if self.due > world.now:
                return

    def end(self) -> None:
        """Of a look. Its time limit is one of real time, whoever stands still."""
        world, state, now = self.world, self.looked.state, self.running()
        if self.found == "good" and world.now - self.began > state.limit:
            self.found = "bad"
        self.found = "good" if self.found == "stuck" else self.found
        if not state.spoils(now, self.running.stood - self.counted_before):
            if self.found == "fault":
                state.not_looked(now, "no descriptors")
            elif self.found == "unknown":
                state.not_known(now, "too early")
            else:
                state.end(now, None if self.found == "good" else "refused")
        self.check.end(self.at, self.found, self.stood - self.stood_before)
        self.due = world.now + state.pause(self.began_running, now)


class Stream:
    """A connection of the process ``number``: exchanges go wrong as the world says."""

    transport = "memory"

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number, self.moves = world, number, world.moves
        self.reply = b""
        self.cut = False

    def connect(self, timeout: float) -> Stream:
        self.world.now += 0.002
        if self.world.now < self.world.away_until:
            raise RefusedError("unreachable")
        return Stream(self.world, self.number)

    def send(self, data: bytes, timeout: float) -> None:
        world = self.world
        world.carry_out()
        fault = world.faults.pop(0) if world.faults else ""
        if fault == "broken" or self.moves != world.moves:
            raise ConnectionLost("broken")
        world.now += 1.5 if fault == "slow" else world.latency
        if fault == "lost" or world.now < world.away_until:
            return
        decoder = packet.PacketDecoder()
        decoder.feed(data)
        body = decoder.next()
        assert body is not None
        text = rpci.parse_request(body).command.decode().removeprefix(PREFIX)
        if fault == "late" or text == world.slow_at:
            world.slow_at = ""
            world.late_one(self.number, text)
            self.reply = b""
            return
        refused = world.now < world.refused_until and (not world.refuses or text in world.refuses)
        if fault in WORDS or refused:
            self.reply = rpci.reply(WORDS.get(fault, world.word), ok=False)
            return
        by_hand = self.number == BY_HAND
        if text == "Enable":
            world.promises.enabling(world.now)
        if (
            text == "Disable"
            and not by_hand
            and world.host.enabled
            and not world.stop
            and not world.forgotten
            and not world.foreign
        ):
            in_one = world.in_maintenance() is not None
            missed = not in_one and (world.last_begun > world.seen_begun or world.came_after_one())
            world.promises.disabling(world.now, wanted=not in_one and not missed)
            if missed:
                world.seen_begun = world.last_begun
                world.promises.handed_back(good_now=True)
        answer = world.host.command(world.now, self.number, text)
        taken_over = text == "MarkActive" and answer == "0" and not by_hand and world.promises.trusted
        if text == "Enable" or taken_over:
            world.promises.enabled()
        world.foreign = world.foreign and world.host.enabled
        if world.losses and text == world.aimed_at:
            world.losses -= 1
            fault = "cut" if world.cut else "reply lost"
            # The command is repeated on a new connection, and refused there.
            world.faults[:0] = ["refused"] * world.cut
        self.cut = fault == "cut"
        self.reply = b"" if fault in {"cut", "reply lost"} else rpci.reply(answer.encode())

    def receive(self, timeout: float) -> bytes:
        if self.cut:
            raise ConnectionLost("cut off after the command had its effect")
        if not self.reply:
            self.world.now += max(0.0, timeout)
            raise TimeoutExpired("no reply")
        self.world.now += 0.002
        reply, self.reply = self.reply, b""
        return reply

    def unread(self) -> int:
        return 0

    def close(self) -> None:
        pass


class Library(LibraryAppMonitor):
    """VMware's library over ``channel``, by what its documents say of it: one status for most failures, no reasons."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(None, CALL_LIMIT, arguments=[])
        self._channel = channel

    def _ask(self, verb: Verb, argument: str = "") -> LibraryMessage:
        try:
            data = self._channel.call(appmonitor.command(verb, argument))
        except RefusedError:
            data, failed = b"", 3
        except RpcError as refusal:
            data, failed = b"", 4 if refusal.text == "Unknown command" else 1
        except VMGuestError:
            data, failed = b"", 1
        if verb is Verb.GET_APP_STATUS:
            return {"text": data.decode() or None}
        if verb is Verb.IS_ENABLED:
            return {"status": int(data == b"true")}
        return {"status": int(data != b"0") if data else failed}

    def _restart(self) -> None:
        """The next process of the library is as good as this one."""

    def close(self) -> None:
        self._channel.close()


class FullDesk(Desk):
    """In whose lock's directory nothing new can be written."""

    @property
    def maintenance(self) -> Maintenance:
        found = super().maintenance
        found.begin = refuse  # type: ignore[method-assign, assignment]
        return found


def refuse(_: object = None) -> NoReturn:
    raise ConfigError("No space left on device")


class Rebooted(BaseException):
    """What ends a command in the middle, as everything else."""


class World:
    """One VM and its history."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance, self.now = chance, 1000.0
        self.next_at = float("inf")
        """When the main process starts the next heart, where one has died alone."""
        self.rules = Rules(
            chance.choice([5.0, 10.0, 15.0]),
            chance.choice([0.0, 5.0, 30.0]),
            chance.choice(list(OnUnhealthy)),
        )
        self.timing = chance.choice(
            [
                CheckTiming(1.0, 5.0, 1, 1),
                CheckTiming(1.0, 5.0, 1, 1),
                CheckTiming(5.0, 5.0, 3, 1),
                CheckTiming(10.0, 5.0, 3, 1),
                CheckTiming(10.0, 5.0, 3, 2),
                CheckTiming(1.0, 1.0, 3, 3),
                CheckTiming(40.0, 5.0, 1, 1),
            ]
        )
        self.host = Host(chance.choice([0.0, 20.0]))
        self.promises = Promises(self.rules.interval, self.rules.grace, self.rules.on_unhealthy.value)
        self.boot, self.path = folder / "boot_id", str(folder / "ha.lock")
        self.boots = self.moves = self.number = self.sessions = 0
        self.boot.write_text("boot-0")
        self.maintenance = Maintenance(self.path, boot_id=self.boot, clock=lambda: self.now)
        self.kept = KeptChecks(self.path, boot_id=self.boot, clock=lambda: self.now)
        self.to_keep: tuple[float, Mapping[str, Kept]] | None = None
        """When the main process wrote down its checks last, and what: it comes to the file when somebody could read it."""
        self.handed_over, self.handed_at = Inheritance(), 0.0
        """What a killed main process leaves of its check, as the program and as the second model have it."""
        self.faults: list[str] = []
        self.late: list[tuple[float, int, str]] = []
        """What the host carries out some time after it was given up: when, who had sent it, and what it was."""
        self.came = float("-inf")
        """When an Enable among it has switched monitoring on last, or a reset was asked for."""
        self.latency = 0.0
        """Seconds that each reply takes."""
        self.foreign = False
        """Another program has switched on what is on."""
        self.slow_at = ""
        """The next command of this name is one of them."""
        self.aimed_at, self.losses = "", 0
        """The command whose next replies are lost, and how many."""
        self.cut = False
        """They are lost with the connection."""
        self.away_until = self.refused_until = self.unknown_until = 0.0
        self.word, self.refuses = b"", frozenset[str]()
        """With which it is refused until then, and the commands that are; everything where none is named."""
        self.library = chance.random() < 0.4
        self.heart: Heart | None = None
        self.held: lock.Lock | None = None
        self.link = Quiet()
        self.finds = "good"
        """What a look finds: good, bad, fault, or stuck: it does not come back for as long as that is so."""
        self.second, self.second_unknown_until = "good", 0.0
        """What another check finds: good or bad, unless it is not known yet."""
        self.main: Main | None = None
        self.maintained = self.unwritten = self.forgotten = self.in_a_command = False
        self.strange = True
        """A command may have noted a stranger."""
        self.nameless = False
        """A command may have found monitoring on and nobody there: who had switched it on had a full disk, and is not named."""
        self.stalled = self.full = self.stop = self.frozen = False
        self.told = self.begun = self.ran_at = 0.0
        self.last_begun = self.seen_begun = 0.0
        """When the last maintenance began, and the last one that a heart has seen or knows of from the start."""
        self.stopped = True
        self.steps: list[str] = []
        self.lasting_since: float | None = None
        self.start()

    @property
    def known_after(self) -> float:
        """Seconds after which a change of what is checked is known."""
        return self.timing.failures * (self.timing.interval + self.timing.timeout)

    @property
    def budget(self) -> float:
        return WINDOW - self.rules.interval - SETTLE

    def in_maintenance(self) -> float | None:
        # Most of the time there is none, and no file to look for.
        left = None
        if self.maintained or self.in_a_command:
            left, self.last_begun = self.maintenance.left(), self.maintenance.begun()
        self.maintained = left is not None
        return left

    def start(self) -> None:
        held = lock.acquire(self.path, boot_id=self.boot, exporter=EXPORTER)
        assert held is not None
        self.in_maintenance()
        self.number += 1
        self.held, self.link, self.begun = held, Quiet(), self.now
        anew = self.main is None
        self.promises.fresh(on=self.host.enabled, anew=anew)
        settings = HeartSettings(1.0, 1.0, "withhold", "guestrpc", None, None, self.path, dry_run=False)
        if self.main is None:
            self.seen_begun = self.last_begun
            self.kept = KeptChecks(self.path, boot_id=self.boot, clock=lambda: self.now)
            if self.to_keep is not None and self.to_keep[0] < self.last_begun:
                # Maintenance since then, which nobody saw.
                self.promises.another_session()
                self.promises.total = 0.0
                self.handed_over = replace(self.handed_over, unproved=0.0)
            self.to_keep = None
            self.main, self.ran_at = Main(self, held.before.bad_for), self.now
            settings = replace(settings, kept_bad_for=self.main.kept_bad_for)
            self.forgotten = self.unwritten
            if self.unwritten:
                # A disk that was full at the end took no later word.
                self.promises.total = held.before.bad_for
        elif self.main.update is not None:
            # It tells its last word at once, and the next one as if nothing had happened; or both before the heart's first turn.
            self.link.inbox.append(self.main.update)
            if self.main.report is not None:
                settings = settings.after(
                    self.main.report,
                    self.main.update.bad_for - self.main.reported_bad,
                    self.main.report.fault_for,
                )

        def note(leftover: Leftover, bad_for: float, *times: float | None) -> bool:
            self.unwritten = self.full
            return not self.full and held.note(leftover, bad_for, *times)

        self.heart = Heart(
            self.monitor(self.number),
            Policy(self.rules, self.now, *taken_over(held.before, settings)),
            self.link,
            stop=lambda: self.stop,
            note=note,
            maintenance=self.in_maintenance,
            begun=lambda: self.last_begun,
            maintained=settings.maintained,
            clock=lambda: self.now,
            wall=lambda: self.now + self.chance.choice([0, 0, 3600, -3600]),
            cut_short=StopNote(self.path, boot_id=self.boot).stands,
        )
        self.stop = self.stopped = self.stalled = self.frozen = False
        if anew or self.chance.random() < 0.5:
            self.told = float("-inf")

    def monitor(self, number: int) -> AppMonitor:
        channel = Channel(Stream(self, number), CALL_LIMIT, clock=lambda: self.now)
        return Library(channel) if self.library else WireAppMonitor(channel)

    def keep(self) -> None:
        if self.to_keep is not None:
            at, kept = self.to_keep
            KeptChecks(self.path, boot_id=self.boot, clock=lambda: at).write(kept)

    def end(self, *, stopped: bool) -> None:
        assert self.held is not None
        self.keep()
        self.held.release()
        self.heart = self.held = None
        self.stopped = stopped

    def run(self, seconds: float) -> int | None:
        until = self.now + seconds
        turns = 0
        while self.now < until:
            turns += 1
            assert turns < 300 + 10 * seconds, f"the heart does not rest: {self.steps[-6:]}"
            if self.heart is None or self.frozen:
                step = min(1.0, until - self.now)
                if not self.stopped:
                    self.promises.outage(self.now, step)
                self.now += step
            else:
                assert self.main is not None
                # One that has just died gives no verdict any more: its heart ends in this turn and counts nothing of it.
                if not self.stalled and not self.link.closed:
                    self.main.run(self.now - self.ran_at)
                    self.ran_at = self.now
                    if self.now - self.told >= 1.0:
                        self.tell()
                self.promises.look(
                    self.now, self.begun, wanted=not self.stop and self.in_maintenance() is None
                )
                self.watch_for_missed()
                begun = self.now
                if self.in_maintenance() is not None:
                    self.seen_begun = self.last_begun
                status = self.heart.turn()
                self.main.heard(self.link.report)
                if self.seen_begun < self.last_begun and not self.host.enabled:
                    # Nothing was left to switch off after a maintenance that it had not seen.
                    self.seen_begun = self.last_begun
                    self.promises.handed_back(good_now=True)
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
        main = self.main
        assert main is not None
        second = "unknown" if self.now < self.second_unknown_until else self.second
        main.second.look(main.running(), second)
        proved = {"second"} if second == "bad" else set()
        if main.check.failed > main.failed or main.check.hangs(main.at):
            proved.add("check")
        main.failed = main.check.failed
        # What is known stays so.
        second = main.second_is = main.second_is if second == "unknown" else second
        summary = main.judge.judge()
        found = {"check": main.check.verdict(main.at), "second": second}
        if main.check.goods > main.goods and main.last_found.get("check") != "good":
            # Whatever it is by now, it was good in between.
            found["check"] = "good"
        main.goods, main.last_found = main.check.goods, found
        again = {}
        if main.was_maintained or main.sessions != self.sessions:
            main.sessions = self.sessions
            main.check.another_session(main.at)
            self.promises.another_session()
        if found["check"] == "bad" and not main.check.counted:
            main.check.counted = True
            main.again = main.check.found_again(main.at)
            again = {"check": main.again}
        blind = frozenset({"check"} if main.check.spoiled or main.check.blind else ())
        self.promises.checks(main.at, found, again, proved, blind)
        worst = next(word for word in ("bad", "fault", "unknown", "good") if word in found.values())
        self.promises.verdict(
            self.now,
            worst,
            main.again,
            fault="fault" in found.values(),
        )
        if main.was_maintained:
            self.promises.clear()
        found_now = {} if self.full else summary.kept
        if self.to_keep is None or self.to_keep[1] != found_now:
            self.to_keep = self.now, found_now
        self.handed_over = (
            Inheritance()
            if self.full
            else main.check.handed_over(main.at, self.promises.unproved.get("check", 0.0))
        )
        self.handed_at = self.now
        if self.link.report is not None and self.link.report.enabled and not self.full:
            if self.strange:
                StrangerNote(self.path, boot_id=self.boot).clear()
            self.strange = self.nameless = False
        main.update = summary.update(self.now)
        self.link.inbox.append(main.update)

    def late_one(self, who: int, text: str) -> None:
        """No reply comes, and yet it is carried out, some time later. What is sent over the next connection may be quicker."""
        if text == "Enable":
            self.promises.enabling(self.now)
        if self.full or (text == NEED_RESET and not self.host.request_delay):
            # Nobody could know of the one, or do anything about the other.
            return
        self.late.append((self.now + self.chance.uniform(2.5, LATEST), who, text))

    def came_after_one(self) -> bool:
        """Monitoring has come on a moment ago, late, and a maintenance that the heart had not seen is not long over."""
        return self.now - self.came < SETTLE and 0 < self.came - self.last_begun < 60.0

    def carry_out(self) -> None:
        for each in sorted(self.late):
            when, who, text = each
            if when <= self.now:
                self.late.remove(each)
                if text == "Enable" and not self.host.enabled:
                    self.came, self.foreign = self.now, True
                if text == NEED_RESET:
                    self.came = self.now
                if text != "MarkActive":
                    self.host.command(self.now, who, text)
                elif self.host.enabled:
                    self.host.heard = self.now
                if text == "Enable" and self.in_maintenance() is None:
                    self.promises.enabled()

    def reset_if_due(self) -> None:
        self.carry_out()
        before = len(self.host.resets)
        self.host.advance(self.now)
        if len(self.host.resets) == before and before == getattr(self, "seen", 0):
            return
        self.seen = len(self.host.resets)
        when, why, heard = self.host.resets[-1]
        self.promises.judge(when, why, heard, stopped=self.stopped and self.heart is None)
        if self.held:
            self.end(stopped=True)
        self.main = None
        self.unwritten = self.nameless = False
        self.boots += 1
        self.boot.write_text(f"boot-{self.boots}")
        self.handed_over = Inheritance()
        self.finds, self.lasting_since = "good", None
        self.second = "good"
        self.promises.forget_checks()
        self.host.forget()
        self.late.clear()
        self.promises.clear()
        self.promises.handed_back()
        if self.in_a_command:
            raise Rebooted
        self.start()

    def watch_for_missed(self) -> None:
        """Bad health that lasts, with heart, host and monitoring as they should be, ends in a reset."""
        promises = self.promises
        permitted = bool(promises.permitted) and promises.permitted[-1] == self.now
        quiet = self.now >= max(self.away_until, self.refused_until)
        quiet = quiet and not self.faults and not self.losses and not self.late
        if not (permitted and quiet and self.host.enabled and not self.stalled):
            self.lasting_since = None
            return
        if self.lasting_since is None:
            self.lasting_since = self.now
        if self.host.beats and self.host.beats[-1][0] > self.lasting_since + SETTLE:
            promises.missed.append(f"at {self.now:.1f}, {self.rules}, beats, since {self.lasting_since:.1f}")
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
        self.finds = chance.choice(["bad", "bad", "fault", "stuck"])
        self.run(chance.choice([1.0, self.rules.grace, self.known_after + 60.0]))

    def do_good(self, _: random.Random) -> None:
        self.finds = "good"
        self.run(SETTLE + self.known_after)

    def do_bad_beside_one_that_is_not_known_yet(self, chance: random.Random) -> None:
        """Of a check's bad time the first good verdict is the end, whatever another one is: found by a stranger."""
        self.finds, self.unknown_until = "good", self.now
        self.second_unknown_until = self.now + chance.choice([20.0, 600.0])
        if self.heart and not self.stalled:
            self.main = None
            self.end(stopped=False)
            self.start()
        boots = self.boots
        for _ in range(chance.randint(1, 4)):
            self.finds = "bad"
            self.run_until_known("bad")
            self.run(chance.uniform(0.5, 0.9) * self.rules.grace)
            self.finds = "good"
            self.run_until_known("good")
            if boots != self.boots:
                break
        self.second_unknown_until = 0.0

    def do_blip_at_a_look(self, chance: random.Random) -> None:
        """One bad look, and all is well a moment later: a verdict that nobody has looked after since is no bad time."""
        self.finds = "bad"
        self.run_until_known("bad")
        self.finds = "good"
        self.run(chance.uniform(0, self.known_after + self.rules.grace))

    def run_until_known(self, word: str) -> None:
        for _ in range(200):
            if self.promises.each.get("check", ("", 0.0))[0] == word:
                return
            self.run(0.5)

    def do_two_checks_bad_in_turn(self, chance: random.Random) -> None:
        """Each for so long, and never both good: no bad time of one is the other's, and none hides that nobody can look."""
        pairs = [("good", "bad"), ("bad", "good"), ("bad", "bad"), ("fault", "bad"), ("fault", "good")]
        for _ in range(chance.randint(1, 6)):
            self.finds, self.second = chance.choice(pairs)
            self.run(self.known_after + chance.uniform(0, self.rules.grace))
            if chance.random() < 0.2 and self.heart:
                self.main = None if chance.random() < 0.5 else self.main
                self.end(stopped=False)
                self.start()
        self.second = "good"

    def do_good_and_bad_in_turn(self, chance: random.Random) -> None:
        """A check that flaps is good as soon as one look was, and never bad for want of looks in a row."""
        for _ in range(chance.randint(1, 12)):
            self.finds = "bad" if self.finds == "good" else "good"
            self.run(self.timing.interval)

    def do_good_and_bad_in_turn_over_restarts(self, chance: random.Random) -> None:
        """Of the exporter, every few looks: what is never clearly good or bad must not be so for ever."""
        boots = self.boots
        for number in range(chance.randint(2, 30)):
            self.finds = "bad" if self.finds == "good" else "good"
            self.run(self.timing.interval)
            if boots != self.boots or self.heart is None:
                break
            if number % chance.randint(1, 5) == 0:
                self.main = None
                self.end(stopped=False)
                self.start()
        self.run(SETTLE)

    def do_enable_for_who_comes_later(self, chance: random.Random) -> None:
        """Maintenance, a stop, ``ha enable`` with nobody there, and a start: it ends the maintenance, and enables nothing."""
        if self.heart is None or self.in_maintenance() is not None:
            return
        seconds = chance.choice([None, 600.0])
        if self.by_hand(lambda desk: ha_maintenance.disable(desk, seconds)) != 0 or self.heart is None:
            return
        self.promises.clear()
        if not (self.stop_in_order() if chance.random() < 0.5 else self.dies_in_maintenance()):
            return
        resets = len(self.host.resets)
        status = self.by_hand(lambda desk: ha_enable.enable(desk, unattended=False))
        stranger = self.nameless and StrangerNote(self.path, boot_id=self.boot).stands()
        assert status == (6 if stranger else 7), (status, self.steps[-6:])
        assert not self.host.enabled, self.steps[-6:]
        if stranger:
            # Nothing was changed beside somebody who may be there.
            assert self.in_maintenance() is not None, self.steps[-6:]
            self.maintenance.end()
        self.run(chance.choice([1.0, 100.0]))
        assert len(self.host.resets) == resets, self.steps[-6:]
        self.finds, self.unknown_until, self.main = "good", self.now, None
        began = self.now
        self.start()
        # A third of the looks may be too late, and it takes as many good ones in a row as the check says.
        for _ in range(40):
            self.run(SETTLE + self.known_after * self.timing.successes + 3 * self.rules.interval)
            # Where bad looks go on, it may be off again by now, as it was told to be.
            if self.boots != resets or any(time > began for time, _ in self.host.beats):
                return
        self.promises.missed.append(f"at {self.now:.1f}, off for good after ha enable")

    def do_maintenance_while_all_stands_still(self, chance: random.Random) -> None:
        """It begins, is seen by nobody, and is over: nothing of before it counts, and health comes first."""
        if self.heart is None or self.stalled or self.in_maintenance() is not None:
            return
        boots = self.boots
        self.finds = chance.choice(["good", "bad"])
        self.run(chance.uniform(0, self.known_after + self.rules.grace))
        if self.boots != boots or self.heart is None:
            return
        seconds = chance.choice([5.0, 20.0])
        self.maintenance.begin(seconds)
        self.maintained = True
        for command in ("Disable", APP_STATE_OK):
            assert self.host.command(self.now, BY_HAND, command) == "0"
        self.promises.clear()
        self.promises.handed_back()
        self.stands_still(seconds + chance.uniform(0.1, 20))
        self.finds = chance.choice(["good", "bad"])
        if chance.random() < 0.3:
            self.end(stopped=False)
            self.start()
        self.goes_on()
        self.run(chance.choice([SETTLE, WINDOW + self.rules.grace]))
        self.finds = "good"
        self.run(SETTLE)

    def dies_in_maintenance(self) -> bool:
        """Killed, when it has handed back."""
        self.run(SETTLE)
        if self.heart is None or self.host.enabled or self.in_maintenance() is None:
            return False
        self.promises.handed_back()
        self.end(stopped=True)
        self.main = None
        return True

    def do_stall(self, chance: random.Random) -> None:
        if self.heart:
            self.stalled = True
            self.run(chance.uniform(0, 60))
            self.stalled = False
            self.goes_on()

    def do_faults(self, chance: random.Random) -> None:
        self.faults = [chance.choice(FAULTS) for _ in range(chance.randint(1, 3))]
        self.run(self.rules.interval + SETTLE)
        self.faults = []

    def do_away(self, chance: random.Random) -> None:
        seconds = chance.uniform(0, self.budget)
        self.away_until = self.now + seconds
        self.promises.outage(self.now, seconds + 2)
        self.run(seconds + SETTLE)

    def do_refuse(self, chance: random.Random) -> None:
        """Everything, for a while: the secure channel is demanded, or the host does not know of its commands yet."""
        seconds = self.refuse(chance, self.budget)
        self.run(seconds + SETTLE)

    def refuse(self, chance: random.Random, budget: float, refuses: frozenset[str] = frozenset()) -> float:
        seconds = chance.uniform(0, budget)
        self.word, self.refused_until = chance.choice([*WORDS.values()]), self.now + seconds
        self.refuses = refuses
        if not refuses:
            self.promises.outage(self.now, seconds + 2)
        return seconds

    def do_refuse_all_but_heartbeats(self, chance: random.Random) -> None:
        """For long, at a takeover or at any time: the host counts the seconds all the same. Found by a stranger."""
        commands = ["Enable", "IsEnabled", "GetAppStatus", "Disable"]
        self.refuse(chance, 200.0, frozenset(chance.sample(commands, chance.randint(1, 4))))
        # What a full disk kept from being noted, nobody knows of.
        if self.heart and not self.unwritten and chance.random() < 0.7:
            self.end(stopped=False)
            if chance.random() < 0.7:
                self.unknown_until = self.now + chance.choice([0.0, 45.0, 200.0])
                self.main = None
            self.start()
        self.run(max(0.0, self.refused_until - self.now) + SETTLE)

    def do_refuse_at_a_takeover(self, chance: random.Random) -> None:
        """A crash of exporter or heart, and a host that refuses for a moment when the next one asks; health is known late."""
        if self.heart is None:
            return
        self.end(stopped=False)
        self.run(chance.uniform(0.1, 1))
        # It may have been reset meanwhile, and have started anew.
        if self.heart is None:
            if chance.random() < 0.5:
                self.unknown_until = self.now + chance.choice([0.0, 45.0])
                self.main = None
            self.refuse(chance, self.budget - 2)
            self.start()
        self.run(self.budget + SETTLE)

    def do_refuse_at_a_stop(self, chance: random.Random) -> None:
        if self.heart is None:
            return
        self.refuse(chance, 20)
        if self.stop_in_order():
            self.refused_until = 0.0
            self.run(chance.choice([1.0, 40.0]))
            self.main = None
            self.start()
        self.run(SETTLE)

    def do_move(self, chance: random.Random) -> None:
        """vMotion, resume, revert, a restart of the host."""
        self.host.forget()
        self.late.clear()
        self.moves += 1
        if chance.random() < 0.5:
            self.sessions += 1
            self.told = float("-inf")
            self.promises.clear()
        self.run(SETTLE)

    def do_freeze(self, chance: random.Random) -> None:
        """The whole machine, or the heart alone."""
        seconds = chance.choice([chance.uniform(0, self.budget), 3600.0])
        self.stands_still(seconds)
        self.goes_on()
        if chance.random() < 0.5 and self.heart and not self.stalled:
            self.tell()
        self.reset_if_due()
        self.run(SETTLE)

    def stands_still(self, seconds: float) -> None:
        """The whole machine: time in which nobody could have stopped the beats."""
        self.promises.outage(self.now, seconds)
        self.now += seconds
        if self.lasting_since is not None:
            self.lasting_since += seconds

    def goes_on(self) -> None:
        """The main process, after a standstill."""
        if self.main is not None and not self.stalled:
            self.main.run(self.now - self.ran_at, stood=True)
            self.ran_at = self.now

    def do_freeze_in_the_middle_of_a_look(self, chance: random.Random) -> None:
        """Whatever is checked answers all the time, and whoever looks stands still: that says nothing."""
        for _ in range(100):
            if self.main is None or self.heart is None:
                return
            if self.main.check.begun is not None:
                break
            self.run(0.5)
        alone = chance.random() < 0.5
        for _ in range(chance.randint(1, 4)):
            seconds = chance.uniform(0.2, self.budget)
            if alone:
                self.stalled = True
                self.run(seconds)
                self.stalled = False
            else:
                self.stands_still(seconds)
            self.goes_on()
            self.reset_if_due()
            self.run(chance.uniform(0, 3))
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
            self.main = None
            self.start()
        self.run(SETTLE)

    def do_restarts_while_bad(self, chance: random.Random) -> None:
        """Of the exporter or of its heart, again and again: grace must not begin anew each time."""
        self.finds, self.unknown_until = "bad", self.now
        boots = self.boots
        for _ in range(chance.randint(2, 6)):
            self.run(chance.uniform(2, 20) + self.known_after)
            if boots != self.boots or self.heart is None:
                break
            if chance.random() < 0.5:
                self.main = None
            self.end(stopped=False)
            self.start()
        self.run(SETTLE)

    def do_restarts_beside_a_moment_of_another_check(self, chance: random.Random) -> None:
        """Another one is bad for a moment at each start, and the session may change in a first look."""
        self.finds, self.unknown_until = chance.choice(["bad", "stuck"]), self.now
        boots = self.boots
        for _ in range(chance.randint(2, 8)):
            self.run(self.known_after + chance.uniform(0, 4))
            if boots != self.boots or self.heart is None:
                break
            self.main = None
            self.end(stopped=False)
            self.second = "bad"
            self.start()
            self.run(chance.uniform(0.5, 4))
            self.second = "good"
            if chance.random() < 0.2:
                self.do_move(chance)
        self.finds = "good"
        self.run(SETTLE)

    def do_restarts_every_20_s(self, chance: random.Random) -> None:
        """Of the exporter, too often for a first verdict, while what is checked is dead for good: as if there were none."""
        self.unknown_until, self.finds = self.now, "good"
        self.maintenance.end()
        self.run(SETTLE + self.known_after * self.timing.successes)
        if self.heart is None or not self.host.enabled or self.rules.on_unhealthy is OnUnhealthy.DISABLE:
            return
        self.finds, boots, begun = "bad", self.boots, self.now
        while boots == self.boots and self.now < begun + 400:
            self.run(20.0)
            if boots == self.boots and self.heart is not None:
                self.end(stopped=False)
                self.run(chance.uniform(0.1, 2.0))
            if self.heart is None:
                self.main = None
                self.start()
        if boots == self.boots:
            self.promises.missed.append(
                f"restarted every 20 s since {begun:.1f}, {self.rules}, {self.timing}"
            )
        self.run(SETTLE)

    def do_freeze_while_bad(self, chance: random.Random) -> None:
        """An hour of standstill is no hour of bad health."""
        self.finds = "bad"
        self.run(self.known_after)
        self.do_freeze(chance)

    def do_heart_dies(self, _: random.Random) -> None:
        """The heart alone: the main process starts another at once, and tells it what it last knew."""
        if self.heart:
            self.end(stopped=False)
            self.start()
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
        self.promises.forget_checks()
        self.kept.clear()
        self.to_keep = None
        self.handed_over = Inheritance()
        return True

    def do_stop(self, chance: random.Random) -> None:
        """At any moment, with faults beside it; then a pause, and a start."""
        if self.heart is None:
            return
        kinds = ["", "broken", "lost", "reply lost", "late", *WORDS]
        self.faults = [chance.choice(kinds) for _ in range(chance.randint(0, 3))]
        if self.stop_in_order():
            self.run(chance.choice([1.0, 100.0]))
            self.unknown_until = self.now + chance.choice([0.0, 100.0])
            self.main = None
            self.start()
        self.run(SETTLE)

    def do_stop_after_a_lost_enable(self, chance: random.Random) -> None:
        """It has taken effect, though nobody was told; the successor of one that died then need not hear of it either."""
        if self.heart and self.stop_in_order():
            self.finds, self.unknown_until = "good", self.now
            self.main = None
            self.start()
            self.aimed_at, self.losses = "Enable", chance.randint(1, 4)
            self.run(chance.uniform(0.1, 8))
            if self.held and chance.random() < 0.5:
                self.end(stopped=False)
                self.start()
                self.aimed_at, self.losses = "IsEnabled", chance.randint(1, 2)
                self.run(chance.uniform(0.1, 3))
            if self.stop_in_order():
                self.main = None
                self.start()
        self.run(SETTLE)

    def do_carry_out_enable_late(self, chance: random.Random) -> None:
        """And another call before it: the host says that monitoring is off, and it is not for long."""
        if not (self.heart and self.stop_in_order()):
            return
        self.finds, self.unknown_until, self.main = "good", self.now, None
        self.slow_at = "Enable"
        self.start()
        for _ in range(60):
            if not self.slow_at:
                break
            self.run(0.5)
        self.slow_at = ""
        self.run(chance.uniform(0, 4))
        resets = len(self.host.resets)
        match chance.choice(["stop", "disable", "crash", "heart", "bad", "cut short"]):
            case "stop":
                if self.stop_in_order():
                    self.run(WINDOW + LATEST)
            case "disable":
                if self.by_hand(lambda desk: ha_maintenance.disable(desk, 600.0)) == 0:
                    self.is_handed_back(resets)
                    self.run(WINDOW + LATEST)
                    assert len(self.host.resets) == resets, self.steps[-6:]
                self.maintenance.end()
            case "crash":
                if self.held:
                    self.end(stopped=False)
                    self.finds, self.main = chance.choice(["good", "bad", "stuck"]), None
                    self.unknown_until = self.now + chance.choice([0.0, 45.0])
                    self.start()
                self.run(WINDOW + LATEST)
            case "heart":
                self.do_heart_dies(chance)
            case "bad":
                self.do_bad(chance)
            case "cut short":
                self.do_cut_a_stop_short(chance)
        self.finds = "good"
        self.run(SETTLE)

    def do_another_program(self, chance: random.Random) -> None:
        """VMware's own, say, switches monitoring on where this one wants none, or may not yet; the host is slow."""
        # A host that refuses to say what is on can't be asked, and for 300 s after that it is not.
        if self.heart is None or self.stalled or self.now < self.refused_until + 300:
            return
        resets = len(self.host.resets)
        match chance.choice(["maintenance", "start", "crash", "bad"]):
            case "maintenance":
                if self.by_hand(lambda desk: ha_maintenance.disable(desk, 600.0)) == 0:
                    self.is_handed_back(resets)
            case "start":
                if not self.stop_in_order():
                    return
                self.main, self.unknown_until = None, self.now + chance.choice([0.0, 3.0, 45.0])
                self.start()
            case "crash":
                self.end(stopped=False)
                self.do_move(chance)
                self.main, self.unknown_until = None, self.now + chance.choice([0.0, 3.0, 45.0])
                if self.heart is None:
                    self.start()
            case "bad":
                self.finds = "bad"
                self.run(chance.uniform(0, self.known_after + self.rules.grace + SETTLE))
        self.latency = chance.choice([0.0, 0.2, 1.2])
        for _ in range(chance.randint(1, 3)):
            self.run(chance.uniform(0, 4))
            if not self.host.enabled:
                self.host.enabled, self.host.heard, self.foreign = True, self.now, True
                if self.promises.trusted and self.in_maintenance() is None:
                    self.promises.enabled()
            self.run(chance.choice([2.0, WINDOW + SETTLE]))
        self.latency = 0.0
        self.finds = "good"
        self.run(SETTLE + self.rules.interval)
        self.maintenance.end()
        self.maintained = False
        self.run(SETTLE)

    def do_carry_out_late(self, chance: random.Random) -> None:
        """Any other, whenever it comes next; health may turn while it is on its way."""
        self.slow_at = chance.choice([NEED_RESET, NEED_RESET, "Disable", "MarkActive", APP_STATE_OK])
        if self.slow_at == NEED_RESET:
            self.finds = "bad"
            for _ in range(int(2 * (self.known_after + self.rules.grace + SETTLE))):
                if not self.slow_at:
                    break
                self.run(0.5)
            self.finds = "good"
            self.run(chance.uniform(0, 3))
            chance.choice([self.do_stop, self.do_heart_dies, self.do_good])(chance)
        elif chance.random() < 0.5:
            self.do_stop(chance)
        self.run(LATEST + SETTLE)
        self.slow_at = ""

    def do_good_for_a_moment(self, chance: random.Random) -> None:
        """The host cannot be reached while health is good, and can while it is bad."""
        if self.heart and self.stop_in_order():
            self.finds, self.unknown_until = "good", self.now
            self.main = None
            self.start()
            seconds = chance.uniform(3, 10)
            self.away_until = self.now + seconds
            self.run(chance.uniform(1, 3))
            self.do_bad(chance)
            self.finds = "good"
        self.run(SETTLE)

    def do_lose_replies(self, chance: random.Random) -> None:
        """To one command, whenever it comes next."""
        self.aimed_at = chance.choice(["Enable", "MarkActive", "IsEnabled", "Disable", APP_STATE_OK])
        self.losses = chance.randint(1, 3)
        self.run(SETTLE)

    def do_ask_unheard(self, chance: random.Random) -> None:
        """A request for a reset is taken, its reply is lost, and health returns before it is acted upon."""
        if self.heart and not self.stalled:
            self.aimed_at, self.losses, self.cut = NEED_RESET, chance.randint(1, 3), chance.random() < 0.5
            self.finds, boots = "bad", self.boots
            until = self.now + self.known_after + self.rules.grace + SETTLE
            while self.now < until and boots == self.boots and self.host.asked is None:
                self.run(0.5)
            self.finds = "good"
            self.run(chance.uniform(0, 3))
            self.losses, self.faults, self.cut = 0, [], False
            self.run(20 + SETTLE)

    def by_hand(self, command: Callable[[Desk], int]) -> int | None:
        """The exit status of a command of ``vmguest-exporter ha``, for which the world goes on; None: the host did not answer."""
        self.keep()
        begun, self.in_a_command, self.strange = self.now, True, True
        self.nameless |= self.heart is None and self.unwritten and self.host.enabled
        monitor = self.monitor(BY_HAND)
        try:
            return command(
                (FullDesk if self.full else Desk)(
                    self.path,
                    monitor,
                    self.run_in_a_command,
                    lambda: self.now,
                    boot_id=self.boot,
                    boottime=lambda: self.now,
                )
            )
        except VMGuestError:
            return None
        except Rebooted:
            self.start()
            return None
        finally:
            self.in_a_command = False
            self.promises.outage(begun, self.now - begun)
            self.maintained = True
            self.reset_if_due()

    def run_in_a_command(self, seconds: float) -> None:
        self.run(seconds)
        self.start_the_next()

    def start_the_next(self) -> None:
        """The heart has died alone, and the pause after that is over."""
        if self.heart is None and self.now >= self.next_at:
            self.next_at = float("inf")
            self.start()

    def is_handed_back(self, resets: int) -> None:
        """Promised by a command that ended well: nothing is expected, and nothing asked for."""
        if len(self.host.resets) == resets:
            assert not self.host.enabled, self.steps[-6:]
            assert self.host.asked is None, self.steps[-6:]
            # Maintenance may be over by now, and all have begun anew; or so soon that a verdict of before it still counts.
            if self.heart is None or (self.in_maintenance() or 0.0) > SETTLE:
                self.promises.clear()
                self.promises.handed_back()
            self.stopped |= self.heart is None

    def get_into_trouble(self, chance: random.Random) -> None:
        """Bad health, perhaps for so long that a reset is asked for; perhaps a crash; calls that will fail."""
        if chance.random() < 0.5:
            self.finds = "bad"
            self.run(self.known_after + self.rules.grace + chance.uniform(0, 15))
        kinds = ["", *FAULTS]
        self.faults = [chance.choice(kinds) for _ in range(chance.randint(0, 4))]

    def do_disable_by_hand(self, chance: random.Random) -> None:
        """Beside a heart, or after a crash; a full disk keeps nobody from it."""
        self.get_into_trouble(chance)
        if self.heart and chance.random() < 0.4:
            self.end(stopped=False)
            self.main = None
        self.full = chance.random() < 0.2
        seconds = chance.choice([None, 5.0, 120.0])
        resets = len(self.host.resets)
        if self.heart and not self.full:
            self.promises.clear()
        status = self.by_hand(lambda desk: ha_maintenance.disable(desk, seconds))
        self.faults, self.full = [], False
        if status == 0:
            self.is_handed_back(resets)
            resets = len(self.host.resets)
            self.run(min(40.0, self.in_maintenance() or 0.0))
            assert len(self.host.resets) == resets, self.steps[-6:]
        if chance.random() < 0.5 or self.in_maintenance() == float("inf"):
            self.by_hand(lambda desk: ha_enable.enable(desk, unattended=False))
            self.maintenance.end()
        self.finds = "good"
        self.run(SETTLE)

    def do_disable_between_two_hearts(self, chance: random.Random) -> None:
        """The heart alone has died, and its exporter starts the next one a moment later: beside ``ha disable``, or after it."""
        if self.heart is None or self.in_maintenance() is not None:
            return
        self.get_into_trouble(chance)
        if self.heart is None:
            return
        self.promises.clear()
        self.end(stopped=False)
        self.next_at = self.now + chance.choice([0.0, 1.0, chance.uniform(0, 3)])
        seconds, resets, real = chance.choice([None, 120.0]), len(self.host.resets), process.runs
        with patch.object(process, "runs", lambda named: named == EXPORTER or real(named)):
            status = self.by_hand(lambda desk: ha_maintenance.disable(desk, seconds))
        self.faults = []
        if self.heart is None:
            self.run(max(0.0, self.next_at - self.now))
            self.start_the_next()
        self.next_at = float("inf")
        if status == 0 and len(self.host.resets) == resets:
            self.run(40)
            assert len(self.host.resets) == resets, self.steps[-6:]
            assert not self.host.enabled, self.steps[-6:]
        self.maintenance.end()
        self.finds = "good"
        self.run(SETTLE)

    def do_cut_a_stop_short(self, chance: random.Random) -> None:
        """The main process is killed in the middle of it, and ``ExecStopPost=`` finishes it.

        The heart is killed too, or stands still, or is in a call and goes on with the stop; it may not have been told.
        """
        if self.heart is None:
            return
        self.get_into_trouble(chance)
        resets = len(self.host.resets)
        if self.heart is None:
            return
        StopNote(self.path, boot_id=self.boot).write(EXPORTER)
        self.kept.clear()
        self.to_keep, self.handed_over = None, Inheritance()
        self.promises.clear()
        self.promises.forget_checks()
        self.stop = True
        self.run(chance.choice([0.0, 0.5, 3.0]))
        if len(self.host.resets) != resets:
            return
        how = chance.choice(["killed", "stands still", "goes on"])
        self.link.closed = True
        self.frozen = how == "stands still"
        if self.held and how == "killed":
            self.kill_heart()
        with patch.multiple(
            process, moves=lambda _: "" if self.frozen else str(self.now), kill=lambda _: self.kill_heart()
        ):
            status = self.by_hand(lambda desk: ha_finish_stop.finish_stop(desk, {}))
        self.frozen, self.faults = False, []
        if not self.held:
            self.main = None
        if len(self.host.resets) == resets:
            assert status == 0, self.steps[-6:]
            self.is_handed_back(resets)
            self.run(chance.choice([1.0, 100.0]))
        StopNote(self.path, boot_id=self.boot).clear()

    def kill_heart(self) -> bool:
        assert self.held is not None
        self.end(stopped=False)
        self.frozen = False
        return True

    def do_full_disk(self, chance: random.Random) -> None:
        self.full = True
        self.run(chance.uniform(0, 20))
        self.full = False

    def do_maintenance(self, chance: random.Random) -> None:
        boots = self.boots
        self.maintenance.begin(chance.choice([5.0, 120.0]))
        self.maintained = True
        self.promises.clear()
        self.run(SETTLE)
        if boots == self.boots and self.heart and self.maintenance.left() is not None:
            if self.now - self.came < 3.0:
                self.run(3.0)
            assert not self.host.enabled
            resets = len(self.host.resets)
            assert self.host.asked is None
            self.promises.handed_back()
            self.run(self.maintenance.left() or 0.0)
            assert len(self.host.resets) == resets
        if chance.random() < 0.5:
            self.maintenance.end()
            self.maintained = False


def play(seed: int, folder: Path) -> World:
    folder.mkdir(exist_ok=True)
    (folder / "ha.lock").unlink(missing_ok=True)
    (folder / "ha.lock.maintenance").unlink(missing_ok=True)
    (folder / "ha.lock.maintained").unlink(missing_ok=True)
    (folder / "ha.lock.checks").unlink(missing_ok=True)
    (folder / "ha.lock.stopping").unlink(missing_ok=True)
    (folder / "ha.lock.stranger").unlink(missing_ok=True)
    world = World(random.Random(seed), folder)
    try:
        for _ in range(STEPS):
            world.step()
            if world.heart is None:
                world.main = None
                world.start()
            assert not world.promises.wrong, (seed, world.promises.wrong, world.rules, world.steps[-6:])
            assert not world.promises.missed, (seed, world.promises.missed, world.rules, world.steps[-6:])
        numbers = [who for _, who in world.host.beats]
        assert numbers == sorted(numbers), f"{seed}: a heart beat after the one that followed it"
    finally:
        if world.held:
            world.held.release()
    return world


def test_the_second_model_knows_nothing_of_the_program() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported == {"__future__", "dataclasses"}


def test_for_the_second_model_a_restart_proves_nothing() -> None:
    """The bad time that no look has proved is not the next process's, whatever the check's own sum is: found by chance."""
    promises = Promises(interval=5.0, grace=30.0, on_unhealthy="withhold")
    for at, word in enumerate(["unknown", "bad", "bad", "bad"]):
        promises.checks(float(at), {"check": "bad"}, {}, {"check"} if at == 1 else set())
        promises.verdict(float(at), word)
    assert (promises.total, promises.bad) == (2.0, 1.0)
    promises.fresh(on=True, anew=True)
    assert (promises.total, promises.bad) == (1.0, 1.0)


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
