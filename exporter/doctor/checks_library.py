"""Checks of VMware's library: there, loadable, complete, answering. It is only ever loaded in its own process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from exporter.advice import LIBRARY_BROKEN, NAMED_LIBRARY, NO_LIBRARY, Advice, Where, advice, on
from exporter.doctor.checks_host import judge_missing
from exporter.doctor.finding import Diagnosis, fail, ok, skip, warn
from exporter.doctor.world import TIMED_OUT, World, version
from exporter.errors import LibraryNotFound, RpcError, VMGuestError
from exporter.library.loader import POSIX_NAMES
from exporter.library.signatures import PREFIX
from exporter.machine.images import ABSENT
from exporter.machine.system import VSOCK

FOLDERS = ("usr/lib", "usr/lib64", "lib", "lib64", "usr/lib/*", "lib/*", "usr/local/lib")


class Needed(NamedTuple):
    """A shared object that the library needs, in a version of at least ``least``."""

    name: str
    least: tuple[int, ...]
    debian: tuple[str, ...]
    rpm: str


NEEDED = {
    # open-vm-tools configure.ac (11.0 to 12.x) asks for this glib; libguestlib itself is built without one.
    "libglib-2.0.so.0": Needed("glib", (2, 34, 0), ("libglib2.0-0", "libglib2.0-0t64"), "glib2"),
    # Debian's open-vm-tools package asks for it; the library decodes the host's replies with it (XDR).
    "libtirpc.so.3": Needed("libtirpc", (1, 0, 2), ("libtirpc3", "libtirpc3t64"), "libtirpc"),
}

TOOLS = (
    ((9, 10), "extended statistics (VMGuestLib_StatGet)"),
    ((11, 0), "64-bit memory shares (VMGuestLib_GetMemShares64)"),
    ((11, 2), "vsock: older libraries go through the backdoor alone"),
    ((12, 2), "an end to the search for a free port when the host resets every connection"),
)
"""What came with which release of VMware Tools and open-vm-tools."""

_ABSENT = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
_LOADER = re.compile(r"([^\s(]+): cannot open shared object file")


def present(world: World) -> Diagnosis:
    try:
        loaded = world.library.load()
    except LibraryNotFound as error:
        return _not_loaded_on_windows(world, error) if world.system.windows else _not_loaded(world, error)
    except VMGuestError as error:
        return fail(f"{_sentence(error)}.", on(world.system, LIBRARY_BROKEN), error=error.kind)
    world.library_file = loaded.library
    world.library_missing = loaded.missing
    return ok(f"VMware's library is there: {loaded.library}.", library=loaded.library, loads=True)


def _not_loaded(world: World, error: LibraryNotFound) -> Diagnosis:
    file = _on_disk(world)
    if not file:
        return fail(f"{_not_there(world)}.", _missing(world), str(error), library="", loads=False)
    world.library_file = file
    world.library_error = str(error)
    return ok(
        f"VMware's library is there: {file}; whether it loads is another matter.", library=file, loads=False
    )


def _not_loaded_on_windows(world: World, error: LibraryNotFound) -> Diagnosis:
    """The loader's words tell a file that is not there from one that can't be loaded, and why."""
    lines = str(error).partition("Tried: ")[2].split("; ")
    there = [line for line in lines if not any(f"({word})" in line for word in ABSENT)]
    sentence = "VMware's library is there and can't be loaded" if there else _not_there(world)
    return fail(f"{sentence}.", _missing(world), *lines, library="", loads=False)


def _not_there(world: World) -> str:
    named = world.settings.library.path
    return f"There is no {named}, which library.path names" if named else "VMware's library is not installed"


def _missing(world: World) -> Advice:
    """What to do where no library can be loaded."""
    return on(world.system, NAMED_LIBRARY if world.settings.library.path else NO_LIBRARY)


def _on_disk(world: World) -> str:
    """Path of the library's file, whatever it may be worth."""
    named = world.settings.library.path
    if named:
        return named if world.exists(named.lstrip("/")) else ""
    names = [name for name in POSIX_NAMES if "/" not in name]
    patterns = [f"{folder}/{name}" for name in names for folder in FOLDERS]
    patterns += [name.removeprefix("/") for name in POSIX_NAMES if "/" in name]
    found = (path for pattern in patterns for path in sorted(world.root.glob(pattern)))
    return next((f"/{path.relative_to(world.root)}" for path in found), "")


def dependencies(world: World) -> Diagnosis:
    """What the library needs, and in which version."""
    needs = world.run(["ldd", world.library_file])
    missing = set(_ABSENT.findall(needs.out))
    missing |= {Path(name).name for name in _LOADER.findall(world.library_error)} - {
        Path(name).name for name in (world.library_file, *POSIX_NAMES)
    }
    if missing:
        names = ", ".join(sorted(missing))
        return fail(
            f"VMware's library can't be loaded: {names} is missing.",
            Advice("library-dependencies", Where.GUEST, _install(missing)),
            missing=sorted(missing),
        )
    if world.library_error:
        why = ": it has another number of bits than this Python" if "ELFCLASS" in world.library_error else ""
        text = "install the package open-vm-tools of this architecture"
        if world.settings.library.path:
            text = _missing(world).text
        return fail(
            f"VMware's library is there and can't be loaded{why}.",
            Advice("library-dependencies", Where.GUEST, text),
            world.library_error,
            missing=[],
        )
    old: list[str] = []
    found: dict[str, str] = {}
    for file, row in NEEDED.items():
        if file not in needs.out:
            continue
        number = found[row.name] = _package_version(world, (*row.debian, row.rpm))
        if number and version(number) < row.least:
            old.append(f"{row.name} {number}, where {'.'.join(map(str, row.least))} is asked for")
    if old:
        return warn(
            f"What VMware's library needs is older than its packages ask for: {'; '.join(old)}.",
            Advice("library-dependencies", Where.GUEST, "update it"),
            versions=found,
        )
    words = ", ".join(f"{name} {number or 'of unknown version'}" for name, number in found.items())
    return ok(f"All that VMware's library needs is there{f': {words}' if words else ''}.", versions=found)


def _install(missing: set[str]) -> str:
    rows = [NEEDED[file] for file in sorted(missing & NEEDED.keys())]
    if not rows:
        return "install the package that has it"
    debian, rpm = (" ".join(names) for names in zip(*((row.debian[0], row.rpm) for row in rows), strict=True))
    return f"run `apt-get install {debian}` or `dnf install {rpm}`"


def _package_version(world: World, packages: tuple[str, ...]) -> str:
    """Of the first of the packages that is installed, without epoch; empty where none is, or nobody knows."""
    for package in packages:
        for arguments in (
            ["dpkg-query", "-W", "-f=${Version}", package],
            ["rpm", "-q", "--qf=%{VERSION}-%{RELEASE}", package],
        ):
            ran = world.run(arguments)
            if ran.status == 0 and ran.out:
                return ran.out.rpartition(":")[2]
    return ""


def library_version(world: World) -> Diagnosis:
    """The package and version that the file comes from; on Windows what the file itself says."""
    file = world.library_file
    if world.system.windows:
        number = world.file_version(file)
        if not number:
            return skip("The library tells no version.", version="")
        return ok(f"The library is of version {number}.", version=number)
    real = str((world.root / file.lstrip("/")).resolve()) if world.exists(file.lstrip("/")) else file
    silent = ""
    for path in dict.fromkeys((file, real)):
        owner = world.run(["dpkg-query", "-S", path])
        package = owner.out.partition(":")[0] if owner.status == 0 else ""
        number = _package_version(world, (package,)) if package else ""
        asked = owner
        if not package:
            asked = world.run(["rpm", "-qf", "--qf=%{NAME} %{VERSION}-%{RELEASE}", path])
            package, _, number = asked.out.partition(" ") if asked.status == 0 else ("", "", "")
        if package:
            words = f"{package} {number}" if number else f"{package}, whose version can't be told"
            return ok(f"The library is of {words}.", package=package, version=number)
        silent = next((ran.err for ran in (owner, asked) if ran.status == TIMED_OUT), silent)
    if silent:
        return skip(f"The library's version can't be told: {silent}.", package="", version="")
    return skip("The library belongs to no package: its version can't be told.", package="", version="")


def symbols(world: World) -> Diagnosis:
    if world.library_error:
        return skip("The library can't be loaded, so its functions can't be counted.")
    missing = world.library_missing
    if not missing:
        return ok("The library has every function that the exporter uses.", missing=[])
    return warn(
        f"The library lacks {len(missing)} functions: what they would give is not shown with --source=library.",
        Advice(
            "library-symbols",
            Where.GUEST,
            f"{world.system.update_tools} to 11.0 or later{_without(world, '; --source=guestrpc needs none of them')}",
        ),
        *(PREFIX + name for name in missing),
        missing=list(missing),
    )


def answers(world: World) -> Diagnosis:
    if world.library_error:
        return skip("The library can't be loaded, so it can't be asked.")
    began = world.clock()
    try:
        snapshot = world.library.read()
    except VMGuestError as error:
        refusal = world.answer.refusal if world.answer is not None else None
        untold = isinstance(error, RpcError) and error.reason == "not_told"
        # The host's own word, where it was heard, is more than the library's.
        what = advice(refusal if refusal is not None and untold else error, world.system)
        return fail(f"{_sentence(error)}.", what or on(world.system, LIBRARY_BROKEN), error=error.kind)
    milliseconds = (world.clock() - began) * 1000
    missing = judge_missing(snapshot, None, world.library_missing)
    # Where GuestRPC answers, statistics-given says it, and better.
    lines = () if world.answer is not None else missing.details
    return ok(
        f"VMware's library answers, with {len(snapshot.values)} statistics in {milliseconds:.1f} ms.",
        *lines,
        **missing.facts,
    )


def tools(world: World) -> Diagnosis:
    """VMware Tools: 11.0 or later, and what is missing in older ones."""
    if world.system.windows:
        folder = world.tools_folder()
        number = world.file_version(f"{folder}\\vmtoolsd.exe") if folder else ""
        if not folder:
            return skip(
                "VMware Tools are not installed here: the registry names no folder of theirs.", version=""
            )
        if not number:
            return skip(f"VMware Tools tell no version: there is none in {folder}\\vmtoolsd.exe.", version="")
    else:
        number = _package_version(world, ("open-vm-tools",))
    if not number and world.may_ask and not world.socket_path:
        # VMware's own Tools are no package. Their program looks for the hypervisor, so only where it is VMware.
        number = world.run(["vmware-toolbox-cmd", "-v"]).out
    if not number:
        return skip("VMware Tools are not installed here; --source=guestrpc does not need them.", version="")
    have = version(number)
    lacks = [f"{'.'.join(map(str, since))}: {what}" for since, what in TOOLS if have < since]
    if have < (11, 0):
        return warn(
            f"VMware Tools {number} are older than 11.0.",
            Advice(
                "tools-version",
                Where.GUEST,
                world.system.update_tools + _without(world, "; --source=guestrpc does not depend on it"),
            ),
            *lacks,
            version=number,
        )
    return ok(f"VMware Tools {number}.", *lacks, version=number)


def _without(world: World, words: str) -> str:
    """``words`` about GuestRPC, where there is one."""
    return "" if VSOCK in world.system.lacks else words


def _sentence(error: VMGuestError) -> str:
    text = str(error).rstrip(".")
    return text[:1].upper() + text[1:]
