"""Maintenance by its file: who sees it, when it ends, what a damaged one means."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("content", ["", "boot-1", "boot-1\n", "boot-1\nsoon\n", "boot-1\nnan\n"])
def test_a_damaged_file_fails_towards_no_heartbeats(machine: Machine, content: str) -> None:
    machine.maintenance().path.write_text(content)
    assert machine.maintenance().left() == math.inf


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
