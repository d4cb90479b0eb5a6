"""What a transport is: a stream of bytes, every step of which has a time limit.

Implementations translate the operating system's errors into :mod:`exporter.errors`; nothing else leaves them.
"""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """A connected two-way byte stream."""

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of ``data`` within ``timeout`` seconds.

        Raises:
            TimeoutExpired: it could not all be handed over in time.
            ConnectionLost: the peer is gone.
        """

    def receive(self, timeout: float) -> bytes:
        """Return the next bytes, at least one, waiting at most ``timeout`` seconds.

        Raises:
            TimeoutExpired: nothing came in time.
            ConnectionLost: the peer closed or reset the connection.
        """

    def unread(self) -> int:
        """How many bytes are there already, at most; they are gone then. Never waits.

        Raises:
            ConnectionLost: the peer closed or reset the connection.
        """

    def close(self) -> None:
        """Close. Never raises; a second call does nothing."""


class Connector(Protocol):
    """Opens a stream; keeps what it learnt from the last attempt (a refused port, say)."""

    @property
    def transport(self) -> str:
        """``vsock``, ``unix`` or ``memory``: the label of ``vmguest_source_info``."""

    def connect(self, timeout: float) -> Stream:
        """Return a connected stream within ``timeout`` seconds.

        Raises:
            TransportError: one of its subclasses, by what the operator can do about it.
        """
