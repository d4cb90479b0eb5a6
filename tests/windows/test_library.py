"""VMware's library on Windows: a stand-in with the header's ABI, found, asked, crashing, hanging."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from exporter.catalogue import STATISTICS, Wire
from tests.windows.conftest import READ, STUB, Windows, get, samples

BIOS = r"HKEY_LOCAL_MACHINE\HARDWARE\DESCRIPTION\System\BIOS"
TOOLS = r"HKEY_LOCAL_MACHINE\SOFTWARE\VMware, Inc.\VMware Tools"


def test_every_value_is_exact(windows: Windows, library: str) -> None:
    done = windows.python(READ, library)
    first, second = done.text.splitlines()
    file, session, values = json.loads(first)
    base = {Wire.U32: 0xFFFFFF00, Wire.U64: 0xFFFFFFFFFFFFFF00}
    numbers = {
        row.key: base[row.wire] + row.id for row in STATISTICS if row.wire in base and not row.deprecated
    }
    assert values == {**numbers, "resource_pool_path": "/pool"}
    assert len(values) == 35
    assert session == 0xFEDCBA9876543210
    assert file.lower() == library.lower()
    assert second == "text resources"


def test_the_page_shows_what_the_library_says(windows: Windows, library: str) -> None:
    program = windows.serve("--source=library", f"--library.path={library}")
    found = samples(get(program.url()))
    assert found["vmguest_cpu_reservation_hertz"] == 0xFFFFFF01 * 1e6
    assert found["vmguest_memory_ballooned_bytes"] == 0xFFFFFF0C * 2**20
    assert found["vmguest_guest_memory_bytes"] > 2**28
    assert found["vmguest_vcpus"] >= 1
    assert found["process_resident_memory_bytes"] > 2**20
    assert found["process_start_time_seconds"] > 1_700_000_000
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_open_fds"] >= 0  # Wine does not count them
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.log


def test_auto_goes_by_the_registry_and_finds_the_library_in_the_folder_of_vmware_tools(
    windows: Windows, library: str
) -> None:
    windows.registry(BIOS, SystemManufacturer="VMware, Inc.", SystemProductName="VMware7,1")
    windows.registry(TOOLS, InstallPath=windows.path(windows.folder) + "\\")
    program = windows.serve()
    get(program.url())
    assert "source=library" in program.until("source of statistics chosen.*")[0]
    assert "guestrpc" not in program.log
    assert "modprobe" not in program.log


def test_the_registry_is_as_it_was_when_a_test_is_over(windows: Windows) -> None:
    kept = windows.values(BIOS)
    other = Windows(windows.wine, windows.folder)
    other.registry(BIOS, SystemManufacturer="VMware, Inc.", Other='C:\\"x"\\')
    other.registry(BIOS, SystemManufacturer=None, SystemProductName="x", Other="y")
    others = {name: value for name, value in kept.items() if name != "SystemManufacturer"}
    assert windows.values(BIOS) == {**others, "SystemProductName": "x", "Other": "y"}
    other.close()
    assert windows.values(BIOS) == kept


def test_an_incomplete_registry_is_no_hypervisor(windows: Windows) -> None:
    windows.registry(BIOS, SystemManufacturer=None, SystemProductName=None)
    done = windows.command("show")
    assert "its hypervisor is unknown (the registry says nothing)" in done.log
    assert "Traceback" not in done.log


VERSION = """
1 VERSIONINFO
FILEVERSION 12,3,5,46049
BEGIN
END
"""


DOCTOR = """
import dataclasses, sys
from exporter.commands import cli
from exporter.doctor import rows, world
from exporter.machine import system
# Wine on a busy machine is slower than any Windows.
system.WINDOWS = dataclasses.replace(system.WINDOWS, patience=200.0)
rows.CHECKS = [dataclasses.replace(each, limit=60.0) for each in rows.CHECKS]
world.LIBRARY_LIMIT = 60.0
sys.exit(cli.main(["doctor", "--web.listen-address=127.0.0.1:0"]))
"""


def test_doctor_knows_the_system(
    windows: Windows, build: Callable[..., Path], resource: Callable[[str], str]
) -> None:
    versioned = build(STUB, resource(VERSION))
    for name in ("vmGuestLib.dll", "vmtoolsd.exe"):
        shutil.copy(versioned, windows.folder / name)
    windows.registry(BIOS, SystemManufacturer="VMware, Inc.", SystemProductName="VMware7,1")
    windows.registry(TOOLS, InstallPath=windows.path(windows.folder) + "\\")
    done = windows.python(DOCTOR, environ={"WMI": "absent"})
    text = re.sub(r"\s+", " ", done.text)
    assert done.process.returncode == 0, done.text + done.log
    assert "library-version The library is of version 12.3.5.46049." in text
    assert "tools-version VMware Tools 12.3.5.46049." in text
    assert "library-answer VMware's library answers, with 35 statistics" in text
    for word in ("guestrpc", "vsock", "modprobe", "apt-get", "ss -", "CAP_", "open-vm-tools", "systemd"):
        assert word not in text, text
    # VMware Tools are gone altogether: there is no version to judge.
    (windows.folder / "vmGuestLib.dll").unlink()
    windows.registry(TOOLS, InstallPath=None)
    done = windows.python(DOCTOR, environ={"WMI": "absent"})
    text = re.sub(r"\s+", " ", done.text)
    assert "FAIL library-present VMware's library is not installed." in text
    assert (
        "- tools-version VMware Tools are not installed here: the registry names no folder of theirs." in text
    )
    assert done.process.returncode == 1
