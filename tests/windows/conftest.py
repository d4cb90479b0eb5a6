"""A Windows to run the exporter on: a CPython for Windows under Wine, which .ci/windows.sh makes.

What this can't show, for Wine is no Windows: services, event log, firewall, accounts, WMI, VMware's own DLL.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PureWindowsPath
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
PREFIX = ROOT / ".cache" / "windows" / "prefix"
DRIVE = PREFIX / "drive_c"
HOW = "apt-get install wine64 gcc-mingw-w64-x86-64-win32 maven, then make wine"
LIMIT = 300.0
"""Seconds for whatever has to happen; usually less than one."""
PATIENCE = 30.0
"""Seconds that a program has to end before it is killed."""
LINGER = 300
"""Seconds for which Wine's server waits for another program; CI ends it when all tests are over."""
PYTHON = r"C:\Python\python.exe"
STUB = "real/stub.c"
"""VMware's library, without anything behind it."""
READ = """
import json, sys
from exporter.errors import LibraryCrashed
from exporter.library.process import LibraryProcess
def read(library):
    try:
        return library.read()
    except LibraryCrashed as error:
        if "process can't be started" not in str(error):
            raise
    return library.read()
for path in sys.argv[1:]:
    library = LibraryProcess(path, 300.0, start_limit=300.0)
    try:
        snapshot = read(library)
        print(json.dumps([library.load().library, snapshot.session_id, dict(snapshot.values)]))
        print(library.stat("text", "resources").decode())
    except Exception as error:
        print(type(error).__name__, error)
    library.close()
"""
"""A line or two for each library that it is given. Wine now and then can't start a process ("internal error"), whatever
is in it: it is asked again, as a running exporter does at its next poll.
"""

Require = Callable[[str, str | None, str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.windows)


class Program:
    """A program under Wine, with what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.out = bytearray()
        self.err = bytearray()
        self._readers = [
            threading.Thread(target=self._read, args=pipe, daemon=True)
            for pipe in ((process.stdout, self.out), (process.stderr, self.err))
            if pipe[0] is not None
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(pipe: IO[bytes], into: bytearray) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), 65536):
                into += data

    @property
    def log(self) -> str:
        return self.err.decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "replace").replace("\r\n", "\n")

    def until(self, pattern: str) -> re.Match[str]:
        """The first match in what it has logged, waiting for it."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if found := re.search(pattern, self.log):
                return found
            if self.process.poll() is not None:
                self.wait()
                if found := re.search(pattern, self.log):
                    return found
                break
            time.sleep(0.02)
        pytest.fail(f"{pattern!r} was never logged; status {self.process.poll()}:\n{self.log}\n{self.text}")

    def url(self) -> str:
        """Where it serves its metrics."""
        return self.until(r"listening on (https?://\S+?/metrics)")[1]

    def wait(self) -> int:
        """Its exit status, when it has ended by itself."""
        status = self.process.wait(LIMIT)
        for reader in self._readers:
            reader.join(LIMIT)
        return status

    def end(self) -> None:
        """By Ctrl-C; where that does not help, by force, after which Wine's server may keep its sockets and look at them
        for ever, with a processor of its own.
        """
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


class Windows:
    """The prefix, and programs in it. ``folder`` is a test's own."""

    def __init__(self, wine: str, folder: Path) -> None:
        self.wine = wine
        self.folder = folder
        self._running: list[Program] = []
        self._before: list[tuple[str, Mapping[str, str | None]]] = []
        """Keys and values of the registry as they were, the last change first."""

    @staticmethod
    def path(file: Path) -> str:
        """As Windows names a file of this machine that lies in the prefix or in the checkout."""
        for base, theirs in ((DRIVE, "C:/"), (ROOT, "S:/")):
            if file.is_relative_to(base):
                return str(PureWindowsPath(theirs, file.relative_to(base)))
        raise ValueError(f"{file}: Windows can't see it")

    def start(
        self, *arguments: str, program: str = PYTHON, environ: Mapping[str, str] | None = None
    ) -> Program:
        """Start ``program``, in the test's folder."""
        process = subprocess.Popen(
            ["nice", self.wine, program, *arguments],
            # Python under Wine takes no regular file for a standard stream.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=variables({"PYTHONPATH": "S:\\", **(environ or {})}),
        )
        self._running.append(started := Program(process))
        return started

    def run(
        self, *arguments: str, program: str = PYTHON, environ: Mapping[str, str] | None = None
    ) -> Program:
        """Run it to its end."""
        started = self.start(*arguments, program=program, environ=environ)
        started.wait()
        return started

    def exporter(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Program:
        """Start the exporter."""
        return self.start("-m", "exporter", *arguments, environ=environ)

    def serve(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Program:
        """Start the exporter on a port of its own."""
        return self.exporter("--web.listen-address=127.0.0.1:0", *arguments, environ=environ)

    def command(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Program:
        """Run one of the exporter's commands to its end."""
        return self.run("-m", "exporter", *arguments, environ=environ)

    def python(self, code: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Program:
        """Run a piece of Python to its end."""
        return self.run("-c", code, *arguments, environ=environ)

    def registry(self, key: str, **values: str | None) -> None:
        """Set text values below ``key`` until the test ends; None takes one away."""
        before = self.values(key)
        self._before.insert(0, (key, {name: before.get(name) for name in values}))
        self._import([(key, values)])

    def values(self, key: str) -> dict[str, str]:
        """The text values below ``key``; none where there is no such key."""
        asked = self.run("query", key, program="reg").text
        return dict(re.findall(r"^ +(\S+) +REG_SZ *(.*)$", asked, re.MULTILINE))

    def _import(self, changes: Iterable[tuple[str, Mapping[str, str | None]]]) -> None:
        """In order, and by one program: each takes its time to begin."""
        file = self.folder / "changes.reg"
        lines = ["REGEDIT4", ""]
        for key, values in changes:
            lines.append(f"[{key}]")
            for name, value in values.items():
                text = "-" if value is None else '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
                lines.append(f'"{name}"={text}')
            lines.append("")
        file.write_text("\r\n".join(lines), encoding="ascii", newline="")
        done = self.run("import", self.path(file), program="reg")
        assert done.process.returncode == 0, done.text + done.log

    def close(self) -> None:
        for program in self._running:
            program.end()
        if self._before:
            self._import(self._before)


def variables(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program under Wine; nothing of this machine's Python or of the exporter's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "VMGUEST_", "OTEL_", "COV_", "VIRTUAL_ENV"))
    }
    return {
        **kept,
        "WINEPREFIX": str(PREFIX),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml,winedbg.exe=",
        "DISPLAY": "",
        "PYTHONPYCACHEPREFIX": r"C:\pycache",
        **more,
    }


def get(url: str) -> str:
    """The page at ``url``, waiting for the first poll."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            with urllib.request.urlopen(url, timeout=LIMIT) as response:
                text: str = response.read().decode()
        except urllib.error.HTTPError:
            text = ""
        if re.search(r"^vmguest_up 1", text, re.MULTILINE):
            return text
        if time.monotonic() > end:
            pytest.fail(f"no statistics at {url}:\n{text}")
        time.sleep(0.05)


def samples(page: str) -> dict[str, float]:
    """Every sample of a page, by name and labels as they stand there."""
    lines = (line for line in page.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture(scope="session")
def wine(require: Require) -> str:
    """Wine's loader. The prefix is there, and looks at this checkout."""
    found = shutil.which("wine64", path=f"{os.environ.get('PATH', os.defpath)}:/usr/lib/wine")
    require("a Windows", found if (PREFIX.parent / "version").exists() else None, HOW)
    # Not as a link below C:, which Wine would resolve to a path that Windows has not.
    link = PREFIX / "dosdevices" / "s:"
    if not link.is_symlink():
        with suppress(FileExistsError):  # another process of this run was faster
            link.symlink_to(ROOT)
    # Else it ends between two programs, and what a test has put into the registry's volatile part with it.
    server = [str(Path(str(found)).with_name("wineserver64")), f"-p{LINGER}"]
    nothing = subprocess.DEVNULL
    for command in (
        server,
        # The first program brings Wine's services up, which keep its standard streams: were these a test's pipes, they
        # would not end with its program.
        [str(found), "cmd", "/c", "exit"],
    ):
        subprocess.run(
            command,
            env=variables({}),
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            timeout=LIMIT,
            check=False,
        )
    return str(found)


@pytest.fixture
def windows(wine: str) -> Iterator[Windows]:
    folder = DRIVE / "tests" / f"{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    machine = Windows(wine, folder)
    yield machine
    try:
        machine.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def build(
    require_program: Callable[[str, str], str], wine: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """``build(source, *options)``: a DLL of a C source in tests/."""
    compiler = require_program("x86_64-w64-mingw32-gcc", HOW)
    folder = tmp_path_factory.mktemp("built")
    made: dict[tuple[str, ...], Path] = {}

    def compile_(source: str, *options: str) -> Path:
        key = (source, *options)
        if key not in made:
            target = folder / f"{len(made)}.dll"
            command = [compiler, "-shared", "-O1", "-static-libgcc", "-o", str(target)]
            subprocess.run([*command, str(ROOT / "tests" / source), *options], check=True)
            made[key] = target
        return made[key]

    return compile_


@pytest.fixture(scope="session")
def import_library(
    require_program: Callable[[str, str], str], wine: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], str]:
    """``import_library(dll, function)``: what makes a DLL that is linked with it need ``dll``."""
    tool = require_program("x86_64-w64-mingw32-dlltool", HOW)
    folder = tmp_path_factory.mktemp("imports")

    def make(dll: str, function: str) -> str:
        names, target = folder / "names.def", folder / "imports.a"
        names.write_text(f"LIBRARY {dll}\nEXPORTS\n{function}\n")
        subprocess.run([tool, "--input-def", str(names), "--output-lib", str(target)], check=True)
        return str(target)

    return make


@pytest.fixture(scope="session")
def resource(
    require_program: Callable[[str, str], str], wine: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """``resource(text)``: the object file of a resource script."""
    tool = require_program("x86_64-w64-mingw32-windres", HOW)
    folder = tmp_path_factory.mktemp("resources")

    def make(text: str) -> str:
        script, target = folder / "made.rc", folder / "made.o"
        script.write_text(text)
        subprocess.run([tool, str(script), str(target)], check=True)
        return str(target)

    return make


@pytest.fixture
def library(windows: Windows, build: Callable[..., Path]) -> str:
    """The path of a stand-in in the test's folder."""
    file = windows.folder / "vmGuestLib.dll"
    shutil.copy(build(STUB), file)
    return windows.path(file)
