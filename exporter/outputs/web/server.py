"""The web server: waitress, with limits that no client can get around.

One thread runs waitress's own loop over all connections and, since the application never blocks, the application
too: there is no worker that a slow client could hold, and a scrape costs no switch between threads. What a
client can take is bounded in number (connections, bytes of a request, requests sent ahead) and in time (silence,
an unfinished request). At the limit of connections the one that has been idle for longest is closed: a newcomer
is always served. An application that does block (passwords are slow by design) gets worker threads.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import Task, ThreadedTaskDispatcher

from exporter.outputs.web.application import WSGI
from exporter.outputs.web.listen import bind, shown

log = logging.getLogger("exporter.web")

SERVER = "vmguest-exporter"
"""The header of that name: by it ``doctor`` knows that an exporter has the port already."""
CONNECTIONS = 512
"""Connections at a time; half of the usual limit of 1024 open files."""
HEADER_BYTES = 16384
"""Request line and headers together; Prometheus sends about 400 bytes."""
AHEAD = 4
"""Requests that a client may send before it has read the answers. No scraper sends more than one."""
IDLE_SECONDS = 120
"""A kept-open connection without traffic is closed; a scraper that is slower than that connects anew."""
REQUEST_SECONDS = 10.0
"""A request that has begun must be complete by then, however busily its bytes drip in."""
WORKERS = 4
"""Threads for an application that blocks."""


class Channel(HTTPChannel):
    """One connection."""

    def received(self, data: bytes) -> bool:
        taken = super().received(data)
        if len(self.requests) > AHEAD:
            self.handle_close()
        return bool(taken)


class Listener(TcpWSGIServer):
    """One address that is listened on."""

    channel_class: type[Channel] = Channel


class InLoop(ThreadedTaskDispatcher):
    """A task dispatcher without threads: tasks run between two rounds of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: deque[Task] = deque()

    def add_task(self, task: Task) -> None:
        self._tasks.append(task)

    def run(self) -> None:
        """Serve what is waiting now; what these requests let in waits for the next round."""
        for _ in range(len(self._tasks)):
            try:
                self._tasks.popleft().service()
            except Exception:
                # As waitress's own threads do: one connection's mishap is not the end of all.
                log.exception("a request failed in an unforeseen way")


class Limits:
    """Closes what a connection may not do for ever. Called by the loop's thread, between two rounds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun: dict[object, float] = {}
        """Unfinished request to the time at which it was first seen."""

    def crowd(self, channels: Sequence[HTTPChannel]) -> None:
        """Beyond the limit, close those that have been idle for longest."""
        excess = len(channels) - self._limit
        if excess > 0:
            idle = sorted(
                (channel.last_activity, id(channel), channel) for channel in channels if not channel.requests
            )
            for _, _, channel in idle[:excess]:
                channel.handle_close()

    def requests(self, channels: Iterable[HTTPChannel], now: float) -> None:
        """Close where a request is unfinished for too long. waitress itself looks at silence alone."""
        begun: dict[object, float] = {}
        for channel in channels:
            if channel.request is not None:
                since = begun[channel.request] = self._begun.get(channel.request, now)
                if now - since > REQUEST_SECONDS:
                    channel.handle_close()
        self._begun = begun


class WebServer:
    """Serves ``application`` on every address of ``listen``, pairs of host and port.

    An empty host is every address of the machine, IPv6 and IPv4; port 0 lets the system choose.
    ``blocking``: calls of the application may take long, so they need threads. ``listener`` makes what listens
    on a bound socket, with the arguments of :class:`Listener`; ``scheme`` is that of its URLs.
    """

    def __init__(
        self,
        application: WSGI,
        listen: Sequence[tuple[str, int]],
        *,
        blocking: bool = False,
        listener: Callable[..., Listener] = Listener,
        scheme: str = "http",
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self._listen = listen
        self._blocking = blocking
        self._dispatcher = ThreadedTaskDispatcher() if blocking else InLoop()
        self._make_listener = listener
        self._scheme = scheme
        self._connections = connections
        self._clock = clock
        self._map: dict[int, Any] = {}
        """File descriptor to what waitress's loop serves: listeners, connections, its wake-up pipe."""
        self._sockets: list[socket.socket] = []
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

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
        # It warns of each request that waits for a thread, which is what a queue is for.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        settings = Adjustments(
            ident=SERVER,
            url_scheme=self._scheme,
            asyncore_use_poll=True,
            connection_limit=2 * self._connections,  # never reached: Limits.crowd is there before
            channel_timeout=IDLE_SECONDS,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=1,
            outbuf_overflow=sys.maxsize,  # no temporary files,
            outbuf_high_watermark=sys.maxsize,  # and no waiting for a reader: AHEAD bounds what is held
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,  # no header of a proxy is ever read
        )
        self._sockets = bind(self._listen)
        self._dispatcher.set_thread_count(WORKERS if self._blocking else 0)
        for bound in self._sockets:
            self._listener = self._make_listener(
                self._application,
                self._map,
                True,
                bound,
                dispatcher=self._dispatcher,
                adj=settings,
                sockinfo=(bound.family, bound.type, bound.proto, bound.getsockname()),
                bind_socket=False,
            )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and drop every connection; done within a second. Never raises; may be called twice."""
        if self._thread is not None:
            self._stopping.set()
            self._listener.pull_trigger()
            self._woken.set()
            self._thread.join(1.0)
            self._thread = None

    def _run(self) -> None:
        limits = Limits(self._connections)
        next_look = 0.0
        channels: list[HTTPChannel] = []
        while not self._stopping.is_set():
            # Nobody connected: nothing to look after, so nothing to wake up for.
            wasyncore.loop(timeout=1.0 if channels else None, use_poll=True, map=self._map, count=1)  # type: ignore[arg-type]
            if isinstance(self._dispatcher, InLoop):
                self._dispatcher.run()
            channels = [one for one in self._map.values() if isinstance(one, HTTPChannel)]
            limits.crowd(channels)
            now = self._clock()
            if now >= next_look:
                next_look = now + 1.0
                limits.requests(channels, now)
        # The loop may have ended before it was woken: the pipe that wakes it must not be closed until then.
        self._woken.wait()
        self._dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)
