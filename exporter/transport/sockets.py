"""A connected socket as a :class:`~exporter.transport.base.Stream`, and errno as an error of ours."""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from exporter.errors import (
    ConnectionLost,
    NoDeviceError,
    RefusedError,
    TimeoutExpired,
    TransportError,
)
from exporter.shortage import shortage

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
    reason = shortage(error) or error.strerror or str(error)
    if isinstance(error, TimeoutError):
        return TimeoutExpired(f"{peer} did not take the connection in time", number)
    if number in _REFUSED:
        return RefusedError(f"{peer} does not take the connection: {reason}", number)
    if number in _NO_DEVICE:
        return NoDeviceError(f"{peer} can't be reached: {reason}", number)
    return TransportError(f"{peer}: {reason}", number)


def _step_error(error: OSError, step: str) -> TransportError:
    """What a failed ``send`` or ``recv`` means."""
    if isinstance(error, BlockingIOError | TimeoutError):
        return TimeoutExpired(f"the host did not {step} in time")
    return ConnectionLost(f"the connection broke: {error.strerror or error}", error.errno)


class SocketStream:
    """A stream over a connected stream socket of any family; owns the socket.

    The time limits are the kernel's own (SO_SNDTIMEO, SO_RCVTIMEO: socket(7)), not Python's, which cost a poll()
    more in each direction: half of the time of a whole exchange with the host. They are rounded up to hundredths
    of a second and set where they differ from the last ones, which those of one poll and the next mostly don't.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self._socket = sock
        self._limits = {socket.SO_SNDTIMEO: 0, socket.SO_RCVTIMEO: 0}
        """Hundredths of a second; 0: none is set."""
        self._look: Callable[[int], object] | None = None

    def send(self, data: bytes, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        rest = memoryview(data)
        try:
            self._limit(socket.SO_SNDTIMEO, timeout)
            while rest := rest[self._socket.send(rest) :]:
                self._limit(socket.SO_SNDTIMEO, deadline - time.monotonic())
        except OSError as error:
            raise _step_error(error, "take the request") from error

    def receive(self, timeout: float) -> bytes:
        try:
            self._limit(socket.SO_RCVTIMEO, timeout)
            data = self._socket.recv(CHUNK)
        except OSError as error:
            raise _step_error(error, "answer") from error
        if not data:
            raise ConnectionLost("the host closed the connection")
        return data

    def unread(self) -> int:
        try:
            if not self._readable():
                return 0
            data = self._socket.recv(CHUNK)
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error.strerror or error}", error.errno) from error
        if not data:
            raise ConnectionLost("the host closed the connection")
        return len(data)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _readable(self) -> bool:
        if sys.platform == "win32":
            return bool(select.select([self._socket], [], [], 0)[0])
        if self._look is None:
            # Not select(), which takes no descriptor above 1,023; and asked once a poll, a third of what recv() and its
            # BlockingIOError cost.
            look = select.poll()
            look.register(self._socket, select.POLLIN)
            self._look = look.poll
        return bool(self._look(0))

    def _limit(self, option: int, timeout: float) -> None:
        if timeout <= 0:
            # Not left to the kernel: its shortest wait is a tick, and a host that sends a byte in each would
            # never be late.
            raise TimeoutError
        hundredths = int(timeout * 100) + 1
        if self._limits[option] == hundredths:
            return
        if sys.platform == "win32":
            value = struct.pack("@L", hundredths * 10)
        else:
            value = struct.pack("@ll", hundredths // 100, hundredths % 100 * 10_000)
        self._socket.setsockopt(socket.SOL_SOCKET, option, value)
        self._limits[option] = hundredths
