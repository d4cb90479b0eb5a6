"""An exporter that died has left monitoring on, and the one that starts sends no heartbeats."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from exporter import app, catalogue, files
from exporter.config.places import Address
from exporter.config.settings import GuestRpc, Ha, Settings, Web
from exporter.errors import (
    LibraryNotFound,
    LibraryStatus,
    NotVMwareError,
    RefusedError,
    RpcError,
    VMGuestError,
)
from exporter.ha import left_on, lock
from exporter.ha import start as start_module
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.left_on import LeftOn
from exporter.ha.rules import Leftover
from exporter.ha.start import start, start_without
from exporter.ha.stop_note import StopNote
from exporter.ha.wire import WireAppMonitor
from exporter.machine import process, small_file
from exporter.machine.systemd import Notifier
from exporter.metrics.published import Families, Published
from exporter.protocol.appmonitor import Code
from exporter.session.wire import Channel
from exporter.simulator.ha import Monitor, MonitorOptions
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix
from exporter.snapshot import PollState
from exporter.transport.unix import UnixConnector

PATIENCE = 60.0


class Machine:
    """One whose exporter died: its host, and its lock."""

    def __init__(self, folder: Path) -> None:
        self.host = SimulatedHost("steady")
        self.host.ha = Monitor(MonitorOptions(request_delay=1000.0))
        self.socket = folder / "host"
        self.lock_file = str(folder / "ha.lock")
        self.happened: list[str] = []
        self.now = 0.0

    def died(self, leftover: Leftover) -> None:
        held = lock.acquire(self.lock_file)
        assert held is not None
        held.note(leftover, 7.0)
        held.release()
        if leftover is not Leftover.NOTHING:
            self.host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
        if leftover is Leftover.REQUEST:
            self.host.ha.answer(b"GuestAppMonitor.Cmd.PostAppState appStateNeedReset")

    @property
    def noted(self) -> lock.Record:
        return lock.record(self.lock_file)

    def settings(self, *, enabled: bool = False, dry_run: bool = False) -> Settings:
        return Settings(
            guestrpc=GuestRpc(socket=str(self.socket)),
            web=Web(listen=(Address("127.0.0.1", 0),)),
            ha=Ha(enabled=enabled, dry_run=dry_run, lock_file=self.lock_file),
        )

    def left(self) -> LeftOn:
        def connect() -> WireAppMonitor:
            return WireAppMonitor(Channel(UnixConnector(str(self.socket)), 2.0))

        return LeftOn(self.lock_file, connect, self.happened.append, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def stop_note(self) -> StopNote:
        return StopNote(self.lock_file)


@pytest.fixture
def machine(short_path: Path) -> Iterator[Machine]:
    machine = Machine(short_path)
    with serve_unix(machine.socket, Server(machine.host)):
        yield machine


def shown(families: Families) -> dict[str, float]:
    return {
        family.metric.name: sum(point.value for point in family.points)
        for family in families()
        if family.metric in left_on.SHOWN
    }


def added(settings: Settings, parts: ExitStack, how: Callable[..., None]) -> list[Families]:
    found: list[Families] = []
    published = Published(lambda: PollState(interval=5.0))
    published.add = found.append  # type: ignore[method-assign, assignment]
    if how is start:
        start(settings, published, None, None, parts)
    else:
        how(settings, published, None, parts)
    return found


@pytest.mark.parametrize("leftover", [Leftover.MONITORING, Leftover.REQUEST])
def test_it_is_handed_back_with_a_request_for_a_reset(
    machine: Machine, leftover: Leftover, caplog: pytest.LogCaptureFixture
) -> None:
    machine.died(leftover)
    left = machine.left()
    left.start()
    assert not left.pending
    assert not machine.host.ha.enabled
    machine.host.ha.advance()
    assert machine.host.ha.resets == []
    assert machine.noted == lock.Record()
    assert left.families() == []
    assert "an exporter that died has left monitoring by vSphere HA on" in caplog.text
    assert "off, confirmed by the host" in caplog.text
    assert machine.happened == ["Monitoring that an exporter which died had left on is handed back."]


def test_what_it_had_given_up_is_waited_for(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """An Enable that the host carries out a few seconds after it was killed: "off, confirmed by the host", and on."""
    held = lock.acquire(machine.lock_file)
    assert held is not None
    held.note(Leftover.MONITORING, late_until=6.0)
    held.release()
    left = machine.left()
    left.attempt()
    assert left.pending
    machine.now = 5.0
    machine.host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    left.attempt()
    assert left.pending
    assert not machine.host.ha.enabled
    assert "confirmed by the host" not in caplog.text
    assert caplog.text.count("and may come on again") == 1
    machine.now = 6.0
    left.attempt()
    assert not left.pending
    assert "off, confirmed by the host" in caplog.text
    assert machine.noted == lock.Record()
    assert machine.noted.late_until is None


def test_what_was_switched_on_by_hand_stays_on(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """Found by a stranger: `ha enable --unattended` and a script that beats, and "an exporter that died has left it on"."""
    machine.died(Leftover.BY_HAND)
    left = machine.left()
    left.start()
    assert not left.pending
    assert left.families() == []
    assert machine.host.ha.enabled
    assert machine.noted.leftover is Leftover.BY_HAND
    assert "was switched on by hand" in caplog.text
    assert "died" not in caplog.text


def test_after_an_orderly_stop_nothing_is_asked(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.died(Leftover.NOTHING)
    machine.host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    machine.left().start()
    assert machine.host.ha.enabled, "it is somebody else's"
    assert caplog.text == ""


HEART = """
import sys
from exporter.ha.lock import acquire
held = acquire(sys.argv[1], exporter=sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""
DEAD = "999999999:1"
"""An exporter that has ended."""


@contextmanager
def heart(machine: Machine, exporter: str, *, dry_run: bool = False) -> Iterator[None]:
    """A process that holds the lock, and looks like a heart of that exporter."""
    settings = HeartSettings(
        5.0, 30.0, "withhold", "guestrpc", str(machine.socket), None, machine.lock_file, dry_run=dry_run
    )
    command = [sys.executable, "-c", HEART, machine.lock_file, exporter, settings.argument]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "held\n"
        try:
            yield
        finally:
            running.kill()
            running.wait()


def test_what_another_exporter_sends_heartbeats_for_is_left_alone(machine: Machine) -> None:
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with heart(machine, process.identity(os.getppid())):
        left.attempt()
        assert not left.pending
        assert machine.host.ha.enabled
        assert machine.noted.leftover is Leftover.MONITORING


def test_a_heart_that_is_about_to_end_is_waited_for(machine: Machine) -> None:
    """Found by a stranger: in a call when its exporter was killed, it was taken for another exporter's, and nobody looked again: a reset."""
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with heart(machine, DEAD):
        left.attempt()
        assert left.pending
        assert machine.host.ha.enabled, "it ends in a moment"
    left.attempt()
    assert not left.pending
    assert not machine.host.ha.enabled
    assert machine.noted == lock.Record()


def test_beside_a_heart_that_stands_still_it_is_handed_back_and_again_after_its_end(machine: Machine) -> None:
    """Found by a stranger: one that stood still for 3 s, and a reset without a word."""
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with heart(machine, DEAD):
        left.attempt()
        machine.now += left_on.PATIENCE
        left.attempt()
        assert not machine.host.ha.enabled
        assert left.families() == []
        assert left.pending, "it may be in the middle of a call"
        machine.host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
        left.attempt()
        assert machine.host.ha.enabled, "one that stands still is not told of every 5 s"
    left.attempt()
    assert not left.pending
    assert not machine.host.ha.enabled
    assert machine.noted == lock.Record()


def test_a_command_that_holds_the_lock_is_waited_for(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with heart(machine, ""):
        left.attempt()
        assert caplog.text == ""
        machine.now += left_on.PATIENCE
        left.attempt()
        assert left.pending
        assert "nobody sends them: it RESETS this VM" in caplog.text
    left.attempt()
    assert not machine.host.ha.enabled


def test_an_exporter_that_can_not_be_seen_has_its_heartbeats(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of another pid namespace."""
    machine.died(Leftover.MONITORING)
    monkeypatch.setattr(lock, "holding", lambda _path: lock.Holder(7, DEAD, DEAD))
    left = machine.left()
    left.attempt()
    assert left.pending
    machine.now += left_on.PATIENCE
    left.attempt()
    assert not left.pending
    assert machine.host.ha.enabled
    assert "can't be seen from here" in caplog.text


def short_of_files(monkeypatch: pytest.MonkeyPatch, path: str, times: int) -> None:
    """The file at ``path`` can't be opened, as many times."""
    monkeypatch.setattr(small_file, "TRIES", 1)
    real = files.read_bytes
    left = [None] * times

    def fail(file: Path) -> bytes:
        if str(file) == path and left:
            left.pop()
            raise OSError(errno.ENFILE, "Too many open files in system")
        return real(file)

    monkeypatch.setattr(files, "read_bytes", fail)


@pytest.mark.parametrize("path", ["the lock", str(lock.BOOT_ID)])
def test_a_shortage_at_the_first_look_is_no_word_on_what_is_left(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Found by a stranger: one ENFILE, and a reset without a word."""
    machine.died(Leftover.REQUEST)
    short_of_files(monkeypatch, machine.lock_file if path == "the lock" else path, 2)
    left = machine.left()
    left.attempt()
    assert left.pending
    assert caplog.text == ""
    machine.now += left_on.PATIENCE
    left.attempt()
    assert "nobody sends them: it RESETS this VM" in caplog.text
    left.attempt()
    assert not left.pending
    assert not machine.host.ha.enabled
    assert machine.noted == lock.Record()


def test_beside_the_dry_run_of_this_exporter_it_is_handed_back(machine: Machine) -> None:
    """It has the lock by now, where the first look found the heart of the exporter that died, or a shortage."""
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with heart(machine, process.own(), dry_run=True):
        left.attempt()
        assert not left.pending
        assert not machine.host.ha.enabled


def test_a_machine_of_which_nothing_can_be_told_is_asked_for_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where files are short, it can't be told that this is VMware."""
    machine.died(Leftover.MONITORING)
    monkeypatch.setattr(left_on, "RETRY", 0.01)
    real, asked = start_module._heart_socket, []

    def heart_socket(*args: Any) -> str | None:
        asked.append(args)
        if len(asked) == 1:
            raise NotVMwareError("this machine is not a VMware guest")
        return real(*args)

    monkeypatch.setattr(start_module, "_heart_socket", heart_socket)
    with ExitStack() as parts:
        added(machine.settings(), parts, start_without)
        deadline = time.monotonic() + PATIENCE
        while machine.noted != lock.Record():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not machine.host.ha.enabled
    assert "nobody sends them: it RESETS this VM" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        RpcError("Unknown command"),
        RpcError("Permission denied"),
        NotVMwareError("no"),
        LibraryNotFound("no"),
        LibraryStatus(1, "IsEnabled"),
        RefusedError("no"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("call", ["disable", "is_enabled"])
def test_no_error_word_says_that_nothing_is_left(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: VMGuestError, call: str
) -> None:
    def fail(_: object) -> NoReturn:
        raise error

    machine.died(Leftover.MONITORING)
    left = machine.left()
    with monkeypatch.context() as patch:
        patch.setattr(WireAppMonitor, call, fail)
        left.attempt()
        left.attempt()
        assert left.pending
        assert machine.noted.leftover is Leftover.MONITORING
    left.attempt()
    assert not left.pending
    assert not machine.host.ha.enabled


def test_until_it_is_confirmed_the_metrics_show_that_nobody_beats(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine.died(Leftover.REQUEST)
    monkeypatch.setattr(left_on, "RETRY", 0.01)
    real = WireAppMonitor.disable
    away = True

    def disable(monitor: WireAppMonitor) -> object:
        if away:
            raise RefusedError("unreachable")
        return real(monitor)

    monkeypatch.setattr(WireAppMonitor, "disable", disable)
    left = machine.left()
    left.start()
    try:
        assert shown(left.families) == {
            "ha.enabled": 1.0,
            "ha.requested_reset": 1.0,
            "ha.heartbeats": 0.0,
            "ha.dry_run": 0.0,
        }
        assert {family.metric for family in left.families()} == left_on.SHOWN, "health is not known"
        assert machine.noted == lock.Record(Leftover.REQUEST, 7.0)
        away = False
        deadline = time.monotonic() + PATIENCE
        while left.pending:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        left.stop()
    assert left.families() == []
    assert not machine.host.ha.enabled
    assert machine.noted == lock.Record()
    assert caplog.text.count("nobody sends them: it RESETS this VM") == 1
    assert "Run vmguest-exporter ha disable" in caplog.text


@contextmanager
def refusing(
    monkeypatch: pytest.MonkeyPatch, times: float = float("inf"), seen: Callable[[], object] = lambda: None
) -> Iterator[list[object]]:
    """A host that refuses Disable as many times; what is ``seen`` each time it is asked."""
    real, asked = WireAppMonitor.disable, []

    def disable(monitor: WireAppMonitor) -> object:
        asked.append(seen())
        if len(asked) <= times:
            raise RpcError("Unknown command")
        return real(monitor)

    with monkeypatch.context() as patch:
        patch.setattr(WireAppMonitor, "disable", disable)
        yield asked


def test_a_stop_tries_until_the_host_confirms_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by a stranger: one refusal, SIGTERM before the next attempt, exit 0, and a reset."""
    machine.died(Leftover.REQUEST)
    left = machine.left()
    with refusing(monkeypatch, 3, machine.stop_note.exporter) as noted:
        left.start()
        assert left.stop()
    assert noted == [None, "", "", ""], "cut short, it is finished by others"
    assert not machine.host.ha.enabled
    assert machine.noted == lock.Record()
    assert not machine.stop_note.stands()


def test_a_stop_that_the_host_never_confirms_says_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with refusing(monkeypatch) as asked:
        left.start()
        assert not left.stop()
    assert len(asked) > left_on.STOP_LIMIT / 2
    assert machine.now <= left_on.STOP_LIMIT + 1
    assert machine.stop_note.stands()
    assert machine.noted.leftover is Leftover.MONITORING
    assert "the end of monitoring is NOT confirmed" in caplog.text


@pytest.mark.parametrize(("dry_run", "how"), [(False, start_without), (True, start)])
def test_the_exporter_fails_with_such_a_stop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, dry_run: bool, how: Callable[..., None]
) -> None:
    machine.died(Leftover.MONITORING)
    monkeypatch.setattr(left_on, "STOP_LIMIT", 0.0)
    parts = ExitStack()
    with refusing(monkeypatch):
        added(machine.settings(enabled=dry_run, dry_run=dry_run), parts, how)
        with pytest.raises(VMGuestError, match="the end of monitoring is not confirmed"):
            parts.close()
    assert machine.stop_note.exporter() == ""


def test_a_stop_with_nothing_left_leaves_no_note_and_asks_nothing(machine: Machine) -> None:
    machine.died(Leftover.MONITORING)
    left = machine.left()
    left.start()
    StopNote(machine.lock_file).write("7:7")
    machine.host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    assert left.stop()
    assert machine.host.ha.enabled
    assert machine.stop_note.exporter() == "7:7", "another exporter's"


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_a_stop_beside_a_heart_that_stands_still_leaves_it_the_note(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, before: bool, room: bool
) -> None:
    machine.died(Leftover.MONITORING)
    if not room:
        monkeypatch.setattr(StopNote, "write", lambda *_: False)
    left = machine.left()
    with heart(machine, DEAD):
        left.attempt()
        if before:
            machine.now += left_on.PATIENCE
            left.attempt()
        assert left.stop() == room
        assert not machine.host.ha.enabled
        assert machine.stop_note.exporter() == (DEAD if room else None)


def test_the_stop_of_what_is_left_is_not_that_of_another_exporter(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.died(Leftover.MONITORING)
    left = machine.left()
    with refusing(monkeypatch):
        left.attempt()
    with heart(machine, process.identity(os.getppid())):
        assert machine.stop_note.write_for_the_dead() is None
        assert left.stop()
    assert machine.host.ha.enabled
    assert not machine.stop_note.stands()


def test_who_may_not_take_the_lock_says_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine.died(Leftover.MONITORING)
    left = machine.left()
    Path(machine.lock_file).parent.chmod(0o777)
    left.start()
    assert not left.stop()
    Path(machine.lock_file).parent.chmod(0o700)
    assert left.pending
    assert "others can write to" in caplog.text
    assert machine.host.ha.enabled


def read_only_from_now(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    opened = os.open

    def read_only(path: str, how: int, *more: int) -> int:
        if how & flags and str(path).startswith(machine.lock_file):
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, how, *more)

    monkeypatch.setattr(os, "open", read_only)


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_directory_that_is_read_only_by_now_keeps_nobody_from_handing_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, confirmed: bool
) -> None:
    """Found by a stranger: Disable was never sent, and that was a reset."""
    machine.died(Leftover.MONITORING)
    read_only_from_now(machine, monkeypatch)
    if not confirmed:
        monkeypatch.setattr(WireAppMonitor, "disable", lambda _self: Code.INTERNAL_ERROR)
    left = machine.left()
    left.attempt()
    assert left.pending, "it may pass"
    machine.now += left_on.PATIENCE
    left.attempt()
    assert left.pending is not confirmed
    assert machine.host.ha.enabled is not confirmed
    assert left.stop() is confirmed
    assert caplog.text.count("the stop can't be noted") == (not confirmed)


def test_so_it_is_at_a_stop_of_one_with_heartbeats_that_can_not_start(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: a crash, a directory that is read-only by then, and a stop in the first seconds: a reset."""
    machine.died(Leftover.REQUEST)
    read_only_from_now(machine, monkeypatch)
    monkeypatch.setattr(left_on, "PATIENCE", 0.0)
    start_module.stopped_at_the_start(machine.settings(enabled=True))
    assert not machine.host.ha.enabled
    assert machine.host.ha.seconds_left() is None, "the request is taken back too"


def test_what_was_left_on_is_not_said_to_be_unknown_to_the_host(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by a stranger: "Leave --ha.enabled out on this machine", beside "monitoring was left on"."""

    def refuse(_: object) -> NoReturn:
        raise RpcError("Unknown command")

    machine.died(Leftover.MONITORING)
    monkeypatch.setattr(WireAppMonitor, "disable", refuse)
    machine.left().attempt()
    assert "Unknown command" in caplog.text
    assert "Leave --ha.enabled out" not in caplog.text


def test_a_start_without_heartbeats_hands_back(machine: Machine) -> None:
    """Found by a stranger: not a word in the log, and a reset."""
    machine.died(Leftover.MONITORING)
    with ExitStack() as parts:
        app.start(machine.settings(), {}, Notifier({}), parts, pytest.fail)
        assert not machine.host.ha.enabled
    assert machine.noted == lock.Record()


def test_a_dry_run_shows_itself_once_nothing_is_left(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: "Dry run: ... Green", and a reset."""
    machine.died(Leftover.MONITORING)
    monkeypatch.setattr(left_on, "RETRY", 0.01)
    real = WireAppMonitor.is_enabled
    away = True

    def is_enabled(monitor: WireAppMonitor) -> bool:
        if away:
            raise RefusedError("unreachable")
        return real(monitor)

    monkeypatch.setattr(WireAppMonitor, "is_enabled", is_enabled)
    with ExitStack() as parts:
        (families,) = added(machine.settings(enabled=True, dry_run=True), parts, start)
        assert shown(families)["ha.dry_run"] == 0.0, "this is the host's real state"
        assert shown(families)["ha.enabled"] == 1.0
        away = False
        deadline = time.monotonic() + PATIENCE
        while not shown(families)["ha.dry_run"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert catalogue.HA_HEALTHY in {family.metric for family in families()}
        assert not machine.host.ha.enabled


def test_of_a_simulated_host_the_machines_lock_knows_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.died(Leftover.MONITORING)
    monkeypatch.setattr(lock, "DEFAULT_PATH", machine.lock_file)
    with ExitStack() as parts:
        settings = Settings(guestrpc=GuestRpc(socket=str(machine.socket)))
        assert added(settings, parts, start_without) == []
        assert added(Settings(source="replay"), parts, start_without) == []
    assert machine.host.ha.enabled
    assert machine.noted.leftover is Leftover.MONITORING


def test_the_lock_that_is_looked_for_at_the_start_is_the_one_of_the_heartbeats() -> None:
    assert app.HA_LOCK == lock.DEFAULT_PATH
