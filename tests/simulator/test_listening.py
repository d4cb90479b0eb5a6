"""Where a simulated host listens, and what it does with a connection."""

import socket
import struct
from pathlib import Path

import pytest

from exporter.errors import ConfigError, ConnectionLost, TimeoutExpired
from exporter.simulator import listening
from exporter.simulator.listening import Connection


def test_a_free_path_is_listened_at(short_path: Path) -> None:
    path = str(short_path / "host")
    with listening.listen(path), socket.socket(socket.AF_UNIX) as guest:
        guest.connect(path)


def test_a_socket_that_nobody_listens_at_is_replaced(short_path: Path) -> None:
    path = str(short_path / "host")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)
    with listening.listen(path), socket.socket(socket.AF_UNIX) as guest:
        guest.connect(path)


def test_a_socket_that_somebody_listens_at_is_not(short_path: Path) -> None:
    path = str(short_path / "host")
    with listening.listen(path), pytest.raises(ConfigError, match="somebody listens there; stop it or"):
        listening.listen(path)


def test_a_file_is_never_removed(short_path: Path) -> None:
    path = short_path / "host"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists and is no socket; choose another path"):
        listening.listen(str(path))
    assert path.read_text() == "precious"


def test_a_long_path_is_refused_before_the_kernel_does() -> None:
    with pytest.raises(ConfigError, match="too long for a unix socket: at most 107 bytes"):
        listening.listen("/tmp/" + "x" * 103)


def test_a_system_without_unix_sockets_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConfigError, match="no unix sockets; use --source=simulated"):
        listening.listen("/tmp/host.sock")


def test_a_missing_folder_is_named_with_the_path(short_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/host: can't listen there: No such file"):
        listening.listen(str(short_path / "nowhere" / "host"))


def joined() -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    return Connection(ours), theirs


def test_a_connection_sends_and_receives() -> None:
    connection, guest = joined()
    guest.sendall(b"question")
    assert connection.receive(1) == b"question"
    connection.send(b"answer", 1)
    assert guest.recv(100) == b"answer"
    connection.close()
    connection.close()
    guest.close()


def test_a_guest_that_leaves_is_lost() -> None:
    connection, guest = joined()
    guest.close()
    with pytest.raises(ConnectionLost, match="the guest closed the connection"):
        connection.receive(1)
    with pytest.raises(ConnectionLost, match="the guest is gone"):
        connection.send(b"answer", 1)
    connection.close()
    with pytest.raises(ConnectionLost, match="the guest is gone"):
        connection.receive(1)


def test_a_guest_that_does_not_read_is_waited_for_so_long_only() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 10_000))
    with pytest.raises(TimeoutExpired, match="does not read the reply"):
        connection.send(bytes(10_000_000), 1)
    connection.close()
    theirs.close()
