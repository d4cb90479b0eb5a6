"""A library on Windows that crashes, hangs, answers garbage, or can't be loaded."""

from __future__ import annotations

import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.windows.conftest import READ, Windows

FAULTY = "windows/faulty.c"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (1, "LibraryCrashed VMware's library crashed its process (access violation, 0xC0000005)"),
        (3, "LibraryCrashed VMware's library crashed its process (stack overflow, 0xC00000FD)"),
        (4, "LibraryCrashed VMware's library ended its process with status 3"),
        (5, "LibraryCrashed VMware's library crashed its process (heap corruption, 0xC0000374)"),
        (6, "LibraryStatus VMGuestLib_UpdateInfo answered -559038737"),
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
