from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from exporter.errors import LibraryCrashed, LibraryNotFound, VMGuestError
from exporter.library.answers import Loaded
from exporter.library.process import LibraryProcess
from exporter.session.base import Source
from exporter.session.vendor import LibrarySource
from exporter.snapshot import Snapshot, SourceInfo

SNAPSHOT = Snapshot(1, 0, {"cpu_used": 2})


class FakeProcess:
    """Stands for :class:`LibraryProcess`; ``error`` is raised by the next question."""

    def __init__(self) -> None:
        self.loaded = Loaded("/usr/lib/libguestlib.so.0", ())
        self.error: VMGuestError | None = None
        self.restarts = 0
        self.closed = 0

    def load(self) -> Loaded:
        if self.error:
            raise self.error
        return self.loaded

    def read(self) -> Snapshot:
        return SNAPSHOT

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        return f"{encoding} {name} {timeout}".encode()

    def close(self) -> None:
        self.closed += 1


def source_of(process: FakeProcess, **options: Any) -> LibrarySource:
    return LibrarySource(process=cast("LibraryProcess", process), **options)


def test_it_is_a_source() -> None:
    process = FakeProcess()
    source: Source = source_of(process)
    assert source.read() == SNAPSHOT
    assert source.stat("xml", "resources") == b"xml resources None"
    assert source.stat("xml", "resources", 0.5) == b"xml resources 0.5"
    source.close()
    assert process.closed == 1


def test_info_names_the_file_once_it_is_loaded() -> None:
    source = source_of(FakeProcess())
    assert source.info == SourceInfo("library", "library", "", "")
    assert source.loaded is None
    source.read()
    assert source.info == SourceInfo("library", "library", "", "/usr/lib/libguestlib.so.0")


def test_info_keeps_a_note() -> None:
    assert source_of(FakeProcess(), note="forced").info.note == "forced"


def test_missing_functions_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.library")
    process = FakeProcess()
    process.loaded = Loaded("/a.so", ("GetMemShares64", "StatGet"))
    source = source_of(process)
    for _ in range(3):
        source.read()
        source.stat("xml", "")
    assert [(record.levelname, record.__dict__["library"]) for record in caplog.records] == [
        ("INFO", "/a.so"),
        ("WARNING", "/a.so"),
    ]
    assert caplog.records[1].__dict__["missing"] == "GetMemShares64,StatGet"
    assert source.loaded == process.loaded
    assert source.info.note == "/a.so, without GetMemShares64, StatGet"


def test_another_library_is_said_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.library")
    process = FakeProcess()
    source = source_of(process)
    source.read()
    process.loaded = Loaded("/b.so", ())
    source.read()
    assert [record.__dict__["library"] for record in caplog.records] == ["/usr/lib/libguestlib.so.0", "/b.so"]


@pytest.mark.parametrize("error", [LibraryNotFound("none"), LibraryCrashed("dead")])
def test_errors_pass_through(error: VMGuestError) -> None:
    process = FakeProcess()
    process.error = error
    source = source_of(process)
    with pytest.raises(type(error)):
        source.read()
    with pytest.raises(type(error)):
        source.stat("xml", "")


def test_restarts_are_those_of_the_process() -> None:
    process = FakeProcess()
    process.restarts = 7
    assert source_of(process).restarts == 7


def test_a_path_that_is_not_there_is_found_missing_by_the_real_process() -> None:
    source = LibrarySource("/nowhere/none.so", 30.0)
    try:
        with pytest.raises(LibraryNotFound):
            source.read()
    finally:
        source.close()
