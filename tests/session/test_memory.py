from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exporter.poller import Poller
from exporter.session.epoch import Remembered
from exporter.session.memory import NAME, SessionFile, session_file
from exporter.snapshot import Snapshot, SourceInfo

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
        '{"boot_id": "one", "session_id": "0x1", "start": 1e999, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1e17, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": ' + "9" * 400 + ', "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1, "elapsed": 1e999}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1, "elapsed": ' + "9" * 400 + "}",
        '{"boot_id": "one", "session_id": "0x1", "start": 1, "elapsed": -1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1, "elapsed": true}',
        '{"boot_id": "one", "session_id": "0x' + "f" * 400 + '", "start": 1, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "-0x1", "start": 1, "elapsed": 1}',
        "[" * 100_000,
        "[" * 1500 + "]" * 1500,
        '{"a":' * 700,
    ],
)
def test_a_file_that_is_something_else_is_said_and_recalls_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_text(text)
    assert SessionFile(tmp_path / NAME, "one").recall() is None
    assert [record.getMessage() for record in caplog.records] == ["the session file can't be used"]


def test_elapsed_is_kept_fresh_once_a_minute(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    written: set[int | None] = set()
    for elapsed in range(600_000, 725_000, 5_000):
        file.keep(Snapshot(7, 3, {"elapsed": elapsed}), 5.0)
        known = file.recall()
        assert known is not None
        written.add(known.elapsed)
    assert written == {600_000, 660_000, 720_000}
    file.keep(Snapshot(7, 3, {}), 5.0)
    file.keep(Snapshot(7, 3, {"elapsed": 1_000}), 6.0)
    assert file.recall() == Remembered(7, 6.0, 1_000)


def test_elapsed_that_fell_while_the_exporter_was_down_begins_anew(tmp_path: Path) -> None:
    now, wall = [1000.0], 1_700_000_000.0

    class Host:
        info = SourceInfo("guestrpc", "memory", "3")
        restarts = None
        elapsed = 600

        def read(self) -> Snapshot:
            return Snapshot(7, 3, {"elapsed": self.elapsed})

        def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
            raise AssertionError

        def close(self) -> None:
            pass

    host = Host()

    def poller() -> Poller:
        file = SessionFile(tmp_path / NAME, "one")
        return Poller(host, 5.0, clock=lambda: now[0], wall=lambda: wall + now[0], memory=file)

    before = poller()
    before.poll()
    now[0], host.elapsed = now[0] + 3600, 3_600_600
    before.poll()
    now[0], host.elapsed = now[0] + 10, 5_000
    after = poller()
    after.poll()
    assert after.state.lives.session.start == wall + now[0] - 5


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


def test_files_that_differ_in_their_ending_do_not_share_what_is_written_beside_them(tmp_path: Path) -> None:
    beside = tmp_path / "a.new"
    beside.write_text("of a.y, half written")
    SessionFile(tmp_path / "a.x", "one").keep(SNAPSHOT, 5.0)
    assert beside.read_text() == "of a.y, half written"
    assert (tmp_path / "a.x").exists()
