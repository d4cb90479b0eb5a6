"""TLS for the web server: the standard library's ``ssl`` below waitress's own loop.

waitress speaks no TLS. The servers that do were no better fit: cheroot shakes hands in its accepting thread, so
that one client that connects and says nothing holds up all others for its whole time limit; uvicorn and hypercorn
bring an event loop of 10 MiB and no limit on the time of a request. Here a connection that has not finished its
handshake is one more entry in the poll set, under the same limits as any other, and costs nobody else anything.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from exporter.errors import ConfigError, passing
from exporter.outputs.web.application import Response, responding
from exporter.outputs.web.connections import SERVER, BoundedChannel, Listener
from exporter.outputs.web.webconfig import CIPHERS, CURVES, FLAG, TLSSettings

RECORD = 16384
"""Plain bytes of the largest TLS record (RFC 8446 section 5.1). One read of as much leaves none inside OpenSSL,
where poll could not see them."""

PLAIN_HTTP = (
    f"HTTP/1.0 400 Bad Request\r\nServer: {SERVER}\r\nContent-Type: text/plain\r\n\r\n"
    "This port speaks HTTPS; use https://\n"
).encode()

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    # Asks for a certificate and looks at none: the same, for a server that knows no users by certificate.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


class Context(ssl.SSLContext):
    """What a new connection is held to."""

    allowed_sans: frozenset[str] = frozenset()
    """Names, one of which the client's certificate must bear; empty where any will do."""


def context(settings: TLSSettings) -> Context:
    """A server's context; certificate, key and client CA are read now.

    Raises:
        ConfigError: a file is missing or does not hold what it should; key and certificate don't fit.
    """
    made = Context(ssl.PROTOCOL_TLS_SERVER)
    made.allowed_sans = frozenset(settings.client_allowed_sans)
    with warnings.catch_warnings():
        # The operator may insist on TLS 1.0 for an old scraper; Python has an opinion on that.
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = _VERSIONS[settings.min_version]
        made.maximum_version = _VERSIONS[settings.max_version]
    made.options |= ssl.OP_NO_RENEGOTIATION
    if settings.prefer_server_cipher_suites:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_alpn_protocols(["http/1.1"])
    if settings.cipher_suites:
        _set_ciphers(made, settings.cipher_suites)
    if settings.curve_preferences:
        _set_curves(made, settings.curve_preferences)
    _load_pair(made, settings)
    _load_clients(made, settings)
    return made


def _set_ciphers(made: ssl.SSLContext, suites: tuple[str, ...]) -> None:
    """The choice is about TLS 1.2 and older; with suites of 1.3 alone, older versions have none left."""
    names = [CIPHERS[suite] for suite in suites if CIPHERS[suite]]
    if names:
        made.set_ciphers(":".join(names))
    else:
        made.minimum_version = ssl.TLSVersion.TLSv1_3


def _set_curves(made: ssl.SSLContext, curves: tuple[str, ...]) -> None:
    """All of them, in this order, from Python 3.15 on. Before, it can set one: less than was allowed, never more.

    Then it is P-256 where that is among them, which every client of TLS 1.3 must have (RFC 8446 section 9.1).
    """
    if hasattr(made, "set_groups"):
        made.set_groups(":".join(CURVES[curve] for curve in curves))
    else:
        made.set_ecdh_curve(CURVES["CurveP256" if "CurveP256" in curves else curves[0]])


def _load_pair(made: ssl.SSLContext, tls: TLSSettings) -> None:
    cert, key = tls.cert_file or "cert", tls.key_file or "key"
    try:
        with _as_file(tls.cert, tls.cert_file) as cert_path, _as_file(tls.key, tls.key_file) as key_path:
            for path in (cert_path, key_path):
                os.close(os.open(path, os.O_RDONLY))
            # Without a password given, OpenSSL would ask for one at the terminal and wait.
            made.load_cert_chain(cert_path, key_path, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = "the key is not that of the certificate"
        else:
            why = f"one of them is no PEM text, or the key has a password ({error.reason or error})"
        raise ConfigError(f"{FLAG}: certificate {cert} and key {key} can't be used: {why}") from error
    except OSError as error:
        raise ConfigError(
            passing(f"{FLAG}: {error.filename} can't be read: {error.strerror}", error)
        ) from error


def _load_clients(made: ssl.SSLContext, tls: TLSSettings) -> None:
    made.verify_mode = _AUTH[tls.client_auth_type]
    if made.verify_mode is ssl.CERT_NONE:
        return
    try:
        if tls.client_ca or tls.client_ca_file:
            made.load_verify_locations(cafile=tls.client_ca_file or None, cadata=tls.client_ca or None)
        else:
            # As Go does: without a CA of its own, those that the system trusts.
            made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{FLAG}: client CA {tls.client_ca_file} holds no certificate in PEM") from error
    except OSError as error:
        problem = f"{FLAG}: {tls.client_ca_file} can't be read: {error.strerror}"
        raise ConfigError(passing(problem, error)) from error


@contextlib.contextmanager
def _as_file(text: str, path: str) -> Iterator[str]:
    """``path``, or a file with ``text`` that only this user can read: OpenSSL's Python side takes paths alone."""
    if path:
        yield path
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name


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
        if self._shaken or not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
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


def admits(allowed: frozenset[str], certificate: Any) -> bool:
    """Whether a certificate (as :meth:`ssl.SSLSocket.getpeercert` gives it) bears a name of ``allowed``.

    Addresses are compared as addresses, host names without case. Nothing asked for: any certificate, or none.
    """
    if not allowed:
        return True
    asked = {_san(text) for text in allowed}
    borne = (certificate or {}).get("subjectAltName", ())
    # A directory name comes as a tuple, and no setting can ask for one.
    return any(_san(text) in asked for kind, text in borne if kind in _NAMES)


_NAMES = frozenset({"DNS", "IP Address", "URI", "email"})
"""The kinds whose text is a name; of an otherName it is only ``<unsupported>``."""


def _san(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        # The other kinds are e-mail addresses and URIs, which nobody tells apart by case either.
        return text.lower()


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
