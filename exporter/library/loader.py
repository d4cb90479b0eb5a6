"""Find VMware's library, load it, attach the signatures.

Loading opens nothing: the library looks at the machine when a handle is opened. Which symbols it lacks is
reported, not fatal: older releases have fewer, and what they lack is simply not shown.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import LibraryNotFound
from exporter.library.signatures import PREFIX, REQUIRED, SIGNATURES

if sys.platform == "win32":
    from exporter.machine import windows, windows_dlls

POSIX_NAMES = (
    "libguestlib.so.0",
    "libvmGuestLib.so",
    # VMware's own Tools put it into a folder of the same name; the SDK is unpacked wherever it is unpacked.
    "/usr/lib/vmware-tools/lib*/libvmGuestLib.so/libvmGuestLib.so",
    "/usr/lib/vmware-tools/GuestSDK/lib/lib*/libvmGuestLib.so",
    "/opt/vmware/GuestSDK/lib/lib*/libvmGuestLib.so",
)
"""In this order. A bare name goes through the system's own search path; a path may have wildcards."""

WINDOWS_NAMES = ("vmGuestLib.dll", r"{tools}\vmGuestLib.dll", r"{tools}\Guest SDK\lib\win64\vmGuestLib.dll")
"""In this order; ``{tools}`` is the folder of VMware Tools."""


@dataclass(frozen=True)
class LoadedLibrary:
    """A loaded library. ``functions`` by their names without the prefix; ``missing``: those it lacks."""

    name: str
    functions: Mapping[str, Callable[..., Any]]
    missing: tuple[str, ...] = ()


def tools_folder() -> str:
    """Where VMware Tools are installed on Windows, as they say it; empty where they are not, and elsewhere."""
    if sys.platform == "win32":
        return windows.tools_folder()
    return ""


def file_version(path: str) -> str:
    """The version in the resources of a file on Windows, such as ``12.3.5.46049``; empty without, and elsewhere."""
    if sys.platform == "win32":
        return windows_dlls.file_version(path)
    return ""


def candidates(
    path: str | None = None,
    *,
    platform: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
    expand: Callable[[str], Iterable[str]] = glob.glob,
    tools: Callable[[], str] = tools_folder,
) -> list[str]:
    """What to try, in order. A ``path`` that the operator names is the only one: no other is taken instead."""
    if path:
        return [path]
    if platform == "win32":
        installed = tools()
        usual = environ.get("ProgramFiles", r"C:\Program Files") + r"\VMware\VMware Tools"
        folders = [folder for folder in dict.fromkeys((installed, usual)) if folder]
        return [*dict.fromkeys(name.format(tools=folder) for name in WINDOWS_NAMES for folder in folders)]
    found: list[str] = []
    for name in POSIX_NAMES:
        found += sorted(expand(name), reverse=True) if "*" in name else [name]
    return found


def load(
    path: str | None = None,
    *,
    names: Iterable[str] | None = None,
    # CDLL on Windows too: the header declares no calling convention, which means C's, and 64-bit has only one.
    dlopen: Callable[[str], Any] = ctypes.CDLL,
) -> LoadedLibrary:
    """Load the first library that there is.

    ``names`` replaces the usual :func:`candidates`.

    Raises:
        LibraryNotFound: there is none, or what is there is something else; the text says what was tried.
    """
    tried: list[str] = []
    for name in candidates(path) if names is None else names:
        try:
            return attach(name, dlopen(name))
        except OSError as error:
            tried.append(f"{name} ({_reason(error, name)})")
        except LibraryNotFound as error:
            tried.append(str(error))
    raise LibraryNotFound(f"VMware's library can't be loaded. Tried: {'; '.join(tried)}")


def bind(
    handle: Any, prefix: str, signatures: Mapping[str, tuple[Any, Any]]
) -> dict[str, Callable[..., Any]]:
    """The functions of ``signatures`` that ``handle`` has, with their types, by their names without ``prefix``."""
    functions: dict[str, Callable[..., Any]] = {}
    for symbol, (arguments, result) in signatures.items():
        function = getattr(handle, prefix + symbol, None)
        if function is not None:
            function.argtypes, function.restype = arguments, result
            functions[symbol] = function
    return functions


def attach(name: str, handle: Any) -> LoadedLibrary:
    """Give each function of ``handle`` its types.

    Raises:
        LibraryNotFound: one of the functions is missing that every version has.
    """
    functions = bind(handle, PREFIX, SIGNATURES)
    absent = [PREFIX + symbol for symbol in REQUIRED if symbol not in functions]
    if absent:
        raise LibraryNotFound(f"{name} (not VMware's library: it has no {', '.join(absent)})")
    return LoadedLibrary(name, functions, tuple(symbol for symbol in SIGNATURES if symbol not in functions))


def location(name: str, maps: Path = Path("/proc/self/maps")) -> str:
    """The file behind a loaded ``name``: of a path what it leads to, else the first of that name that the kernel has
    mapped; ``name`` itself where nothing says.
    """
    if Path(name).name != name:
        return str(Path(name).resolve())
    if sys.platform == "win32":
        return windows_dlls.module_file(name)
    try:
        lines = maps.read_text("utf-8", "replace").splitlines()
    except OSError:
        return name
    start = Path(name).name
    mapped = (line.split(maxsplit=5)[-1] for line in lines if "/" in line)
    return next((path for path in mapped if Path(path).name.startswith(start)), name)


def _reason(error: OSError, name: str) -> str:
    """The dynamic loader's words without the name, which stands before them already."""
    if sys.platform == "win32":
        return windows_dlls.why_not_loaded(name, error)
    return str(error).removeprefix(f"{name}: ")
