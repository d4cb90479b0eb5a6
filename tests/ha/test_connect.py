"""Whose fault it is that there is no connection: that of what is checked, or the exporter's own."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import Any, ClassVar, Self

import pytest

from exporter.ha import checks, connect
from exporter.ha.look import OwnFault, look
from tests.dying_threads import new_threads_die

PATIENCE = 60.0
V4: tuple[Any, ...] = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
V6: tuple[Any, ...] = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0))
FULL, REFUSED, UNREACHABLE = errno.EMFILE, errno.ECONNREFUSED, errno.ENETUNREACH
NO_ADDRESS, NO_FAMILY = errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT
TIMEOUT = errno.ETIMEDOUT


class Machine:
    """The sockets of a machine: what comes of a connection, by family; where it has no address of its own; its names."""

    outcome: ClassVar[dict[int, int]] = {}
    """An errno, or 0 for a connection."""
    no_source: ClassVar[set[int]] = set()
    names: ClassVar[dict[str, Any]] = {}
    limits: ClassVar[list[float]] = []

    def __init__(self, family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> None:
        self.family, self.kind = family, kind
        if self.outcome.get(family) in {NO_FAMILY, FULL}:
            raise OSError(self.outcome[family], "at socket()")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, limit: float) -> None:
        self.limits.append(limit)

    def connect(self, address: object) -> None:
        if self.kind == socket.SOCK_DGRAM:
            if self.family in self.no_source:
                raise OSError(NO_ADDRESS, "no address")
            return
        number = self.outcome[self.family]
        if number == TIMEOUT:
            raise TimeoutError("timed out")
        if number:
            raise OSError(number, errno.errorcode[number])

    def close(self) -> None:
        pass


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Machine]:
    class Made(Machine):
        outcome: ClassVar[dict[int, int]] = {}
        no_source: ClassVar[set[int]] = set()
        names: ClassVar[dict[str, Any]] = {"localhost": [V6, V4]}
        limits: ClassVar[list[float]] = []

    def getaddrinfo(host: str, port: int, type: int = 0, flags: int = 0) -> Any:  # noqa: A002  its name there
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        found = Made.names[host]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(socket, "socket", Made)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return Made


@pytest.mark.parametrize(
    ("six", "four", "sources", "problem"),
    [
        (NO_ADDRESS, REFUSED, {4}, "ECONNREFUSED"),
        (REFUSED, NO_ADDRESS, {6}, "ECONNREFUSED"),
        (NO_FAMILY, REFUSED, {4}, "ECONNREFUSED"),
        (UNREACHABLE, REFUSED, {4, 6}, "ECONNREFUSED"),
        (NO_ADDRESS, TIMEOUT, {4}, "did not take a connection"),
        (TIMEOUT, FULL, {4, 6}, "did not take a connection"),
        (FULL, REFUSED, {4, 6}, "ECONNREFUSED"),
        (NO_ADDRESS, NO_ADDRESS, set(), "EADDRNOTAVAIL"),
        (FULL, FULL, {4, 6}, None),
        (NO_ADDRESS, FULL, {4}, None),
        (NO_FAMILY, NO_ADDRESS, {4}, None),
        (NO_ADDRESS, NO_ADDRESS, {4, 6}, None),
    ],
)
def test_a_name_with_two_addresses(
    machine: type[Machine], six: int, four: int, sources: set[int], problem: str | None
) -> None:
    """``sources``: the families of which the machine has an address. None: the exporter could not look."""
    machine.outcome.update({socket.AF_INET6: six, socket.AF_INET: four})
    machine.no_source.update(
        family for number, family in ((4, socket.AF_INET), (6, socket.AF_INET6)) if number not in sources
    )
    probe = checks.tcp("localhost", 80)
    if problem is None:
        with pytest.raises(OwnFault, match="could not look"):
            look(probe, PATIENCE)
    else:
        assert problem in str(look(probe, PATIENCE))


def test_one_address_that_takes_a_connection_is_enough(machine: type[Machine]) -> None:
    for first, second in ((0, REFUSED), (REFUSED, 0), (TIMEOUT, 0), (FULL, 0)):
        machine.outcome.update({socket.AF_INET6: first, socket.AF_INET: second})
        assert look(checks.tcp("localhost", 80), PATIENCE) is None


def test_an_address_that_drops_everything_leaves_time_for_the_next(machine: type[Machine]) -> None:
    machine.outcome.update({socket.AF_INET6: TIMEOUT, socket.AF_INET: 0})
    connect.connect("localhost", 80, 60.0)
    assert machine.limits[0] <= 30.0 < machine.limits[1]


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), True),
        (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (UnicodeError("label too long"), False),
    ],
)
@pytest.mark.parametrize("name", ["tcp", "http"])
def test_name_servers_that_do_not_answer_say_nothing(
    machine: type[Machine], error: Exception, own: bool, name: str
) -> None:
    machine.names["shop"] = error
    probe = checks.tcp("shop", 80) if name == "tcp" else checks.http("http://shop/")
    if own:
        with pytest.raises(OwnFault, match="could not look"):
            look(probe, PATIENCE)
    else:
        assert look(probe, PATIENCE)


def test_a_name_is_not_known_for_want_of_files(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.names["shop"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def no_files(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", no_files)
    with pytest.raises(OwnFault, match="Too many open files"):
        look(checks.tcp("shop", 80), PATIENCE)


def test_a_resolver_that_hangs_is_no_service_that_hangs(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def hang(*_: object, flags: int = 0, **__: object) -> Any:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        over.wait(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(OwnFault, match=r"no answer to the name shop within 0\.1 s"):
        look(checks.tcp("shop", 80), 0.1)
    over.set()


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_a_thread_that_dies_at_its_start_is_the_exporters_own_fault_and_the_next_look_is_good(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Found by a stranger: for want of memory. The look hung for ever, and the machine was reset."""
    known = {*threading.enumerate()}
    real = socket.getaddrinfo

    def shop(host: str, port: int, **more: Any) -> Any:
        if more.get("flags"):
            return real(host, port, **more)
        return real("127.0.0.1", port, **more)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            if kind == "http":
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setattr(socket, "getaddrinfo", shop)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        probe = checks.tcp("shop", port) if kind == "tcp" else checks.http(f"http://shop:{port}/")
        with new_threads_die() as dead, pytest.raises(OwnFault, match="no answer to the name shop"):
            look(probe, 0.05)
        assert dead
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        assert look(probe, PATIENCE) is None
        server.join(PATIENCE)
    assert {*threading.enumerate()} <= known


def test_no_memory_for_the_resolver_is_told_at_once(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, flags: int = 0, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no number") if flags else MemoryError

    monkeypatch.setattr(socket, "getaddrinfo", no_memory)
    with pytest.raises(OwnFault, match="could not look: no memory"):
        look(checks.tcp("shop", 80), PATIENCE)


def test_a_proxy_of_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:9/")
    asked: list[object] = []

    def record(*to: object) -> Any:
        asked.append(to[:2])
        raise ConnectionRefusedError(REFUSED, "refused")

    monkeypatch.setattr(checks, "connect", record)
    assert look(checks.http("http://127.0.0.1:81/"), PATIENCE)
    assert asked == [("127.0.0.1", 81)]
