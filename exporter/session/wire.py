"""GuestRPC over a stream as a source: no VMware library.

:class:`Channel` joins a transport and the sans-I/O protocol: one command, one reply, on a connection that is
kept open. :class:`WireSource` reads the statistics over one. Heartbeats have a Channel of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Protocol

from exporter.errors import ConnectionLost, RemoteProtocolError, RpcError
from exporter.protocol import guestlib, packet, rpci
from exporter.snapshot import Snapshot, SourceInfo
from exporter.transport.base import Connector, Stream

DEFAULT_TIMEOUT = 2.0
"""Seconds for one whole call: connect, request and reply. The kernel's own vsock connect limit is 2 s too."""


class Channel:
    """Commands to the host, one after another, on one kept-open connection.

    vMotion, suspend and snapshot revert break the connection, which shows at the next call: a call that
    finds it broken is repeated once on a new one, within the same time limit, unless its caller has to know that it may reach the
    host twice, the first one late. Not thread-safe: owned by one thread.

    Nothing in a reply says which command it answers. Bytes that are there before a command is sent belong to none: that is
    an error, and from then on each command has a connection of its own, as VMware's library has it. So it is from the
    start with ``keep`` false, for commands that follow one another at once: a reply that is repeated late would be taken
    for that to the next one.
    """

    def __init__(
        self,
        connector: Connector,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        keep: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        self._keep = keep
        self._clock = clock
        self._stream: Stream | None = None
        self._decoder = packet.PacketDecoder()

    @property
    def connected(self) -> bool:
        return self._stream is not None

    def connect(self) -> None:
        """Open the connection now, where none is open.

        Raises:
            TransportError: why there is none.
        """
        if self._stream is None:
            self._open(self._timeout)

    def call(self, command: bytes, timeout: float | None = None, *, repeat: bool = True) -> bytes:
        """Send ``command``, return the reply's data.

        ``timeout``, seconds, can only shorten the channel's own; ``repeat``: on a new connection, where the kept one is broken.

        Raises:
            RpcError: the host refused; the connection stays.
            RemoteProtocolError: the reply can't be decoded, or something came unasked; the connection is closed.
            TransportError: no connection, no answer in time, or lost twice; the connection is closed.
        """
        limit = self._timeout if timeout is None else min(timeout, self._timeout)
        try:
            return self._call(command, self._clock() + limit, repeat=repeat)
        finally:
            if not self._keep:
                self.close()

    def _call(self, command: bytes, deadline: float, *, repeat: bool) -> bytes:
        repeat = repeat and self._stream is not None
        try:
            return self._exchange(command, deadline)
        except RpcError:
            raise
        except ConnectionLost:
            self.close()
            if not repeat:
                raise
        except BaseException:
            # A late reply to this command must never be taken for the reply to the next one.
            self.close()
            raise
        try:
            return self._exchange(command, deadline)
        except RpcError as refusal:
            refusal.repeated = True
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self, timeout: float) -> Stream:
        self._stream = self._connector.connect(timeout)
        self._decoder = packet.PacketDecoder()
        return self._stream

    def _exchange(self, command: bytes, deadline: float) -> bytes:
        if self._stream is not None and (surplus := self._stream.unread()):
            self._keep = False
            raise RemoteProtocolError(f"{surplus} bytes came after the last reply, which nobody asked for")
        stream = self._stream or self._open(deadline - self._clock())
        stream.send(rpci.request(command, fast_close=not self._keep), deadline - self._clock())
        decoder = self._decoder
        while (body := decoder.next()) is None:
            decoder.feed(stream.receive(deadline - self._clock()))
        if decoder.pending:
            raise RemoteProtocolError(f"{decoder.pending} bytes follow the reply, which nobody asked for")
        return rpci.parse_reply(body, command)


class Caller(Protocol):
    """What answers commands: a :class:`Channel`, or a simulated host without one."""

    def call(self, command: bytes, timeout: float | None = None) -> bytes:
        """The reply's data; errors as :meth:`Channel.call`."""

    def close(self) -> None:
        """Let go of what it holds. Never raises."""


class GuestRpcSource:
    """Reads the statistics by commands to ``caller``, which it owns."""

    def __init__(self, caller: Caller, info: SourceInfo, rounds: Caller | None = None) -> None:
        """``rounds``: for the extended statistics, where it is another one."""
        self._caller = caller
        self._rounds = rounds or caller
        self._guestlib = guestlib.GuestLib()
        self._info = info

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def restarts(self) -> None:
        return None

    def read(self) -> Snapshot:
        exchange = self._guestlib.update()
        try:
            command = next(exchange)
            while True:
                command = self._step(exchange, command)
        except StopIteration as end:
            snapshot: Snapshot = end.value
        except RemoteProtocolError:
            self._caller.close()
            raise
        if self._info.protocol != str(snapshot.protocol):
            self._info = replace(self._info, protocol=str(snapshot.protocol))
        return snapshot

    def _step(self, exchange: Generator[bytes, bytes, Snapshot], command: bytes) -> bytes:
        try:
            reply = self._caller.call(command)
        except RpcError as error:
            return exchange.throw(error)
        return exchange.send(reply)

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        return self._rounds.call(guestlib.stat_command(encoding, name), timeout)

    def close(self) -> None:
        self._caller.close()
        self._rounds.close()


class WireSource(GuestRpcSource):
    """The same over a :class:`Channel` of its own; a round of extended statistics, one question upon another, over one that
    keeps no connection.
    """

    def __init__(
        self,
        connector: Connector,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        source: str = "guestrpc",
        note: str = "",
    ) -> None:
        super().__init__(
            Channel(connector, timeout),
            SourceInfo(source, connector.transport, "", note),
            Channel(connector, timeout, keep=False),
        )
