"""TLS for the web server: the standard library's ``ssl`` below waitress's own loop.

waitress speaks no TLS. The servers that do were no better fit: cheroot shakes hands in its accepting thread, so
that one client that connects and says nothing holds up all others for its whole time limit; uvicorn and hypercorn
bring an event loop of 10 MiB and no limit on the time of a request. Here a connection that has not finished its
handshake is one more entry in the poll set, under the same limits as any other, and costs nobody else anything.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from exporter.outputs.web.application import Response, responding
from exporter.outputs.web.connections import SERVER, BoundedChannel, Listener
from exporter.outputs.web.tls_context import admits

RECORD = 16384
"""Plain bytes of the largest TLS record (RFC 8446 section 5.1). One read of as much leaves none inside OpenSSL,
where poll could not see them."""

PLAIN_HTTP = (
    f"HTTP/1.0 400 Bad Request\r\nServer: {SERVER}\r\nContent-Type: text/plain\r\n\r\n"
    "This port speaks HTTPS; use https://\n"
).encode()


class TLSChannel(BoundedChannel):
    """A connection whose socket is an :class:`ssl.SSLSocket` that has yet to shake hands."""

    def __init__(self, server: Any, sock: ssl.SSLSocket, *others: Any, **settings: Any) -> None:
        self._tls = sock
        self._shaken = False
        """Whether the handshake is done."""
        self._stuck = False
        """Whether the handshake waits for room to send; nothing else is read meanwhile."""
        super().__init__(server, sock, *others, **settings)

    @property
    def unfinished(self) -> object | None:
        return super().unfinished if self._shaken else self._tls

    def handle_read(self) -> None:
        try:
            if not self._shaken:
                self._shake_hands()
            data = self._tls.recv(RECORD)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._stuck = True
            return
        except OSError as error:
            self._refused(error)
            return
        if not data:
            self.handle_close()
            return
        self.last_activity = time.time()
        self.received(data)

    def _shake_hands(self) -> None:
        self._stuck = False
        self._tls.do_handshake()
        self._shaken = True
        if not admits(getattr(self._tls.context, "allowed_sans", frozenset()), self._tls.getpeercert()):
            # Python can't send an alert of its own; a client that shook hands understands this as well.
            self.barred = responding(FORBIDDEN)
            self.server.refusals.count("certificate", self.addr, "none of client_allowed_sans is in it")

    def _refused(self, error: OSError) -> None:
        """Close after an error. OpenSSL has sent its alert; unread bytes would take that back on closing."""
        reason = str(getattr(error, "reason", None) or "")
        # Python before 3.11.4, as Debian 12 has it, takes a connection that just ends for an orderly close of TLS.
        ended = not isinstance(error, ssl.SSLError) or isinstance(
            error, ssl.SSLEOFError | ssl.SSLZeroReturnError
        )
        if self._shaken or ended:
            # The end of a connection like any other: a port scan, a reset.
            self.handle_close()
            return
        rest = b""
        with contextlib.suppress(OSError):
            rest = socket.socket.recv(self._tls, RECORD)
        # OpenSSL knows GET, HEAD, POST and PUT, and has read no more than the first bytes of any other request.
        if reason == "HTTP_REQUEST" or b" HTTP/1." in rest.partition(b"\n")[0]:
            with contextlib.suppress(OSError):
                # In the client's own language.
                socket.socket.send(self._tls, PLAIN_HTTP)
            self.refuse("protocol", "plain HTTP on a port of TLS")
        elif isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE" in reason:
            self.refuse("certificate", getattr(error, "verify_message", "") or _words(reason))
        else:
            self.refuse("handshake", _words(reason) or str(error))

    def writable(self) -> bool:
        return bool(self._stuck or super().writable())

    def handle_write(self) -> None:
        if self._stuck:
            self.handle_read()
        else:
            super().handle_write()

    def send(self, data: bytes, do_close: bool = True) -> int:
        try:
            return int(super().send(data, do_close))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def handle_close(self) -> None:
        if self._shaken and self.connected:
            # Sends close_notify and does not wait for the other's: whoever reads on knows that nothing is missing.
            with contextlib.suppress(OSError, ValueError):
                self._tls.unwrap()
        super().handle_close()


def _words(reason: str) -> str:
    """``NO_SHARED_CIPHER``, as OpenSSL names it, for people."""
    return reason.replace("_", " ").lower()


FORBIDDEN = Response(
    b"The client certificate bears none of the names of client_allowed_sans\n", status="403 Forbidden"
)


class TLSListener(Listener):
    """Listens as :class:`Listener` does; ``context`` gives the context for each new connection."""

    channel_class: type[BoundedChannel] = TLSChannel

    def __init__(self, *arguments: Any, context: Callable[[], ssl.SSLContext], **settings: Any) -> None:
        self._context = context
        super().__init__(*arguments, **settings)

    def accept(self) -> Any:
        pair = super().accept()
        if pair is None:
            return None
        plain, address = pair
        try:
            return self._context().wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            ), address
        except OSError:
            # Gone again already.
            plain.close()
            return None
