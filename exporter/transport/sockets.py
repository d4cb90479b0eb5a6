"""A connected socket as a :class:`~exporter.transport.base.Stream`, and errno as an error of ours."""

from __future__ import annotations

import errno
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from exporter.errors import (
    ConnectionLost,
    NoDeviceError,
    RefusedError,
    TimeoutExpired,
    TransportError,
)

CHUNK = 65536
"""Bytes asked of the kernel at once."""

_NO_DEVICE = {
    errno.EAFNOSUPPORT,
    errno.EPROTONOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.ENODEV,
    errno.EPERM,
    errno.EACCES,
    errno.EADDRNOTAVAIL,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
}
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT}


def connect_error(error: OSError, peer: str) -> TransportError:
    """What a failed ``socket``, ``bind`` or ``connect`` towards ``peer`` means to the operator."""
    number = error.errno
    reason = error.strerror or str(error)
    if isinstance(error, TimeoutError):
        return TimeoutExpired(f"{peer} did not take the connection in time", number)
    if number in _REFUSED:
        return RefusedError(f"{peer} does not take the connection: {reason}", number)
    if number in _NO_DEVICE:
        return NoDeviceError(f"{peer} can't be reached: {reason}", number)
    return TransportError(f"{peer}: {reason}", number)


@contextmanager
def _translated(step: str) -> Iterator[None]:
    try:
        yield
    except (BlockingIOError, TimeoutError) as error:
        raise TimeoutExpired(f"the host did not {step} in time") from error
    except OSError as error:
        raise ConnectionLost(f"the connection broke: {error.strerror or error}", error.errno) from error


class SocketStream:
    """A stream over a connected stream socket of any family; owns the socket.

    The time limits are the kernel's own (SO_SNDTIMEO, SO_RCVTIMEO: socket(7)), not Python's, which cost a poll()
    more in each direction: half of the time of a whole exchange with the host.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self._socket = sock

    def send(self, data: bytes, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        rest = memoryview(data)
        with _translated("take the request"):
            while rest:
                self._limit(socket.SO_SNDTIMEO, deadline - time.monotonic())
                rest = rest[self._socket.send(rest) :]

    def receive(self, timeout: float) -> bytes:
        with _translated("answer"):
            self._limit(socket.SO_RCVTIMEO, timeout)
            data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionLost("the host closed the connection")
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _limit(self, option: int, timeout: float) -> None:
        # 0 would mean no limit at all.
        microseconds = max(int(timeout * 1e6), 1)
        if sys.platform == "win32":
            value = struct.pack("@L", max(microseconds // 1000, 1))
        else:
            value = struct.pack("@ll", *divmod(microseconds, 10**6))
        self._socket.setsockopt(socket.SOL_SOCKET, option, value)
