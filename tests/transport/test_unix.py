"""GuestRPC over a unix socket."""

import errno
import socket
from pathlib import Path

import pytest

from exporter.errors import RefusedError
from exporter.transport.unix import UnixConnector


def test_connects(short_path: Path) -> None:
    path = short_path / "host"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        stream = UnixConnector(path).connect(1)
        peer, _ = listener.accept()
        with peer:
            stream.send(b"x", 1)
            assert peer.recv(1) == b"x"
        stream.close()


def test_nobody_listens(short_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"host at .*nobody"):
        UnixConnector(short_path / "nobody").connect(1)


def test_a_socket_that_one_may_not_open_is_no_matter_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(RefusedError, match="Permission denied") as caught:
        UnixConnector("/somebody/elses").connect(1)
    assert caught.value.errno == errno.EACCES
