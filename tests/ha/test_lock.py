"""One heartbeater: real locks, held by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.ha import lock
from exporter.ha.lock import Lock, acquire, holder
from exporter.ha.rules import Leftover


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run" / "ha.lock")


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    file = tmp_path / "boot_id"
    file.write_text("boot-1\n")
    return file


HOLD = """
import sys
from exporter.ha.lock import acquire
from exporter.ha.rules import Leftover
held = acquire(sys.argv[1])
held.note(Leftover.MONITORING)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def taken(path: str, boot: Path) -> Lock:
    held = acquire(path, boot_id=boot)
    assert held is not None
    return held


def test_the_folder_is_made_and_the_file_holds_the_pid(path: str, boot: Path) -> None:
    held = taken(path, boot)
    assert Path(path).read_text() == f"{os.getpid()}\nboot-1\noff\n"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    held.release()


def test_a_second_process_is_kept_out_and_can_name_the_first(path: str, other: subprocess.Popen[str]) -> None:
    assert acquire(path) is None
    assert holder(path) == other.pid


def test_a_crash_releases_and_leaves_word(path: str, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert holder(path) is None
    held = acquire(path)
    assert held is not None
    assert held.leftover is Leftover.MONITORING
    assert holder(path) == os.getpid()
    held.release()
    assert holder(path) is None


@pytest.mark.parametrize("leftover", list(Leftover))
def test_a_word_is_for_a_successor_of_the_same_boot(path: str, boot: Path, leftover: Leftover) -> None:
    held = taken(path, boot)
    held.note(Leftover.REQUEST)
    held.note(leftover)
    held.release()
    held = taken(path, boot)
    assert held.leftover is leftover, "and it stays until something else is noted"
    held.release()
    boot.write_text("boot-2\n")
    held = taken(path, boot)
    assert held.leftover is Leftover.NOTHING
    held.release()


@pytest.mark.parametrize("content", ["", "x", "1\n", "1\nboot-1\n", "1\nboot-1\nnonsense\n", "\0" * 500])
def test_a_damaged_file_leaves_nothing(path: str, boot: Path, content: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_text(content)
    held = taken(path, boot)
    assert held.leftover is Leftover.NOTHING
    held.release()


def test_without_a_boot_id_the_word_still_counts(path: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    held = taken(path, nowhere)
    held.note(Leftover.MONITORING)
    held.release()
    held = taken(path, nowhere)
    assert held.leftover is Leftover.MONITORING
    held.release()


def test_a_file_that_was_removed_keeps_nobody_out(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between open and lock: the lock would be on a file that no other process can find."""
    removed: list[str] = []
    open_ = lock._open

    def open_and_remove(path: str) -> int:
        descriptor = open_(path)
        if not removed:
            removed.append(path)
            Path(path).unlink()
        return descriptor

    monkeypatch.setattr(lock, "_open", open_and_remove)
    held = taken(path, boot)
    assert holder(path) == os.getpid()
    held.release()


def test_a_word_that_can_not_be_written_is_no_error(path: str, boot: Path) -> None:
    held = taken(path, boot)
    held.release()
    held.note(Leftover.MONITORING)


def test_a_place_that_can_not_be_had_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/x: the lock .*--ha\.lock-file"):
        acquire(str(tmp_path / "file" / "x"))


def test_a_link_is_not_followed(tmp_path: Path, path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        acquire(path)


def test_a_file_that_may_not_be_read_is_somebodys(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    assert holder(path) == 0


def test_a_holder_without_a_pid_is_not_known(path: str, boot: Path) -> None:
    held = taken(path, boot)
    Path(path).write_text("")
    assert holder(path) == 0
    held.release()


def test_nobody_holds_what_is_not_there(path: str) -> None:
    assert holder(path) is None
