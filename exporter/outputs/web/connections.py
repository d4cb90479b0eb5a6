"""One connection, one address that is listened on, and what bounds them: waitress's classes, with limits.

What a client can take is bounded in number (connections, bytes of a request, requests sent ahead) and in time
(silence, an unfinished handshake or request). A client that is refused is counted by reason.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import select
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask

from exporter import catalogue
from exporter.metrics.families import Family, Point
from exporter.outputs.web.application import WSGI, Environ
from exporter.outputs.web.listen import EVERYWHERE, shown
from exporter.shortage import shortage

if sys.platform != "win32":
    import resource

log = logging.getLogger("exporter.web")

SERVER = "vmguest-exporter"
"""The header of that name: by it ``doctor`` knows that an exporter has the port already."""
CONNECTIONS = 512
"""Connections at a time, at most; half of the usual limit of 1024 open files."""
WITHOUT_POLL = 384
"""The same where there is no poll(2): Windows' select takes 512 sockets, and the listening ones are among them."""
FEWEST = 4
"""Connections at a time, at least, however few open files there are left."""
HEADER_BYTES = 16384
"""Request line and headers together; Prometheus sends about 400 bytes."""
AHEAD = 4
"""Requests that a client may send before it has read the answers. No scraper sends more than one."""
IDLE_SECONDS = 120
"""A kept-open connection without traffic is closed; a scraper that is slower than that connects anew."""
UNFINISHED_SECONDS = 10.0
"""A handshake or request that has begun must be complete by then, however busily its bytes drip in."""

REFUSAL = "vmguest.refusal"
"""Key of a request's environment: the application that answers instead of the server's, or None."""

_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TLS_HANDSHAKE = b"\x16"
"""First byte of a client's first TLS record (RFC 8446 section 5.1); no request begins with it."""
PLAIN = (
    f"HTTP/1.0 400 Bad Request\r\nServer: {SERVER}\r\nContent-Type: text/plain\r\n\r\n"
    "This port speaks plain HTTP; use http://\n"
).encode()
"""In HTTP, which Go's clients recognise and say so; what others make of a TLS alert is no better."""


def connection_limit() -> int:
    """How many connections this process may hold, by its limit of open files; the rest needs some too."""
    if sys.platform != "win32" and hasattr(select, "poll"):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return CONNECTIONS if files == resource.RLIM_INFINITY else max(FEWEST, min(CONNECTIONS, files // 2))
    return WITHOUT_POLL


def adjustments(scheme: str, connections: int) -> Adjustments:
    """Waitress's settings."""
    return Adjustments(
        ident=SERVER,
        listen="*:0",  # not used, as the sockets are ours; its default is a name that would be looked up
        url_scheme=scheme,
        asyncore_use_poll=True,
        connection_limit=2 * connections + 64,  # never reached: Limits.crowd is there before
        channel_timeout=IDLE_SECONDS,
        max_request_header_size=HEADER_BYTES,
        max_request_body_size=1,
        outbuf_overflow=sys.maxsize,  # no temporary files,
        outbuf_high_watermark=sys.maxsize,  # and no waiting for a reader: AHEAD bounds what is held
        log_socket_errors=False,
        clear_untrusted_proxy_headers=False,  # no header of a proxy is ever read
    )


class Refusals:
    """Connections that were refused or cut off, by reason. The web server's thread counts; any may read."""

    REASONS = ("certificate", "handshake", "limit", "protocol", "timeout")

    def __init__(self) -> None:
        self._counts = dict.fromkeys(self.REASONS, 0)

    def count(self, reason: str, client: Sequence[Any], why: str) -> None:
        """One more, by the socket address ``client``; ``why`` in words, for whoever looks for the cause of one."""
        self._counts[reason] += 1
        host, port = str(client[0]).removeprefix("::ffff:"), client[1]
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        log.debug("connection refused", extra={"client": shown, "reason": reason, "why": why})

    def families(self) -> list[Family]:
        points = (Point(float(count), (("reason", reason),)) for reason, count in self._counts.items())
        return [Family(catalogue.WEB_CONNECTIONS_REFUSED, tuple(points))]


class Parser(HTTPRequestParser):
    """A request. waitress does not ask for ``Host``, and joins several into one."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the request line and headers.

        Raises:
            ParsingError: this is no request; or ``Host`` is missing or there twice (RFC 9112 section 3.2).
        """
        super().parse_header(header_plus)
        hosts = sum(line.lower().startswith(b"host:") for line in header_plus.split(b"\r\n")[1:])
        if hosts > 1 or (hosts == 0 and self.version == "1.1"):
            raise ParsingError(f"{hosts} Host headers where there must be one")


class Task(WSGITask):
    """One request on its way through the application."""

    def get_environment(self) -> Environ:
        environ: Environ = super().get_environment()
        environ[REFUSAL] = self.channel.refusal  # type: ignore[attr-defined]
        return environ


class BoundedChannel(HTTPChannel):
    """One connection."""

    parser_class = Parser
    task_class = Task
    server: Listener
    refusal: WSGI | None = None
    """What answers the present request instead of the server's application."""
    barred: WSGI | None = None
    """What answers every request of this connection."""
    _begun = False
    _asking: object | None = None
    """Stands for all that came since the last whole request; waitress forgets an empty line at once."""

    @property
    def unfinished(self) -> object | None:
        """What the client has begun and not finished."""
        return self._asking

    def received(self, data: bytes) -> bool:
        if not self._begun and data.startswith(_TLS_HANDSHAKE):
            with contextlib.suppress(OSError):
                self.send(PLAIN)
            self.refuse("protocol", "TLS on a port of plain HTTP")
            return False
        self._begun = True
        whole = len(self.requests)
        taken = super().received(data)
        if len(self.requests) > whole:
            self._asking = self.request
        elif self._asking is None:
            self._asking = object()
        if len(self.requests) > AHEAD:
            self.refuse("limit", f"more than {AHEAD} requests sent ahead")
        return bool(taken)

    def refuse(self, reason: str, why: str) -> None:
        """Count, and close."""
        self.server.refusals.count(reason, self.addr, why)
        self.handle_close()


class Listener(TcpWSGIServer):
    """One address that is listened on. ``files`` knows whether the process has run out of open files."""

    channel_class: type[BoundedChannel] = BoundedChannel

    def __init__(self, *arguments: Any, refusals: Refusals, files: OpenFiles, **settings: Any) -> None:
        self.refusals = refusals
        self._files = files
        super().__init__(*arguments, **settings)
        # WSGI's SERVER_NAME: for applications whose client does not say by which name it came.
        host: str = self.getsockname()[0]
        self.server_name = socket.gethostname() if host in EVERYWHERE else shown(host)

    def accept(self) -> Any:
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NO_MORE_FILES:
                raise
            self._files.ran_out(error)
            return None

    def readable(self) -> bool:
        return bool(super().readable()) and not self._files.waiting


class OpenFiles:
    """Whether there are open files left for connections. Without, a listener that went on would spin."""

    def __init__(self) -> None:
        self.waiting = False
        """Nobody is let in until room was made."""
        self._said = False

    def ran_out(self, error: OSError) -> None:
        self.waiting = True
        if not self._said:
            # Once in the life of a process: the limit of connections is lowered then.
            self._said = True
            log.warning(
                "no more open files, so idle connections are closed for new ones from now on",
                extra={"error": shortage(error) or error.strerror},
            )


class Limits:
    """Closes what a connection may not do for ever. Called by the loop's thread, between two rounds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun: dict[object, float] = {}
        """Unfinished handshake or request to the time at which it was first seen."""

    def lower(self, channels: Sequence[BoundedChannel]) -> None:
        """There is no room for one more than these: from now on, for none of them."""
        self._limit = max(FEWEST, min(self._limit, len(channels) - 1))

    def crowd(self, channels: Sequence[BoundedChannel]) -> bool:
        """Beyond the limit, close those that have been idle for longest. Whether there were any."""
        excess = len(channels) - self._limit
        if excess <= 0:
            return False
        idle = sorted(
            (channel.last_activity, id(channel), channel) for channel in channels if not channel.requests
        )
        for _, _, channel in idle[:excess]:
            channel.refuse("limit", f"idle for longest of {len(channels)} connections")
        return bool(idle)

    def unfinished(self, channels: Iterable[BoundedChannel], now: float) -> None:
        """Close where a handshake or request is unfinished for too long. waitress itself looks at silence alone."""
        begun: dict[object, float] = {}
        for channel in channels:
            if (what := channel.unfinished) is not None:
                since = begun[what] = self._begun.get(what, now)
                if now - since > UNFINISHED_SECONDS:
                    channel.refuse("timeout", f"unfinished after {UNFINISHED_SECONDS:g} s")
        self._begun = begun
