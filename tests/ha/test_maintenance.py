"""Maintenance by its file: who sees it, when it ends, what a damaged one means."""

from __future__ import annotations

import errno
import math
import os
import time
from pathlib import Path

import pytest

from exporter import files
from exporter.errors import ConfigError
from exporter.ha.maintenance import Maintenance
from exporter.ha.stop_note import StopNote


class Machine:
    """A directory, a boot and its clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.boot = folder / "boot_id"
        self.boot.write_text("boot-1\n")
        self.lock = str(folder / "ha.lock")

    def maintenance(self) -> Maintenance:
        return Maintenance(self.lock, boot_id=self.boot, clock=lambda: self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_ends_by_itself_and_is_the_same_for_all_processes(machine: Machine) -> None:
    assert machine.maintenance().left() is None
    machine.maintenance().begin(1800)
    machine.now += 600
    assert machine.maintenance().left() == 1200
    assert machine.maintenance().path.stat().st_mode & 0o777 == 0o644
    machine.now += 1200
    assert machine.maintenance().left() is None


def test_it_is_ended_by_hand_and_with_a_reboot(machine: Machine) -> None:
    machine.maintenance().begin(math.inf)
    assert machine.maintenance().left() == math.inf
    machine.maintenance().end()
    machine.maintenance().end()
    assert machine.maintenance().left() is None
    machine.maintenance().begin(1800)
    machine.boot.write_text("boot-2\n")
    assert machine.maintenance().left() is None


def test_its_time_goes_on_while_the_machine_is_suspended(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = {time.CLOCK_MONOTONIC: 1000.0, time.CLOCK_BOOTTIME: 1000.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    maintenance = Maintenance(machine.lock, boot_id=machine.boot)
    maintenance.begin(1800)
    clocks[time.CLOCK_BOOTTIME] += 1799
    assert maintenance.left() == 1
    clocks[time.CLOCK_BOOTTIME] += 1
    assert maintenance.left() is None


@pytest.mark.parametrize("content", ["", "boot-1", "boot-1\n", "boot-1\nsoon\n", "boot-1\nnan\n"])
def test_a_damaged_file_fails_towards_no_heartbeats(machine: Machine, content: str) -> None:
    machine.maintenance().path.write_text(content)
    assert machine.maintenance().left() == math.inf


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("which", ["maintenance", "boot_id"])
@pytest.mark.parametrize("seconds", [None, 1800.0, math.inf])
def test_a_shortage_changes_nothing_that_was_known_and_is_told_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, number: int, which: str, seconds: float | None
) -> None:
    told: list[str] = []
    maintenance = Maintenance(machine.lock, boot_id=machine.boot, clock=lambda: machine.now, tell=told.append)
    if seconds is not None:
        maintenance.begin(seconds)
    assert maintenance.left() == seconds
    read = files.read_bytes

    def short(path: Path) -> bytes:
        if which in path.name:
            raise OSError(number, "short of it")
        return read(path)

    for _ in range(2):
        told.clear()
        with monkeypatch.context() as patch:
            patch.setattr(files, "read_bytes", short)
            for _ in range(3):
                machine.now += 100
                if seconds is not None:
                    seconds -= 100
                assert maintenance.left() == seconds
        noticed = which == "maintenance" or seconds is not None
        assert ["short of it" in text for text in told] == [True] * noticed
        assert maintenance.left() == seconds


def test_a_shortage_before_anything_is_known_enables_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object, **__: object) -> str:
        raise OSError(errno.ENFILE, "short of it")

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_bytes", short)
        maintenance = machine.maintenance()
        assert maintenance.left() == math.inf
    assert maintenance.left() is None


def test_two_that_note_one_at_the_same_moment_are_not_in_each_others_way(machine: Machine) -> None:
    """Found by a stranger: they wrote to one temporary file."""
    path = machine.maintenance().path
    for of_another in ("new", f"new.{os.getpid() + 1}"):
        path.with_name(f"{path.name}.{of_another}").mkdir()
    machine.maintenance().begin(60)
    assert machine.maintenance().left() == 60


def test_a_shortage_that_passes_at_the_first_look_is_no_maintenance(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heart that starts on a starved machine: bad time of before would be forgotten, and monitoring handed back."""
    read, short = files.read_bytes, [True, True]

    def sometimes(path: Path) -> bytes:
        if short and "maintenance" in path.name:
            short.pop()
            raise OSError(errno.ENFILE, "short of it")
        return read(path)

    monkeypatch.setattr(files, "read_bytes", sometimes)
    assert machine.maintenance().left() is None
    assert short == []


def test_a_boot_that_can_not_be_read_is_noted_by_no_other_word(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heart would take it for another boot's, while the command had said that monitoring is off for half an hour."""

    def short(*_: object, **__: object) -> str:
        raise OSError(errno.ENFILE, "short of it")

    maintenance = machine.maintenance()
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_bytes", short)
        with pytest.raises(ConfigError, match="maintenance can't be noted: short of it"):
            maintenance.begin(1800)
    assert not maintenance.path.exists()


def test_one_that_nobody_saw_leaves_its_trace(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    still = machine.maintenance()
    assert (still.begun(), still.happened()) == (0, False)
    machine.maintenance().begin(25)
    machine.now += 10
    machine.maintenance().end()
    assert (still.left(), still.begun()) == (None, 1000)
    assert [still.happened(), still.happened()] == [True, False]
    machine.maintenance().begin(25)
    assert [still.happened(), still.happened()] == [True, True], "it goes on"
    machine.now += 25
    assert (still.happened(), still.begun()) == (False, 1010)
    assert not machine.maintenance().happened(), "before it was asked first"

    def short(*_: object, **__: object) -> str:
        raise OSError(errno.ENFILE, "short of it")

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_bytes", short)
        assert still.begun() == 1010, "as it was known last"
    machine.boot.write_text("boot-2\n")
    assert machine.maintenance().begun() == 0


def test_a_trace_that_is_removed_or_can_not_be_written_is_no_maintenance(machine: Machine) -> None:
    known = machine.maintenance()
    machine.maintenance().begin(25)
    trace = Path(f"{machine.lock}.maintained")
    machine.now += 25
    assert [known.happened(), known.happened()] == [False, False]
    trace.unlink()
    assert [known.happened(), known.begun()] == [False, 0]
    trace.mkdir()
    machine.maintenance().begin(25)
    assert machine.maintenance().left() == 25
    assert known.happened(), "while it is one"


@pytest.mark.parametrize("content", [b"", b"boot-1", b"boot-1\nsoon\n", b"\xff\n\n\n"])
def test_a_damaged_trace_tells_nothing(machine: Machine, content: bytes) -> None:
    machine.maintenance().begin(25)
    known = machine.maintenance()
    assert known.begun() == 1000
    Path(f"{machine.lock}.maintained").write_bytes(content)
    assert known.begun() == 1000
    assert machine.maintenance().begun() == 0


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="maintenance can't be noted: Not a directory"):
        Maintenance(str(tmp_path / "file" / "ha.lock")).begin(60)


def test_a_stop_that_was_asked_for_stands_in_this_boot_until_it_is_over(machine: Machine) -> None:
    note = StopNote(machine.lock, boot_id=machine.boot)
    assert not note.stands()
    note.write()
    assert note.stands()
    machine.boot.write_text("boot-2\n")
    assert not note.stands()
    machine.boot.write_text("boot-1\n")
    note.clear()
    note.clear()
    assert not note.stands()


def test_a_stop_that_can_not_be_noted_is_a_stop_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    note = StopNote(str(tmp_path / "file" / "ha.lock"))
    note.write()
    assert not note.stands()


def test_what_is_no_regular_file_is_a_maintenance_and_holds_nothing_up(machine: Machine) -> None:
    """A pipe in its place held up the heart, without a word, until the reset."""
    maintenance = machine.maintenance()
    os.mkfifo(maintenance.path)
    assert maintenance.left() == math.inf
    os.mkfifo(f"{maintenance.path}.new.{os.getpid()}")
    with pytest.raises(ConfigError, match="this is a pipe, not a regular file"):
        maintenance.begin(1800)
    maintenance.begin(1800)
    assert maintenance.left() == 1800
