"""What ``doctor`` says of VMware's real library: as it is, damaged in one place, and asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.config import Settings
from exporter.config.settings import Library
from exporter.doctor.examine import examine
from exporter.doctor.finding import Finding, Verdict
from exporter.doctor.rows import CHECKS
from exporter.doctor.world import World
from exporter.library.process import LibraryProcess
from exporter.machine.hypervisor import Hypervisor
from exporter.protocol import rpci, stats_v3
from exporter.transport.unix import UnixConnector

if TYPE_CHECKING:
    from tests.real.conftest import ScriptedHost, Sources

pytestmark = pytest.mark.real

CODES = {"library-present", "library-version", "library-symbols", "library-dependencies"}


def findings(path: str) -> dict[str, Finding]:
    """Loading opens nothing, so it is safe on any machine; the library is not asked."""
    world = World(
        settings=Settings(library=Library(path=path)),
        new_library=lambda path, limit: LibraryProcess(path, 30.0),
    )
    found = examine([each for each in CHECKS if each.code in CODES], world, limit=60.0)
    world.close()
    return {each.code: each for each in found}


def damaged(library: str, folder: Path, before: bytes, after: bytes) -> str:
    """A copy of the library in which one name is another."""
    assert len(before) == len(after)
    whole = Path(library).read_bytes()
    assert before in whole
    path = folder / "libguestlib.so.0"
    path.write_bytes(whole.replace(before, after))
    return str(path)


def test_the_library_as_it_is(real_library: str) -> None:
    found = findings(real_library)
    assert {each.verdict for each in found.values()} == {Verdict.OK}
    assert found["library-present"].diagnosis.facts["loads"] is True
    assert found["library-dependencies"].diagnosis.facts["versions"]


def test_a_library_without_libtirpc(real_library: str, tmp_path: Path) -> None:
    found = findings(damaged(real_library, tmp_path, b"libtirpc.so.3\0", b"libtirpc.so.9\0"))
    assert found["library-present"].verdict is Verdict.OK
    assert found["library-present"].diagnosis.facts["loads"] is False
    assert found["library-dependencies"].verdict is Verdict.FAIL
    assert found["library-dependencies"].diagnosis.facts["missing"] == ["libtirpc.so.9"]
    assert found["library-symbols"].verdict is Verdict.SKIPPED


def test_a_library_without_a_function(real_library: str, tmp_path: Path) -> None:
    found = findings(
        damaged(real_library, tmp_path, b"VMGuestLib_GetMemShares64\0", b"VMGuestLib_GetMemSharesXX\0")
    )
    assert found["library-symbols"].verdict is Verdict.WARN
    assert found["library-symbols"].diagnosis.details == ("VMGuestLib_GetMemShares64",)


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "libguestlib.so.0"
    path.write_bytes(b"not ELF")
    found = findings(str(path))
    assert found["library-dependencies"].verdict is Verdict.FAIL
    assert "can't be loaded" in found["library-dependencies"].diagnosis.sentence


def test_the_library_is_asked_in_a_vmware_guest(
    sources: Sources, host: ScriptedHost, real_library: str
) -> None:
    host.answer = lambda command: (
        rpci.reply(stats_v3.encode(5, {4: (True, 7)}))
        if command == b"guestlib.info.get 3"
        else rpci.reply(b"no", ok=False)
    )
    world = World(
        settings=Settings(source="library"),
        find_hypervisor=lambda root: Hypervisor("VMware", "CPUID"),
        new_connector=lambda privileged: UnixConnector(host.path),
        new_library=lambda path, limit: LibraryProcess(
            real_library, 30.0, environ=sources.environ(), start_limit=60.0
        ),
    )
    rows = [each for each in CHECKS if each.source == "library" or each.code == "hypervisor"]
    found = {each.code: each for each in examine(rows, world, limit=60.0)}
    world.close()
    answer = found["library-answer"]
    assert answer.verdict is Verdict.OK
    assert "with 1 statistics" in answer.diagnosis.sentence
    assert b"guestlib.info.get 3" in host.commands
