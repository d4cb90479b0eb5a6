"""What TLS connections are held to: versions, ciphers and certificates of the web configuration file.

The words are those of Prometheus's exporter-toolkit, ``docs/web-configuration.md``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import platform
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

from exporter import files
from exporter.errors import ConfigError, passing
from exporter.outputs.web.webconfig import CIPHERS, CURVES, FLAG, TLSSettings

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

    Then it is P-256 where that is among them, which every client of TLS 1.3 must have (RFC 8446 section 9.1), else the
    first that this Python knows: Debian 12's has no X25519 to set.

    Raises:
        ConfigError: it knows none of them.
    """
    if hasattr(made, "set_groups"):
        made.set_groups(":".join(CURVES[curve] for curve in curves))
        return
    for curve in sorted(curves, key="CurveP256".__ne__):
        with contextlib.suppress(ssl.SSLError, ValueError):
            made.set_ecdh_curve(CURVES[curve])
            return
    raise ConfigError(
        f"{FLAG}: curve_preferences: Python {platform.python_version()} can't be held to {' or '.join(curves)}; add CurveP256"
    )


def _load_pair(made: ssl.SSLContext, tls: TLSSettings) -> None:
    cert, key = tls.cert_file or "cert", tls.key_file or "key"
    try:
        with _as_file(tls.cert, tls.cert_file) as cert_path, _as_file(tls.key, tls.key_file) as key_path:
            for path in (cert_path, key_path):
                files.check(path, files.CERTIFICATES)
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
            if tls.client_ca_file:
                files.check(tls.client_ca_file, files.CERTIFICATES)
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
