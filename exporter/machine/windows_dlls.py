"""What only Windows has to be asked for by whoever runs VMware's library: jobs, error boxes, DLLs and their files.

Imported on Windows alone. Sources: Microsoft's reference of the functions by their names here (jobapi2.h,
errhandlingapi.h, libloaderapi.h, winver.h), and winnt.h for the numbers.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"  # noqa: S101  for type checkers too

import ctypes
import os
import re
import struct
from ctypes import POINTER, byref, c_size_t, c_uint64, c_void_p, sizeof, wintypes
from pathlib import Path

from exporter.machine import images
from exporter.machine.windows import function, kernel

_version = ctypes.WinDLL("version", use_last_error=True)

_KILL_ON_JOB_CLOSE, _DIE_ON_UNHANDLED_EXCEPTION = 0x2000, 0x0400
_EXTENDED_LIMITS = 9
"""JobObjectExtendedLimitInformation."""
_SET_QUOTA, _TERMINATE = 0x0100, 0x0001
_NO_BOXES = 0x0001 | 0x0002 | 0x8000
"""SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX."""
_AS_DATAFILE, _DEFAULT_FOLDERS = 0x0002, 0x1000
"""LOAD_LIBRARY_AS_DATAFILE, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS."""
_LONGEST_PATH = 32768


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, all but the flags left as nothing."""

    _fields_ = (
        ("times", c_uint64 * 2),
        ("flags", wintypes.DWORD),
        ("sizes", c_size_t * 2),
        ("processes", wintypes.DWORD),
        ("affinity", c_size_t),
        ("classes", wintypes.DWORD * 2),
        ("counters", c_uint64 * 6),
        ("memory", c_size_t * 4),
    )


_CreateJobObject = function(kernel, "CreateJobObjectW", wintypes.HANDLE, c_void_p, wintypes.LPCWSTR)
_SetInformationJobObject = function(
    kernel,
    "SetInformationJobObject",
    wintypes.BOOL,
    wintypes.HANDLE,
    ctypes.c_int,
    c_void_p,
    wintypes.DWORD,
)
_AssignProcessToJobObject = function(
    kernel, "AssignProcessToJobObject", wintypes.BOOL, wintypes.HANDLE, wintypes.HANDLE
)
_TerminateJobObject = function(kernel, "TerminateJobObject", wintypes.BOOL, wintypes.HANDLE, wintypes.UINT)
_OpenProcess = function(kernel, "OpenProcess", wintypes.HANDLE, wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
_CloseHandle = function(kernel, "CloseHandle", wintypes.BOOL, wintypes.HANDLE)
_SetErrorMode = function(kernel, "SetErrorMode", wintypes.UINT, wintypes.UINT)
_GetModuleHandle = function(kernel, "GetModuleHandleW", wintypes.HMODULE, wintypes.LPCWSTR)
_GetModuleFileName = function(
    kernel, "GetModuleFileNameW", wintypes.DWORD, wintypes.HMODULE, wintypes.LPWSTR, wintypes.DWORD
)
_LoadLibraryEx = function(
    kernel, "LoadLibraryExW", wintypes.HMODULE, wintypes.LPCWSTR, wintypes.HANDLE, wintypes.DWORD
)
_FreeLibrary = function(kernel, "FreeLibrary", wintypes.BOOL, wintypes.HMODULE)
_GetFileVersionInfoSize = function(
    _version, "GetFileVersionInfoSizeW", wintypes.DWORD, wintypes.LPCWSTR, POINTER(wintypes.DWORD)
)
_GetFileVersionInfo = function(
    _version,
    "GetFileVersionInfoW",
    wintypes.BOOL,
    wintypes.LPCWSTR,
    wintypes.DWORD,
    wintypes.DWORD,
    c_void_p,
)
_VerQueryValue = function(
    _version,
    "VerQueryValueW",
    wintypes.BOOL,
    c_void_p,
    wintypes.LPCWSTR,
    POINTER(c_void_p),
    POINTER(wintypes.UINT),
)


class Job:
    """The process ``pid`` and all that it starts: they end with :meth:`end`, or with this process, however that ends.

    A process that Windows lets into no job goes on without.
    """

    def __init__(self, pid: int) -> None:
        self._handle = _CreateJobObject(None, None)
        limits = _Limits(flags=_KILL_ON_JOB_CLOSE | _DIE_ON_UNHANDLED_EXCEPTION)
        _SetInformationJobObject(self._handle, _EXTENDED_LIMITS, byref(limits), sizeof(limits))
        process = _OpenProcess(_SET_QUOTA | _TERMINATE, False, pid)
        _AssignProcessToJobObject(self._handle, process)
        _CloseHandle(process)

    def end(self) -> None:
        """Kill what is left. Called again, it does nothing."""
        handle, self._handle = self._handle, None
        if handle:
            _TerminateJobObject(handle, 1)
            _CloseHandle(handle)


def no_error_boxes() -> None:
    """No window waits for somebody to press a button when this process crashes, or when a DLL is missing."""
    _SetErrorMode(_NO_BOXES)


def module_file(name: str) -> str:
    """The file of a DLL that is loaded; ``name`` itself where it is not."""
    buffer = ctypes.create_unicode_buffer(_LONGEST_PATH)
    handle = _GetModuleHandle(name)
    return buffer.value if handle and _GetModuleFileName(handle, buffer, _LONGEST_PATH) else name


def file_version(path: str) -> str:
    """The version in a file's resources, such as ``12.3.5.46049``; empty where there is none."""
    size = _GetFileVersionInfoSize(path, None)
    data = ctypes.create_string_buffer(size or 1)
    found, length = c_void_p(), wintypes.UINT()
    if not (
        size
        and _GetFileVersionInfo(path, 0, size, data)
        and _VerQueryValue(data, "\\", byref(found), byref(length))
        and found.value
    ):
        return ""
    # VS_FIXEDFILEINFO: signature, structure version, then the file's version in two parts.
    high, low = struct.unpack("<8xII", ctypes.string_at(found.value, 16))
    return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"


def why_not_loaded(name: str, error: OSError) -> str:
    """In words, why the DLL at ``name`` could not be loaded. Windows has one code for a missing file and a missing
    DLL that the file needs.
    """
    file = Path(name)
    if not file.is_absolute():
        file = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", name)
    if not file.exists():
        return images.ABSENT[not Path(name).is_absolute()]
    try:
        image = images.read(file)
    except (OSError, ValueError) as problem:
        return str(problem)
    ours = struct.calcsize("P") * 8
    if image.bits is not None and image.bits != ours:
        return f"it is a {image.bits}-bit DLL, and this Python has {ours} bits"
    if missing := [each for each in image.needs if not _there(each, file.parent)]:
        advice = f"; {_RUNTIME}" if any(map(_OF_RUNTIME.match, missing)) else ""
        return f"it needs {', '.join(missing)}, which is not there{advice}"
    return error.strerror or str(error)


_OF_RUNTIME = re.compile(r"(vcruntime|msvcp|concrt)140|api-ms-win-crt-|ucrtbase", re.IGNORECASE)
_RUNTIME = "install the Microsoft Visual C++ Redistributable (x64, 2015 or later)"


def _there(name: str, folder: Path) -> bool:
    if name.lower().startswith("api-ms-") or (folder / name).exists():
        return True  # the first are no files
    module = _LoadLibraryEx(name, None, _AS_DATAFILE | _DEFAULT_FOLDERS)
    if module:
        _FreeLibrary(module)
    return bool(module)
