"""The web server: one thread, which runs waitress's own loop over all connections and the application too.

There is no worker that a slow client could hold, and a scrape costs no switch between threads. At the limit of
connections the one that has been idle for longest is closed: a newcomer is always served. Who has to wait before
it may ask (passwords are slow to check by design) waits outside of the loop, and nobody waits behind it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from waitress import wasyncore
from waitress.task import ThreadedTaskDispatcher

from exporter.metrics.families import Family
from exporter.outputs.web.application import WSGI, Environ, StartResponse
from exporter.outputs.web.connections import (
    REFUSAL,
    BoundedChannel,
    Limits,
    Listener,
    OpenFiles,
    Refusals,
    adjustments,
    connection_limit,
)
from exporter.outputs.web.listen import bind, shown
from exporter.outputs.web.restarts import PAUSE, Restarts, drop_connections

log = logging.getLogger("exporter.web")

SILENCE_LOOK = 30
"""Seconds from one look at connections that are only silent to the next: waitress's own ``cleanup_interval``."""

Decide = Callable[[WSGI | None], None]
"""Takes what answers a request instead of the application, or None: it may ask the application."""
Admit = Callable[[Mapping[str, str], str, Decide], None]
"""Is asked before each request with its headers (as waitress names them: ``AUTHORIZATION``) and the client's
address; decides at once or later, from any thread."""


def everybody(_headers: Mapping[str, str], _address: str, decide: Decide) -> None:
    """The :data:`Admit` of a server that asks for nothing."""
    decide(None)


class InLoop(ThreadedTaskDispatcher):
    """A task dispatcher without threads: tasks run between two rounds of the loop."""

    def __init__(self, admit: Admit = everybody) -> None:
        super().__init__()
        self._admit = admit
        self._asked: deque[BoundedChannel] = deque()
        self._decided: deque[tuple[BoundedChannel, WSGI | None]] = deque()
        self._lock = threading.Lock()
        self._loop = threading.get_ident()
        self._closed = False

    def add_task(self, task: Any) -> None:
        """Called by the loop's thread, with a channel that has a request."""
        self._asked.append(task)

    def run(self) -> None:
        """Serve what is waiting now; what these requests let in waits for the next round."""
        self._loop = threading.get_ident()
        for _ in range(len(self._asked)):
            channel = self._asked.popleft()
            request = channel.requests[0]
            if request.error or channel.barred is not None:
                self._decide(channel, channel.barred)
            else:
                self._admit(request.headers, channel.addr[0], partial(self._decide, channel))
        while self._decided:
            channel, channel.refusal = self._decided.popleft()
            try:
                channel.service()
            except Exception:
                # As waitress's own threads do: one connection's mishap is not the end of all.
                log.exception("a request failed in an unforeseen way")

    def drop(self) -> None:
        """Forget what is waiting; called by the loop's thread."""
        self._asked.clear()
        self._decided.clear()

    def _decide(self, channel: BoundedChannel, refusal: WSGI | None) -> None:
        with self._lock:
            if not self._closed:
                self._decided.append((channel, refusal))
                if threading.get_ident() != self._loop:
                    channel.server.pull_trigger()

    def shutdown(self, cancel_pending: bool = True, timeout: int = 5) -> bool:
        with self._lock:
            self._closed = True
        return bool(super().shutdown(cancel_pending, timeout))


class WebServer:
    """Serves ``application`` on every address of ``listen``, pairs of host and port.

    An empty host is every address of the machine, IPv6 and IPv4; port 0 lets the system choose.
    ``admit`` is asked before each request. ``listener`` makes what listens on a bound socket, with the arguments
    of :class:`Listener`; ``scheme`` is that of its URLs. Where its loop fails though nobody closed the server, ``failed``
    is called by the server's thread, which then ends; where ``restarts`` are wanted the loop begins again instead, without
    the connections of before.
    """

    def __init__(
        self,
        application: WSGI,
        listen: Sequence[tuple[str, int]],
        *,
        admit: Admit = everybody,
        listener: Callable[..., Listener] = Listener,
        scheme: str = "http",
        connections: int | None = None,
        failed: Callable[[], None] = lambda: None,
        restarts: Restarts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self._listen = listen
        self._dispatcher = InLoop(admit)
        self._make_listener = listener
        self._scheme = scheme
        self._connections = connection_limit() if connections is None else connections
        self._failed = failed
        self._restarts = restarts or Restarts()
        self._clock = clock
        self._map: dict[int, Any] = {}
        """File descriptor to what waitress's loop serves: listeners, connections, its wake-up pipe."""
        self._files = OpenFiles()
        self._sockets: list[socket.socket] = []
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self.refusals = Refusals()

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where it listens now, with the ports that the system chose."""
        return tuple(bound.getsockname()[:2] for bound in self._sockets)

    @property
    def urls(self) -> tuple[str, ...]:
        """The same for people: each with a host that a browser on this machine can open."""
        return tuple(f"{self._scheme}://{shown(host)}:{port}/" for host, port in self.addresses)

    def start(self) -> None:
        """Bind every address, then serve in a thread of its own.

        Raises:
            ConfigError: with every address that can't be listened on and what to do about it.
        """
        logging.getLogger("waitress").setLevel(logging.WARNING)
        self._sockets = bind(self._listen)
        for bound in self._sockets:
            self._listener = self._make_listener(
                self._answer,
                self._map,
                True,
                bound,
                dispatcher=self._dispatcher,
                adj=adjustments(self._scheme, self._connections),
                sockinfo=(bound.family, bound.type, bound.proto, bound.getsockname()),
                bind_socket=False,
                refusals=self.refusals,
                files=self._files,
            )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def families(self) -> list[Family]:
        """What the server counts; any thread may ask."""
        return self.refusals.families()

    def responds(self, limit: float) -> bool:
        """Whether the loop turns within ``limit`` seconds, asked from inside: no client can make this fail."""
        turned = threading.Event()
        self._listener.trigger.pull_trigger(turned.set)  # type: ignore[attr-defined]
        return turned.wait(limit)

    def close(self) -> None:
        """Stop listening and drop every connection; done within a second. Never raises; may be called twice."""
        if self._thread is not None:
            self._stopping.set()
            if self._thread.is_alive():
                self._listener.pull_trigger()
            self._woken.set()
            self._thread.join(1.0)
            self._thread = None

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        refusal: WSGI | None = environ[REFUSAL]
        return (self._application if refusal is None else refusal)(environ, start_response)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
            except Exception as error:
                if not self._restarts.wanted:
                    log.critical("the web server failed", exc_info=True)
                    self._failed()
                    break
                self._restarts.failed("the web server", error)
                self._dispatcher.drop()
                drop_connections(self._map)
                self._stopping.wait(PAUSE)
        # The loop may have ended before it was woken: the pipe that wakes it must not be closed until then.
        self._woken.wait()
        self._dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)

    def _serve(self) -> None:
        limits = Limits(self._connections)
        next_look = 0.0
        channels: list[BoundedChannel] = []
        while not self._stopping.is_set():
            wasyncore.loop(timeout=self._pause(channels), use_poll=True, map=self._map, count=1)  # type: ignore[arg-type]
            self._dispatcher.run()
            channels = [one for one in self._map.values() if isinstance(one, BoundedChannel)]
            if self._files.waiting:
                limits.lower(channels)
            room = limits.crowd(channels)
            now = self._clock()
            if now >= next_look:
                next_look = now + 1.0
                limits.unfinished(channels, now)
                room = True
            if room:
                self._files.waiting = False

    def _pause(self, channels: Sequence[BoundedChannel]) -> float | None:
        """Seconds until there is something to look after though nothing comes in; None: with nobody connected, never."""
        if self._files.waiting or any(one.unfinished is not None for one in channels):
            return 1.0
        return SILENCE_LOOK if channels else None
