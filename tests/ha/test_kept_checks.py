"""What checks have found, for the exporter that follows a killed one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Self

import pytest

from exporter import files
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks

FOUND = {
    "shop": Kept(2, (), 1, 12.25, 0.0, 0.125, 3.5, "0123456789abcdef"),
    "backup": Kept(0, (40, 1, 1_700_000_000_000_000_000, 12, 4711)),
}


def damaged(**fields: object) -> str:
    return json.dumps({"boot": "boot-1", "at": 100.0, "checks": {"shop": Kept()._asdict() | fields}})


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    path = tmp_path / "boot_id"
    path.write_text("boot-1\n")
    return path


@pytest.fixture
def kept(tmp_path: Path, boot: Path) -> KeptChecks:
    return KeptChecks(str(tmp_path / "ha.lock"), boot_id=boot)


def test_a_successor_of_the_same_boot_finds_it(kept: KeptChecks, tmp_path: Path, boot: Path) -> None:
    def successor() -> KeptChecks:
        return KeptChecks(str(tmp_path / "ha.lock"), boot_id=boot)

    assert successor().read() == {}
    kept.write(FOUND)
    assert successor().read() == FOUND
    boot.write_text("boot-2\n")
    assert successor().read() == {}


@pytest.mark.parametrize(("began", "counts"), [(99.0, True), (101.0, False)])
def test_bad_time_of_before_a_maintenance_is_none(
    tmp_path: Path, boot: Path, began: float, *, counts: bool
) -> None:
    """Found by a stranger: 22 s of before it and 8 s of after it made a reset."""
    now = [100.0]
    kept = KeptChecks(str(tmp_path / "ha.lock"), boot_id=boot, clock=lambda: now[0])
    kept.write(FOUND)
    now[0] = 200.0
    found = kept.read(began)["shop"]
    assert found._replace(bad_for=0, unsure=0) == FOUND["shop"]._replace(bad_for=0, unsure=0)
    assert (found.bad_for, found.unsure) == ((0.125, 3.5) if counts else (0, 0))


def test_it_is_written_where_it_is_new_alone(kept: KeptChecks) -> None:
    kept.write(FOUND)
    kept.path.write_text("of somebody else")
    kept.write(dict(FOUND))
    assert kept.path.read_text() == "of somebody else"
    kept.write({})
    assert json.loads(kept.path.read_text())["checks"] == {}


def test_an_orderly_stop_leaves_nothing(kept: KeptChecks, tmp_path: Path) -> None:
    kept.write(FOUND)
    kept.clear()
    kept.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["boot_id"]
    kept.write(FOUND)
    assert kept.read() == FOUND


def test_the_interval_of_the_last_failure_runs_on(tmp_path: Path, boot: Path) -> None:
    now = [100.0]
    kept = KeptChecks(str(tmp_path / "ha.lock"), boot_id=boot, clock=lambda: now[0])
    kept.write({"shop": Kept(1, same_for=20)})
    for now[0], left in ((99.0, 20.0), (100.0, 20.0), (112.5, 7.5), (120.0, 0.0), (9000.0, 0.0)):
        assert kept.read() == {"shop": Kept(1, same_for=left)}, now


def test_where_it_can_not_be_written_nothing_old_stays(
    kept: KeptChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    kept.write(FOUND)
    with monkeypatch.context() as patch:
        patch.setattr(files, "open_regular", full)
        kept.write({"shop": Kept(3)})
    assert kept.read() == {}
    kept.write({"shop": Kept(3)})
    assert kept.read() == {"shop": Kept(3)}


class NoRoom:
    """An open file on a full disk."""

    def __init__(self, descriptor: int, _mode: str) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, content: bytes) -> None:
        if content:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("full", [False, True])
def test_in_a_directory_that_is_read_only_by_now_nothing_old_stays_either(
    kept: KeptChecks, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """Found by a stranger: a check was good for long, and what it had been before the directory was read-only came back."""
    opened = files.open_regular

    def read_only(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return opened(path, flags, mode)

    kept.write({"shop": Kept(3, bad_for=20.0)})
    with monkeypatch.context() as patch:
        patch.setattr(files, "open_regular", read_only)
        patch.setattr(Path, "unlink", lambda path, **_: read_only(path, os.O_CREAT))
        if full:
            patch.setattr(os, "fdopen", NoRoom)
        kept.write({"shop": Kept()})
        assert kept.read() == ({} if full else {"shop": Kept()})
        kept.clear()
    assert kept.read() == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"boot": "boot-1", "at": 1}',
        '{"boot": "boot-1", "checks": {}}',
        '{"boot": "boot-1", "at": "then", "checks": {}}',
        '{"boot": "boot-1", "at": 1, "checks": 7}',
        '{"boot": "boot-1", "at": 1, "checks": {"shop": 3}}',
        '{"boot": "boot-1", "at": 1, "checks": {"shop": ["many", []]}}',
        '{"boot": "boot-1", "at": 1, "checks": {"shop": {"failures": 1}}}',
        damaged(failures="many"),
        damaged(failures=float("inf")),
        damaged(memory=["x"]),
        damaged(awaited="long"),
        damaged(bad_for=[]),
        damaged(unsure={}),
        damaged(same_for=None),
        "[" * 100_000,
    ],
)
def test_a_damaged_file_says_nothing(kept: KeptChecks, content: str) -> None:
    kept.path.write_text(content)
    assert kept.read() == {}


def test_what_is_no_regular_file_holds_nothing_up(kept: KeptChecks, tmp_path: Path) -> None:
    """A pipe in its place would hold up whatever tells the heart of health."""
    for name in ("ha.lock.checks", "ha.lock.checks.new"):
        os.mkfifo(tmp_path / name)
    assert kept.read() == {}
    kept.write(FOUND)
    assert not any(path.is_fifo() for path in tmp_path.iterdir())
    kept.write(FOUND)
    assert kept.read() == FOUND
