from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exporter.session.epoch import Remembered
from exporter.session.memory import NAME, SessionFile, session_file
from exporter.snapshot import Snapshot

SNAPSHOT = Snapshot(0x4EC2F01AE4A0FE2, 3, {"elapsed": 60_000})


def test_what_is_kept_is_recalled(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    for _ in range(2):
        file = session_file(environ, "one")
        assert file is not None
        file.keep(SNAPSHOT, 1_700_000_000.123456)
    again = session_file(environ, "one")
    assert again is not None
    assert again.recall() == Remembered(0x4EC2F01AE4A0FE2, 1_700_000_000.123456, 60_000)
    assert sorted(each.name for each in tmp_path.iterdir()) == [NAME]


def test_another_boot_recalls_nothing(tmp_path: Path) -> None:
    SessionFile(tmp_path / NAME, "one").keep(SNAPSHOT, 1.0)
    assert SessionFile(tmp_path / NAME, "two").recall() is None


def test_a_session_without_elapsed_is_kept_too(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(Snapshot(5, 3, {}), 7.0)
    assert file.recall() == Remembered(5, 7.0, None)


def test_a_start_that_is_not_known_is_not_kept(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(SNAPSHOT, None)
    file.keep(SNAPSHOT, 5.0)
    file.keep(SNAPSHOT, None)
    assert file.recall() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"boot_id": "one"}',
        '{"boot_id": "one", "session_id": "x", "start": 1, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": "soon", "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": -1, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": NaN, "elapsed": 1}',
    ],
)
def test_a_file_that_is_something_else_is_said_and_recalls_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_text(text)
    assert SessionFile(tmp_path / NAME, "one").recall() is None
    assert [record.getMessage() for record in caplog.records] == ["the session file can't be used"]


def test_a_folder_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    file = SessionFile(tmp_path / "gone" / NAME, "one")
    file.keep(SNAPSHOT, 1.0)
    file.keep(SNAPSHOT, 2.0)
    assert len(caplog.records) == 1


def test_without_the_units_folder_or_a_boot_id_nothing_is_kept(tmp_path: Path) -> None:
    assert session_file({}, "one") is None
    assert session_file({"RUNTIME_DIRECTORY": str(tmp_path)}, None) is None
    assert session_file({"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"}, "one") is not None
