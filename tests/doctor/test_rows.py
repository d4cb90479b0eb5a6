from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter import advice
from exporter.advice import Advice
from exporter.doctor import rows
from exporter.doctor.finding import Verdict
from exporter.doctor.rows import CHECKS, choose
from exporter.doctor.world import World
from exporter.library.process import LibraryProcess

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

CODES = [check.code for check in CHECKS]


def test_codes_are_unique_and_name_only_each_other() -> None:
    assert len(set(CODES)) == len(CODES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in CODES)
    assert {code for check in CHECKS for code in (*check.needs, *check.after)} <= set(CODES)


def test_no_row_waits_for_itself() -> None:
    waits = {check.code: {*check.needs, *check.after} for check in CHECKS}
    settled: set[str] = set()
    while ready := {code for code, others in waits.items() if others <= settled} - settled:
        settled |= ready
    assert settled == set(CODES)


def test_every_advice_is_about_a_finding() -> None:
    given = [each for each in vars(advice).values() if isinstance(each, Advice)]
    assert given
    assert {each.code for each in given} <= set(CODES)


def test_in_a_guest_where_nothing_is_wrong_nothing_is_found(guest: Guest) -> None:
    findings = guest.findings()
    assert list(findings) == CODES
    assert {code for code, each in findings.items() if each.verdict is not Verdict.OK} == {
        "tls-files",
        "otlp-endpoint",
    }
    assert {findings[code].verdict for code in ("tls-files", "otlp-endpoint")} == {Verdict.SKIPPED}
    assert all(each.diagnosis.sentence.endswith(".") for each in findings.values())
    assert guest.library.closed


def test_rows_of_a_source() -> None:
    assert [each.code for each in choose("auto", "linux")] == CODES
    native = {each.code for each in choose("guestrpc", "linux")}
    library = {each.code for each in choose("library", "linux")}
    assert "library-present" not in native
    assert "guestrpc-answer" not in library
    assert {"hypervisor", "clock", "port-free"} <= native & library


def test_a_simulated_host_has_no_vsock() -> None:
    codes = {each.code for each in choose("guestrpc", "linux", simulated=True)}
    assert "guestrpc-answer" in codes
    assert not {code for code in codes if code.startswith("vsock")}


def test_other_systems_have_what_only_linux_has_not() -> None:
    codes = {each.code for each in choose("auto", "win32")}
    assert {"hypervisor", "library-answer", "port-free"} <= codes
    assert not codes & {"vsock-module", "steal-clock", "container"}


@pytest.mark.parametrize(("platform", "longest"), [("linux", 1.5), ("win32", 9.0)])
def test_a_library_may_take_long_to_begin_where_every_file_is_looked_at_first(
    monkeypatch: pytest.MonkeyPatch, platform: str, longest: float
) -> None:
    begun: list[float] = []

    class Begun(LibraryProcess):
        def __init__(self, path: str | None, timeout: float, *, start_limit: float) -> None:
            begun.append(start_limit)
            super().__init__(path, timeout, start_limit=start_limit)

    monkeypatch.setattr("exporter.doctor.world.LibraryProcess", Begun)
    world = World(platform=platform)
    assert isinstance(world.library, Begun)
    world.close()
    assert begun == [longest]
    checks = [each for each in choose("library", platform) if each.source == "library"]
    assert min(each.limit for each in checks) >= longest


def test_every_code_is_made_to_appear_by_a_test() -> None:
    """What can be wrong is made to be wrong somewhere in these tests, and named by its code."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_checks_*.py"))
    assert [code for code in CODES if f'"{code}"' not in tests] == []


def test_a_row_is_for_people_too() -> None:
    assert all(check.title and check.looks_at.endswith(".") for check in rows.CHECKS)
