"""The host's end of a unix socket: where it listens, and a connection that it took."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from pathlib import Path

from exporter.errors import ConfigError, ConnectionLost, TimeoutExpired
from exporter.transport.sockets import CHUNK

_MAX_PATH = 107
"""Bytes of a unix socket's path, by Linux's sockaddr_un."""
_SEND = struct.pack("ll", 10, 0)
"""struct timeval: seconds that a guest may take to read a reply."""


class Connection:
    """A stream over an accepted socket. It blocks: whoever wants it to end shuts the socket down.

    Python's own time limits cost two system calls more for each of these steps, which would be a third of
    what a whole poll takes.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND)

    def send(self, data: bytes, timeout: float) -> None:  # noqa: ARG002  the kernel's is set once
        try:
            self._socket.sendall(data)
        except BlockingIOError as error:
            raise TimeoutExpired("the guest does not read the reply") from error
        except OSError as error:
            raise ConnectionLost(f"the guest is gone: {error.strerror}", error.errno) from error

    def receive(self, timeout: float) -> bytes:  # noqa: ARG002  see the class
        try:
            data = self._socket.recv(CHUNK)
        except OSError as error:
            raise ConnectionLost(f"the guest is gone: {error.strerror}", error.errno) from error
        if not data:
            raise ConnectionLost("the guest closed the connection")
        return data

    def unread(self) -> int:
        # Nobody looks: a guest may ask while it is answered.
        return 0

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def listen(path: str) -> socket.socket:
    """A socket that listens at ``path``.

    Raises:
        ConfigError: the path can't be used, and why.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError(
            f"{path}: this system has no unix sockets; use --source=simulated for a host without a path"
        )
    if len(os.fsencode(path)) > _MAX_PATH:
        raise ConfigError(
            f"{path}: too long for a unix socket: at most {_MAX_PATH} bytes, such as /tmp/host.sock"
        )
    clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{path}: can't listen there: {error.strerror}") from error
    return listener


def clear(path: str) -> None:
    """Remove a socket that a host left behind; anything else stays where it is."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path}: exists and is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            Path(path).unlink()
            return
    raise ConfigError(f"{path}: somebody listens there; stop it or choose another path")
