"""``--web.config.file``: TLS, passwords and headers, in the format of Prometheus's exporter-toolkit.

Source: prometheus/exporter-toolkit ``docs/web-configuration.md``. A file written for any exporter is taken here
too. What can't be done is refused by line and never passed over: an unknown key may be a misspelt safeguard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import files
from exporter.errors import ConfigError, passing
from exporter.outputs.web.nodes import Nodes, compose

FLAG = "--web.config.file"
"""Bytes; a real file has a few hundred."""

CLIENT_AUTH_TYPES = (
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
UNVERIFIED = ("RequireClientCert", "RequireAnyClientCert")
VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
"""Go's name to OpenSSL's."""

CIPHERS: dict[str, str] = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    **{
        f"TLS_ECDHE_{kind}_WITH_{name}": f"ECDHE-{kind}-{short}"
        for kind in ("ECDSA", "RSA")
        for name, short in (
            ("AES_128_CBC_SHA", "AES128-SHA"),
            ("AES_256_CBC_SHA", "AES256-SHA"),
            ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
            ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
            ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        )
    },
}
"""The suites that Go calls secure (crypto/tls ``CipherSuites``) to OpenSSL's names; TLS 1.3 has no choice."""

ENABLING = (
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_ca_file",
    "client_auth_type",
)
"""Without one of these, ``tls_server_config`` asks for no TLS."""

HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""Headers that may be set, with the only values allowed where there are such."""

MAX_COST = 18
"""bcrypt's cost; one check of 18 takes about 15 s."""
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True)
class TLSSettings:
    """``tls_server_config``. Certificates and keys are given as PEM text or as a file, never both."""

    cert: str = ""
    key: str = field(default="", repr=False)
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """What has to be read again when it changes."""
        return tuple(file for file in (self.cert_file, self.key_file, self.client_ca_file) if file)


@dataclass(frozen=True)
class WebConfig:
    """The whole file. ``users``: name to bcrypt hash. ``rate_interval``: seconds between two requests, 0 for any."""

    tls: TLSSettings | None = None
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    rate_interval: float = 0.0
    rate_burst: int = 0
    unused_tls: bool = False
    """Whether ``tls_server_config`` holds something and yet asks for no TLS."""


def cost(hashed: bytes) -> int:
    """The cost of a bcrypt hash, as a power of two."""
    return int(hashed[4:6])


def read(path: str) -> WebConfig:
    """The file at ``path``; the files that it names are not read.

    Raises:
        ConfigError: it can't be read, or everything that is wrong in it, each with its line.
    """
    try:
        text = files.read_text(path)
    except OSError as error:
        raise ConfigError(passing(f"{FLAG}={path}: can't be read: {error.strerror}", error)) from error
    return parse(text, path)


def parse(text: str, path: str) -> WebConfig:
    """The file's text. Paths in it are relative to the folder of ``path``.

    Raises:
        ConfigError: everything that is wrong, each with its line; or PyYAML is not installed.
    """
    root = compose(text, FLAG, path)
    return _Reader(FLAG, path).config(root)


class _Reader(Nodes):
    """What each part of the file may hold. ``Any`` stands for PyYAML's nodes."""

    def config(self, root: Any) -> WebConfig:
        top = self.mapping(
            root, "the file", ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
        )
        http = self.mapping(top.get("http_server_config"), "http_server_config", ("http2", "headers"))
        # HTTP/2 is never offered; a client that may use it is content with 1.1.
        self.flag(http.get("http2"))
        limit = self.mapping(top.get("rate_limit"), "rate_limit", ("interval", "burst"))
        given_tls = top.get("tls_server_config")
        tls = self._tls(given_tls)
        config = WebConfig(
            tls,
            self._users(top.get("basic_auth_users")),
            self._headers(http.get("headers")),
            self.duration(limit.get("interval")),
            self.count(limit.get("burst")),
            unused_tls=tls is None and not self.empty(given_tls),
        )
        if config.rate_interval and not config.rate_burst:
            self.problem(
                limit["interval"], "a rate_limit with a burst of 0 lets no request in; give burst: 1 or more"
            )
        if self.problems:
            raise ConfigError(*self.problems)
        return config

    def _tls(self, node: Any) -> TLSSettings | None:
        given = self.mapping(node, "tls_server_config", tuple(TLSSettings.__dataclass_fields__))
        if not given:
            return None
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name in ("client_allowed_sans", "cipher_suites", "curve_preferences"):
                values[name] = self.texts(
                    value, {"cipher_suites": CIPHERS, "curve_preferences": CURVES}.get(name)
                )
            elif name == "prefer_server_cipher_suites":
                values[name] = self.flag(value)
            else:
                allowed = {
                    "client_auth_type": CLIENT_AUTH_TYPES,
                    "min_version": VERSIONS,
                    "max_version": VERSIONS,
                }
                values[name] = self.text(value, allowed.get(name))
        folder = Path(self.path).parent
        for name in ("cert_file", "key_file", "client_ca_file"):
            if values.get(name):
                values[name] = str(folder / values[name])
        settings = TLSSettings(**{name: value for name, value in values.items() if value not in ("", ())})
        if not any(values.get(name) for name in ENABLING):
            return None
        self._check_tls(node, given, settings)
        return settings

    def _check_tls(self, node: Any, given: Mapping[str, Any], tls: TLSSettings) -> None:
        for name in ("cert", "key", "client_ca"):
            inline, file = getattr(tls, name), getattr(tls, f"{name}_file")
            if inline and file:
                self.problem(given[name], f"{name} and {name}_file are both given; keep one")
            elif name != "client_ca" and not inline and not file:
                self.problem(node, f"tls_server_config has neither {name}_file nor {name}")
        kind = tls.client_auth_type
        if kind in UNVERIFIED:
            self.problem(
                given["client_auth_type"],
                f"{kind} would take any certificate, even one made a minute ago; use RequireAndVerifyClientCert",
            )
        if (tls.client_ca or tls.client_ca_file) and kind == "NoClientCert":
            self.problem(
                node, "a client CA without client_auth_type checks nobody; add RequireAndVerifyClientCert"
            )
        if tls.client_allowed_sans and kind != "RequireAndVerifyClientCert":
            self.problem(
                given["client_allowed_sans"],
                "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert",
            )
        if VERSIONS.index(tls.min_version) > VERSIONS.index(tls.max_version):
            self.problem(
                given.get("min_version", node),
                f"min_version {tls.min_version} is above max_version {tls.max_version}",
            )

    def _users(self, node: Any) -> dict[str, bytes]:
        users = {}
        for name, value in self.mapping(node, "basic_auth_users").items():
            text = self.text(value)
            match = _BCRYPT.fullmatch(text)
            if not match:
                # The text is not repeated: it may be a password in clear.
                self.problem(
                    value,
                    f"the value of user {name!r} is no bcrypt hash; make one with: htpasswd -nBC 10 '' | tr -d ':\\n'",
                )
            elif not 4 <= int(match[1]) <= MAX_COST:
                self.problem(
                    value,
                    f"bcrypt cost {int(match[1])} of user {name!r} is not between 4 and {MAX_COST}; 10 is usual",
                )
            if ":" in name:
                self.problem(value, f"a user's name can't hold a colon (RFC 7617): {name!r}")
            users[name] = text.encode()
        return users

    def _headers(self, node: Any) -> tuple[tuple[str, str], ...]:
        found = []
        for name, value in self.mapping(node, "headers", tuple(HEADERS)).items():
            text = self.text(value, HEADERS[name] or None)
            if not re.fullmatch(r"[\x20-\x7e]*", text):
                self.problem(value, f"{name} holds characters that no header may hold")
            elif text:
                found.append((name, text))
        return tuple(found)
