"""VMware's library on Windows: a stand-in with the header's ABI, found, asked, crashing, hanging."""

from __future__ import annotations

import json
import re
import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.catalogue import STATISTICS, Wire
from tests.windows.conftest import Windows, get, samples

STUB = "real/stub.c"
FAULTY = "windows/faulty.c"
BIOS = r"HKLM\HARDWARE\DESCRIPTION\System\BIOS"
TOOLS = r"HKLM\SOFTWARE\VMware, Inc.\VMware Tools"


@pytest.fixture
def library(windows: Windows, build: Callable[..., Path]) -> str:
    """The path of a stand-in in the test's folder."""
    file = windows.folder / "vmGuestLib.dll"
    shutil.copy(build(STUB), file)
    return windows.path(file)


READ = """
import json, sys
from exporter.library.process import LibraryProcess
library = LibraryProcess(sys.argv[1] or None, 60.0, start_limit=60.0)
try:
    snapshot = library.read()
    print(json.dumps([library.load().library, snapshot.session_id, dict(snapshot.values)]))
    print(library.stat("text", "resources").decode())
except Exception as error:
    print(type(error).__name__, error)
library.close()
"""


def test_every_value_is_exact(windows: Windows, library: str) -> None:
    done = windows.python(READ, library)
    first, second = done.text.splitlines()
    file, session, values = json.loads(first)
    base = {Wire.U32: 0xFFFFFF00, Wire.U64: 0xFFFFFFFFFFFFFF00}
    numbers = {
        row.key: base[row.wire] + row.id for row in STATISTICS if row.wire in base and not row.deprecated
    }
    assert values == {**numbers, "resource_pool_path": "/pool"}
    assert len(numbers) == 35
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
    assert found["process_open_fds"] > 0
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


def test_an_incomplete_registry_is_no_hypervisor(windows: Windows) -> None:
    for name in ("SystemManufacturer", "SystemProductName"):
        windows.run("delete", BIOS, "/v", name, "/f", program="reg")
    done = windows.command("show")
    assert "its hypervisor is unknown (the registry says nothing)" in done.log
    assert "Traceback" not in done.log


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (1, "LibraryCrashed VMware's library crashed its process (access violation, 0xC0000005)"),
        (3, "LibraryCrashed VMware's library crashed its process (stack overflow, 0xC00000FD)"),
        (4, "LibraryCrashed VMware's library ended its process with status 3"),
        (5, "LibraryCrashed VMware's library crashed its process (heap corruption, 0xC0000374)"),
        (6, "LibraryStatus VMGuestLib_UpdateInfo: -559038737"),
        (7, "LibraryCrashed VMware's library"),
    ],
)
def test_a_crash_is_told_by_its_code(
    windows: Windows, build: Callable[..., Path], fault: int, said: str
) -> None:
    shutil.copy(build(FAULTY, f"-DFAULT={fault}"), windows.folder / "vmGuestLib.dll")
    done = windows.python(READ, windows.path(windows.folder / "vmGuestLib.dll"))
    assert done.text.startswith(said), done.text + done.log


PARENT = """
import os, sys, threading, time
from exporter.library.process import LibraryProcess
library = LibraryProcess(sys.argv[1], 600.0, start_limit=60.0)
library.load()
print(library.pid, flush=True)
threading.Thread(target=library.read, daemon=True).start()
time.sleep(600)
"""
ALIVE = """
import ctypes, sys
kernel = ctypes.WinDLL("kernel32")
kernel.OpenProcess.restype = ctypes.c_void_p
handle = kernel.OpenProcess(0x00100000, False, int(sys.argv[1]))
print("alive" if handle and kernel.WaitForSingleObject(ctypes.c_void_p(handle), 60000) else "gone")
"""


def test_a_hanging_library_does_not_outlive_a_parent_that_is_killed(
    windows: Windows, build: Callable[..., Path]
) -> None:
    shutil.copy(build(FAULTY, "-DFAULT=2"), windows.folder / "vmGuestLib.dll")
    parent = windows.start("-c", PARENT, windows.path(windows.folder / "vmGuestLib.dll"))
    end = time.monotonic() + 120
    while not parent.out.endswith(b"\n") and time.monotonic() < end:
        time.sleep(0.05)
    pid = int(parent.text)
    parent.process.kill()
    parent.wait()
    assert windows.python(ALIVE, str(pid)).text.strip() == "gone"


def test_a_hanging_library_costs_a_poll_and_not_the_page(
    windows: Windows, build: Callable[..., Path]
) -> None:
    shutil.copy(build(FAULTY, "-DFAULT=2"), windows.folder / "vmGuestLib.dll")
    path = windows.path(windows.folder / "vmGuestLib.dll")
    program = windows.serve("--source=library", f"--library.path={path}", "--guestrpc.timeout=1s")
    program.until("did not answer within 1 s and was killed")
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.log


def test_32_bits_are_told(windows: Windows, library: str) -> None:
    file = windows.folder / "vmGuestLib.dll"
    data = bytearray(file.read_bytes())
    (start,) = struct.unpack_from("<I", data, 0x3C)
    struct.pack_into("<H", data, start + 4, 0x14C)
    file.write_bytes(data)
    done = windows.command("show", "--source=library", f"--library.path={library}")
    assert "it is a 32-bit DLL, and this Python has 64 bits" in done.log


def test_a_missing_runtime_is_told_from_a_missing_file(
    windows: Windows, build: Callable[..., Path], import_library: Callable[[str, str], str]
) -> None:
    """Windows has one code for both."""
    absent = windows.python(READ, r"C:\nowhere\vmGuestLib.dll")
    assert absent.text.startswith("LibraryNotFound")
    assert r"C:\nowhere\vmGuestLib.dll (no such file)" in absent.text
    needs = import_library("MSVCP140_9.dll", "absent")
    shutil.copy(build("windows/needy.c", needs), windows.folder / "vmGuestLib.dll")
    path = windows.path(windows.folder / "vmGuestLib.dll")
    done = windows.command("show", "--source=library", f"--library.path={path}")
    assert "it needs MSVCP140_9.dll, which is not there; install the Microsoft Visual C++" in done.log


VERSION = """
1 VERSIONINFO
FILEVERSION 12,3,5,46049
BEGIN
END
"""


def test_doctor_knows_the_system(
    windows: Windows, build: Callable[..., Path], resource: Callable[[str], str]
) -> None:
    versioned = build(STUB, resource(VERSION))
    for name in ("vmGuestLib.dll", "vmtoolsd.exe"):
        shutil.copy(versioned, windows.folder / name)
    windows.registry(BIOS, SystemManufacturer="VMware, Inc.", SystemProductName="VMware7,1")
    windows.registry(TOOLS, InstallPath=windows.path(windows.folder) + "\\")
    done = windows.command("doctor", "--web.listen-address=127.0.0.1:0")
    text = re.sub(r"\s+", " ", done.text)
    assert done.process.returncode == 0, done.text + done.log
    assert "library-version The library is of version 12.3.5.46049." in text
    assert "tools-version VMware Tools 12.3.5.46049." in text
    assert "library-answer VMware's library answers, with 36 statistics" in text
    for word in ("guestrpc", "vsock", "modprobe", "apt-get", "ss -", "CAP_", "open-vm-tools", "systemd"):
        assert word not in text, text
