"""VMware's own library against a simulated host: what the tests need for it.

SAFETY: the library must never reach a real vsock, nor its fallback, the backdoor instruction. So each of its
processes has the shim preloaded, which lets no socket of that family through, and is started only after the
simulated host has been seen to listen.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.catalogue import BY_KEY
from exporter.library.process import LibraryProcess
from exporter.protocol import packet, rpci
from exporter.session.vendor import LibrarySource
from exporter.session.wire import WireSource
from exporter.simulator.faults import Fault
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Scenario
from exporter.simulator.server import Server, serve_unix
from exporter.snapshot import Snapshot
from exporter.transport.unix import UnixConnector

HERE = Path(__file__).parent
NOT_BY_LIBRARY = frozenset({"host_memory_kernel_overhead"})
"""What VMware's library has no honest answer for: its getter says 0 whatever the host sent."""

Require = Callable[[str, str | None, str], str]


@dataclass
class Compared:
    """How many values of the real library were held against the GuestRPC source's."""

    values: int = 0
    statistics: set[str] = field(default_factory=set)
    replies: int = 0

    def count(self, snapshot: Snapshot) -> None:
        self.values += len(snapshot.values)
        self.statistics |= set(snapshot.values)


_COMPARED = pytest.StashKey[Compared]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    compared = config.stash.get(_COMPARED, None)
    if compared and (compared.values or compared.replies):
        terminalreporter.write_line(
            f"VMware's library against GuestRPC: {compared.values} values of "
            f"{len(compared.statistics)} statistics and {compared.replies} extended replies compared"
        )


@pytest.fixture(scope="session")
def compared(pytestconfig: pytest.Config) -> Compared:
    return pytestconfig.stash.setdefault(_COMPARED, Compared())


@pytest.fixture(scope="session")
def build(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """``build(name, *options)``: a shared object of ``name``.c, which stands beside this file."""
    compiler = require_program("cc", "apt-get install gcc libc6-dev")

    def compile_(name: str, *options: str) -> str:
        target = tmp_path_factory.mktemp("built") / f"{name}.so"
        warnings = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror")
        subprocess.run(
            [compiler, *warnings, "-shared", "-fPIC", *options, "-o", target, HERE / f"{name}.c", "-ldl"],
            check=True,
        )
        return str(target)

    return compile_


@pytest.fixture(scope="session")
def shim(build: Callable[..., str]) -> str:
    return build("shim")


@pytest.fixture(scope="session")
def real_library(require: Require) -> str:
    """The file of VMware's library, as a distribution's package puts it."""
    folders = ["/usr/lib64", "/usr/lib", *map(str, Path("/usr/lib").glob("*-linux-gnu"))]
    found = (f"{folder}/libguestlib.so.0" for folder in folders)
    return require(
        "libguestlib.so.0", next(filter(os.path.exists, found), None), "apt-get install open-vm-tools"
    )


Answer = Callable[[bytes], bytes | None]


class ScriptedHost:
    """A host on a unix socket that answers what a test says.

    ``answer(command)`` returns what goes back: a packet (``ok(…)``, ``refuse(…)``) or any bytes, b"" to close the
    connection instead, None to leave the question open. ``commands`` holds what was asked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: Answer = lambda _: rpci.reply(b"Unknown command", ok=False)
        self.commands: list[bytes] = []
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._start(self._accept)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        decoder = packet.PacketDecoder()
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                decoder.feed(data)
                while (body := decoder.next()) is not None:
                    request = rpci.parse_request(body)
                    self.commands.append(request.command)
                    answer = self.answer(request.command)
                    if answer is None:
                        continue
                    connection.sendall(answer)
                    if request.fast_close or not answer:
                        return


@pytest.fixture
def host(short_path: Path) -> Iterator[ScriptedHost]:
    host = ScriptedHost(short_path / "host")
    yield host
    host.close()


class Sources:
    """Both sources on one host that listens at ``path``."""

    def __init__(self, path: Path, shim: str, library: str, compared: Compared) -> None:
        self._path = path
        self._shim = shim
        self._library = library
        self._compared = compared
        self._sources: list[WireSource | LibrarySource] = []

    def environ(self, **extra: str) -> dict[str, str]:
        """The environment for a program that uses VMware's library; the host is seen to listen first."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(self._path))
        return {**os.environ, "LD_PRELOAD": self._shim, "GUESTRPC_SHIM_SOCKET": str(self._path), **extra}

    def guestrpc(self, timeout: float = 30.0) -> WireSource:
        source = WireSource(UnixConnector(self._path), timeout)
        self._sources.append(source)
        return source

    def library(self, timeout: float = 30.0, **extra: str) -> LibrarySource:
        environ = self.environ(**extra)
        source = LibrarySource(
            process=LibraryProcess(self._library, timeout, environ=environ, start_limit=60.0)
        )
        self._sources.append(source)
        return source

    def compare(self, guestrpc: Snapshot, library: Snapshot, *absent: str) -> None:
        """Equal in every value that the library gives; it lacks nothing but what it can't give, and ``absent``."""
        expected = {
            key: value for key, value in guestrpc.values.items() if key not in NOT_BY_LIBRARY | set(absent)
        }
        assert dict(library.values) == expected
        assert library.session_id == guestrpc.session_id
        assert all(BY_KEY[key].symbol or key == "resource_pool_path" for key in library.values)
        self._compared.count(library)

    def compare_replies(self, guestrpc: bytes, library: bytes) -> None:
        assert library == guestrpc
        self._compared.replies += 1

    def close(self) -> None:
        for source in self._sources:
            source.close()


@pytest.fixture
def sources(host: ScriptedHost, shim: str, real_library: str, compared: Compared) -> Iterator[Sources]:
    """Both sources on the scripted ``host``."""
    sources = Sources(host.path, shim, real_library, compared)
    yield sources
    sources.close()


class Clock:
    """Stands still until it is told, so that both sources see the same sample."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Simulated:
    """A simulated host that listens, its clock, and both sources on it."""

    host: SimulatedHost
    clock: Clock
    sources: Sources


@pytest.fixture
def simulate(
    short_path: Path, shim: str, real_library: str, compared: Compared
) -> Iterator[Callable[..., Simulated]]:
    """``simulate(scenario, faults)``: start one."""
    with ExitStack() as stack:

        def start(scenario: Scenario | str = "steady", faults: tuple[Fault, ...] = ()) -> Simulated:
            clock = Clock()
            host = SimulatedHost(scenario, clock)
            path = short_path / "simulated"
            stack.enter_context(serve_unix(path, Server(host, faults)))
            sources = Sources(path, shim, real_library, compared)
            stack.callback(sources.close)
            return Simulated(host, clock, sources)

        yield start


@pytest.fixture(scope="session")
def toolbox(require_program: Callable[[str, str], str]) -> Callable[..., str]:
    """``toolbox(sources, *arguments)``: what ``vmware-toolbox-cmd stat`` prints."""
    program = require_program("vmware-toolbox-cmd", "apt-get install open-vm-tools")

    def run(sources: Sources, *arguments: str) -> str:
        environ = sources.environ()
        done = subprocess.run(
            [program, "stat", *arguments], env=environ, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    return run
