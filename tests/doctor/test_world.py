from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.config import Settings
from exporter.config.settings import GuestRpc, Library, Otlp
from exporter.doctor.world import NOT_FOUND, TIMED_OUT, UnprivilegedSocket, World, run_program, version
from exporter.errors import ConfigError, NotVMwareError
from exporter.library.process import LibraryProcess
from exporter.transport.unix import UnixConnector
from exporter.transport.vsock import VsockConnector

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2:12.2.0-1+deb12u4", (12, 2, 0, 1)),
        ("12.2.0.41219 (build-21223074)", (12, 2, 0, 41219)),
        ("6.1.0-18-amd64", (6, 1, 0, 18)),
        ("5.7rc1", (5, 7)),
        ("", ()),
        ("none", ()),
    ],
)
def test_versions_are_compared_by_their_leading_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers


def test_a_program_is_run_in_the_c_locale_without_input() -> None:
    code = "import os, sys; print(os.environ['LC_ALL'], repr(sys.stdin.read())); print('e', file=sys.stderr); sys.exit(3)"
    ran = run_program([sys.executable, "-c", code], 20.0)
    assert ran == (3, "C ''", "e")


def test_a_program_that_is_not_there() -> None:
    assert run_program(["/nonexistent/program"]).status == NOT_FOUND


def test_a_program_that_takes_too_long_is_ended() -> None:
    ran = run_program([sys.executable, "-c", "import time; time.sleep(60)"], 0.05)
    assert ran.status == TIMED_OUT
    assert "did not end within" in ran.err


def test_nobody_speaks_to_the_host_before_it_is_known_to_be_vmwares(guest: Guest) -> None:
    world = guest.build()
    with pytest.raises(NotVMwareError):
        world.connector()
    assert guest.connections == 0


def test_a_unix_socket_stands_for_the_hypervisor() -> None:
    world = World(settings=Settings(guestrpc=GuestRpc(socket="/tmp/x")), may_ask=True)
    assert isinstance(world.connector(), UnixConnector)


def test_the_hypervisor_is_reached_over_vsock_with_the_ports_that_are_wanted() -> None:
    made: list[tuple[int, int]] = []

    def new_socket(family: int, kind: int) -> socket.socket:
        made.append((family, kind))
        raise PermissionError(1, "denied")

    world = World(may_ask=True, new_socket=new_socket)
    connector = world.connector(True)
    assert isinstance(connector, VsockConnector)
    with pytest.raises(Exception, match="denied"):
        connector.connect(1.0)
    assert made == [(40, socket.SOCK_STREAM)]
    assert isinstance(world.connector(False), VsockConnector)


def test_an_unprivileged_socket_has_no_port_below_1024() -> None:
    with UnprivilegedSocket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        with pytest.raises(PermissionError):
            sock.bind(("127.0.0.1", 1023))
        with pytest.raises(OSError, match="unprivileged"):
            sock.bind(("127.0.0.1", 0))
        # What is not refused goes to the system as it is, VMADDR_PORT_ANY too, which IPv4 has not.
        with pytest.raises(OverflowError):
            sock.bind(("127.0.0.1", 0xFFFFFFFF))


def test_a_question_may_take_no_longer_than_the_settings_say() -> None:
    assert World().host_limit == 1.0
    assert World(settings=Settings(guestrpc=GuestRpc(timeout=0.2))).host_limit == 0.2


def test_the_library_is_started_once_and_only_when_it_is_asked() -> None:
    paths: list[str | None] = []

    def new_library(path: str | None, timeout: float) -> LibraryProcess:
        paths.append(path)
        return LibraryProcess(path, timeout)

    world = World(settings=Settings(library=Library(path="/opt/own.so")), new_library=new_library)
    world.close()
    assert paths == []
    assert world.library is world.library
    assert paths == ["/opt/own.so"]
    world.close()
    assert isinstance(World().library, LibraryProcess)


def test_files_that_can_not_be_read_are_empty(tmp_path: Path) -> None:
    world = World(root=tmp_path)
    (tmp_path / "folder").mkdir()
    assert world.read("missing") == ""
    assert world.read("folder") == ""
    assert world.read("a\0b") == ""
    assert not world.exists("missing")
    assert world.symbols == frozenset()
    assert world.kernel_version == ()


def test_a_file_whose_folder_is_closed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path) -> bool:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(Path, "exists", closed)
    assert not World(root=tmp_path).exists("x")


def test_a_list_of_symbols_that_is_no_list(guest: Guest) -> None:
    guest.write("proc/kallsyms", "vm\n")
    assert guest.build().symbols == frozenset()


def test_the_push_is_resolved_once() -> None:
    world = World(settings=Settings(otlp=Otlp(endpoint="http://localhost:4318")))
    assert world.push is world.push
    with pytest.raises(ConfigError):
        World(settings=Settings(otlp=Otlp(endpoint="localhost:1/x", protocol="grpc"))).push  # noqa: B018
