"""The note of a stop has its room before it is needed: a full disk keeps nobody from writing it."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from exporter import files
from exporter.errors import ConfigError
from exporter.ha.stop_note import StopNote
from exporter.machine import small_file


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No new file has room."""
    opened = os.open

    def open_(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", open_)


def subject(folder: Path) -> StopNote:
    boot = folder / "boot_id"
    boot.write_text("boot-1\n")
    return StopNote(str(folder / "ha.lock"), boot_id=boot)


def test_an_exporter_that_runs_has_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by force: on a full disk a stop that was cut short was taken for a crash, and that was a reset."""
    note = subject(tmp_path)
    assert note.clear()
    room = note.path.stat()
    full(monkeypatch)
    assert note.write()
    assert note.stands()
    assert note.clear()
    assert not note.stands()
    assert note.path.stat().st_ino == room.st_ino
    assert note.path.stat().st_size == room.st_size


def test_one_that_can_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    note = subject(tmp_path)
    full(monkeypatch)
    assert not note.has_room()
    with caplog.at_level(logging.ERROR, "exporter.ha"):
        assert not note.write()
    assert "the stop can't be noted" in caplog.text


def test_a_look_for_room_changes_nothing_that_stands_there(tmp_path: Path) -> None:
    note = subject(tmp_path)
    assert note.has_room()
    assert not note.stands()
    note.write()
    assert note.has_room()
    assert note.stands()


def test_one_of_another_user_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's, from a call by hand, in the directory of the exporter's user."""
    note = subject(tmp_path)
    note.clear()
    before = note.path.stat().st_ino
    (tmp_path / "keeps its number").hardlink_to(note.path)
    opened = os.open

    def open_(path: str, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_CREAT and Path(path) == note.path:
            raise PermissionError
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", open_)
    assert note.write()
    monkeypatch.undo()
    assert note.path.stat().st_ino != before
    assert note.stands()


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str, times: float = float("inf")) -> None:
    """``times`` reads of the file ``name`` find the system short of files."""
    monkeypatch.setattr(small_file, "PAUSE", 0.0)
    read, failed = files.read_bytes, list[Path]()

    def read_bytes(path: Path) -> bytes:
        if path.name == name and len(failed) < times:
            failed.append(path)
            raise OSError(errno.ENFILE, "Too many open files in system")
        return read(path)

    monkeypatch.setattr(files, "read_bytes", read_bytes)


@pytest.mark.parametrize("name", ["ha.lock.stopping", "boot_id"])
def test_a_shortage_is_no_word_on_whether_a_stop_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Found by a stranger: one read that failed, and a stop was forgotten."""
    note = subject(tmp_path)
    note.write("1:1")
    with monkeypatch.context() as patch:
        unreadable(patch, name, 1)
        assert note.exporter() == "1:1"
    unreadable(monkeypatch, name)
    with pytest.raises(ConfigError, match="can't be read: Too many open files") as caught:
        note.stands()
    assert caught.value.passing


def test_no_note_is_written_that_nobody_would_know_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by a stranger: with one read of the boot's id that failed, the note was void, and nothing was told."""
    note = subject(tmp_path)
    with monkeypatch.context() as patch:
        unreadable(patch, "boot_id", 1)
        assert note.write("1:1")
    assert note.exporter() == "1:1"
    with monkeypatch.context() as patch:
        unreadable(patch, "boot_id")
        assert not note.write("2:2")
        assert note.clear()
    assert "the stop can't be noted" in caplog.text
    assert not note.stands()


def test_what_is_no_regular_file_holds_nothing_up(tmp_path: Path) -> None:
    """A pipe in the note's place held up a stop for ever."""
    note = subject(tmp_path)
    os.mkfifo(note.path)
    with pytest.raises(ConfigError, match="this is a pipe, not a regular file"):
        note.stands()
    assert note.write("1:1")
    assert note.exporter() == "1:1"


def test_only_the_own_stop_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = subject(tmp_path)
    assert note.write_for_the_dead() == ""
    note.write("7:7")
    note.clear_that_of("")
    assert note.exporter() == "7:7"
    note.write_for_the_dead()
    with monkeypatch.context() as patch:
        patch.setattr(small_file, "TRIES", 1)
        patch.setattr(files, "read_bytes", no_files)
        note.clear_that_of("")
    assert note.exporter() == "", "what can't be read stands"
    note.clear_that_of("")
    assert not note.stands()


def no_files(_path: Path) -> bytes:
    raise OSError(errno.ENFILE, "Too many open files in system")
