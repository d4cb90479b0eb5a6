"""The heart's process: what it begins with, what it waits for, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.errors import ConfigError, Passing
from exporter.ha import heart, heart_process, lock, messages, shared_lock
from exporter.ha.dry_run import DryRunMonitor
from exporter.ha.heart import LockKeeper
from exporter.ha.heart_process import PROGRAM
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.messages import HealthUpdate, HeartReport, LineReader, LogLine, Message, Refusal
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Leftover, Rules
from exporter.ha.stop_note import StopNote
from exporter.ha.wire import WireAppMonitor
from exporter.library.appmonitor_process import LibraryAppMonitor
from exporter.machine import process
from exporter.session.wire import Channel
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix

PATIENCE = 60.0


def settings(folder: Path, **changes: object) -> HeartSettings:
    found = HeartSettings(
        interval=1.0,
        grace=30.0,
        on_unhealthy="withhold",
        source="guestrpc",
        socket=str(folder / "host"),
        library=None,
        lock_file=str(folder / "lock"),
        dry_run=False,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


class Process:
    """A real heart, with the exporter's ends of its pipes in this test's hands."""

    def __init__(self, told: HeartSettings, stdout: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, told.argument],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.reader = LineReader()
        self.heard: list[Message] = []

    def tell(self, health: Health = Health.GOOD) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(messages.encode(HealthUpdate(health, "", time.monotonic())))

    def until(self, kind: type[Message], part: str = "", **fields: object) -> Message:
        """Tell good news until a message of ``kind`` has come that has ``part`` in its text and these fields."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            while self.heard:
                message = self.heard.pop(0)
                if not isinstance(message, kind) or part not in repr(message):
                    continue
                if all(getattr(message, name) == value for name, value in fields.items()):
                    return message
            assert time.monotonic() < deadline
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                data = self.process.stdout.read(65536)
                assert data, "the heart has ended"
                self.heard += [messages.decode(line) for line in self.reader.feed(data)]
            with contextlib.suppress(BrokenPipeError):
                self.tell()

    def ends(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def host(short_path: Path) -> Iterator[SimulatedHost]:
    host = SimulatedHost("steady")
    with serve_unix(short_path / "host", Server(host)):
        yield host


@pytest.fixture
def begin() -> Iterator[type[Process]]:
    made: list[Process] = []

    class Made(Process):
        def __init__(self, told: HeartSettings, stdout: int = subprocess.PIPE) -> None:
            super().__init__(told, stdout)
            made.append(self)

    yield Made
    for each in made:
        each.process.kill()
        each.ends()
        for pipe in (each.process.stdin, each.process.stdout):
            if pipe is not None:
                pipe.close()


def test_it_beats_and_a_signal_ends_it_in_order(
    host: SimulatedHost, short_path: Path, begin: type[Process]
) -> None:
    process = begin(settings(short_path))
    process.until(HeartReport, enabled=True, app_status="green")
    assert lock.holder(str(short_path / "lock")) == process.process.pid
    threads = list(Path(f"/proc/{process.process.pid}/task").iterdir())
    assert len(threads) == 1
    process.process.send_signal(signal.SIGHUP)
    process.process.send_signal(signal.SIGTERM)
    process.until(LogLine, "Monitoring is off, confirmed by the host.")
    assert process.ends() == messages.STOPPED
    assert not host.ha.enabled
    held = lock.acquire(str(short_path / "lock"))
    assert held is not None
    assert held.before.leftover is Leftover.NOTHING
    held.release()


def test_ctrl_c_reaches_it_too_and_is_an_orderly_stop(
    host: SimulatedHost, short_path: Path, begin: type[Process]
) -> None:
    process = begin(settings(short_path))
    process.until(HeartReport, enabled=True)
    process.process.send_signal(signal.SIGINT)
    assert process.ends() == messages.STOPPED
    assert not host.ha.enabled


def test_signals_before_its_handlers_stand_are_an_orderly_stop(host: SimulatedHost, short_path: Path) -> None:
    process = heart_process.spawn([*PROGRAM, settings(short_path).argument])
    try:
        for number in messages.MASKED:
            process.send_signal(number)
        assert process.wait(PATIENCE) == messages.STOPPED
        assert not any("critical" in repr(said) for said in heart_process.reports(process))
    finally:
        process.kill()
        process.wait(PATIENCE)
        heart_process.close(process)


def test_the_end_of_the_exporter_is_its_own_without_disable(
    host: SimulatedHost, short_path: Path, begin: type[Process]
) -> None:
    process = begin(settings(short_path))
    process.until(HeartReport, enabled=True)
    assert process.process.stdin is not None
    process.process.stdin.close()
    assert process.ends() == messages.ORPHANED
    assert host.ha.enabled
    held = lock.acquire(str(short_path / "lock"))
    assert held is not None
    assert held.before.leftover is Leftover.MONITORING
    held.release()


def test_a_successor_takes_over_without_any_news(
    host: SimulatedHost, short_path: Path, begin: type[Process]
) -> None:
    process = begin(settings(short_path))
    process.until(HeartReport, enabled=True)
    process.process.kill()
    process.ends()
    before = host.ha.heartbeats
    successor = begin(settings(short_path))
    assert successor.process.stdout is not None
    while host.ha.heartbeats == before:
        assert successor.process.poll() is None
        time.sleep(0.01)
    successor.until(LogLine, "taken over")


def test_an_exporter_that_reads_nothing_costs_no_heartbeat(
    host: SimulatedHost, short_path: Path, begin: type[Process]
) -> None:
    """Its pipe is full from the start: not one report nor line ever goes out."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    process = begin(settings(short_path), writer)
    deadline = time.monotonic() + PATIENCE
    while host.ha.heartbeats < 3:
        process.tell()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.process.terminate()
    assert process.ends() == messages.STOPPED
    assert not host.ha.enabled
    os.close(reader)
    os.close(writer)


# Inside this process


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    """Read and write ends: to the heart, from the heart."""
    ends = (*os.pipe(), *os.pipe())
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture
def signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def main(
    pipes: tuple[int, int, int, int], signals: None, monkeypatch: pytest.MonkeyPatch, short_path: Path
) -> object:
    """``main`` with pipes of ours in the place of standard input and output."""
    monkeypatch.setattr(heart, "Link", lambda *_: Link(pipes[0], pipes[3]))
    monkeypatch.setattr(heart, "LOCK_PATIENCE", 0.0)
    return None


def sent(pipes: tuple[int, int, int, int]) -> list[Message]:
    return [messages.decode(line) for line in LineReader().feed(os.read(pipes[2], 1 << 20))]


def test_main_from_the_start_to_the_end(
    main: None,
    pipes: tuple[int, int, int, int],
    host: SimulatedHost,
    short_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = heart.run

    def run_then_signal(heart_: Heart, link: Link, wakeup: int) -> int:
        os.write(pipes[1], messages.encode(HealthUpdate(Health.GOOD, "", time.monotonic())))
        while not host.ha.heartbeats:
            assert heart_.turn() is None
        os.kill(os.getpid(), signal.SIGTERM)
        return run(heart_, link, wakeup)

    monkeypatch.setattr(heart, "run", run_then_signal)
    assert heart.main([settings(short_path).argument]) == messages.STOPPED
    assert not host.ha.enabled


@pytest.mark.parametrize(
    ("before", "known", "bad_for"),
    [
        (lock.Record(Leftover.MONITORING, 1.0), None, 76.0),
        (lock.Record(Leftover.MONITORING, 80.0), None, 80.0),
        (lock.Record(Leftover.NOTHING, 1.0), None, 1.0),
        (lock.Record(Leftover.MONITORING, 1.0), 5.0, 5.0),
    ],
)
def test_bad_time_that_a_heart_did_not_note_is_that_of_the_checks(
    before: lock.Record, known: float | None, bad_for: float
) -> None:
    """Found by a stranger: hearts stood still for most of their lives, and after 85 s of bad health nothing had happened."""
    settings = HeartSettings(
        5.0,
        15.0,
        "withhold",
        "guestrpc",
        None,
        None,
        "ha.lock",
        dry_run=False,
        bad_for=known,
        kept_bad_for=76.0,
        fault_for=7.0,
    )
    assert heart.taken_over(before, settings)[1:] == (bad_for, 7.0, float("-inf"))


@pytest.mark.parametrize("status", [messages.STOPPED, messages.UNCONFIRMED, messages.ORPHANED])
@pytest.mark.parametrize("alone", [True, False])
def test_a_stop_that_the_heart_finishes_alone_leaves_nothing_of_the_checks(
    main: None, short_path: Path, monkeypatch: pytest.MonkeyPatch, *, alone: bool, status: int
) -> None:
    """Found by a stranger: what was bad before it counted on."""
    kept = KeptChecks(settings(short_path).lock_file)
    kept.write({"db": Kept(3, bad_for=22.0)})
    parent = os.getppid()

    def end(*_: object) -> int:
        monkeypatch.setattr(os, "getppid", lambda: 1 if alone else parent)
        return status

    monkeypatch.setattr(heart, "run", end)
    assert heart.main([settings(short_path).argument]) == status
    assert bool(kept.read()) is not (alone and status != messages.ORPHANED)


def test_what_the_exporter_knows_to_be_left_over_is_taken_over_without_the_lock_s_word(
    main: None,
    pipes: tuple[int, int, int, int],
    host: SimulatedHost,
    short_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[bool] = []

    def look(heart_: Heart, *_: object) -> int:
        for _turn in range(5):
            heart_.turn()
        heart_._monitor.close()
        found.append(host.ha.heartbeats > 0)
        return 0

    monkeypatch.setattr(heart, "run", look)
    told = settings(short_path, leftover="on")
    for each in (settings(short_path), told):
        host.ha.answer(b"Enable")
        heart.main([each.argument])
    assert found == [False, True], "before health is known, only what is its own is beaten for"


def test_a_dry_run_takes_nothing_over_and_leaves_nothing_behind(
    main: None, pipes: tuple[int, int, int, int], short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(short_path / "lock")
    held = lock.acquire(path)
    assert held is not None
    held.note(Leftover.MONITORING)
    held.release()
    run = heart.run

    def run_and_end(heart_: Heart, link: Link, wakeup: int) -> int:
        os.write(pipes[1], messages.encode(HealthUpdate(Health.GOOD, "", time.monotonic())))
        for _ in range(5):
            assert heart_.turn() is None
        os.close(pipes[1])
        return run(heart_, link, wakeup)

    monkeypatch.setattr(heart, "run", run_and_end)
    assert heart.main([settings(short_path, dry_run=True).argument]) == messages.ORPHANED
    assert any("Dry run: Monitoring is on" in repr(message) for message in sent(pipes))
    held = lock.acquire(path)
    assert held is not None
    assert held.before.leftover is Leftover.MONITORING
    held.release()


@pytest.mark.parametrize("noted", ["1:1", "2:2", None])
def test_a_note_that_can_not_be_read_for_a_moment_is_waited_for(short_path: Path, noted: str | None) -> None:
    """Found by a stranger: one read that failed, and a stop was taken for a crash: a reset."""
    note = StopNote(str(short_path / "ha.lock"))
    if noted:
        note.write(noted)
    known, slept = note.exporter, list[float]()

    def exporter() -> str | None:
        if sum(slept) < heart.NOTE_PATIENCE / 2:
            raise ConfigError(Passing("can't be read: Too many open files"))
        return known()

    note.exporter = exporter  # type: ignore[method-assign]
    found = heart.stop_was_noted(note, "1:1", heart.NOTE_PATIENCE, slept.append, lambda: sum(slept))
    assert found is (noted == "1:1")


@pytest.mark.parametrize("problem", ["can't be read", Passing("can't be read: Too many open files")])
def test_one_that_stays_unknown_is_the_side_that_resets_nothing_wrongly(
    short_path: Path, problem: str
) -> None:
    note, slept = StopNote(str(short_path / "ha.lock")), list[float]()

    def exporter() -> str | None:
        raise ConfigError(problem)

    note.exporter = exporter  # type: ignore[method-assign]
    assert heart.stop_was_noted(note, "1:1", heart.NOTE_PATIENCE, slept.append, lambda: sum(slept))
    assert sum(slept) <= heart.NOTE_PATIENCE + 0.1


def test_main_ends_when_the_exporter_does(
    main: None, pipes: tuple[int, int, int, int], host: SimulatedHost, short_path: Path
) -> None:
    os.close(pipes[1])
    assert heart.main([settings(short_path).argument]) == messages.ORPHANED


def test_main_refuses_beside_another(main: None, pipes: tuple[int, int, int, int], short_path: Path) -> None:
    held = lock.acquire(str(short_path / "lock"))
    assert held is not None
    assert heart.main([settings(short_path).argument]) == messages.REFUSED
    (refusal,) = sent(pipes)
    assert isinstance(refusal, Refusal)
    assert f"pid {os.getpid()}" in refusal.reason
    held.release()


def test_main_refuses_an_interval_without_slack(
    main: None, pipes: tuple[int, int, int, int], short_path: Path
) -> None:
    assert heart.main([settings(short_path, interval=20.0).argument]) == messages.REFUSED
    assert "no slack" in repr(sent(pipes))
    assert not (short_path / "lock").exists()


def test_main_refuses_a_container_s_own_lock_before_it_takes_it(
    main: None, pipes: tuple[int, int, int, int], short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the host is the hypervisor: a unix socket is no other container's host."""

    def refuse(path: str) -> None:
        raise ConfigError(f"{path}: this is a container")

    monkeypatch.setattr(shared_lock, "check_shared", refuse)
    # Whatever comes of it: no test opens the hypervisor's vsock.
    monkeypatch.setattr(heart, "monitor_for", lambda _settings: pytest.fail("it went on"))
    assert heart.main([settings(short_path, socket=None).argument]) == messages.REFUSED
    assert "this is a container" in repr(sent(pipes))
    assert not (short_path / "lock").exists()


def test_a_mistake_of_its_own_is_told_and_is_an_end(
    main: None, pipes: tuple[int, int, int, int], short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_(*_: object) -> int:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(heart, "run", break_)
    assert heart.main([settings(short_path).argument]) == messages.BROKEN
    (line,) = sent(pipes)
    assert isinstance(line, LogLine)
    assert "ZeroDivisionError: a mistake" in line.text


def test_signals_and_news_wake_it_and_the_end_of_news_is_not_waited_on(
    pipes: tuple[int, int, int, int],
) -> None:
    """While a stop is under way, a pipe at its end would be ready for ever."""
    wakeup, wake = os.pipe()
    link = Link(pipes[0], pipes[3])
    now = [0.0]
    stop = [False]
    subject = Heart(
        DryRunMonitor(30.0, lambda: now[0]),
        Policy(Rules(stop_limit=3.0), 0.0),
        link,
        stop=lambda: stop[0],
        clock=lambda: now[0],
    )
    waits: list[int] = []
    real = select.select

    def watch(sources: list[int], *_: object) -> object:
        waits.append(len(sources))
        now[0] += 1
        os.write(wake, b"\x0f")
        if len(waits) == 2:
            stop[0] = True
        return real(sources, [], [], 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "select", watch)
        assert heart.run(subject, link, wakeup) == messages.STOPPED
    assert waits == [2, 2]
    os.close(wakeup)
    os.close(wake)


def test_the_lock_of_a_heart_that_is_dying_is_waited_for(short_path: Path) -> None:
    path = str(short_path / "lock")
    held = lock.acquire(path)
    assert held is not None
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            held.release()

    taken = heart.wait_for_lock(path, PATIENCE, nap)
    assert len(naps) == 3
    taken.release()


@pytest.mark.parametrize(
    ("exporter", "said", "passing"),
    [
        ("alive", "sends the heartbeats of this VM", False),
        # Its exporter crashed, and it is in a call, or stands still.
        ("1:1", "another process of an exporter that has ended holds the lock", True),
        # A command, or a heart of another namespace.
        ("", "another process holds the lock", True),
    ],
)
def test_only_a_lock_that_is_known_to_stay_held_is_a_wrong_setting(
    short_path: Path, exporter: str, said: str, passing: bool
) -> None:
    """Found by a stranger: exit status 2, after which systemd does not start the exporter again."""
    path = str(short_path / "lock")
    held = lock.acquire(path, exporter=process.own() if exporter == "alive" else exporter)
    assert held is not None
    with pytest.raises(ConfigError, match=said) as caught:
        heart.wait_for_lock(path, 0.0)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert caught.value.passing is passing
    held.release()


def test_a_shortage_is_waited_for_and_is_no_wrong_setting(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: no file for the lock in the moment of a restart, and the exporter was never started again."""
    path, opened = str(short_path / "lock"), os.open
    left = [3]

    def short(name: str, flags: int, mode: int = 0o777) -> int:
        if name == path and left[0]:
            left[0] -= 1
            raise OSError(errno.ENFILE, "Too many open files in system")
        return opened(name, flags, mode)

    monkeypatch.setattr(os, "open", short)
    with pytest.raises(ConfigError) as caught:
        heart.wait_for_lock(path, 0.0)
    assert caught.value.passing
    naps: list[float] = []
    heart.wait_for_lock(path, PATIENCE, naps.append).release()
    assert len(naps) == 2


def test_main_says_whether_what_it_refuses_may_pass(
    main: None, pipes: tuple[int, int, int, int], short_path: Path
) -> None:
    told = settings(short_path, lock_file=str(short_path / "not there yet" / "lock"))
    assert heart.main([told.argument]) == messages.REFUSED
    (refusal,) = sent(pipes)
    assert isinstance(refusal, Refusal)
    assert refusal.passing


def test_main_hands_back_when_another_process_has_its_lock(
    main: None,
    pipes: tuple[int, int, int, int],
    host: SimulatedHost,
    short_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two would mask each other."""

    def run_then_lose(heart_: Heart, *_: object) -> int:
        os.write(pipes[1], messages.encode(HealthUpdate(Health.GOOD, "", time.monotonic())))
        while not host.ha.heartbeats:
            assert heart_.turn() is None
        monkeypatch.setattr(LockKeeper, "lost", lambda _: True)
        turns = (heart_.turn() for _ in range(20))
        return next((status for status in turns if status is not None), -1)

    monkeypatch.setattr(heart, "run", run_then_lose)
    assert heart.main([settings(short_path).argument]) == messages.STOPPED
    assert not host.ha.enabled


def test_sources(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(heart.monitor_for(settings(short_path)), WireAppMonitor)
    assert isinstance(heart.monitor_for(settings(short_path, source="library")), LibraryAppMonitor)
    assert isinstance(heart.monitor_for(settings(short_path, dry_run=True)), DryRunMonitor)


def test_without_a_socket_it_is_the_hypervisors_vsock_and_nothing_is_opened_before_a_call(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    monitor = heart.monitor_for(settings(short_path, socket=None))
    assert isinstance(monitor, WireAppMonitor)
    assert isinstance(monitor._channel, Channel)
    assert monitor._channel._connector.transport == "vsock"
    monitor.close()
