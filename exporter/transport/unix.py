"""GuestRPC over a unix socket: a simulated host instead of the hypervisor."""

from __future__ import annotations

import errno
import os
import socket

from exporter.errors import RefusedError
from exporter.transport.sockets import SocketStream, connect_error


class UnixConnector:
    """Connects to the host that listens at ``path``."""

    transport = "unix"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def connect(self, timeout: float) -> SocketStream:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            peer = f"the host at {self._path}"
            if error.errno == errno.EACCES:
                # The file's mode: not the sandbox that the same number means on vsock.
                raise RefusedError(
                    f"{peer} does not take the connection: {error.strerror}", error.errno
                ) from error
            raise connect_error(error, peer) from error
        return SocketStream(sock)
