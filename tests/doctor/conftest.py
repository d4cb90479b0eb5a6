"""A VMware guest in which nothing is wrong, as files, programs and a host; tests break one thing of it."""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.catalogue import CURRENT_LIST, STATISTICS
from exporter.config import Settings
from exporter.config.places import Address
from exporter.config.settings import Ha, Web
from exporter.doctor.examine import examine
from exporter.doctor.finding import Finding
from exporter.doctor.rows import CHECKS
from exporter.doctor.world import NOT_FOUND, Ran, World
from exporter.errors import LibraryNotFound, NoDeviceError, VMGuestError
from exporter.library.answers import Loaded
from exporter.protocol.appmonitor import Verb, command
from exporter.session.wire import Channel
from exporter.simulator.faults import Fault
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Scenario
from exporter.simulator.server import Server
from exporter.snapshot import Snapshot
from exporter.transport.base import Connector, Stream
from exporter.transport.memory import MemoryConnector

NOW = 1_795_000_000.0
"""In November 2026."""
KERNEL = "6.1.0-18-amd64"
LIBRARY = "/usr/lib/x86_64-linux-gnu/libguestlib.so.0"

FILES = {
    "sys/class/dmi/id/sys_vendor": "VMware, Inc.\n",
    "sys/class/dmi/id/product_name": "VMware7,1\n",
    "proc/cpuinfo": "processor : 0\nflags : fpu hypervisor sse\n",
    "proc/sys/kernel/osrelease": f"{KERNEL}\n",
    "proc/stat": "cpu  1 2 3 4 5 6 7 88 0 0\ncpu0 1 2 3 4 5 6 7 88 0 0\n",
    "proc/cmdline": "root=/dev/sda1 quiet\n",
    "proc/self/status": "Name:\tpython\nCapEff:\t0000000000000400\nSeccomp:\t0\n",
    "proc/self/uid_map": "         0          0 4294967295\n",
    "proc/self/attr/current": "unconfined\n",
    "sys/module/vsock/refcnt": "",
    "sys/module/vmw_balloon/refcnt": "",
    "sys/module/vmw_vmci/refcnt": "",
    "sys/module/vmw_vsock_vmci_transport/refcnt": "",
    "sys/bus/pci/devices/0000:00:07.7/vendor": "0x15ad\n",
    "sys/bus/pci/devices/0000:00:07.7/device": "0x0740\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "dev/vsock": "",
    "dev/vmci": "",
    "etc/os-release": "ID=debian\nVERSION_ID=12\n",
    LIBRARY[1:]: "",
}

PROGRAMS = {
    "systemd-detect-virt --vm": Ran(0, "vmware"),
    "timedatectl show": Ran(0, "yes"),
    f"ldd {LIBRARY}": Ran(
        0, "\tlibtirpc.so.3 => /lib/libtirpc.so.3 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)"
    ),
    "dpkg-query -W -f=${Version} libtirpc3": Ran(0, "1.3.3+ds-1"),
    "dpkg-query -W -f=${Version} open-vm-tools": Ran(0, "2:12.2.0-1+deb12u4"),
    f"dpkg-query -S {LIBRARY}": Ran(0, f"open-vm-tools: {LIBRARY}"),
}


class FakeLibrary:
    """VMware's library before an ESXi 7.0 host: what its getters give, or errors; and what it lacks."""

    def __init__(self) -> None:
        self.loads: VMGuestError | None = None
        self.reads: VMGuestError | None = None
        self.missing: tuple[str, ...] = ()
        known = (row for row in STATISTICS[:CURRENT_LIST] if row.symbol and not row.deprecated)
        self.snapshot = Snapshot(5, 0, {row.key: 1 for row in known})
        self.closed = False

    def load(self) -> Loaded:
        if self.loads is not None:
            raise self.loads
        return Loaded(LIBRARY, self.missing)

    def read(self) -> Snapshot:
        if self.reads is not None:
            raise self.reads
        return self.snapshot

    def close(self) -> None:
        self.closed = True


class FakeSocket:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Guest:
    """``files`` below a root of its own, ``programs`` by how their command lines begin, a simulated host."""

    root: Path
    scenario: Scenario | str = "steady"
    faults: Sequence[Fault] = ()
    programs: dict[str, Ran] = field(default_factory=lambda: dict(PROGRAMS))
    library: FakeLibrary = field(default_factory=FakeLibrary)
    vsock: OSError | None = None
    """Why no vsock may be made."""
    may_bind: bool = True
    """Whether source ports below 1024 are to be had."""
    refuses: Callable[[bool], VMGuestError | None] = lambda privileged: None
    """Why the host takes no connection."""
    settings: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    sockets: list[FakeSocket] = field(default_factory=list)
    connections: int = 0
    _server: Server | None = None

    def __post_init__(self) -> None:
        for path, text in FILES.items():
            self.write(path, text)

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = Server(SimulatedHost(self.scenario), self.faults)
        return self._server

    def tell(self, verb: Verb) -> None:
        """Say something to the host as another program would."""
        channel = Channel(MemoryConnector(self.server.serve), 5.0)
        channel.call(command(verb))
        channel.close()

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def remove(self, path: str) -> None:
        file = self.root / path
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    def run(self, arguments: Sequence[str], limit: float = 1.0) -> Ran:
        line = " ".join(arguments)
        return next(
            (ran for start, ran in self.programs.items() if line.startswith(start)),
            Ran(NOT_FOUND, "", "not found"),
        )

    def connector(self, privileged: bool | None) -> Connector:
        if privileged and not self.may_bind:
            return Refusing(NoDeviceError("can't be reached: Permission denied", errno.EACCES))
        port = self.may_bind if privileged is None else privileged
        if refusal := self.refuses(port):
            return Refusing(refusal)
        return Counting(self, port)

    def new_socket(self, family: int, kind: int) -> Any:
        if self.vsock is not None:
            raise self.vsock
        assert (family, kind) == (40, socket.SOCK_STREAM)
        self.sockets.append(FakeSocket())
        return self.sockets[-1]

    def build(self) -> World:
        settings = {
            "web": Web(listen=(Address("127.0.0.1", 0),)),
            "ha": Ha(lock_file="/run/ha.lock"),
            **self.settings,
        }
        given: dict[str, Any] = {
            "settings": Settings(**settings),
            "root": self.root,
            "run": self.run,
            "new_socket": self.new_socket,
            "new_connector": self.connector,
            "new_library": lambda path, timeout: self.library,
            "machine": "x86_64",
            "bits": 64,
            "platform": "linux",
            "wall": lambda: NOW,
            # Every answer is immediate, however busy the machine is.
            "clock": lambda: 0.0,
        }
        return World(**{**given, **self.world})

    def findings(self, *codes: str) -> dict[str, Finding]:
        """Of every check, or of these and what they wait for, by code."""
        wanted = set(codes)
        for check in reversed(CHECKS):
            # Some wait for a row below them.
            wanted |= {*check.needs, *check.after} if check.code in wanted else set()
        for check in reversed(CHECKS):
            wanted |= {*check.needs, *check.after} if check.code in wanted else set()
        world = self.build()
        found = examine([each for each in CHECKS if not codes or each.code in wanted], world, limit=20.0)
        world.close()
        return {each.code: each for each in found}

    def finding(self, code: str) -> Finding:
        return self.findings(code)[code]


class Refusing:
    transport = "vsock"

    def __init__(self, error: VMGuestError) -> None:
        self.error = error

    def connect(self, timeout: float) -> Stream:
        raise self.error


class Counting(MemoryConnector):
    transport = "vsock"

    def __init__(self, guest: Guest, privileged: bool) -> None:
        super().__init__(lambda stream: guest.server.serve(stream, privileged))
        self.guest = guest
        self.privileged = privileged

    def connect(self, timeout: float) -> Any:
        self.guest.connections += 1
        return super().connect(timeout)


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path / "root")


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port of the loopback interface that somebody listens on, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def no_library() -> LibraryNotFound:
    return LibraryNotFound(
        "VMware's library can't be loaded. Tried: libguestlib.so.0 (no such file). Install it"
    )
