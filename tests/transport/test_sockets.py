"""Sockets as streams: time limits on every step, and the operating system's errors as ours."""

import errno
import socket
import threading
from collections.abc import Iterator

import pytest

from exporter.errors import (
    ConnectionLost,
    NoDeviceError,
    RefusedError,
    TimeoutExpired,
    TransportError,
)
from exporter.transport.sockets import SocketStream, connect_error


@pytest.fixture
def ends() -> Iterator[tuple[SocketStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours)
    yield stream, theirs
    stream.close()
    theirs.close()


def test_bytes_go_both_ways(ends: tuple[SocketStream, socket.socket]) -> None:
    stream, peer = ends
    stream.send(b"question", 1)
    assert peer.recv(100) == b"question"
    peer.sendall(b"answer")
    assert stream.receive(1) == b"answer"


def test_a_large_request_is_sent_whole(ends: tuple[SocketStream, socket.socket]) -> None:
    stream, peer = ends
    data = bytes(range(256)) * 4000
    received = bytearray()

    def drain() -> None:
        while len(received) < len(data):
            received.extend(peer.recv(65536))

    reader = threading.Thread(target=drain)
    reader.start()
    stream.send(data, 10)
    reader.join(10)
    assert received == data


def test_no_answer_in_time(ends: tuple[SocketStream, socket.socket]) -> None:
    stream, _ = ends
    with pytest.raises(TimeoutExpired, match="answer"):
        stream.receive(0.01)


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_time_limit_that_is_over_is_a_time_out_not_a_wait_for_ever(
    ends: tuple[SocketStream, socket.socket], timeout: float
) -> None:
    with pytest.raises(TimeoutExpired):
        ends[0].receive(timeout)


def test_a_host_that_drips_is_late_all_the_same(ends: tuple[SocketStream, socket.socket]) -> None:
    """A kernel's shortest wait is a tick; with bytes in each of them a call could go on for ever."""
    stream, peer = ends
    peer.sendall(b"x")
    with pytest.raises(TimeoutExpired):
        stream.receive(0)


def test_a_limit_is_set_where_it_differs_from_the_last_one() -> None:
    class Counting(socket.socket):
        settings = 0

        def setsockopt(self, *arguments: object) -> None:
            self.settings += 1

    ours = Counting(socket.AF_UNIX)
    stream = SocketStream(ours)
    for seconds in (2.0, 1.9999, 1.9998, 0.5, 0.5):
        stream._limit(socket.SO_RCVTIMEO, seconds)
    assert ours.settings == 3
    stream.close()


def test_a_peer_that_reads_nothing_is_a_time_out(ends: tuple[SocketStream, socket.socket]) -> None:
    with pytest.raises(TimeoutExpired, match="request"):
        ends[0].send(bytes(16 << 20), 0.05)


def test_a_closed_peer_is_a_lost_connection(ends: tuple[SocketStream, socket.socket]) -> None:
    stream, peer = ends
    peer.close()
    with pytest.raises(ConnectionLost, match="closed"):
        stream.receive(1)
    with pytest.raises(ConnectionLost) as caught:
        stream.send(b"x", 1)
    assert caught.value.errno == errno.EPIPE


def test_close_twice(ends: tuple[SocketStream, socket.socket]) -> None:
    ends[0].close()
    ends[0].close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), RefusedError),
        (ConnectionResetError(errno.ECONNRESET, "reset"), RefusedError),
        (FileNotFoundError(errno.ENOENT, "no file"), RefusedError),
        (PermissionError(errno.EPERM, "seccomp says no"), NoDeviceError),
        (OSError(errno.EAFNOSUPPORT, "no family"), NoDeviceError),
        (OSError(errno.ENODEV, "no device"), NoDeviceError),
        (TimeoutError("timed out"), TimeoutExpired),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), TimeoutExpired),
        (OSError(errno.EIO, "io"), TransportError),
    ],
)
def test_connect_errors_by_what_the_operator_can_do(error: OSError, kind: type[TransportError]) -> None:
    translated = connect_error(error, "the host")
    assert type(translated) is kind
    assert translated.errno == error.errno
    assert "the host" in str(translated)


def test_what_is_there_unasked_is_counted_without_waiting(ends: tuple[SocketStream, socket.socket]) -> None:
    stream, peer = ends
    assert stream.unread() == 0
    peer.sendall(b"surplus")
    assert stream.unread() == 7
    assert stream.unread() == 0
    peer.close()
    with pytest.raises(ConnectionLost):
        stream.unread()
