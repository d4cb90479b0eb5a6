"""A library on Windows that crashes, hangs, answers garbage, or can't be loaded."""

from __future__ import annotations

import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

from tests.windows.conftest import LIMIT, READ, STUB, Windows, get, samples

FAULTY = "windows/faulty.c"


def test_what_is_wrong_with_a_library_is_told(
    windows: Windows, build: Callable[..., Path], import_library: Callable[[str, str], str]
) -> None:
    """A crash by its code; a missing file, for which Windows has the code of a missing runtime too; 32 bits."""
    told = {
        "read.dll": "LibraryCrashed VMware's library crashed its process (access violation, 0xC0000005)",
        "recursion.dll": "LibraryCrashed VMware's library crashed its process (stack overflow, 0xC00000FD)",
        "exit.dll": "LibraryCrashed VMware's library ended its process with status 3",
        "heap.dll": "LibraryCrashed VMware's library crashed its process (heap corruption, 0xC0000374)",
        "status.dll": "LibraryStatus VMGuestLib_UpdateInfo answered -559038737",
        "abort.dll": "LibraryCrashed VMware's library",
        "absent.dll": r"\absent.dll (no such file)",
        "narrow.dll": r"\narrow.dll (it is a 32-bit DLL, and this Python has 64 bits)",
        "needy.dll": "it needs MSVCP140_9.dll, which is not there; install the Microsoft Visual C++",
        "text.dll": r"\text.dll (no program or DLL of Windows)",
    }
    for fault, name in zip((1, 3, 4, 5, 6, 7), told, strict=False):
        shutil.copy(build(FAULTY, f"-DFAULT={fault}"), windows.folder / name)
    needs = import_library("MSVCP140_9.dll", "absent")
    shutil.copy(build("windows/needy.c", needs), windows.folder / "needy.dll")
    (windows.folder / "narrow.dll").write_bytes(_narrow(build(STUB).read_bytes()))
    (windows.folder / "text.dll").write_text("no DLL\n" * 100)
    done = windows.python(READ, *(windows.path(windows.folder / name) for name in told))
    lines = done.text.splitlines()
    assert len(lines) == len(told), done.text + done.log
    for line, said in zip(lines, told.values(), strict=True):
        assert said in line


def _narrow(image: bytes) -> bytes:
    """Of a DLL of 64 bits one that says that it has 32."""
    data = bytearray(image)
    (start,) = struct.unpack_from("<I", data, 0x3C)
    struct.pack_into("<H", data, start + 4, 0x14C)
    return bytes(data)


PARENT = """
import os, sys, threading, time
from exporter.library.process import LibraryProcess
library = LibraryProcess(sys.argv[1], 600.0, start_limit=300.0)
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
print("alive" if handle and kernel.WaitForSingleObject(ctypes.c_void_p(handle), 300000) else "gone")
"""


def test_a_hanging_library_does_not_outlive_a_parent_that_is_killed(
    windows: Windows, build: Callable[..., Path]
) -> None:
    shutil.copy(build(FAULTY, "-DFAULT=2"), windows.folder / "vmGuestLib.dll")
    parent = windows.start("-c", PARENT, windows.path(windows.folder / "vmGuestLib.dll"))
    end = time.monotonic() + LIMIT
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


def test_a_library_that_is_slow_to_load_is_waited_for(windows: Windows, build: Callable[..., Path]) -> None:
    """As where a virus scanner looks at it first. With the limit of a question for it, it would never answer."""
    shutil.copy(build(FAULTY, "-DFAULT=8"), windows.folder / "vmGuestLib.dll")
    path = windows.path(windows.folder / "vmGuestLib.dll")
    program = windows.serve("--source=library", f"--library.path={path}", "--guestrpc.timeout=1.5s")
    assert samples(get(program.url()))["vmguest_cpu_shares"] == 0xFFFFFF03
