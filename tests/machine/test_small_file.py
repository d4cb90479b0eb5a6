"""A file that can't be read is tried again for a moment, and then it is unknown."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exporter import files
from exporter.machine import process, small_file


def failing(monkeypatch: pytest.MonkeyPatch, number: int, times: float) -> list[str]:
    """The first ``times`` reads fail with ``number``; the names that were read."""
    monkeypatch.setattr(small_file, "PAUSE", 0.0)
    read, asked = files.read_bytes, list[str]()

    def read_bytes(path: Path) -> bytes:
        asked.append(path.name)
        if len(asked) <= times:
            raise OSError(number, os.strerror(number))
        return read(path)

    monkeypatch.setattr(files, "read_bytes", read_bytes)
    return asked


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
def test_a_shortage_passes_or_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = tmp_path / "note"
    path.write_text("word")
    with monkeypatch.context() as patch:
        failing(patch, number, small_file.TRIES - 1)
        assert small_file.read(path) == "word"
    failing(monkeypatch, number, float("inf"))
    with pytest.raises(OSError, match=os.strerror(number)):
        small_file.read(path)


def test_only_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert small_file.read(tmp_path / "note") is None
    (tmp_path / "file").touch()
    assert small_file.read(tmp_path / "file" / "note") is None
    with pytest.raises(IsADirectoryError):
        small_file.read(tmp_path)


def test_what_may_not_be_read_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = failing(monkeypatch, errno.EACCES, float("inf"))
    with pytest.raises(PermissionError):
        small_file.read(tmp_path / "note")
    assert len(asked) == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="identities are Linux's")
def test_a_process_is_known_in_spite_of_a_read_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = process.own()
    failing(monkeypatch, errno.ENFILE, 1)
    assert process.own() == known != ""
