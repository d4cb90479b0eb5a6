"""Single calls: exit statuses for scripts, and never beside an exporter that beats."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest

from exporter import files
from exporter.commands import ha as command
from exporter.commands import ha_desk, ha_enable, ha_finish_stop, ha_maintenance
from exporter.config.settings import GuestRpc, Ha, Settings
from exporter.errors import (
    ConfigError,
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NotVMwareError,
    Passing,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    VMGuestError,
)
from exporter.ha import lock, shared_lock
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.maintenance import Maintenance
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote
from exporter.ha.stranger import StrangerNote
from exporter.ha.wire import WireAppMonitor
from exporter.machine import process, small_file
from exporter.machine.process import own
from exporter.protocol.appmonitor import AppStatus, Code
from exporter.session.wire import Channel
from exporter.simulator.ha import Monitor, MonitorOptions
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix
from exporter.transport.unix import UnixConnector


class Desk:
    """A simulated host, and a command line that asks it."""

    def __init__(self, folder: Path) -> None:
        self.host = SimulatedHost("steady")
        self.socket = folder / "host"
        self.lock_file = str(folder / "ha.lock")
        self.slept = 0.0
        self.settings = Settings(guestrpc=GuestRpc(socket=str(self.socket)), ha=Ha(lock_file=self.lock_file))

    @property
    def monitor(self) -> Monitor:
        return self.host.ha

    def options(self, **options: object) -> None:
        self.host.ha = Monitor(MonitorOptions(**options))  # type: ignore[arg-type]

    def run(self, *words: str, said: str | None = None, vmware: bool = False) -> int:
        """``said``: what is typed at a terminal; None: there is none."""
        parser = ArgumentParser()
        command.add_arguments(parser)

        def ask(_question: str) -> str:
            if not said:
                raise EOFError
            return said

        return command.run(
            parser.parse_args(words),
            lambda: self.settings,
            sleep=self.sleep,
            ask=ask,
            interactive=lambda: said is not None,
            vmware=lambda: vmware,
            clock=lambda: self.slept,
        )

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.fixture
def desk(short_path: Path) -> Iterator[Desk]:
    desk = Desk(short_path)
    with serve_unix(desk.socket, Server(desk.host)):
        yield desk


def test_every_call_of_vmwares_own_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for words, status in [
        ("is-enabled", command.NO),
        ("get-app-status", command.OK),
        ("mark-active", command.NO),
        ("enable --unattended", command.OK),
        ("is-enabled", command.OK),
        ("mark-active", command.OK),
        ("get-app-status", command.OK),
        ("post-app-state ok", command.OK),
        ("disable", command.OK),
        ("is-enabled", command.NO),
    ]:
        assert desk.run(*words.split()) == status, words
        said.append(capsys.readouterr())
    holder = (
        "no exporter holds {}; one that starts switches monitoring on again, and --for keeps it from that\n"
    )
    assert [text.out for text in said] == [
        "not enabled\n",
        "gray\n",
        "",
        "monitoring is on: a heartbeat is due every 30 s, or vSphere HA resets this VM. Nobody sends one\n",
        "enabled\n",
        "heartbeat taken\n",
        "green\n",
        "application state: ok\n",
        ("monitoring is off, confirmed by the host\n" + holder.format(desk.lock_file)),
        "not enabled\n",
    ]
    assert said[2].err == "vmguest-exporter: the host answered 2 (monitoring is not enabled)\n"
    assert desk.monitor.heartbeats == 1


def test_disable_with_nobody_there_leaves_no_bad_time_to_a_later_exporter(desk: Desk) -> None:
    left_on(desk)
    kept = KeptChecks(desk.lock_file)
    kept.write({"db": Kept(3, bad_for=22.0)})
    assert desk.run("disable") == command.OK
    assert kept.read() == {}


def test_a_maintenance_that_is_noted_alone_leaves_no_bad_time_to_a_later_exporter(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: the host refused Disable, the maintenance was over, and what was bad before it counted."""
    held = lock.acquire(desk.lock_file)
    assert held is not None
    held.note(Leftover.MONITORING, 22.0)
    held.release()
    kept = KeptChecks(desk.lock_file)
    kept.write({"db": Kept(3, bad_for=22.0)})
    stubborn(monkeypatch, *[Code.INTERNAL_ERROR, OK, True] * 20)
    assert desk.run("disable", "--for", "30m") == command.NO
    found = kept.read(Maintenance(desk.lock_file).begun())
    assert found == {"db": Kept(3)}, "what was found stays, and counts from now on"
    noted = lock.record(desk.lock_file)
    assert (noted.leftover, noted.bad_for) == (Leftover.MONITORING, 0.0)


def test_a_maintenance_is_noted_though_what_was_bad_before_it_can_not_be_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by reading: in a shortage it said that what was noted before stands, and exited with 8."""
    left_on(desk)
    acquire, record, short = lock.acquire, lock.record, [False, True]

    def acquire_later(path: str, **more: Any) -> lock.Lock | None:
        if len(short) == 2:
            short[:] = [True]
            raise ConfigError(Passing("Too many open files"))
        return acquire(path, **more)

    def record_later(path: str, **more: Any) -> lock.Record:
        if short == [True]:
            short[:] = [False]
            raise ConfigError(Passing("Too many open files"))
        return record(path, **more)

    monkeypatch.setattr(lock, "acquire", acquire_later)
    monkeypatch.setattr(lock, "record", record_later)
    assert desk.run("disable", "--for", "30m") == command.OK
    assert short == [False]
    assert Maintenance(desk.lock_file).left() is not None


# need-reset


def test_need_reset_asks_first(desk: Desk) -> None:
    assert desk.run("post-app-state", "need-reset", said="reset ") == command.OK
    assert len(desk.monitor.resets) == 1


@pytest.mark.parametrize("said", ["", "yes", "y", "RESET"])
def test_another_answer_does_nothing(desk: Desk, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.run("post-app-state", "need-reset", said=said) == command.USAGE
    assert desk.monitor.resets == []
    assert "nothing was done" in capsys.readouterr().err


def test_without_a_terminal_it_wants_to_be_told(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.run("post-app-state", "need-reset") == command.USAGE
    assert desk.monitor.resets == []
    assert "--yes" in capsys.readouterr().err
    assert desk.run("post-app-state", "need-reset", "--yes") == command.OK
    assert len(desk.monitor.resets) == 1


def test_a_process_without_standard_input_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not command._terminal()


def test_the_other_spelling_is_tried(desk: Desk) -> None:
    desk.options(guide_spelling=True)
    assert desk.run("post-app-state", "need-reset", "--yes") == command.OK
    assert len(desk.monitor.resets) == 1


# Beside an exporter

HEART = """
import signal, sys
from exporter.ha.lock import acquire
from exporter.ha.rules import Leftover
held = acquire(sys.argv[1], exporter=sys.argv[3])
held.note(Leftover(sys.argv[2]), 0.0, float(sys.argv[4]))
print("held", flush=True)
signal.sigwait([signal.SIGTERM])
"""


@contextlib.contextmanager
def heart(
    path: str, left: str = "off", exporter: str = "", beat: float = 0.0
) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it gets SIGTERM. ``beat``: when the host took its last heartbeat."""
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n" + HEART
    with subprocess.Popen(
        [sys.executable, "-c", code, path, left, exporter, str(beat)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_two_heartbeaters_would_mask_each_other(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with heart(desk.lock_file) as process:
        assert desk.run("mark-active") == command.HELD
        assert f"pid {process.pid}" in capsys.readouterr().err
    assert desk.monitor.heartbeats == 0


def test_enable_without_a_heart_is_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody would beat: a reset 30 s later."""
    assert desk.run("enable") == command.NOBODY
    assert not desk.monitor.enabled
    said = capsys.readouterr().err
    assert "Monitoring is off, and stays so for now. No exporter is there to send heartbeats" in said
    assert "--unattended switches it on at once" in said


@pytest.mark.parametrize("seconds", [60.0, math.inf])
def test_enable_without_a_heart_ends_the_maintenance_and_says_so(
    desk: Desk, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    """Found by a stranger: "start it, it switches monitoring on by itself", and the note kept that from it for good."""
    Maintenance(desk.lock_file).begin(seconds)
    assert desk.run("enable") == command.NOBODY
    assert Maintenance(desk.lock_file).left() is None
    assert "maintenance is over." in capsys.readouterr().err
    assert not desk.monitor.enabled


@pytest.mark.skipif(os.geteuid() != 0, reason="root only: files of another user")
@pytest.mark.parametrize("seconds", ["1s", "30m"])
def test_enable_by_root_ends_a_maintenance_before_the_first_lock_of_the_exporters_user(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    """Found by a stranger: "the lock can't be opened: No such file", and the maintenance stayed."""
    folder = tmp_path / "own"
    folder.mkdir(mode=0o755)
    os.chown(folder, 4321, 4321)
    path = str(folder / "ha.lock")
    desk.settings = replace(desk.settings, ha=replace(desk.settings.ha, lock_file=path))
    assert desk.run("disable", "--for", seconds) == command.OK
    assert desk.run("enable") == command.NOBODY
    assert "maintenance is over. Monitoring is off" in capsys.readouterr().err
    assert not Maintenance(path).path.exists()
    assert not Path(path).exists(), "no lock of root's that keeps the exporter out"


def test_enable_after_a_crash_says_that_monitoring_is_on_and_nobody_beats(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.run("enable", "--unattended")
    capsys.readouterr()
    assert desk.run("enable") == command.NOBODY
    said = capsys.readouterr().err
    assert "Monitoring is on from before: unless an exporter starts" in said
    assert "stays so" not in said

    def away(_: WireAppMonitor) -> bool:
        raise RefusedError("unreachable")

    monkeypatch.setattr(WireAppMonitor, "is_enabled", away)
    assert desk.run("enable") == command.NOBODY
    assert "Whether monitoring is on is not known: unreachable." in capsys.readouterr().err


def test_status_says_that_monitoring_is_on_and_nobody_beats(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("enable", "--unattended")
    assert desk.run("status") == command.NOBODY
    assert "nobody sends heartbeats: unless an exporter starts" in capsys.readouterr().err
    with heart(desk.lock_file, "on"):
        assert desk.run("status") == command.OK
    assert "nobody sends" not in capsys.readouterr().err


@pytest.mark.parametrize(("beat", "since"), [(-5.0, "none for 25 s"), (9e9, "none so far")])
def test_a_heart_that_holds_the_lock_and_sends_nothing_is_said_to_do_so(
    desk: Desk, capsys: pytest.CaptureFixture[str], beat: float, since: str
) -> None:
    """Found by a stranger: one that stood still, or withheld its heartbeats, "sends the heartbeats", exit status 0."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    desk.slept = 20.0
    with heart(desk.lock_file, "on", beat=beat) as process:
        assert desk.run("status") == command.NOBODY
        said = capsys.readouterr()
        assert f"(pid {process.pid}) has been taken ({since})" in said.err
        assert ("last heartbeat: 25 s ago" in said.out) == (beat == -5)
        assert desk.run("enable") == command.NOBODY
    said = capsys.readouterr()
    assert "there was no maintenance. No heartbeat of the exporter's heart" in said.err
    assert "has been taken (none" in said.err
    assert said.out == ""


def test_one_that_has_just_sent_none_is_not_said_to_send_them(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    desk.slept = 5.0
    with heart(desk.lock_file, "on"):
        assert desk.run("status") == command.OK, "the last one is 5 s old"
        assert "last heartbeat: 5 s ago" in capsys.readouterr().out
        assert desk.run("enable") == command.NOBODY
    assert "has been taken (none for 23 s)" in capsys.readouterr().err


def test_a_heartbeat_by_hand_is_the_last_one(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.run("enable", "--unattended")
    desk.run("mark-active")
    desk.slept += 7
    assert desk.run("status") == command.NOBODY, "nobody goes on with it"
    assert "last heartbeat: 7 s ago" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("left", "then"),
    [
        (Leftover.NOTHING, Leftover.BY_HAND),
        (Leftover.MONITORING, Leftover.BY_HAND),
        (Leftover.REQUEST, Leftover.REQUEST),
    ],
)
@pytest.mark.parametrize("refused", [False, True])
def test_enable_by_hand_after_a_crash_is_by_hand(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, left: Leftover, then: Leftover, refused: bool
) -> None:
    """Found by a stranger: "on" stayed noted, and an exporter without heartbeats switched it off."""
    note(desk, left)
    if refused:
        stubborn(monkeypatch, *[False] * (left is Leftover.NOTHING), Code.NOT_ENABLED)
    assert desk.run("enable", "--unattended") == (command.NO if refused else command.OK)
    assert lock.record(desk.lock_file).leftover is (left if refused else then)


NOT_THERE = RpcError("Unknown command")


@pytest.mark.parametrize("before", [False, True])
def test_a_maintenance_on_a_host_without_monitoring_is_not_taken_for_a_word_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: bool
) -> None:
    """Found by a stranger: exit status 1 and "vSphere HA resets this VM", by the note that the call itself had written."""
    if before:
        Maintenance(desk.lock_file).begin(60)
    stubborn(monkeypatch, *[NOT_THERE] * 100)
    assert desk.run("disable", "--for", "30m") == (command.NO if before else command.NOT_SUPPORTED)
    said = capsys.readouterr().err
    assert (Maintenance(desk.lock_file).left() is not None) == before
    assert ("no maintenance is noted" in said) == (not before)
    if not before:
        assert "resets this VM" not in said
        assert "all the same" not in said
        assert desk.run("is-enabled") == command.NOT_SUPPORTED


@pytest.mark.parametrize("words", [("disable",), ("disable", "--for", "5m")])
@pytest.mark.parametrize("beats", [False, True])
def test_a_host_that_has_answered_a_command_is_not_said_to_have_none(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    beats: bool,
) -> None:
    """Found by a stranger: "there is nothing to switch off", exit status 3, and a reset 31 s later."""

    def refused() -> NoReturn:
        raise NOT_THERE

    monitor = stubborn(monkeypatch)
    monitor.disable = refused  # type: ignore[attr-defined]
    monitor.is_enabled = lambda: True  # type: ignore[attr-defined]
    monitor.post_app_state = lambda _state: OK  # type: ignore[attr-defined]
    with heart(desk.lock_file) if beats else contextlib.nullcontext():
        assert desk.run(*words) == command.NO
    said = capsys.readouterr().err
    assert "nothing to switch off" not in said
    assert "Try again in a few seconds" in said
    assert (Maintenance(desk.lock_file).left() is not None) == (beats or "--for" in words)


@pytest.mark.parametrize("word", ["Unknown command", "Permission denied"])
@pytest.mark.parametrize("verb", ["is_enabled", "get_app_status"])
def test_a_refused_question_hides_no_heart_that_sends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str, word: str
) -> None:
    """Found by a stranger: "sends the heartbeats", exit status 1, 10 s before the reset."""
    monitor = stubborn(monkeypatch)
    monitor.is_enabled = lambda: True  # type: ignore[attr-defined]
    monitor.get_app_status = lambda: AppStatus.GREEN  # type: ignore[attr-defined]

    def refused() -> NoReturn:
        raise RpcError(word)

    setattr(monitor, verb, refused)
    desk.slept = 20.0
    with heart(desk.lock_file, "on"):
        assert desk.run("status") == (command.NO if verb == "is_enabled" else command.NOBODY)
    said = capsys.readouterr()
    assert "sends the heartbeats" not in said.err
    assert "has been taken (none for 2" in said.err or (verb, word) == ("is_enabled", "Permission denied")
    assert ("application status: not known" in said.out) == (verb == "get_app_status")


def test_one_refusal_is_no_end_of_enable_by_hand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn(monkeypatch, False, NOT_THERE, OK)
    assert desk.run("enable", "--unattended") == command.OK


def test_enable_says_that_it_ended_a_maintenance_though_the_host_answers_nonsense(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Maintenance(desk.lock_file).begin(600)
    with heart(desk.lock_file, "on"):
        stubborn(monkeypatch, *[RemoteProtocolError("?t")] * 100)
        assert desk.run("enable") == command.NO
    assert "maintenance is over, and whether monitoring is on is not known (" in capsys.readouterr().err


def test_a_heart_that_a_full_disk_kept_from_writing_down_who_it_is_is_no_stranger(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: "another exporter's heart is there with the lock", the one that was given; exit status 6."""
    settings = HeartSettings(
        10.0, 30.0, "withhold", "guestrpc", str(desk.socket), None, desk.lock_file, dry_run=False
    )
    with heart(desk.lock_file) as process:
        os.truncate(desk.lock_file, 0)
        monkeypatch.setattr(HeartSettings, "running", lambda *_: iter([(process.pid, settings)]))
        assert desk.run("status") == command.NO
        assert desk.run("mark-active") == command.HELD
    said = capsys.readouterr().err
    assert "another exporter's heart" not in said
    assert "has the lock; two heartbeaters" in said
    assert desk.slept == 0


@pytest.mark.parametrize("maintenance", [False, True])
def test_enable_without_a_locks_directory_finds_nobody(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], maintenance: bool
) -> None:
    """Found by a stranger: "the lock can't be opened", exit status 1."""
    folder = tmp_path / "later"
    path = str(folder / "ha.lock")
    desk.settings = replace(desk.settings, ha=replace(desk.settings.ha, lock_file=path))
    if maintenance:
        folder.mkdir(mode=0o755)
        Maintenance(path).begin(60)
    assert desk.run("enable") == command.NOBODY
    word = "maintenance is over." if maintenance else "there was no maintenance."
    assert word in capsys.readouterr().err
    assert not Path(path).exists()


def test_enable_beside_a_stranger_changes_nothing_and_says_so(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    Maintenance(desk.lock_file).begin(math.inf)
    assert desk.run("enable") == command.HELD
    assert Maintenance(desk.lock_file).left() == math.inf
    assert "nothing was changed. Maintenance: without an end" in capsys.readouterr().err


def test_disable_without_a_heart_in_a_maintenance_says_that_it_goes_on(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    Maintenance(desk.lock_file).begin(math.inf)
    assert desk.run("disable") == command.OK
    said = capsys.readouterr().out
    assert "maintenance: without an end" in said
    assert "switches monitoring on again" not in said


@pytest.mark.parametrize("call", ["is-enabled", "get-app-status", "post-app-state ok"])
def test_what_disturbs_nobody_is_always_possible(desk: Desk, call: str) -> None:
    with heart(desk.lock_file):
        assert desk.run(*call.split()) in {command.OK, command.NO}


def test_disable_beside_a_heart_is_a_maintenance_that_enable_ends(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("enable", "--unattended")
    maintenance = Maintenance(desk.lock_file)
    with heart(desk.lock_file, "off") as process:
        assert desk.run("disable") == command.OK
        assert process.poll() is None, "it goes on publishing"
        assert maintenance.left() == float("inf")
        assert "maintenance: without an end" in capsys.readouterr().out
        assert not desk.monitor.enabled
        assert desk.run("enable") == command.NO, "the heart does it, once health is good"
        assert maintenance.left() is None
        assert "not on yet" in capsys.readouterr().err
    assert not desk.monitor.enabled


def test_enable_beside_a_dry_run_says_at_once_that_it_switches_nothing_on(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = HeartSettings(5.0, 30.0, "withhold", "guestrpc", None, None, desk.lock_file, dry_run=True)
    monkeypatch.setattr(HeartSettings, "of", lambda pid, *_: settings if pid else None)
    monkeypatch.setattr(ha_enable, "BEAT_LIMIT", -1.0)
    with heart(desk.lock_file):
        assert desk.run("enable") == command.NOBODY
    assert "is a dry run, which never switches monitoring on" in capsys.readouterr().err


def test_an_exporter_that_starts_beside_disable_is_kept_from_switching_it_on_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by force: nobody had the lock yet, the command ended well, and monitoring was on again a second later."""
    hearts: list[lock.Lock | None] = []
    real = lock.holder

    def holder(path: str) -> int | None:
        found = real(path)
        if not hearts:
            hearts.append(lock.acquire(path))
        return found

    monkeypatch.setattr(lock, "holder", holder)
    assert desk.run("disable") == command.OK
    (held,) = hearts
    assert held is not None
    held.release()
    assert Maintenance(desk.lock_file).left() == math.inf
    assert "maintenance: without an end" in capsys.readouterr().out


def between_two_hearts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, left: Leftover, then: Callable[[lock.Lock], object]
) -> None:
    """The heart of an exporter that lives has died, and left that; a second later the next one does ``then``."""
    slept = desk.sleep

    def beat(does: Callable[[lock.Lock], object]) -> None:
        held = lock.acquire(desk.lock_file, exporter=own())
        assert held is not None
        does(held)
        held.release()

    def sleep(seconds: float) -> None:
        before = desk.slept
        slept(seconds)
        if before < 1.0 <= desk.slept:
            beat(then)

    beat(lambda held: held.note(left))
    monkeypatch.setattr(desk, "sleep", sleep)


@pytest.mark.parametrize("left", [Leftover.NOTHING, Leftover.MONITORING])
@pytest.mark.parametrize("words", [("disable",), ("disable", "--for", "30m")])
def test_disable_between_two_hearts_of_an_exporter_is_a_maintenance(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: Leftover,
    words: tuple[str, ...],
) -> None:
    """Found by a stranger: "no exporter holds the lock", exit 0, and monitoring was on again within 5 s."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    between_two_hearts(desk, monkeypatch, left, lambda held: held.note(Leftover.NOTHING))
    assert desk.run(*words) == command.OK
    assert Maintenance(desk.lock_file).left() is not None
    assert not desk.monitor.enabled
    said = capsys.readouterr().out
    assert "`vmguest-exporter ha enable` ends it" in said
    assert "no exporter" not in said


def test_disable_says_where_the_next_heart_does_not_come(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    between_two_hearts(desk, monkeypatch, Leftover.MONITORING, lambda _held: None)
    assert desk.run("disable") == command.HELD
    assert Maintenance(desk.lock_file).left() == math.inf
    assert not desk.monitor.enabled
    assert "has not confirmed it" in capsys.readouterr().err


def test_enable_between_two_hearts_of_an_exporter_waits_for_the_next_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def switches_on(held: lock.Lock) -> None:
        held.note(Leftover.MONITORING, 0.0, desk.slept)
        desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")

    Maintenance(desk.lock_file).begin(math.inf)
    between_two_hearts(desk, monkeypatch, Leftover.NOTHING, switches_on)
    assert desk.run("enable") == command.OK
    assert Maintenance(desk.lock_file).left() is None
    assert "monitoring is on" in capsys.readouterr().out


def test_disable_is_sent_where_the_lock_does_not_say_whose_heart_is_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object, **__: object) -> NoReturn:
        raise ConfigError("can't be read")

    between_two_hearts(desk, monkeypatch, Leftover.MONITORING, lambda _held: None)
    monkeypatch.setattr(lock, "record", damaged)
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run("disable") == command.HELD
    assert not desk.monitor.enabled


def test_disable_says_that_it_keeps_no_exporter_from_starting(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.run("disable") == command.OK
    assert "one that starts switches monitoring on again" in capsys.readouterr().out


def test_maintenance_with_an_end(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.run("disable", "--for", "30m") == command.OK
    left = Maintenance(desk.lock_file).left()
    assert left is not None
    assert 1700 < left <= 1800
    assert "another 30 min" in capsys.readouterr().out
    assert desk.run("status") == command.NO
    out = capsys.readouterr().out
    assert f"exporter: none holds {desk.lock_file}\nlast heartbeat: none\nmaintenance: until " in out
    assert "monitoring: off\napplication status: gray\n" in out


@pytest.mark.parametrize("text", ["30", "x", "0s", "400d"])
def test_a_duration_that_is_none(desk: Desk, text: str) -> None:
    with pytest.raises(ConfigError, match=f"--for={text}: expected a duration"):
        desk.run("disable", "--for", text)


def test_a_heart_that_does_not_react_is_not_said_to_have_stopped(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frozen, or another user's or container's that does not see the file."""
    desk.run("enable", "--unattended")
    with heart(desk.lock_file, "on") as process:
        assert desk.run("disable") == command.HELD
        assert f"(pid {process.pid}) has not confirmed it" in capsys.readouterr().err
    assert not desk.monitor.enabled
    assert desk.slept >= 12


def test_after_its_own_end_a_maintenance_switches_nothing_off_any_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: the heart had gone on, and rightly switched monitoring on again, and Disable came once more."""
    desk.run("enable", "--unattended")
    capsys.readouterr()
    with heart(desk.lock_file, "on"):

        def sleep(seconds: float) -> None:
            desk.slept += seconds
            if desk.slept >= 5:
                Maintenance(desk.lock_file).end()
                desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")

        monkeypatch.setattr(desk, "sleep", sleep)
        assert desk.run("disable", "--for", "3s") == command.HELD
    assert desk.monitor.enabled
    said = capsys.readouterr()
    assert "maintenance is over by now" in said.err
    assert "monitoring is off" not in said.out


def test_a_heart_that_dies_meanwhile_is_not_said_to_stand_still(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("enable", "--unattended")
    with heart(desk.lock_file, "on") as process:

        def sleep(seconds: float) -> None:
            desk.slept += seconds
            process.kill()
            process.wait()

        monkeypatch.setattr(desk, "sleep", sleep)
        assert desk.run("disable") == command.OK
    said = capsys.readouterr()
    assert "maintenance: without an end" in said.out
    assert "has not confirmed it" not in said.err
    assert not desk.monitor.enabled


def test_a_silent_heart_does_not_keep_disable_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by force: it had been frozen for 20 s, and the reset came while its word was waited for."""
    desk.run("enable", "--unattended")
    off_after: list[float] = []
    slept = desk.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if not desk.monitor.enabled and not off_after:
            off_after.append(desk.slept)

    monkeypatch.setattr(desk, "sleep", sleep)
    with heart(desk.lock_file, "on"):
        assert desk.run("disable") == command.HELD
    assert off_after[0] < 2.5


def test_what_a_heart_that_wakes_up_switched_on_again_is_switched_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stood still inside of a call to Enable, and saw the maintenance only then."""
    desk.run("enable", "--unattended")
    slept = desk.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if 5.0 < desk.slept < 5.2:
            desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")

    monkeypatch.setattr(desk, "sleep", sleep)
    with heart(desk.lock_file, "on"):
        assert desk.run("disable") == command.HELD
    assert not desk.monitor.enabled


def test_enabled_by_hand_is_taken_over_by_an_exporter_and_disabled_is_not(desk: Desk) -> None:
    for call, leftover in (("enable --unattended", Leftover.BY_HAND), ("disable", Leftover.NOTHING)):
        assert desk.run(*call.split()) == command.OK
        assert lock.record(desk.lock_file).leftover is leftover


# The end of a stop


def test_a_stop_that_was_cut_short_is_finished(desk: Desk) -> None:
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write()
    assert desk.run("finish-stop") == command.OK
    assert not desk.monitor.enabled
    assert not StopNote(desk.lock_file).stands()
    assert lock.record(desk.lock_file).leftover is Leftover.NOTHING


def test_a_crash_stays_what_it_is(desk: Desk) -> None:
    """systemd runs ExecStopPost= after every end."""
    desk.run("enable", "--unattended")
    assert desk.run("finish-stop") == command.OK
    assert desk.monitor.enabled


def test_a_stop_that_came_before_the_exporter_could_note_it_is_finished(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one that crashed had left on: systemd counts a death by SIGTERM as success."""
    left_on(desk)
    for name, value in ended("success", "killed", "TERM").items():
        monkeypatch.setenv(name, value)
    assert desk.run("finish-stop") == command.OK
    assert not desk.monitor.enabled
    assert lock.record(desk.lock_file).leftover is Leftover.NOTHING
    # Switched on by hand since then, by somebody who leaves no word in the lock.
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run("finish-stop") == command.OK
    assert desk.monitor.enabled


@pytest.mark.parametrize(
    "how",
    [
        ("signal", "killed", "KILL"),
        ("watchdog", "killed", "TERM"),
        ("timeout", "killed", "TERM"),
        ("oom-kill", "killed", "TERM"),
        ("core-dump", "dumped", "SEGV"),
        ("exit-code", "exited", "1"),
        ("success", "exited", "0"),
    ],
)
def test_every_other_end_that_systemd_knows_is_no_stop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: tuple[str, str, str]
) -> None:
    left_on(desk)
    for name, value in ended(*how).items():
        monkeypatch.setenv(name, value)
    assert desk.run("finish-stop") == command.OK
    assert desk.monitor.enabled


def ended(result: str, code: str, status: str) -> dict[str, str]:
    """What systemd tells ``ExecStopPost=`` of how the service ended."""
    return {"SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}


class Short:
    """Reads of the file ``name`` fail, for ``seconds``."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
        self.failed = 0
        monkeypatch.setattr(small_file, "PAUSE", 0.0)
        read = files.read_bytes

        def read_bytes(path: Path) -> bytes:
            if path.name == name and desk.slept < seconds:
                self.failed += 1
                raise OSError(errno.ENFILE, "Too many open files in system")
            return read(path)

        monkeypatch.setattr(files, "read_bytes", read_bytes)


def test_what_was_switched_on_by_hand_is_not_the_units_to_switch_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter that had not begun, and is told to stop, has nothing to do with it: found by a stranger."""
    desk.run("enable", "--unattended")
    for name, value in ended("success", "killed", "TERM").items():
        monkeypatch.setenv(name, value)
    assert desk.run("finish-stop") == command.OK
    assert desk.monitor.enabled


@pytest.mark.parametrize("noted", [False, True])
def test_a_finished_stop_leaves_nothing_of_the_checks(desk: Desk, noted: bool) -> None:
    """As any orderly stop does: found by a stranger."""
    left_on(desk)
    kept = KeptChecks(desk.lock_file)
    kept.write({"shop": Kept(3)})
    if noted:
        StopNote(desk.lock_file).write("1:1")
    assert desk.run("finish-stop") == command.OK
    assert bool(kept.read()) is not noted


UNREADABLE = [("ha.lock.stopping", True), ("boot_id", True), ("ha.lock", False)]


@pytest.mark.parametrize(("name", "noted"), UNREADABLE)
def test_a_shortage_makes_no_crash_of_a_stop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, *, noted: bool
) -> None:
    """Found by a stranger: exit 0 and not a word, and monitoring stayed on."""
    left_on(desk)
    if noted:
        StopNote(desk.lock_file).write("1:1")
    else:
        for variable, value in ended("success", "killed", "TERM").items():
            monkeypatch.setenv(variable, value)
    short = Short(desk, monkeypatch, name, ha_finish_stop.LOCK_LIMIT - 5)
    assert desk.run("finish-stop") == command.OK
    assert short.failed
    assert not desk.monitor.enabled


@pytest.mark.parametrize(("name", "noted"), UNREADABLE)
def test_where_a_stop_stays_unknown_that_is_told_and_fails(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, *, noted: bool
) -> None:
    left_on(desk)
    if noted:
        StopNote(desk.lock_file).write("1:1")
    else:
        for variable, value in ended("success", "killed", "TERM").items():
            monkeypatch.setenv(variable, value)
    Short(desk, monkeypatch, name, float("inf"))
    assert desk.run("finish-stop") == command.HELD
    assert "whether a stop was asked for is not known, and nothing was done" in capsys.readouterr().err
    assert desk.monitor.enabled
    assert ha_finish_stop.LOCK_LIMIT <= desk.slept < ha_finish_stop.WHOLE_LIMIT


def test_a_stop_is_finished_though_what_is_left_can_not_be_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write("1:1")
    Short(desk, monkeypatch, "ha.lock", float("inf"))
    assert desk.run("finish-stop") == command.OK
    assert not desk.monitor.enabled


def test_a_stop_is_finished_beside_a_dry_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for an exporter that beats again."""
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write("1:1")
    with heart(desk.lock_file, exporter=own()):
        monkeypatch.setattr(ha_desk.Desk, "dry_run", True)
        assert desk.run("finish-stop") == command.OK
    assert not desk.monitor.enabled
    assert not StopNote(desk.lock_file).stands()


def test_an_exporter_that_runs_again_is_left_alone(desk: Desk) -> None:
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write()
    with heart(desk.lock_file, exporter=own()):
        assert desk.run("finish-stop") == command.OK
    assert desk.monitor.enabled


def test_whoever_can_not_be_told_is_waited_for_and_told(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write()
    with heart(desk.lock_file) as process:
        assert desk.run("finish-stop") == command.HELD
        assert process.poll() is None
        assert f"pid {process.pid}" in capsys.readouterr().err
    assert desk.monitor.enabled
    assert desk.slept >= ha_finish_stop.LOCK_LIMIT


def test_a_heart_that_the_kernel_holds_on_to_is_as_good_as_gone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It got SIGKILL, and can't take it yet: nobody else can have the lock, and it does nothing any more."""
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write("1:1")
    with heart(desk.lock_file, "on", exporter="1:1"):
        monkeypatch.setattr(process, "kill", lambda _: True)
        assert desk.run("finish-stop") == command.NOT_NOTED
    assert not desk.monitor.enabled
    assert ha_finish_stop.STILL + ha_finish_stop.KILL_LIMIT < desk.slept < ha_finish_stop.LOCK_LIMIT


def test_a_heart_that_goes_on_with_the_stop_is_given_its_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write("1:1")
    killed: list[float] = []

    def kill(_: str) -> bool:
        killed.append(desk.slept)
        return True

    monkeypatch.setattr(process, "moves", lambda _: str(desk.slept))
    monkeypatch.setattr(process, "kill", kill)
    with heart(desk.lock_file, "on", exporter="1:1"):
        desk.run("finish-stop")
    assert killed
    assert killed[0] >= ha_finish_stop.LOCK_LIMIT


def test_disable_needs_no_lock_file_and_leaves_none(desk: Desk) -> None:
    """As in a crash kernel."""
    assert desk.run("disable") == command.OK
    assert not Path(desk.lock_file).exists()


def test_disable_goes_on_while_another_takes_the_lock(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run("enable", "--unattended")
    monkeypatch.setattr(lock, "acquire", lambda _path, **_: None)
    assert desk.run("disable") == command.OK


# When the host does not do as told


class Stubborn:
    """An AppMonitor of which every call does what ``answers`` says."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        def call(*_: object) -> object:
            self.calls.append(name)
            answer = self.answers.pop(0) if name != "close" else None
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def stubborn(monkeypatch: pytest.MonkeyPatch, *answers: object) -> Stubborn:
    monitor = Stubborn(*answers)
    monkeypatch.setattr(command, "monitor_for", lambda _settings: monitor)
    return monitor


OK = Code.OK


def test_disable_is_repeated_until_the_host_confirms_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    note(desk, Leftover.MONITORING)
    monitor = stubborn(monkeypatch, OK, OK, True, RefusedError("no"), OK, False)
    assert desk.run("disable") == command.OK
    assert monitor.calls == [
        "post_app_state",
        "disable",
        "is_enabled",
        "disable",
        "disable",
        "is_enabled",
        "close",
    ]
    assert desk.slept == 2


def test_disable_that_is_never_confirmed_is_said_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note(desk, Leftover.MONITORING)
    stubborn(monkeypatch, OK, *[Code.INTERNAL_ERROR, True] * 20)
    assert desk.run("disable") == command.NO
    assert "still on after 5 s; to Disable the host answered 1" in capsys.readouterr().err


def test_disable_without_a_host_ends_after_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    note(desk, Leftover.MONITORING)
    monitor = stubborn(monkeypatch, *[RefusedError("no")] * 20)
    assert desk.run("disable") == command.NO_CHANNEL
    assert monitor.calls.count("disable") == 6
    assert desk.slept == ha_maintenance.DISABLE_LIMIT


def test_a_maintenance_that_was_noted_is_told_where_disable_is_not_confirmed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who takes it for a failure altogether would find monitoring off days later."""
    stubborn(monkeypatch, False, *[RefusedError("no")] * 20)
    assert desk.run("disable", "--for", "30m") == command.NO_CHANNEL
    assert Maintenance(desk.lock_file).left() is not None
    assert "maintenance is noted all the same, until" in capsys.readouterr().err


def test_a_maintenance_that_could_not_be_noted_is_told_where_disable_is_not_confirmed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stubborn(monkeypatch, False, *[RefusedError("no")] * 20)
    monkeypatch.setattr(Maintenance, "begin", no_room)
    assert desk.run("disable", "--for", "30m") == command.NO_CHANNEL
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "all the same" not in said


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutExpired("no answer"), "whether monitoring was switched on is not known"),
        (RpcError("Permission denied"), "monitoring was not switched on"),
    ],
)
def test_enable_by_hand_whose_answer_is_lost_says_that_a_heartbeat_may_be_due(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: VMGuestError,
    word: str,
) -> None:
    stubborn(monkeypatch, False, *[error] * 3)
    assert desk.run("enable", "--unattended") in {command.NO_CHANNEL, command.NO}
    assert f"there was no maintenance, and {word}" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RpcError("Unknown command"), NotVMwareError("no")])
def test_disable_is_not_repeated_where_nothing_will_change(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: VMGuestError
) -> None:
    monitor = stubborn(monkeypatch, *[error] * 5)
    assert desk.run("disable") in {command.NOT_SUPPORTED, command.NOT_VMWARE}
    assert monitor.calls == [*["is_enabled"] * 3, "post_app_state", "disable", "close"]


def test_one_error_hides_nobody_who_sends_heartbeats(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable would be confirmed, and switched on again by whom nobody has looked for."""
    stubborn(monkeypatch, RpcError("Unknown command"), True, OK, OK, False)
    assert desk.run("disable") == command.HELD


@pytest.mark.parametrize("call", ["enable", "status"])
def test_one_error_is_no_word_on_what_is_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    note(desk, Leftover.MONITORING)
    stubborn(monkeypatch, RpcError("Unknown command"), True, AppStatus.GREEN)
    assert desk.run(call) == command.NOBODY
    assert "nobody sends heartbeats" in capsys.readouterr().err or call == "enable"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (Code.UNTOLD, "whether monitoring was switched on is not known"),
        (Code.NOT_ENABLED, "monitoring was not switched on"),
    ],
)
def test_a_status_of_the_library_is_no_word_on_whether_it_was_switched_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: Code, word: str
) -> None:
    stubborn(monkeypatch, False, code)
    assert desk.run("enable", "--unattended") == command.NO
    assert f"there was no maintenance, and {word}" in capsys.readouterr().err


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
@pytest.mark.parametrize("call", ["disable", "finish-stop"])
def test_no_error_word_is_taken_for_off_where_it_is_noted_as_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: VMGuestError, call: str
) -> None:
    """A host that is starting says Unknown command too: what is noted, or has once been answered, is asked for again."""
    note(desk, Leftover.MONITORING)
    StopNote(desk.lock_file).write()
    stubborn(monkeypatch, *[error] * 1000)
    assert desk.run(call) != command.OK
    assert lock.record(desk.lock_file).leftover is Leftover.MONITORING
    assert StopNote(desk.lock_file).stands()
    # It passes for each call after it has been made twice.
    made = dict.fromkeys(["post_app_state", "disable", "is_enabled"], 0)

    def answer(name: str, good: object) -> object:
        made[name] += 1
        if made[name] <= 2:
            raise error
        return good

    passing = Stubborn()
    passing.post_app_state = lambda _: answer("post_app_state", OK)  # type: ignore[attr-defined]
    passing.disable = lambda: answer("disable", OK)  # type: ignore[attr-defined]
    passing.is_enabled = lambda: answer("is_enabled", False)  # type: ignore[attr-defined]
    monkeypatch.setattr(command, "monitor_for", lambda _settings: passing)
    assert desk.run(call) == command.OK
    assert made["is_enabled"] >= 3
    assert lock.record(desk.lock_file).leftover is Leftover.NOTHING


# A request for a reset that is pending


def asked(desk: Desk) -> None:
    """The host has taken a request and does not act on it yet; the exporter that asked is dead."""
    desk.options(request_delay=1000.0)
    assert desk.run("enable", "--unattended") == command.OK
    desk.monitor.answer(b"GuestAppMonitor.Cmd.PostAppState appStateNeedReset")
    note(desk, Leftover.REQUEST)


def left_on(desk: Desk) -> None:
    """By an exporter that crashed."""
    note(desk, Leftover.MONITORING)
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")


def note(desk: Desk, leftover: Leftover) -> None:
    held = lock.acquire(desk.lock_file)
    assert held is not None
    held.note(leftover)
    held.release()


@pytest.mark.parametrize("words", ["disable", "disable --for 30m", "finish-stop"])
def test_what_an_exporter_gave_up_is_waited_for(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """The host may still carry it out: "off, confirmed by the host", and on a few seconds later."""
    held = lock.acquire(desk.lock_file)
    assert held is not None
    held.note(Leftover.MONITORING, late_until=12.0)
    held.release()
    if words == "finish-stop":
        StopNote(desk.lock_file).write()
    desk.slept = 2.0
    assert desk.run("status") == command.NO
    assert (
        "monitoring: off, and may come on by a call that was given up, for another 10 s\n"
        in capsys.readouterr().out
    )
    slept, desk_sleep = [0.0], desk.sleep

    def sleep(seconds: float) -> None:
        desk_sleep(seconds)
        if slept[0] < 8.0 <= desk.slept:
            desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
        slept[0] = desk.slept

    desk.sleep = sleep  # type: ignore[method-assign]
    assert desk.run(*words.split()) == command.OK
    assert desk.slept >= 12.0
    assert not desk.monitor.enabled
    said = capsys.readouterr()
    assert "whether monitoring stays off is watched for 10 s" in said.err
    assert "off, confirmed by the host" in said.out
    assert lock.record(desk.lock_file) == lock.Record()
    assert lock.record(desk.lock_file).late_until is None


def test_in_a_shortage_a_call_may_be_on_its_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be read is unknown, and never "no": off, confirmed, and on again 10 s later."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")

    def short(_: object) -> NoReturn:
        raise ConfigError(Passing("too many open files"))

    monkeypatch.setattr(ha_desk.Desk, "_record", short)
    monkeypatch.setattr(ha_desk.Desk, "stranger", lambda _: "")
    monkeypatch.setattr(ha_desk.Desk, "beats", lambda _: False)
    desk.run("disable")
    assert desk.slept >= 30.0
    assert not desk.monitor.enabled


@pytest.mark.parametrize(
    ("on", "status"), [(True, command.NOT_NOTED), (False, command.OK), (None, command.OK)]
)
def test_a_lock_that_is_gone_with_its_directory_is_no_word_on_what_is_left(
    desk: Desk, capsys: pytest.CaptureFixture[str], *, on: bool | None, status: int
) -> None:
    """Found by a stranger: exit 0 without a word, and a reset. A stop that was cut short could not be noted there."""
    desk.options(supported=on is not None)
    if on:
        desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    gone = str(Path(desk.lock_file).parent / "gone" / "ha.lock")
    desk.settings = Settings(guestrpc=GuestRpc(socket=str(desk.socket)), ha=Ha(lock_file=gone))
    assert desk.run("finish-stop") == status
    assert ("this end is taken for a crash" in capsys.readouterr().err) is (status == command.NOT_NOTED)


def test_a_maintenance_that_is_over_when_it_is_told_is_told_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget = ha_maintenance._forget

    def slowly(desk: ha_desk.Desk, *, off: bool) -> bool:
        if off:
            time.sleep(1.1)
        return forget(desk, off=off)

    monkeypatch.setattr(ha_maintenance, "_forget", slowly)
    assert desk.run("disable", "--for", "1s") == command.OK
    said = capsys.readouterr().out
    assert "maintenance is over by now: an exporter that sends heartbeats" in said
    assert "ends it" not in said


def test_enable_says_what_may_come_yet(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    held = lock.acquire(desk.lock_file)
    assert held is not None
    held.note(Leftover.MONITORING, late_until=12.0)
    held.release()
    assert desk.run("enable") == command.NOBODY
    said = capsys.readouterr().err
    assert "Monitoring is off, and may come on by a call that was given up, for another 12 s." in said
    assert "stays so" not in said


@pytest.mark.parametrize("words", ["disable --for 30m", "disable"])
def test_beside_a_heart_an_unknown_command_is_no_reason_for_no_maintenance(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Of an exporter whose health is not good yet nothing is noted: "nothing to switch off", and on 20 s later in maintenance."""
    desk.options(supported=False)
    with heart(desk.lock_file, exporter=own()):
        assert desk.run(*words.split()) == command.NO
        assert desk.slept >= 4.0, "it may pass"
    said = capsys.readouterr().err
    assert "nothing to switch off" not in said
    assert "maintenance is noted all the same" in said
    assert Maintenance(desk.lock_file).left() is not None


def no_answer(*_: object) -> NoReturn:
    raise TimeoutExpired("no answer within 2 s")


def test_what_a_single_call_gave_up_is_noted_or_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.slept = 5.0
    with monkeypatch.context() as patch:
        patch.setattr(WireAppMonitor, "enable", no_answer)
        assert desk.run("enable", "--unattended") == command.NO_CHANNEL
    found = lock.record(desk.lock_file)
    assert (found.leftover, found.late_until) == (Leftover.BY_HAND, 35.0)
    assert desk.run("mark-active") == command.NO, "it is off for now"
    assert lock.record(desk.lock_file).late_until == 35.0
    assert desk.run("disable") == command.OK
    assert desk.slept >= 35.0
    assert desk.run("enable", "--unattended") == command.OK
    assert lock.record(desk.lock_file).late_until is None
    capsys.readouterr()
    for state, told in (("need-reset", True), ("ok", False)):
        with monkeypatch.context() as patch:
            patch.setattr(WireAppMonitor, "post_app_state", no_answer)
            assert desk.run("post-app-state", state, "--yes") == command.NO_CHANNEL
        assert ("the host may still act on it, within 30 s" in capsys.readouterr().err) is told


@pytest.mark.parametrize("call", ["disable", "disable --for 30m", "finish-stop"])
@pytest.mark.parametrize("noted", [Leftover.REQUEST, Leftover.NOTHING])
def test_a_request_for_a_reset_is_taken_back_with_monitoring(
    desk: Desk, call: str, noted: Leftover, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by force: "monitoring is off, confirmed by the host", and a reset half a minute later."""
    asked(desk)
    note(desk, noted)
    StopNote(desk.lock_file).write()
    seen = noted is Leftover.REQUEST or call == "finish-stop"
    assert desk.run(*call.split()) == (command.OK if seen else command.HELD)
    assert desk.monitor.seconds_left() is None
    assert lock.record(desk.lock_file).leftover is Leftover.NOTHING
    assert "confirmed by the host" in capsys.readouterr().out


@pytest.mark.parametrize("call", ["disable", "finish-stop"])
def test_a_request_that_is_not_taken_back_stays_noted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    """An exporter that starts afterwards has to know of it."""
    asked(desk)
    StopNote(desk.lock_file).write()
    stubborn(monkeypatch, *[Code.INTERNAL_ERROR, OK, False] * 60)
    assert desk.run(*call.split()) == command.NO
    said = capsys.readouterr()
    assert (
        "request for a reset of this VM is NOT taken back (the host answered 1 (internal error))" in said.err
    )
    assert "monitoring is off, confirmed by the host" in said.err
    assert lock.record(desk.lock_file).leftover is Leftover.REQUEST
    assert StopNote(desk.lock_file).stands()


def test_a_request_is_taken_back_until_the_host_has_heard_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(desk)
    answers = (RefusedError("no"), OK, False, Code.INTERNAL_ERROR, OK, False, OK, OK, False)
    monitor = stubborn(monkeypatch, *answers)
    assert desk.run("disable") == command.OK
    assert monitor.calls.count("post_app_state") == 3


@pytest.mark.parametrize("refusal", [RpcError("Unknown command"), Code.BAD_ARGUMENT])
def test_a_host_that_knows_no_requests_has_none_pending(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, refusal: object
) -> None:
    """Before vSphere 5.5; and no exporter had noted one."""
    desk.run("enable", "--unattended")
    stubborn(monkeypatch, refusal, OK, False)
    assert desk.run("disable") == command.OK


def test_enable_without_a_heart_tells_of_a_request_that_was_left(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """ "Monitoring is off, and stays so" is no comfort where a reset has been asked for."""
    asked(desk)
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Disable")
    assert desk.run("enable") == command.NOBODY
    assert "A request for a reset of this VM was noted" in capsys.readouterr().err
    assert desk.run("disable") == command.OK
    assert desk.run("enable") == command.NOBODY
    assert "request" not in capsys.readouterr().err


def test_enabling_by_hand_forgets_no_request(desk: Desk) -> None:
    asked(desk)
    assert desk.run("enable", "--unattended") == command.OK
    assert lock.record(desk.lock_file).leftover is Leftover.REQUEST


# Somebody whom the command can't see


@pytest.mark.parametrize("words", ["disable", "disable --for 30m", "enable", "enable --unattended", "status"])
def test_monitoring_that_nobody_here_left_on_is_somebodys(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Found by force: another mount namespace, and "no exporter sends heartbeats" beside one that beat on."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run(*words.split()) == command.HELD
    assert desk.monitor.enabled is not words.startswith("disable"), "the host is told all the same"
    assert "somebody whom this command can't see may send heartbeats" in capsys.readouterr().err


def test_a_stranger_is_not_forgotten_because_monitoring_is_off(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: the second `disable`, which everybody makes after an error, was believed, and ended well."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    for words in ("disable --for 30m", "disable --for 30m", "disable", "enable", "enable --unattended"):
        assert desk.run(*words.split()) == command.HELD, words
        said = capsys.readouterr()
        assert "somebody whom this command can't see may send heartbeats" in said.err, words
        assert "maintenance:" not in said.out, words
        assert not desk.monitor.enabled, words
        assert not any(
            word in said.err + said.out for word in ("stays so", "Nobody sends", "No exporter is")
        ), words
    assert desk.run("status") == command.NO
    assert "somebody whom this command can't see" in capsys.readouterr().err
    StrangerNote(desk.lock_file).clear()
    assert desk.run("enable") == command.NOBODY, "an exporter with this lock has switched it on since"


def test_a_stranger_of_another_boot_is_none(desk: Desk) -> None:
    StrangerNote(desk.lock_file).path.write_text("another boot\n")
    assert desk.run("disable") == command.OK


def test_a_stranger_that_can_not_be_noted_is_told_all_the_same(desk: Desk) -> None:
    StrangerNote(desk.lock_file).path.mkdir()
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run("disable") == command.HELD


def test_a_maintenance_without_an_exporter_says_whom_it_holds_for(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.run("disable", "--for", "30m") == command.OK
    assert f"for an exporter that starts with {desk.lock_file}, and for no other" in capsys.readouterr().out


def test_another_mount_namespace_is_seen_by_what_the_first_process_sees(tmp_path: Path) -> None:
    mine = tmp_path / "run"
    theirs = tmp_path / "root" / mine.relative_to("/")
    mine.mkdir()
    path = str(mine / "ha.lock")
    assert not shared_lock.elsewhere(path, tmp_path / "root"), "nothing is known"
    theirs.parent.mkdir(parents=True)
    theirs.symlink_to(mine)
    assert not shared_lock.elsewhere(path, tmp_path / "root")
    theirs.unlink()
    theirs.mkdir()
    assert f"{mine} is another directory here" in shared_lock.elsewhere(path, tmp_path / "root")


def test_a_command_of_another_mount_namespace_claims_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: there each call has an empty directory, and the second one knew of nothing."""
    monkeypatch.setattr(shared_lock, "elsewhere", lambda _path: "another directory here")
    for _ in range(2):
        assert desk.run("disable", "--for", "30m") == command.HELD
        said = capsys.readouterr()
        assert "another directory here" in said.err
        assert "maintenance" not in said.out


def other_heart(
    desk: Desk, path: str, *, dry_run: bool = False, socket: str = "", exporter: str = ""
) -> subprocess.Popen[bytes]:
    """A process that looks like the heart of another exporter."""
    settings = HeartSettings(
        5.0,
        30.0,
        "withhold",
        "guestrpc",
        socket or str(desk.socket),
        None,
        path,
        dry_run=dry_run,
        exporter=exporter,
    )
    code = "import time; time.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", code, settings.argument])
    # Popen returns a moment before /proc has the command line of what was started.
    while HeartSettings.of(process.pid) is None:
        assert process.poll() is None
        time.sleep(0.001)
    return process


@pytest.mark.parametrize("lock_name", ["other.lock", "ha.lock"])
@pytest.mark.parametrize("leftover", [Leftover.NOTHING, Leftover.MONITORING])
@pytest.mark.parametrize("words", ["disable", "disable --for 30m", "enable --unattended"])
def test_the_heart_of_an_exporter_with_another_lock_is_seen(
    desk: Desk, capsys: pytest.CaptureFixture[str], lock_name: str, leftover: Leftover, words: str
) -> None:
    """Found by a stranger: another mount namespace, whose second `disable` ended well; and another lock file, whose exporter was dead."""
    note(desk, leftover)
    path = str(Path(desk.lock_file).with_name(lock_name))
    process = other_heart(desk, path)
    try:
        assert desk.run(*words.split()) == command.HELD
        said = capsys.readouterr()
        assert f"another exporter's heart (pid {process.pid}) is there with the lock {path}" in said.err
        assert ("--ha.lock-file" in said.err) is (path != desk.lock_file), "that would be the same call"
        assert "maintenance:" not in said.out
        assert not desk.monitor.enabled
    finally:
        process.kill()
        process.wait()
    assert desk.run("disable") == command.OK


@pytest.mark.parametrize("words", ["disable --for 30m", "disable"])
def test_where_no_maintenance_can_be_noted_it_is_told_all_the_same(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Found by a stranger: the lock's directory was moved away, and "monitoring stays off until an exporter starts"."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    desk.lock_file = str(Path(desk.lock_file).parent / "gone" / "ha.lock")
    desk.settings = Settings(guestrpc=GuestRpc(socket=str(desk.socket)), ha=Ha(lock_file=desk.lock_file))
    process = other_heart(desk, desk.lock_file)
    try:
        assert desk.run(*words.split()) == command.HELD
    finally:
        process.kill()
        process.wait()
    assert not desk.monitor.enabled
    said = capsys.readouterr().err
    assert f"another exporter's heart (pid {process.pid}) is there" in said
    assert "monitoring stays off" not in said
    assert ("No such file or directory" in said) is ("--for" in words)


def test_the_heart_of_another_exporter_is_seen_beside_the_own_one(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: two locks, or one path in two mount namespaces, and `disable` ended well."""
    other = other_heart(desk, desk.lock_file, exporter="7:1")
    try:
        with heart(desk.lock_file, exporter=own()) as process:
            assert desk.run("disable", "--for", "30m") == command.HELD
            said = capsys.readouterr()
            assert f"another exporter's heart (pid {other.pid})" in said.err
            assert "maintenance: until " in said.out
            assert f"for the exporter's heart (pid {process.pid}) alone" in said.out
            desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
            assert desk.run("status") == command.HELD
            assert f"another exporter's heart (pid {other.pid})" in capsys.readouterr().err
    finally:
        other.kill()
        other.wait()


def test_the_own_heart_of_another_pid_namespace_is_no_stranger(desk: Desk) -> None:
    """A container's: it has written another pid into the lock's file than is seen from here."""
    seen = other_heart(desk, desk.lock_file, exporter="7:1")
    try:
        with heart(desk.lock_file, exporter="7:1"):
            assert desk.run("disable") == command.OK
    finally:
        seen.kill()
        seen.wait()


def test_no_heartbeat_by_hand_beside_a_heart_that_is_seen(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: the heart of another mount namespace, and "heartbeat taken"."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    process = other_heart(desk, desk.lock_file)
    try:
        assert desk.run("mark-active") == command.HELD
        assert f"another exporter's heart (pid {process.pid})" in capsys.readouterr().err
    finally:
        process.kill()
        process.wait()
    assert desk.monitor.heartbeats == 0
    assert desk.run("mark-active") == command.OK


def test_hearts_that_beat_for_another_host_or_for_nobody_are_no_strangers(desk: Desk) -> None:
    hearts = [
        other_heart(desk, desk.lock_file, dry_run=True),
        other_heart(desk, desk.lock_file, socket="/elsewhere"),
    ]
    try:
        assert desk.run("disable") == command.OK
    finally:
        for process in hearts:
            process.kill()
            process.wait()


def test_a_heart_that_is_only_ending_is_no_stranger(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    process = other_heart(desk, desk.lock_file)

    def sleep(seconds: float) -> None:
        desk.slept += seconds
        process.kill()
        process.wait()

    monkeypatch.setattr(desk, "sleep", sleep)
    assert desk.run("disable") == command.OK


# The heart of an exporter that has ended

DEAD = "999999999:1"
"""Such an exporter."""


def test_the_heart_of_an_exporter_that_has_ended_is_not_said_to_beat(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: killed, its heart standing still; "sends the heartbeats", and a reset 1 s later."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    with heart(desk.lock_file, "on", DEAD) as process:
        assert desk.run("status") == command.NOBODY
        said = capsys.readouterr()
        assert f"exporter: the heart (pid {process.pid}) of an exporter that has ended\n" in said.out
        assert "nobody sends heartbeats: unless an exporter starts" in said.err
        assert desk.run("enable") == command.NOBODY
        said = capsys.readouterr()
        assert said.out == ""
        assert "Monitoring is on from before: unless an exporter starts" in said.err
        assert "holds the lock, and sends none" in said.err
        assert desk.run("disable") == command.HELD
        assert f"kill -9 {process.pid}" in capsys.readouterr().err
        assert not desk.monitor.enabled
        assert desk.run("enable") == command.NOBODY
        assert "Monitoring is off, and stays so for now." in capsys.readouterr().err


def test_enable_waits_for_the_end_of_such_a_heart(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with heart(desk.lock_file, "on", DEAD) as process:

        def sleep(seconds: float) -> None:
            desk.slept += seconds
            process.kill()
            process.wait()

        monkeypatch.setattr(desk, "sleep", sleep)
        assert desk.run("enable", "--unattended") == command.OK
    assert desk.monitor.enabled


def test_such_a_heart_that_finishes_a_stop_is_called_so(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    StopNote(desk.lock_file).write(DEAD)
    with heart(desk.lock_file, "on", DEAD) as process:
        desk.run("status")
        said = capsys.readouterr().out
        assert f"the heart (pid {process.pid}) of an exporter that has ended in the middle of a stop" in said


# A user who may not look


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything: the lock's file answers as it does to somebody else."""
    monkeypatch.setattr(lock, "holder", lambda _path: 0)
    monkeypatch.setattr("exporter.commands.ha_desk.os.access", lambda _path, _mode: False)


@pytest.mark.usefixtures("unprivileged")
def test_who_may_not_look_is_told_what_is_not_seen(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Found by a stranger: with no exporter running, "the exporter's heart (pid unknown)"."""
    assert desk.run("status") == command.NO
    said = capsys.readouterr().out
    assert f"exporter: not known, for only root and the exporter's user can read {desk.lock_file}\n" in said
    assert "last heartbeat: not known\n" in said
    assert "heart (" not in said


@pytest.mark.usefixtures("unprivileged")
def test_who_may_not_look_sends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: "another exporter's heart is there", of the one with this lock; finish-stop was silent, exit 0."""
    assert desk.run("mark-active") == command.HELD
    assert "nothing was sent: who holds the lock is not known" in capsys.readouterr().err
    for name, value in ended("success", "killed", "TERM").items():
        monkeypatch.setenv(name, value)
    assert desk.run("finish-stop") == command.HELD
    assert "this user can't read it. So whether a stop was asked for is not known" in capsys.readouterr().err


@pytest.mark.usefixtures("unprivileged")
def test_who_may_not_look_is_not_told_that_all_is_well(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: exit status 0, while nobody beat."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run("status") == command.HELD
    assert "whether somebody sends heartbeats is not known" in capsys.readouterr().err


@pytest.mark.usefixtures("unprivileged")
def test_who_may_not_look_enables_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.run("enable", "--unattended") == command.HELD
    assert not desk.monitor.enabled
    assert "Repeat this as root" in capsys.readouterr().err


@pytest.mark.usefixtures("unprivileged")
def test_a_disable_of_who_may_not_look_claims_no_heart(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    Maintenance(desk.lock_file).path.with_name(f"ha.lock.maintenance.new.{os.getpid()}").mkdir()
    assert desk.run("disable") == command.NOT_NOTED
    said = capsys.readouterr().err
    assert "whether an exporter sends heartbeats is not known" in said
    assert "heart (pid" not in said


@pytest.mark.usefixtures("unprivileged")
def test_a_disable_of_who_may_not_look_into_the_locks_directory_ends_in_words(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exists = Path.exists

    def closed(path: Path) -> bool:
        if str(path) == desk.lock_file:
            raise PermissionError(errno.EACCES, "Permission denied")
        return exists(path)

    Maintenance(desk.lock_file).path.with_name(f"ha.lock.maintenance.new.{os.getpid()}").mkdir()
    monkeypatch.setattr(Path, "exists", closed)
    assert desk.run("disable") == command.NOT_NOTED
    assert "whether an exporter sends heartbeats is not known" in capsys.readouterr().err


# Beside a dry run


@pytest.fixture
def dry_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings = HeartSettings(5.0, 30.0, "withhold", "guestrpc", None, None, desk.lock_file, dry_run=True)
    monkeypatch.setattr(HeartSettings, "of", lambda pid, *_: settings if pid else None)
    with heart(desk.lock_file, "on"):
        yield


@pytest.mark.usefixtures("dry_run")
def test_a_dry_run_is_not_said_to_send_what_the_host_expects(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by a stranger: after a crash, "the exporter's heart sends ...", 30 s before the reset."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run("status") == command.NOBODY
    said = capsys.readouterr()
    assert "in a dry run: it sends nothing\n" in said.out
    assert "nobody sends heartbeats" in said.err
    assert desk.run("enable") == command.NOBODY
    assert "Monitoring is on from before: unless an exporter starts" in capsys.readouterr().err


@pytest.mark.usefixtures("dry_run")
def test_disable_beside_a_dry_run_waits_for_nobody(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Found by a stranger: 12 s, a failure, and the dry run was blamed."""
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    assert desk.run("disable") == command.OK
    assert desk.slept == 0
    assert not desk.monitor.enabled
    assert Maintenance(desk.lock_file).left() == math.inf, "the dry run shows it"
    assert capsys.readouterr().err == ""


def test_what_a_dead_exporter_left_on_is_nobodys(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.monitor.answer(b"GuestAppMonitor.Cmd.Enable")
    note(desk, Leftover.MONITORING)
    assert desk.run("disable") == command.OK
    assert "can't see" not in capsys.readouterr().err


@contextlib.contextmanager
def from_a_container(desk: Desk) -> Iterator[ha_desk.Desk]:
    with contextlib.closing(WireAppMonitor(Channel(UnixConnector(str(desk.socket)), 2.0))) as monitor:
        yield ha_desk.Desk(
            desk.lock_file,
            monitor,
            desk.sleep,
            lambda: desk.slept,
            "this is a container, and /run/x is its own",
        )


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_disable_from_a_container_without_the_machines_lock_says_so(
    desk: Desk, capsys: pytest.CaptureFixture[str], seconds: float | None
) -> None:
    desk.run("enable", "--unattended")
    with from_a_container(desk) as inside:
        assert ha_maintenance.disable(inside, seconds) == command.HELD
    assert not desk.monitor.enabled
    said = capsys.readouterr()
    assert "this is a container" in said.err
    assert "maintenance" not in said.out, "nobody would see it"
    assert Maintenance(desk.lock_file).left() is None


def test_enable_from_such_a_container_is_refused(desk: Desk) -> None:
    with from_a_container(desk) as inside, pytest.raises(ConfigError, match="this is a container"):
        ha_enable.enable(inside, unattended=True)
    assert not desk.monitor.enabled


def test_a_command_looks_whether_it_can_see_the_machines_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_path: str) -> None:
        raise ConfigError("this is a container")

    monkeypatch.setattr(shared_lock, "check_shared", refuse)
    desk.settings = Settings(ha=Ha(lock_file=desk.lock_file))
    stubborn(monkeypatch, False, OK, OK, False)
    assert desk.run("disable", vmware=True) == command.HELD
    assert "this is a container" in capsys.readouterr().err


# A lock's directory that takes nothing


def no_room(*_: object, **__: object) -> lock.Lock:
    raise ConfigError("the lock can't be opened: No space left on device")


@pytest.mark.parametrize("words", ["disable", "disable --for 30m"])
def test_a_full_directory_keeps_disable_from_nothing_and_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    desk.run("enable", "--unattended")
    monkeypatch.setattr(Maintenance, "begin", no_room)
    with heart(desk.lock_file, "on"):
        assert desk.run(*words.split()) == command.NOT_NOTED
    assert not desk.monitor.enabled
    assert desk.slept == 0, "nobody was told to do it"
    said = capsys.readouterr()
    assert "monitoring is off, confirmed by the host" in said.out
    assert "No space left on device. So this is no maintenance: the exporter's heart (pid" in said.err
    assert "switches monitoring on again within seconds, and sends heartbeats" in said.err


def full(descriptor: int, mode: str, opened: Callable[..., IO[str]] = os.fdopen) -> IO[str]:
    """The file for a note, on a disk without room."""
    if "w" not in mode:
        return opened(descriptor, mode)
    os.close(descriptor)
    return Path("/dev/full").open("w", encoding="ascii")


def read_only(path: str, flags: int, mode: int = 0, opened: Callable[..., int] = os.open) -> int:
    if flags & (os.O_WRONLY | os.O_RDWR):
        raise OSError(errno.EROFS, "Read-only file system")
    return opened(path, flags, mode)


@pytest.mark.parametrize(
    ("name", "injected", "why"),
    [("fdopen", full, "No space left on device"), ("open", read_only, "Read-only file system")],
)
def test_a_maintenance_that_can_not_be_noted_is_none_and_leaves_nothing_half(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    injected: object,
    why: str,
) -> None:
    desk.run("enable", "--unattended")
    before = sorted(Path(desk.lock_file).parent.iterdir())
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(f"exporter.ha.maintenance.os.{name}", injected)
        assert desk.run("disable", "--for", "30m") == command.NOT_NOTED
    assert not desk.monitor.enabled
    said = capsys.readouterr()
    assert f"{why}." in said.err
    assert "monitoring stays off until an exporter starts, which switches it on again" in said.err
    assert "maintenance: until" not in said.out
    assert sorted(Path(desk.lock_file).parent.iterdir()) == before
    assert Maintenance(desk.lock_file).left() is None


def test_a_maintenance_that_can_not_be_prolonged_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("disable", "--for", "30m")
    with monkeypatch.context() as patch:
        patch.setattr("exporter.ha.maintenance.os.fdopen", full)
        assert desk.run("disable", "--for", "2h") == command.NOT_NOTED
    assert "What was noted before stands. Maintenance: until" in capsys.readouterr().err
    left = Maintenance(desk.lock_file).left()
    assert left is not None
    assert left <= 1800


def test_what_could_not_be_forgotten_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("enable", "--unattended")
    monkeypatch.setattr(lock, "acquire", no_room)
    assert desk.run("disable") == command.NOT_NOTED
    assert not desk.monitor.enabled
    assert "what stood there before still does" in capsys.readouterr().err


def test_a_stop_is_finished_where_nothing_can_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that became read-only."""
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write()
    monkeypatch.setattr(lock, "acquire", no_room)
    assert desk.run("finish-stop") == command.NOT_NOTED
    assert not desk.monitor.enabled
    assert "what stood there before still does" in capsys.readouterr().err


def test_not_without_a_lock_that_another_holds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run("enable", "--unattended")
    StopNote(desk.lock_file).write()
    with heart(desk.lock_file, "on"):
        monkeypatch.setattr(lock, "acquire", no_room)
        with pytest.raises(ConfigError):
            desk.run("finish-stop")
    assert desk.monitor.enabled


def test_an_end_that_may_have_been_a_stop_nobody_could_note_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("enable", "--unattended")
    monkeypatch.setattr(StopNote, "has_room", lambda _: False)
    assert desk.run("finish-stop") == command.NOT_NOTED
    assert desk.monitor.enabled, "a crash stays what it is"
    assert "vmguest-exporter ha disable keeps it from that" in capsys.readouterr().err


@pytest.mark.parametrize(("leftover", "status"), [(Leftover.MONITORING, 0), (Leftover.REQUEST, 8)])
def test_unless_the_host_says_that_monitoring_is_off(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    leftover: Leftover,
    status: int,
) -> None:
    """Found by a stranger: the exporter had handed it back, confirmed, and could not note that. A request may pend all the same."""
    held = lock.acquire(desk.lock_file)
    assert held is not None
    held.note(leftover)
    held.release()
    monkeypatch.setattr(StopNote, "has_room", lambda _: False)
    assert desk.run("finish-stop") == status
    assert bool(capsys.readouterr().err) is (status != 0)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RpcError("Unknown command"), command.NOT_SUPPORTED),
        (RpcError("Permission denied"), command.NO),
        (NotVMwareError("no"), command.NOT_VMWARE),
        (RefusedError("no"), command.NO_CHANNEL),
        (LibraryStatus(3, "f"), command.NO_CHANNEL),
        (RemoteProtocolError("?"), command.NO),
        (LibraryCrashed("?"), command.NO),
    ],
)
def test_each_failure_has_its_status_and_its_advice(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: VMGuestError,
    status: int,
) -> None:
    stubborn(monkeypatch, *[error] * 3)
    assert desk.run("is-enabled") == status
    assert str(error) in capsys.readouterr().err


def test_an_unsupported_host(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.options(supported=False)
    for words in (["enable", "--unattended"], ["disable"], ["status"], ["is-enabled"]):
        assert desk.run(*words) == command.NOT_SUPPORTED
        assert "has no HA Application Monitoring" in capsys.readouterr().err


@pytest.mark.parametrize("call", ["is-enabled", "get-app-status", "mark-active", "post-app-state ok"])
def test_a_refusal_in_passing_is_no_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    answer = {"is-enabled": True, "get-app-status": AppStatus.GREEN}.get(call, OK)
    error = RpcError("Unknown command")
    note(desk, Leftover.MONITORING)
    stubborn(monkeypatch, error, error, answer)
    assert desk.run(*call.split()) == command.OK


@pytest.mark.parametrize("call", ["disable", "status", "is-enabled", "get-app-status"])
def test_a_host_on_which_monitoring_was_noted_as_on_is_not_said_to_have_none(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    """Found by a stranger: "Leave --ha.enabled out on this machine", 30 s before the reset."""
    note(desk, Leftover.MONITORING)
    stubborn(monkeypatch, *[RpcError("Unknown command")] * 100)
    assert desk.run(call) == command.NO
    said = capsys.readouterr().err
    assert "Monitoring may be on, and nobody sends heartbeats: unless an exporter starts" in said
    assert "Try again in a few seconds" in said
    assert "no HA Application Monitoring" not in said
    with heart(desk.lock_file, "on"):
        stubborn(monkeypatch, *[RpcError("Unknown command")] * 100)
        assert desk.run("is-enabled") == command.NO
    assert "sends the heartbeats. Try again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"), [(RpcError("Unknown command"), command.NO), (TimeoutExpired("no answer"), 5)]
)
def test_enable_says_that_it_ended_a_maintenance_though_the_host_refuses_or_is_silent(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: VMGuestError,
    status: int,
) -> None:
    Maintenance(desk.lock_file).begin(600)
    with heart(desk.lock_file, "on"):
        stubborn(monkeypatch, *[error] * 100)
        assert desk.run("enable") == status
    assert Maintenance(desk.lock_file).left() is None
    said = capsys.readouterr().err
    assert "maintenance is over, and whether monitoring is on is not known (" in said
    assert "no HA Application Monitoring" not in said


def test_an_enable_by_hand_that_is_refused_leaves_no_note(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn(monkeypatch, False, *[RpcError("Unknown command")] * 3)
    assert desk.run("enable", "--unattended") == command.NO, "it has answered IsEnabled"
    assert lock.record(desk.lock_file).leftover is Leftover.NOTHING


def test_nothing_is_asked_where_there_is_no_vmware(desk: Desk) -> None:
    desk.settings = Settings(ha=Ha(lock_file=desk.lock_file))
    assert desk.run("is-enabled") == command.NOT_VMWARE


def test_the_library_needs_no_such_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """VMware's library looks by itself."""
    desk.settings = Settings(ha=Ha(lock_file=desk.lock_file, source="library"))
    stubborn(monkeypatch, True)
    assert desk.run("is-enabled") == command.OK


@pytest.mark.parametrize("source", ["simulated", "replay"])
def test_a_host_of_one_process_has_no_single_calls(desk: Desk, source: str) -> None:
    desk.settings = Settings(source=source)
    with pytest.raises(ConfigError, match="simulate --socket"):
        desk.run("is-enabled")


def test_the_help_has_the_table_of_statuses() -> None:
    parser = ArgumentParser()
    command.add_arguments(parser)
    text = parser.format_help()
    for status, meaning, theirs in command.STATUSES:
        assert f"  {status}  {meaning}  [{theirs}]\n" in text
    assert [status for status, _, _ in command.STATUSES] == list(range(9))


def test_a_maintenance_shorter_than_the_command_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by random histories: it began anew each time that it was over, for ever."""
    desk.run("enable", "--unattended")
    monkeypatch.setattr(Maintenance, "left", lambda _: None)
    with heart(desk.lock_file, "on"):
        assert desk.run("disable", "--for", "5s") == command.HELD
    assert "maintenance is over by now" in capsys.readouterr().err
