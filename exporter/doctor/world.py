"""Everything that the checks touch, each of it replaceable: files below a root, programs, sockets, the library.

A check asks the world and never the machine itself. What several checks want to know (the hypervisor, the host's
first answer) is found out once and kept here.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from exporter.config import Settings
from exporter.errors import ConfigError, NotVMwareError, RpcError
from exporter.library.loader import file_version, tools_folder
from exporter.library.process import LibraryProcess
from exporter.machine import container
from exporter.machine.hypervisor import DETECT_VIRT, Hypervisor, detect
from exporter.machine.system import System, architecture, named, windows_release
from exporter.outputs.otlp.settings import PushSettings, resolve
from exporter.session.wire import Channel
from exporter.snapshot import Snapshot
from exporter.transport.base import Connector
from exporter.transport.unix import UnixConnector
from exporter.transport.vsock import ANY, VsockConnector

PROGRAM_LIMIT = 1.0
"""Seconds for a program; its check goes on without its answer then."""
HOST_LIMIT = 1.0
"""Seconds for one question to the host, which takes well under a millisecond where all is well."""
LIBRARY_LIMIT = 1.5

NOT_FOUND, TIMED_OUT = 127, 124
"""Exit statuses of programs that are not there, and that took too long; as shells and timeout(1) say it."""


class Ran(NamedTuple):
    """What a program did. ``out`` without the white space around it."""

    status: int
    out: str
    err: str = ""


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """The host's answer to the first question: statistics (``snapshot``, and ``raw`` as it came) or ``refusal``."""

    connect_seconds: float
    reply_seconds: float
    privileged: bool | None
    """Whether the source port was below 1024; None where there are no such ports."""
    raw: bytes = b""
    snapshot: Snapshot | None = None
    refusal: RpcError | None = None


def run_program(arguments: Sequence[str], limit: float = PROGRAM_LIMIT) -> Ran:
    """Run a program without input, in the C locale. Never raises for what it does."""
    try:
        done = subprocess.run(
            list(arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return Ran(TIMED_OUT, "", f"{arguments[0]} did not end within {limit:g} s")
    except OSError as error:
        return Ran(NOT_FOUND, "", f"{arguments[0]}: {error.strerror}")
    out, err = (text.decode("utf-8", "replace").strip() for text in (done.stdout, done.stderr))
    return Ran(done.returncode, out, err)


class UnprivilegedSocket(socket.socket):
    """Is denied the ports below 1024 as it would be without CAP_NET_BIND_SERVICE: what others get to hear."""

    def bind(self, address: object) -> None:
        if isinstance(address, tuple) and address[1] != ANY and address[1] < 1024:
            raise PermissionError(13, "only unprivileged ports are tried")
        super().bind(address)  # type: ignore[arg-type]  # whatever socket takes


@dataclass
class World:
    """``settings``: those of the exporter, the defaults where ``config_error`` says why they can't be had."""

    settings: Settings = field(default_factory=Settings)
    config_error: ConfigError | None = None
    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=dict)
    run: Callable[..., Ran] = run_program
    new_socket: Callable[[int, int], socket.socket] = socket.socket
    new_connector: Callable[[bool | None], Connector] | None = None
    """Given True for privileged source ports only, False for unprivileged ones, None for as the exporter does."""
    new_library: Callable[[str | None, float], LibraryProcess] | None = None
    """None: as the exporter does, with as much time to begin as this system needs."""
    find_hypervisor: Callable[[Path], Hypervisor] | None = None
    """None: as the exporter does, with what ``run`` says."""
    machine: str = field(default_factory=architecture)
    bits: int = struct.calcsize("P") * 8
    platform: str = sys.platform
    pid: int = field(default_factory=os.getpid)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    may_ask: bool = False
    """Set once the hypervisor is known to be VMware, or a unix socket stands for it."""
    answer: HostAnswer | None = None
    secure: tuple[str, str] | None = None
    """What came of asking from a privileged source port, and from another; see ``ha-secure-channel``."""
    library_file: str = ""
    library_missing: tuple[str, ...] = ()
    """Functions that it lacks."""
    library_error: str = ""
    """Why a file that is there does not load."""
    file_version: Callable[[str], str] = file_version
    tools_folder: Callable[[], str] = tools_folder
    _library: LibraryProcess | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def system(self) -> System:
        return named(self.platform)

    @property
    def socket_path(self) -> str:
        """Path of the unix socket that stands for the hypervisor; empty without one."""
        return self.settings.guestrpc.socket or ""

    @cached_property
    def hypervisor(self) -> Hypervisor:
        if self.find_hypervisor is not None:
            return self.find_hypervisor(self.root)
        return detect(self.root, self.platform, detect_virt=lambda: self.run(DETECT_VIRT).out)

    @cached_property
    def push(self) -> PushSettings | None:
        """Where metrics are pushed to; None where nowhere.

        Raises:
            ConfigError: that can't be done as it is set.
        """
        return resolve(self.settings.otlp, self.environ)

    @cached_property
    def kernel(self) -> str:
        """Release, such as ``6.1.0-18-amd64``, or Windows' ``10.0.20348``."""
        if self.system.windows:
            return windows_release()
        return self.read("proc/sys/kernel/osrelease")

    @property
    def kernel_version(self) -> tuple[int, ...]:
        return version(self.kernel)

    @cached_property
    def container(self) -> str:
        """Name of the container engine; empty outside of containers."""
        return container.engine(self.root, self.environ)

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names of the kernel's functions that begin with one of VMware's words; empty where it hides them."""
        try:
            with (self.root / "proc/kallsyms").open(encoding="ascii", errors="replace") as file:
                return frozenset(
                    name for line in file if "vm" in line and (name := line.split()[2]).startswith("vm")
                )
        except (OSError, IndexError):
            return frozenset()

    def read(self, path: str) -> str:
        """The text of a file below the root, stripped; empty where it can't be read."""
        try:
            return (self.root / path).read_text("utf-8", "replace").strip()
        except (OSError, ValueError):
            return ""

    def exists(self, path: str) -> bool:
        try:
            return (self.root / path).exists()
        except OSError:
            return False

    def lines(self, pattern: str) -> Iterator[tuple[str, str]]:
        """Every line of the files that match a glob pattern below the root, each with its file's path."""
        for path in sorted(self.root.glob(pattern)):
            relative = str(path.relative_to(self.root))
            for line in self.read(relative).splitlines():
                yield f"/{relative}", line.strip()

    def connector(self, privileged: bool | None = None) -> Connector:
        """A way to the host.

        Raises:
            NotVMwareError: on anything but VMware, whoever asks: CID 0 would be somebody else's host.
        """
        if not self.may_ask:
            raise NotVMwareError(
                f"this machine is not a VMware guest: its hypervisor is {self.hypervisor.name}"
            )
        if self.new_connector is not None:
            return self.new_connector(privileged)
        if self.socket_path:
            return UnixConnector(self.socket_path)
        new_socket = UnprivilegedSocket if privileged is False else self.new_socket
        return VsockConnector(only_privileged=privileged is True, new_socket=new_socket)

    @property
    def host_limit(self) -> float:
        return min(self.settings.guestrpc.timeout, HOST_LIMIT)

    @contextmanager
    def channel(self, privileged: bool | None = None) -> Iterator[Channel]:
        """A channel of its own for one check: none waits for another's."""
        channel = Channel(self.connector(privileged), self.host_limit)
        try:
            yield channel
        finally:
            channel.close()

    @property
    def library(self) -> LibraryProcess:
        """VMware's library in its process, started at the first question. One check at a time may use it."""
        with self._lock:
            if self._library is None:
                path = self.settings.library.path
                if self.new_library is not None:
                    self._library = self.new_library(path, LIBRARY_LIMIT)
                else:
                    begin = LIBRARY_LIMIT * self.system.patience
                    self._library = LibraryProcess(path, LIBRARY_LIMIT, start_limit=begin)
            return self._library

    def close(self) -> None:
        """End what the checks have started."""
        with self._lock:
            if self._library is not None:
                self._library.close()


def version(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``2:12.2.0-1+deb12u4`` and ``12.2.0.41219 (build-…)`` begin 12, 2, 0."""
    numbers = []
    for part in text.rpartition(":")[2].replace("-", ".").split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
