"""What to push, where and how: our settings first, then the standard ``OTEL_*`` variables, then the defaults.

Sources: OpenTelemetry specification ``protocol/exporter.md`` (endpoint, headers, protocol, TLS),
``configuration/sdk-environment-variables.md`` (types, ``OTEL_METRIC_EXPORT_*``, ``OTEL_SDK_DISABLED``),
``metrics/sdk_exporters/otlp.md`` (temporality). The SDK reads these variables too, some of them differently:
``OTEL_EXPORTER_OTLP_TIMEOUT`` as seconds, where the specification says milliseconds. So they are read here,
and the SDK is told everything explicitly. No module of OpenTelemetry is imported.

A variable that is shared by every program of a machine must not stop this one for a typo: as the specification
asks, a number or word that makes no sense is ignored with a warning. Where going on would send data to nowhere,
in the clear or without its key (endpoint, protocol, certificates, headers), it is refused.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from exporter.errors import ConfigError

log = logging.getLogger("exporter.otlp")

GRPC, HTTP = "grpc", "http/protobuf"
INTERVAL, TIMEOUT = 60.0, 10.0
"""Seconds; the specification's defaults."""
NO_LIMIT = 300.0
"""Seconds that stand for a time-out of 0, which the specification reads as "none"."""
MAX_QUEUE = 3600
"""Exports kept at most, whatever ``--otlp.queue`` and ``--otlp.interval`` make of it: some 50 MB."""


class Temporality(Enum):
    """``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE``: which kinds of point are sent as differences.

    All our counters are what the specification calls asynchronous; ``lowmemory`` leaves those cumulative.
    """

    CUMULATIVE = "cumulative"
    DELTA = "delta"
    LOWMEMORY = "lowmemory"

    @property
    def delta_sums(self) -> bool:
        return self is Temporality.DELTA

    @property
    def delta_histograms(self) -> bool:
        return self is not Temporality.CUMULATIVE


class Given(Protocol):
    """The ``otlp.*`` settings; None where not given. Durations in seconds."""

    @property
    def endpoint(self) -> str | None: ...
    @property
    def protocol(self) -> str | None: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def interval(self) -> float | None: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def compression(self) -> str | None: ...
    @property
    def insecure(self) -> bool | None: ...
    @property
    def ca(self) -> str | None: ...
    @property
    def cert(self) -> str | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def temporality(self) -> str | None: ...
    @property
    def queue(self) -> float: ...


@dataclass(frozen=True)
class PushSettings:
    """Everything decided. Durations in seconds."""

    endpoint: str
    """The whole URL for HTTP; for gRPC, HOST:PORT or a target that gRPC itself understands."""
    protocol: str = HTTP
    secure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    interval: float = INTERVAL
    timeout: float = TIMEOUT
    gzip: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    temporality: Temporality = Temporality.CUMULATIVE
    capacity: int = 15
    """Exports that may wait."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Of the resource, as the operator set them."""
    proxied: bool = False
    """Whether a proxy may stand between: one of its variables is set."""


class Value(NamedTuple):
    """A setting's text and what to call it in a message."""

    text: str
    where: str
    flag: bool = False


def resolve(given: Given, environ: Mapping[str, str]) -> PushSettings | None:
    """Decide on the push; None where nothing turns it on.

    Raises:
        ConfigError: every problem, each with the name of its flag or variable.
    """
    variables = _Variables(environ)
    endpoint = _flag("endpoint", given.endpoint) or variables.otlp("ENDPOINT")
    if endpoint is None or not _wanted(endpoint, variables):
        return None
    problems: list[str] = []
    protocol = _protocol(given, variables, problems)
    ca = _flag("ca", given.ca) or variables.otlp("CERTIFICATE")
    cert = _flag("cert", given.cert) or variables.otlp("CLIENT_CERTIFICATE")
    key = _flag("key", given.key) or variables.otlp("CLIENT_KEY")
    target = _target(endpoint, protocol, _insecure(given, variables), tls=bool(ca or cert), problems=problems)
    if target.secure:
        _check_certificates(ca, cert, key, problems)
    else:
        problems += [
            f"{each.where} has no effect without TLS: write https:// in {endpoint.where}"
            for each in (ca, cert, key)
            if each is not None and each.flag
        ]
    interval = given.interval or variables.seconds("OTEL_METRIC_EXPORT_INTERVAL") or INTERVAL
    settings = PushSettings(
        endpoint=target.address,
        protocol=protocol,
        secure=target.secure,
        headers=_headers(given, variables, problems),
        interval=interval,
        timeout=_timeout(given, variables),
        gzip=_word(given.compression, variables.otlp("COMPRESSION"), ("none", "gzip")) == "gzip",
        ca=ca.text if ca and target.secure else None,
        cert=cert.text if cert and target.secure else None,
        key=(key or cert).text if cert and target.secure else None,
        temporality=_temporality(given, variables),
        capacity=min(math.ceil(given.queue / interval), MAX_QUEUE),
        attributes=_attributes(variables),
        proxied=any(variables.raw(name) for name in _PROXIES[target.secure]),
    )
    if problems:
        raise ConfigError(*problems)
    return settings


_PROXIES = {
    True: ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
    False: ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
}


def _flag(name: str, text: str | None) -> Value | None:
    return None if text is None else Value(text, f"--otlp.{name}", flag=True)


class _Variables:
    """The standard variables, by the specification's rules for their types. An empty one is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def raw(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def one(self, *names: str) -> Value | None:
        return next((Value(self.raw(name), name) for name in names if self.raw(name)), None)

    def otlp(self, last: str) -> Value | None:
        """The variable for metrics alone, else the one for every signal."""
        return self.one(f"OTEL_EXPORTER_OTLP_METRICS_{last}", f"OTEL_EXPORTER_OTLP_{last}")

    def true(self, *names: str) -> bool | None:
        value = self.one(*names)
        if value is None:
            return None
        word = value.text.lower()
        if word not in {"true", "false"}:
            ignored(value, "expected true or false; taken as false")
        return word == "true"

    def seconds(self, *names: str, zero: float | None = None) -> float | None:
        """From whole milliseconds. ``zero`` is what 0 stands for; None where 0 makes no sense."""
        value = self.one(*names)
        if value is None:
            return None
        number = int(value.text) if re.fullmatch(r"\d{1,10}", value.text, re.ASCII) else -1
        if number > 0:
            return number / 1000
        if number < 0 or zero is None:
            ignored(value, "expected milliseconds, a whole number above 0; ignored")
            return None
        return zero


def ignored(value: Value, what: str) -> None:
    log.warning("%s=%s: %s", value.where, value.text[:80], what)


def _wanted(endpoint: Value, variables: _Variables) -> bool:
    """Whether nothing switches the push off; an endpoint given to us outranks the variables for everybody."""
    off = "OTEL_SDK_DISABLED" if variables.true("OTEL_SDK_DISABLED") else ""
    exporters = variables.one("OTEL_METRICS_EXPORTER")
    if exporters is not None and "otlp" not in re.split(r"\s*,\s*", exporters.text.lower()):
        off = f"OTEL_METRICS_EXPORTER={exporters.text[:80]}"
    if off and endpoint.flag:
        log.warning("%s is set, and %s wins over it", off, endpoint.where)
    elif off:
        log.warning("nothing is pushed to %s: %s", endpoint.where, off)
    return endpoint.flag or not off


def _protocol(given: Given, variables: _Variables, problems: list[str]) -> str:
    value = _flag("protocol", given.protocol) or variables.otlp("PROTOCOL")
    if value is None:
        return HTTP
    word = value.text.lower()
    if word not in {GRPC, HTTP}:
        problems.append(f"{value.where}={value.text[:80]}: expected {GRPC} or {HTTP}")
    return word


def _word(given: str | None, variable: Value | None, known: tuple[str, ...]) -> str | None:
    if given is not None or variable is None:
        return given
    word = variable.text.lower()
    if word in known:
        return word
    ignored(variable, f"expected one of {', '.join(known)}; ignored")
    return None


def _temporality(given: Given, variables: _Variables) -> Temporality:
    preference = variables.one("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
    known = tuple(each.value for each in Temporality)
    return Temporality(_word(given.temporality, preference, known) or Temporality.CUMULATIVE.value)


def _timeout(given: Given, variables: _Variables) -> float:
    if given.timeout is not None:
        return given.timeout
    names = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    request = variables.seconds(*names, zero=NO_LIMIT) or TIMEOUT
    export = variables.seconds("OTEL_METRIC_EXPORT_TIMEOUT", zero=NO_LIMIT) or NO_LIMIT
    return min(request, export, NO_LIMIT)


def _insecure(given: Given, variables: _Variables) -> bool | None:
    if given.insecure is not None:
        return given.insecure
    return variables.true("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")


class _Target(NamedTuple):
    address: str
    secure: bool


_URL = re.compile(
    r"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@]+)(?::(\d{1,5}))?(/[^\s#]*)?",
    re.IGNORECASE | re.ASCII,
)
_GRPC_NAME = re.compile(r"(?:dns|ipv4|ipv6|unix|unix-abstract):\S+", re.ASCII)
"""Targets that gRPC resolves itself (grpc/grpc: doc/naming.md)."""
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|\[::1\]", re.IGNORECASE | re.ASCII)
_PATH = "/v1/metrics"


def _target(
    endpoint: Value, protocol: str, insecure: bool | None, *, tls: bool, problems: list[str]
) -> _Target:
    text, where, flag = endpoint
    match = _URL.fullmatch(text)
    if protocol == GRPC and _GRPC_NAME.fullmatch(text):
        return _Target(text, secure=not insecure)
    if match is None or not 0 < int(match[3] or 1) < 65536:
        problems.append(f"{where}={_shown(text)}: expected http://HOST:PORT, https://HOST:PORT or HOST:PORT")
        return _Target(text, secure=False)
    scheme, host, port, path = (match[1] or "").lower(), match[2], match[3], match[4] or ""
    if scheme:
        secure = scheme == "https"
    elif insecure is not None:
        secure = not insecure
    else:
        # The specification's default is TLS. A receiver on this very machine is asked for in the clear, but only
        # where the endpoint is a setting of this program: the variable means the same to every program.
        secure = tls or not (flag and _LOOPBACK.fullmatch(host))
    if protocol == GRPC:
        if path.strip("/"):
            problems.append(f"{where}={_shown(text)}: gRPC knows no path; expected HOST:PORT")
        return _Target(f"{host}:{port or (443 if secure else 80)}", secure)
    if not scheme and not flag:
        problems.append(f"{where}={_shown(text)}: expected http:// or https:// before the host")
    if port == "4317":
        log.warning("%s: port 4317 is commonly gRPC's; if exports fail, try --otlp.protocol=grpc", where)
    authority = f"{host}:{port}" if port else host
    return _Target(
        f"{'https' if secure else 'http'}://{authority}{_path(endpoint, path, problems)}", secure=secure
    )


def _path(endpoint: Value, path: str, problems: list[str]) -> str:
    """Of the URL: the variable for metrics alone is taken as it is, the others are the base of ``/v1/metrics``."""
    if endpoint.where == "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT":
        return path or "/"
    if "?" in path:
        problems.append(f"{endpoint.where}={_shown(endpoint.text)}: a base URL has no query")
    # People copy the whole URL from their vendor's page into the setting.
    return path if path.endswith(_PATH) else path.rstrip("/") + _PATH


def _shown(text: str) -> str:
    """Without a password, and without a query, where keys are put."""
    return re.sub(r"//[^/@]*@", "//<hidden>@", text).partition("?")[0][:120]


def _headers(given: Given, variables: _Variables, problems: list[str]) -> Mapping[str, str]:
    """Settings win over variables name by name. Messages never show a value: it is usually a secret."""
    found: dict[str, str] = {}
    if (value := variables.otlp("HEADERS")) is not None:
        for part in filter(None, map(str.strip, value.text.split(","))):
            name, equals, text = part.partition("=")
            name, text = unquote(name).strip().lower(), unquote(text).strip()
            if not equals:
                problems.append(f"{value.where}: expected NAME=VALUE, separated by commas; one has no =")
            elif not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name):
                problems.append(f"{value.where}: a name is no HTTP header name")
            elif not re.fullmatch(r"[\x20-\x7e\t]*", text):
                problems.append(
                    f"{value.where}: the value of {name} holds characters that no header may hold"
                )
            else:
                found[name] = text
    return {**found, **{name.lower(): text for name, text in given.headers}}


def _attributes(variables: _Variables) -> Mapping[str, str]:
    """``OTEL_RESOURCE_ATTRIBUTES``, of which the specification wants all or nothing, and ``OTEL_SERVICE_NAME``."""
    found: dict[str, str] = {}
    if (value := variables.one("OTEL_RESOURCE_ATTRIBUTES")) is not None:
        for part in filter(None, map(str.strip, value.text.split(","))):
            name, equals, text = part.partition("=")
            if not equals or not name.strip():
                ignored(value, "expected NAME=VALUE, separated by commas; ignored as a whole")
                found.clear()
                break
            found[unquote(name.strip())] = unquote(text.strip())
    if name := variables.raw("OTEL_SERVICE_NAME"):
        found["service.name"] = name
    return found


def _check_certificates(ca: Value | None, cert: Value | None, key: Value | None, problems: list[str]) -> None:
    """Load them once: a file that can't be used is found at the start, not at the first export."""
    if not (ca or cert or key):
        return
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        try:
            context.load_verify_locations(ca.text)
        except (OSError, ValueError) as error:
            problems.append(_unusable(ca, error, "certificates in PEM"))
    if cert is not None:
        try:
            # Without the callback, OpenSSL would ask the terminal for the password of an encrypted key.
            context.load_cert_chain(cert.text, key.text if key else None, password=lambda: "")
        except (OSError, ValueError) as error:
            both = cert if key is None else Value(f"{cert.text}, {key.where}={key.text}", cert.where)
            problems.append(_unusable(both, error, "a certificate in PEM and its key, not encrypted"))
    elif key is not None:
        problems.append(f"{key.where} needs the certificate that it is the key of: --otlp.cert")


def _unusable(value: Value, error: Exception, expected: str) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{value.where}={value.text}: expected {expected}; {reason}"
