"""Maintenance by hand: every short sequence of commands, starts, stops and crashes, and what the machine is left with.

Host, lock, notes, heart's loop and commands are the real ones, on a clock of the test's own. What must hold afterwards is
the operator's: either somebody beats, or monitoring is off, or the last word said that it is on and nobody beats; and where
an exporter runs whose health is good, monitoring is on unless a maintenance is noted.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.commands import ha_desk, ha_enable, ha_maintenance
from exporter.ha import lock
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.maintenance import Maintenance
from exporter.ha.messages import HealthUpdate, Message
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Rules
from exporter.ha.wire import WireAppMonitor
from exporter.simulator.ha import Monitor, MonitorOptions

COMMANDS = ("disable", "disable --for", "enable")
DEADLY = tuple(f"{command}, killed" for command in COMMANDS)
"""The exporter is killed while the command waits for it."""
STEPS = ("start", "stop", "kill", *COMMANDS, *DEADLY)
LENGTH = 4 if os.environ.get("COMPLETE") else 3
"""All of them in make test-all."""
FOR = 60.0
QUICK = 20.0
"""Seconds after which an exporter that runs has brought the host to what is wanted."""


class Calls:
    """The host's calls without a connection."""

    def __init__(self, host: Monitor) -> None:
        self._host = host

    def call(self, command: bytes, *, repeat: bool) -> bytes:
        return self._host.answer(command)

    def close(self) -> None:
        pass


class News(Link):
    """What an exporter with good health tells its heart."""

    def __init__(self, machine: Machine) -> None:
        self.closed = False
        self._machine = machine

    def receive(self) -> list[Message]:
        return [HealthUpdate(Health.GOOD, "", self._machine.now)]

    def send(self, message: Message) -> None:
        pass


class Machine:
    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.boot = folder / "boot_id"
        self.boot.write_text("boot-1\n")
        self.path = str(folder / "ha.lock")
        self.host = Monitor(MonitorOptions(), self.clock)
        self.heart: Heart | None = None
        self.held: lock.Lock | None = None
        self.stopping = self.doomed = False
        self.status = 0
        self.beats = False
        """An exporter ran at the end of the last step."""

    def clock(self) -> float:
        return self.now

    @property
    def maintenance(self) -> Maintenance:
        return Maintenance(self.path, boot_id=self.boot, clock=self.clock)

    @property
    def desk(self) -> ha_desk.Desk:
        return ha_desk.Desk(
            self.path,
            WireAppMonitor(Calls(self.host)),
            self.passes,
            self.clock,
            boot_id=self.boot,
            boottime=self.clock,
        )

    def passes(self, seconds: float) -> None:
        """The heart runs meanwhile."""
        until = self.now + seconds
        while self.heart and self.now < until:
            status = self.heart.turn()
            if status is not None:
                self._gone()
                break
            self.now = min(until, self.now + max(0.01, self.heart.pause))
        self.now = max(self.now, until)
        if self.heart and self.doomed:
            self._gone()

    def _gone(self) -> None:
        assert self.held
        self.held.release()
        self.heart = self.held = None

    def do(self, step: str, pause: float) -> None:
        command, _, killed = step.partition(", ")
        self.doomed = bool(killed)
        match command:
            case "start":
                if self.heart is None:
                    self._start()
            case "stop" if self.heart:
                self.stopping = True
                self.passes(2.0)
                assert self.heart is None
            case "kill" if self.heart:
                self._gone()
            case "disable":
                self.status = ha_maintenance.disable(self.desk, None)
            case "disable --for":
                self.status = ha_maintenance.disable(self.desk, FOR)
            case "enable":
                self.status = ha_enable.enable(self.desk, unattended=False)
        self.beats = self.heart is not None
        self.doomed = False
        if killed and self.heart:
            self._gone()
        self.passes(pause)

    def _start(self) -> None:
        self.held = lock.acquire(self.path, boot_id=self.boot)
        assert self.held
        self.stopping = False
        self.heart = Heart(
            WireAppMonitor(Calls(self.host)),
            Policy(Rules(interval=10.0), self.now, self.held.before.leftover, self.held.before.bad_for),
            News(self),
            stop=lambda: self.stopping,
            note=self.held.note,
            maintenance=self.maintenance.left,
            clock=self.clock,
            wall=self.clock,
            parent=lambda: 1,
        )


def sequences(length: int) -> Iterator[tuple[str, ...]]:
    """Those in which only what runs is stopped or killed, and only what does not is started."""
    for steps in itertools.product(STEPS, repeat=length):
        runs = False
        for step in steps:
            if step in {"stop", "kill", "start", *DEADLY}:
                if runs is (step == "start"):
                    break
                runs = step == "start"
        else:
            yield steps


def play(folder: Path, steps: tuple[str, ...], pause: float, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(folder)
    for step in steps:
        watched = machine.heart is not None
        machine.do(step, pause)
        said = capsys.readouterr()
        beats, left = machine.beats, machine.maintenance.left()
        where = (steps, step, machine.status, said)
        match step.partition(", ")[0]:
            case "disable" | "disable --for" as command:
                assert machine.status == ha_desk.OK, where
                assert not machine.host.enabled, where
                if watched or command == "disable --for":
                    assert left is not None, where
                word = "maintenance: " if left is not None else "one that starts switches monitoring on again"
                assert word in said.out, where
            case "enable":
                assert left is None, where
                if beats:
                    assert machine.status == ha_desk.OK, where
                    assert machine.host.enabled, where
                else:
                    assert machine.status == ha_desk.NOBODY, where
                    word = "Monitoring is on from before" if machine.host.enabled else "Monitoring is off"
                    assert word in said.err, where
            case "stop":
                assert not machine.host.enabled, where
    # An exporter that runs, or starts now, brings the host to what was noted; and to monitoring once that is over.
    machine.do("start", QUICK)
    left = machine.maintenance.left()
    assert machine.host.enabled is (left is None), (steps, left)
    if left not in {None, math.inf}:
        machine.passes(FOR)
    elif left is not None:
        machine.do("enable", 0.0)
        assert machine.status == ha_desk.OK, steps
    machine.passes(2 * machine.host.options.window)
    assert machine.host.enabled, steps
    assert not machine.host.resets, steps
    if machine.held:
        machine.held.release()


@pytest.mark.parametrize(("length", "pause"), [(2, 0.0), (LENGTH, 2.0)])
def test_what_is_left_is_what_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], length: int, pause: float
) -> None:
    """``pause``: seconds between two steps."""
    for number, steps in enumerate(sequences(length)):
        folder = tmp_path / str(number)
        folder.mkdir()
        play(folder, steps, pause, capsys)
