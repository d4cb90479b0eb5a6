"""The end of a stop that was cut short, in processes: who may hold the lock at that moment, and in which state.

=====================  ==========================  =================  =============================================
the heart              asked to stop               afterwards         the host
=====================  ==========================  =================  =============================================
stands still           by the exporter, noted      finish-stop        off: it is killed, and Disable sent without it
in a call              by the exporter, noted      finish-stop        off
in a call              by the exporter, noted      nobody             off: it finishes the stop alone
at rest                noted, and not told yet     nobody             off: it finishes the stop alone
in a call              a signal, while that lived  nobody             off (Ctrl-C or `timeout`, and no note yet)
in a call              a signal, after its death   finish-stop        on: systemd's, after a crash
at rest                not                         finish-stop        on: a crash
stands still           not                         finish-stop        on: a crash, and it is not killed
stands still           another exporter, noted     finish-stop        on: it is not killed, and that is told
=====================  ==========================  =================  =============================================

The exporter is killed (``kill -9``) in each of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.commands import ha as command
from exporter.commands import ha_finish_stop
from exporter.config.settings import GuestRpc, Ha, Settings
from exporter.ha import lock
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote
from exporter.machine import process
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix

PATIENCE = 60.0

EXPORTER = """
import sys
from exporter.ha.health import HealthSummary
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.heartbeat import Heartbeat
from exporter.ha.rules import Health
from exporter.ha.stop_note import StopNote
from exporter.machine.process import own
settings = HeartSettings.parse(sys.argv[1])
beat = Heartbeat(settings, lambda: HealthSummary(Health.GOOD, "", {"poll": True}))
beat.start()
print(beat.pid, flush=True)
word = sys.stdin.readline().strip()
if word == "note":
    StopNote(settings.lock_file).write(own())
    print("noted", flush=True)
    sys.stdin.readline()
if word == "stop":
    beat.stop()
"""


class Machine:
    """A simulated host, an exporter that is little more than its heart, and the command."""

    def __init__(self, folder: Path) -> None:
        self.host = SimulatedHost("steady")
        self.socket, self.lock_file = folder / "host", str(folder / "ha.lock")
        self.note = StopNote(self.lock_file)
        self.open, self.inside = threading.Event(), threading.Event()
        self.open.set()
        answer = self.host.ha.answer

        def gated(command: bytes) -> bytes:
            if not self.open.is_set():
                self.inside.set()
                self.open.wait(PATIENCE)
            return answer(command)

        self.host.ha.answer = gated  # type: ignore[method-assign]

    def start(self) -> None:
        settings = HeartSettings(
            interval=1.0,
            grace=30.0,
            on_unhealthy="withhold",
            source="guestrpc",
            socket=str(self.socket),
            library=None,
            lock_file=self.lock_file,
            dry_run=False,
        )
        self.exporter = subprocess.Popen(
            [sys.executable, "-c", EXPORTER, settings.argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self.exporter.stdout is not None
        self.heart = process.identity(int(self.exporter.stdout.readline()))
        until(lambda: self.host.ha.heartbeats > 0)

    def say(self, word: str) -> None:
        assert self.exporter.stdin is not None
        self.exporter.stdin.write(word.encode() + b"\n")
        until(self.note.stands)

    def signal_heart(self, number: int) -> None:
        os.kill(int(self.heart.partition(":")[0]), number)

    def in_a_call(self) -> None:
        """From now on the host does not answer."""
        self.inside.clear()
        self.open.clear()
        assert self.inside.wait(PATIENCE)

    def crash(self) -> None:
        self.exporter.kill()
        self.exporter.wait(PATIENCE)

    def finish_stop(self) -> int:
        parser = ArgumentParser()
        command.add_arguments(parser)
        settings = Settings(guestrpc=GuestRpc(socket=str(self.socket)), ha=Ha(lock_file=self.lock_file))
        return command.run(parser.parse_args(["finish-stop"]), lambda: settings)

    def heart_ends(self) -> None:
        until(lambda: not process.runs(self.heart))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def machine(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(ha_finish_stop, "STILL", 0.5)
    made = Machine(short_path)
    with serve_unix(made.socket, Server(made.host)):
        made.start()
        try:
            yield made
        finally:
            made.open.set()
            process.kill(made.heart)
            made.crash()
            for pipe in (made.exporter.stdin, made.exporter.stdout):
                if pipe is not None:
                    pipe.close()


def frozen(machine: Machine) -> None:
    machine.signal_heart(signal.SIGSTOP)
    machine.say("stop")
    machine.crash()
    assert machine.finish_stop() == command.OK


def in_a_call(machine: Machine) -> None:
    machine.in_a_call()
    machine.say("stop")
    machine.crash()
    machine.open.set()
    assert machine.finish_stop() == command.OK


def in_a_call_and_nobody_else(machine: Machine) -> None:
    machine.in_a_call()
    machine.say("stop")
    machine.crash()
    machine.open.set()
    machine.heart_ends()


def not_told_yet(machine: Machine) -> None:
    machine.say("note")
    machine.crash()
    machine.heart_ends()


def told_by_a_signal(machine: Machine) -> None:
    machine.in_a_call()
    machine.signal_heart(signal.SIGINT)
    # It has come, and after its handler the call goes on.
    until(lambda: "ShdPnd:\t0000000000000000" in status_of(machine))
    until(lambda: "State:\tS" in status_of(machine))
    machine.crash()
    machine.open.set()
    machine.heart_ends()


def status_of(machine: Machine) -> str:
    return Path(f"/proc/{machine.heart.partition(':')[0]}/status").read_text()


def a_signal_after_a_crash(machine: Machine) -> None:
    machine.in_a_call()
    machine.crash()
    machine.signal_heart(signal.SIGTERM)
    machine.open.set()
    machine.heart_ends()
    assert machine.finish_stop() == command.OK


def crashed(machine: Machine) -> None:
    machine.crash()
    assert machine.finish_stop() == command.OK
    machine.heart_ends()


def crashed_and_frozen(machine: Machine) -> None:
    machine.signal_heart(signal.SIGSTOP)
    machine.crash()
    assert machine.finish_stop() == command.OK
    assert process.runs(machine.heart)


def stop_of_another(machine: Machine) -> None:
    machine.signal_heart(signal.SIGSTOP)
    machine.note.write("1:1")
    machine.crash()
    ha_finish_stop.LOCK_LIMIT = 1.0
    assert machine.finish_stop() == command.HELD
    assert process.runs(machine.heart)


complete = pytest.mark.complete(reason="processes: the other cases are the ones that have been resets")
CASES = [
    pytest.param(frozen, False, id="frozen"),
    pytest.param(in_a_call, False, id="in a call", marks=complete),
    pytest.param(in_a_call_and_nobody_else, False, id="in a call, nobody else"),
    pytest.param(not_told_yet, False, id="not told yet", marks=complete),
    pytest.param(told_by_a_signal, False, id="told by a signal", marks=complete),
    pytest.param(a_signal_after_a_crash, True, id="a signal after a crash"),
    pytest.param(crashed, True, id="crashed", marks=complete),
    pytest.param(crashed_and_frozen, True, id="crashed and frozen", marks=complete),
    pytest.param(stop_of_another, True, id="the stop of another", marks=complete),
]


@pytest.mark.parametrize(("play", "on"), CASES)
def test_a_stop_that_was_asked_for_ends_without_a_reset_and_a_crash_stays_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, play: Callable[[Machine], None], on: bool
) -> None:
    """Found by a stranger: exit 0 and not a word, monitoring on, nobody there, and a reset."""
    monkeypatch.setattr(ha_finish_stop, "LOCK_LIMIT", ha_finish_stop.LOCK_LIMIT)
    play(machine)
    assert machine.host.ha.enabled is on
    assert lock.record(machine.lock_file).leftover is (Leftover.MONITORING if on else Leftover.NOTHING)
    if not on:
        machine.heart_ends()
