"""The unix socket: who may ask, what is in its place before, and slow readers."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.outputs.web.application import Response, responding
from exporter.outputs.web.restarts import Restarts
from exporter.outputs.web.unix import UnixServer, check_path

LARGE = b"x" * (4 * 2**20)


@pytest.fixture
def path(short_path: Path) -> Path:
    return short_path / "api.sock"


@pytest.fixture
def server(path: Path) -> Iterator[UnixServer]:
    made = UnixServer(responding(Response(LARGE)), path)
    made.start()
    yield made
    made.close()


def ask(path: Path) -> bytes:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    connection.request("GET", "/")
    body = connection.getresponse().read()
    connection.close()
    return body


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_it_answers_and_goes_away(server: UnixServer, path: Path) -> None:
    assert ask(path) == LARGE
    server.close()
    assert not path.exists()
    server.close()


def test_owner_and_group_may_ask_and_nobody_else(server: UnixServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_another_user_is_refused(server: UnixServer, path: Path) -> None:
    path.parent.chmod(0o755)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        with socket.socket(socket.AF_UNIX) as stranger, pytest.raises(PermissionError):
            stranger.connect(str(path))
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def test_a_slow_reader_holds_nobody_up(server: UnixServer, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(path))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(10)
        for _ in range(3):
            assert ask(path) == LARGE


def test_a_socket_that_nobody_answers_on_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    made = UnixServer(responding(Response(b"new")), path)
    made.start()
    try:
        assert ask(path) == b"new"
    finally:
        made.close()


def test_one_that_is_answered_on_is_left_alone(server: UnixServer, path: Path) -> None:
    with pytest.raises(ConfigError, match="another exporter answers there") as caught:
        UnixServer(responding(Response(b"")), path).start()
    assert caught.value.passing
    assert ask(path) == LARGE


@pytest.mark.parametrize("wanted", [True, False])
def test_with_heartbeats_a_loop_that_fails_begins_again(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mishaps: threading.Semaphore,
    *,
    wanted: bool,
) -> None:
    monkeypatch.setattr("exporter.outputs.web.unix.PAUSE", 0.01)
    failed, restarts = threading.Event(), Restarts(wanted=wanted)
    made = UnixServer(responding(Response(b"new")), path, failed=failed.set, restarts=restarts)
    made.start()
    try:
        for number in (1, 2) if wanted else ():
            with socket.socket(socket.AF_UNIX) as dropped:
                dropped.settimeout(10)
                dropped.connect(str(path))
                dropped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = b""
                while not answer.endswith(b"new"):
                    answer += dropped.recv(1000)
                mishaps.release()
                with suppress(OSError):
                    dropped.sendall(b"G")
                assert is_closed(dropped), "the connection of before is closed"
            assert ask(path) == b"new"
            assert restarts.families()[0].points[0].value == number
        if wanted:
            assert not failed.is_set()
            assert caplog.text.count("started again") == 1
        else:
            mishaps.release()
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
                assert failed.wait(10)
    finally:
        made.close()


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(ConfigError, match="no socket stands there"):
        check_path(path)
    assert path.read_text() == "mine"


def test_a_folder_must_be_there(short_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        check_path(short_path / "none" / "api.sock")
