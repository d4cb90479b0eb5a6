"""The simulated host behind a stream: GuestRPC by the very codec that it is there to test.

One connection is one call of :meth:`Server.serve`; several may run at once. :func:`serve_unix` listens at a path.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from exporter.errors import ProtocolError, RpcError, TransportError
from exporter.protocol import appmonitor, packet, rpci
from exporter.simulator import damage, listening
from exporter.simulator.faults import Fault, FaultRule, FaultRules, Stage
from exporter.simulator.host import Happening, SimulatedHost
from exporter.transport.base import Stream

IDLE = 3600.0
"""Seconds after which a connection without requests is closed."""
SEND = 10.0
"""Seconds that a reply may take to be taken by the guest."""

_V3 = "guestlib.info.get 3"
_SECURED = ("guestlib.", appmonitor.PREFIX)
"""What APP_MONITOR restricts to privileged connections."""


def answer(host: SimulatedHost, command: bytes, *, privileged: bool = True) -> bytes:
    """The reply's data to ``command``, as ``host`` gives it.

    ``privileged``: whether it came from a port below 1024.

    Raises:
        RpcError: the host's refusal.
    """
    text = command.decode("utf-8", "replace")
    if host.scenario.secure_only and not privileged and text.startswith(_SECURED):
        raise RpcError("Permission denied")
    if text.startswith(appmonitor.PREFIX):
        return host.ha.answer(command)
    word, _, rest = text.partition(" ")
    if word == "guestlib.info.get":
        return host.info({"2": 2, "3": 3}.get(rest.strip(), 0))
    if word == "guestlib.stat.get":
        encoding, _, name = rest.partition(" ")
        return host.stat(encoding or "text", name.strip())
    # guestlib.ioctl among them: it writes to the host, and a reader has no business with it.
    raise RpcError("Unknown command")


class Server:
    """Answers for ``host``; ``faults`` are added to those of its scenario.

    ``sleep`` is what delays wait by.
    """

    def __init__(
        self,
        host: SimulatedHost,
        faults: Iterable[Fault] = (),
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self.rules = FaultRules.of((*host.scenario.faults, *faults), host.seed)
        self.connections = 0
        """Taken since the start."""
        self.requests = 0
        self._sleep = sleep
        self._lock = threading.Lock()
        self._random = random.Random(host.seed)  # noqa: S311  to be foreseen is its purpose
        self._last_request = (b"", rpci.Request(b"", fast_close=False))
        self._last_data = b""
        self._last_reply = b""

    def refuses(self) -> bool:
        """Whether the host takes no connection now. Asked once per connection: a rule may count."""
        with self._lock:
            return self.host.down or bool(self.rules.fire(connecting=True))

    def serve(self, stream: Stream, privileged: bool | None = None) -> None:
        """Answer until the guest or a fault closes the connection, vMotion breaks it, or nothing comes for an hour.

        ``privileged``: whether the connection comes from a port below 1024; None: what the scenario says.
        """
        if self.refuses():
            stream.close()
        else:
            self.serve_admitted(stream, privileged)

    def serve_admitted(self, stream: Stream, privileged: bool | None = None) -> None:
        """As :meth:`serve`, for a connection that was not refused."""
        # The guest may go away at any time, or send what is no request: either way this connection has ended.
        try:
            with contextlib.suppress(TransportError, ProtocolError):
                self._converse(stream, self.host.scenario.privileged if privileged is None else privileged)
        finally:
            stream.close()

    @contextlib.contextmanager
    def hold(self) -> Iterator[SimulatedHost]:
        """The host while no connection asks it: the way to change it from outside as it serves."""
        with self._lock:
            yield self.host

    def take_happenings(self) -> list[Happening]:
        """What has happened at the host since the last call."""
        with self._lock:
            return self.host.take_happenings()

    def _converse(self, stream: Stream, privileged: bool) -> None:
        with self._lock:
            self.connections += 1
            generation = self.host.generation
        decoder = packet.PacketDecoder()
        while True:
            while (body := decoder.next()) is None:
                decoder.feed(stream.receive(IDLE))
            request = self._parse(body)
            command = request.command.decode("utf-8", "replace")
            fired = self.rules.fire(command) if self.rules.rules else []
            for rule in fired:
                if rule.fault.kind == "disconnect":
                    return
                if rule.fault.kind == "delay":
                    self._sleep(rule.fault.seconds or 0)
            with self._lock:
                self.requests += 1
                self.host.advance()
                if self.host.generation != generation:
                    return
                reply = self._reply(request.command, command, fired, privileged)
            if fired:
                reply, whole = self._spoil(reply, fired)
                stream.send(reply, SEND)
                if not whole:
                    return
            else:
                stream.send(reply, SEND)
            if request.fast_close:
                return

    def _parse(self, body: bytes) -> rpci.Request:
        # Guests ask the same thing again and again.
        last_body, request = self._last_request
        if body != last_body:
            request = rpci.parse_request(body)
            # One assignment: another thread must never see half of it.
            self._last_request = (body, request)
        return request

    def _reply(self, raw: bytes, command: str, fired: list[FaultRule], privileged: bool) -> bytes:
        """The whole packet of the reply."""
        for rule in fired:
            if rule.fault.stage is Stage.REFUSAL:
                return rpci.reply((rule.fault.text or "").encode(), ok=False)
        try:
            data = answer(self.host, raw, privileged=privileged)
        except RpcError as refusal:
            return rpci.reply(refusal.text.encode(), ok=False)
        for rule in fired:
            if rule.fault.stage is Stage.STATISTICS and command.startswith(_V3):
                data = damage.statistics(
                    rule.fault.kind,
                    data,
                    fired=rule.fired,
                    session_id=self.host.session_id,
                    values=self.host.values(),
                    count=self.host.scenario.statistics,
                )
            elif rule.fault.kind == "no-status":
                return damage.no_status(data)
        if data is not self._last_data:
            self._last_data, self._last_reply = data, rpci.reply(data)
        return self._last_reply

    def _spoil(self, reply: bytes, fired: list[FaultRule]) -> tuple[bytes, bool]:
        """What goes out instead, and whether the connection stays."""
        for rule in fired:
            size = rule.fault.bytes or 0
            if rule.fault.kind == "corrupt":
                with self._lock:
                    reply = damage.corrupt(reply, size, self._random)
            elif rule.fault.kind == "truncate":
                return damage.truncate(reply, size), False
        return reply, True


THREADS = 16
"""Connections that a unix socket serves at once; more wait until one ends."""


STOP = 1.0
"""Seconds that connections have to end; one that is in a delay is left behind."""


@contextlib.contextmanager
def serve_unix(path: Path | str, server: Server, *, threads: int = THREADS) -> Iterator[None]:
    """Listen at ``path`` while the block runs. A socket that nobody listens at any more is replaced.

    Raises:
        ConfigError: the path can't be used, and why.
    """
    listener = listening.listen(str(path))
    ours = os.lstat(path).st_ino
    stopping = threading.Event()
    lock = threading.Lock()
    open_sockets: set[socket.socket] = set()

    def work() -> None:
        # Each thread waits for connections of its own accord: a guest of many short ones costs no thread each.
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                # Shut down, or out of descriptors for a moment.
                stopping.wait(0.05)
                continue
            with lock:
                open_sockets.add(connection)
            server.serve(listening.Connection(connection))
            with lock:
                open_sockets.discard(connection)

    workers = [
        threading.Thread(target=work, name=f"simulated-host-{number}", daemon=True)
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stopping.set()
        # Wakes the threads in accept(), and below those in recv(); close() would not.
        listener.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + STOP
        for worker in workers:
            # Again and again: a connection may have been taken in the last moment.
            while worker.is_alive() and time.monotonic() < deadline:
                with lock:
                    for connection in open_sockets:
                        with contextlib.suppress(OSError):
                            connection.shutdown(socket.SHUT_RDWR)
                worker.join(0.02)
        listener.close()
        with contextlib.suppress(OSError):
            if os.lstat(path).st_ino == ours:
                Path(path).unlink()
