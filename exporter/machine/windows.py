"""What Windows says about this machine and this process, and the few things that only Windows has to be asked for.

Imported on Windows alone, and with it ctypes. Sources: Microsoft's reference of the functions by their names here
(sysinfoapi.h, winbase.h, psapi.h, processthreadsapi.h).
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"  # noqa: S101  for type checkers too

import ctypes
import os
import winreg
from contextlib import suppress
from ctypes import POINTER, byref, c_size_t, c_uint64, sizeof, wintypes
from dataclasses import dataclass
from typing import Any

from exporter.snapshot import Guest

kernel = ctypes.WinDLL("kernel32", use_last_error=True)

_ALL_GROUPS = 0xFFFF
_EPOCH = 11_644_473_600
"""Seconds from 1601, Windows' epoch, to 1970."""


def function(library: ctypes.WinDLL, name: str, result: Any, *arguments: Any) -> Any:
    """The function ``name`` of a library, with its types."""
    found = library[name]
    found.argtypes, found.restype = arguments, result
    return found


class _Memory(ctypes.Structure):
    """MEMORYSTATUSEX."""

    _fields_ = (
        ("length", wintypes.DWORD),
        ("load", wintypes.DWORD),
        ("physical", c_uint64),
        ("physical_free", c_uint64),
        ("commit_limit", c_uint64),
        ("commit_free", c_uint64),
        ("virtual", c_uint64),
        ("virtual_free", c_uint64),
        ("extended_free", c_uint64),
    )


class _Usage(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS_EX."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("faults", wintypes.DWORD),
        *((name, c_size_t) for name in ("peak_set", "working_set", "peak_paged", "paged", "peak_non_paged")),
        *((name, c_size_t) for name in ("non_paged", "page_file", "peak_page_file", "private")),
    )


_GlobalMemoryStatusEx = function(kernel, "GlobalMemoryStatusEx", wintypes.BOOL, POINTER(_Memory))
_GetPhysicallyInstalledSystemMemory = function(
    kernel, "GetPhysicallyInstalledSystemMemory", wintypes.BOOL, POINTER(c_uint64)
)
_GetActiveProcessorCount = function(kernel, "GetActiveProcessorCount", wintypes.DWORD, wintypes.WORD)
_GetMaximumProcessorCount = function(kernel, "GetMaximumProcessorCount", wintypes.DWORD, wintypes.WORD)
_GetCurrentProcess = function(kernel, "GetCurrentProcess", wintypes.HANDLE)
_GetProcessMemoryInfo = function(
    kernel, "K32GetProcessMemoryInfo", wintypes.BOOL, wintypes.HANDLE, POINTER(_Usage), wintypes.DWORD
)
_GetProcessTimes = function(
    kernel, "GetProcessTimes", wintypes.BOOL, wintypes.HANDLE, *[POINTER(wintypes.FILETIME)] * 4
)
_GetProcessHandleCount = function(
    kernel, "GetProcessHandleCount", wintypes.BOOL, wintypes.HANDLE, POINTER(wintypes.DWORD)
)


def vcpus() -> int | None:
    """As :func:`exporter.machine.guest.vcpus`."""
    # os.cpu_count() is the number that there may ever be, in some releases of Python.
    return _GetActiveProcessorCount(_ALL_GROUPS) or os.cpu_count()


def guest() -> Guest:
    """As :func:`exporter.machine.guest.read`. What the call for it does not tell is left out.

    Memory that a balloon may take is locked, and so charged to the commit limit: what can be given without killing is
    what is left of that limit, part of it in free memory and the rest in the paging file.
    """
    memory = _Memory(length=sizeof(_Memory))
    known = bool(_GlobalMemoryStatusEx(byref(memory)))
    installed = c_uint64()
    told = bool(_GetPhysicallyInstalledSystemMemory(byref(installed)))
    available = min(memory.physical_free, memory.commit_free)
    return Guest(
        vcpus=vcpus(),
        memory_bytes=memory.physical if known else None,
        installed_bytes=installed.value * 1024 if told else None,
        available_bytes=available if known else None,
        swap_free_bytes=memory.commit_free - available if known else None,
        possible_vcpus=_GetMaximumProcessorCount(_ALL_GROUPS) or None,
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process uses; bytes, seconds."""

    resident: int
    virtual: int
    cpu: float
    started: float
    """Since the epoch."""
    handles: int


def usage() -> Usage:
    """Ask for it.

    Raises:
        OSError: Windows does not tell.
    """
    process = _GetCurrentProcess()
    memory = _Usage(size=sizeof(_Usage))
    created, ended, system, user = (wintypes.FILETIME() for _ in range(4))
    handles = wintypes.DWORD()
    for answered in (
        _GetProcessMemoryInfo(process, byref(memory), sizeof(memory)),
        _GetProcessTimes(process, byref(created), byref(ended), byref(system), byref(user)),
        _GetProcessHandleCount(process, byref(handles)),
    ):
        if not answered:
            raise ctypes.WinError(ctypes.get_last_error())
    return Usage(
        memory.working_set,
        memory.private or memory.page_file,
        _seconds(system) + _seconds(user),
        _seconds(created) - _EPOCH,
        handles.value,
    )


def _seconds(time: wintypes.FILETIME) -> float:
    return float((time.dwHighDateTime << 32) + time.dwLowDateTime) / 1e7


def registry(key: str, name: str) -> str:
    """A text value below HKEY_LOCAL_MACHINE, of the 64-bit view; empty where there is none."""
    access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
    with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
        value, _ = winreg.QueryValueEx(opened, name)
        return str(value).strip() if value is not None else ""
    return ""


def firmware() -> list[str]:
    """Maker and product of this machine as its firmware tells them, empty where it does not."""
    key = r"HARDWARE\DESCRIPTION\System\BIOS"
    return [registry(key, name) for name in ("SystemManufacturer", "SystemProductName")]


def tools_folder() -> str:
    """Where VMware Tools are installed; empty where they are not."""
    return registry(r"SOFTWARE\VMware, Inc.\VMware Tools", "InstallPath").rstrip("\\")
