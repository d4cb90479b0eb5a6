"""Packets: what a GuestRPC stream is cut into.

::

    0        4                     4 + N
    +--------+----------------------+
    | N be32 | N bytes: one DataMap |
    +--------+----------------------+

Source: open-vm-tools lib/rpcChannel/simpleSocket.c. VMware's reader accepts any N up to 2^31-5 and aborts its
process above that; here N is capped before anything is allocated.
"""

from __future__ import annotations

from exporter.errors import LocalProtocolError, RemoteProtocolError

LIMIT = 1 << 20
"""Longest packet accepted, bytes. All basic statistics take 0.6 KiB, extended ones a few; 1 MiB is generous."""

HEADER = 4


def encode(body: bytes) -> bytes:
    """``body`` as one packet."""
    if not body or len(body) > LIMIT:
        raise LocalProtocolError(f"a packet of {len(body)} bytes can't be sent: 1 to {LIMIT} are possible")
    return len(body).to_bytes(HEADER, "big") + body


class PacketDecoder:
    """Cuts a stream into packets, however it is split.

    ``limit``: the longest body accepted, bytes. After an error the stream has lost its place: close it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes received that belong to no complete packet yet, length prefix included."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data

    def next(self) -> bytes | None:
        """Return the next packet's body, or None while it is not complete.

        Raises:
            RemoteProtocolError: the length is 0 or over the limit.
        """
        buffer = self._buffer
        if len(buffer) < HEADER:
            return None
        length = int.from_bytes(buffer[:HEADER], "big")
        if not 0 < length <= self._limit:
            raise RemoteProtocolError(
                f"a packet of {length} bytes was announced: 1 to {self._limit} are accepted"
            )
        end = HEADER + length
        if len(buffer) < end:
            return None
        body = bytes(buffer[HEADER:end])
        del buffer[:end]
        return body
