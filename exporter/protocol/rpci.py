"""RPCI: a command from guest to host and its one reply.

A command is a DataMap with TYPE, PAYLOAD and, from VMware's library, FAST_CLOSE, in that order. A reply's
payload is ``1 `` and data, or ``0 `` and the host's reason, both bytes of any kind.
Source: open-vm-tools lib/rpcChannel/vsockChannel.c, rpcChannel.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from exporter.errors import RemoteProtocolError, RpcError
from exporter.protocol import datamap, packet

_DATA = 1

MAX_REASON = 512
"""Characters of a refusal that are kept: it goes into a line of the log."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the host reads out of a packet."""

    command: bytes
    fast_close: bool
    """Whether the connection is to be closed after the reply, as VMware's library wants it each time."""


@lru_cache(maxsize=64)
def request(command: bytes, *, fast_close: bool = False) -> bytes:
    """``command`` as a whole packet, ready to send; ``fast_close``: see :class:`Request`."""
    fields: dict[int, int | bytes] = {datamap.TYPE: _DATA, datamap.PAYLOAD: command}
    if fast_close:
        fields[datamap.FAST_CLOSE] = 1
    return packet.encode(datamap.encode(fields))


def reply(data: bytes, *, ok: bool = True) -> bytes:
    """The host's side: ``data`` (or, with ``ok`` false, a reason) as a whole packet."""
    payload = (b"1 " if ok else b"0 ") + data
    return packet.encode(datamap.encode({datamap.TYPE: _DATA, datamap.PAYLOAD: payload}))


def _payload(fields: Mapping[int, datamap.Field]) -> bytes:
    payload = fields.get(datamap.PAYLOAD)
    if not isinstance(payload, bytes):
        raise RemoteProtocolError("a packet without a payload string")
    return payload


def parse_request(body: bytes) -> Request:
    """The host's side: a packet's body as a command.

    Raises:
        RemoteProtocolError: it holds none.
    """
    fields = datamap.decode(body)
    return Request(_payload(fields), fields.get(datamap.FAST_CLOSE) == 1)


def words(data: bytes) -> bytes:
    """``data`` up to its first NUL, which is as far as VMware's library compares words of the host."""
    return data.split(b"\0", 1)[0]


def parse_reply(body: bytes, command: bytes = b"") -> bytes:
    """The data of a packet's body that answers ``command`` (named in errors only).

    Raises:
        RpcError: the host said no; ``text`` is its reason.
        RemoteProtocolError: the body is not a reply.
    """
    payload = _payload(datamap.decode(body))
    if payload.startswith(b"1 "):
        return payload[2:]
    if payload.startswith(b"0 "):
        reason = words(payload[2:]).decode("utf-8", "replace")[:MAX_REASON]
        raise RpcError(reason, command.decode("utf-8", "replace"))
    raise RemoteProtocolError(f"a reply that begins with {payload[:2]!r}: '1 ' or '0 ' is expected")
