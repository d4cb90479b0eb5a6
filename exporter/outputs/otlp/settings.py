"""What to push, where and how: our settings first, then the standard ``OTEL_*`` variables, then the defaults.

Sources: OpenTelemetry specification ``protocol/exporter.md`` (endpoint, headers, protocol, TLS),
``configuration/sdk-environment-variables.md`` (types, ``OTEL_METRIC_EXPORT_*``, ``OTEL_SDK_DISABLED``),
``metrics/sdk_exporters/otlp.md`` (temporality, histogram aggregation). The SDK reads these variables too, some of them differently:
``OTEL_EXPORTER_OTLP_TIMEOUT`` as seconds, where the specification says milliseconds. So they are read here,
and the SDK is told everything explicitly. No module of OpenTelemetry is imported.

A variable that is shared by every program of a machine must not stop this one for a typo: as the specification
asks, a number or word that makes no sense is ignored with a warning. Where going on would send data to nowhere,
in the clear or without its key (endpoint, protocol, certificates, headers), it is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from exporter.errors import ConfigError
from exporter.outputs.otlp.certificates import check_certificates
from exporter.outputs.otlp.endpoint import GRPC, HTTP, target
from exporter.outputs.otlp.headers import attributes, headers
from exporter.outputs.otlp.variables import NamedValue, Variables, by_flag, ignored, log
from exporter.urls import without_secrets

INTERVAL, TIMEOUT = 60.0, 10.0
"""Seconds; the specification's defaults."""
NO_LIMIT = 300.0
"""Seconds that stand for a time-out of 0, which the specification reads as "none"."""
MAX_QUEUE = 1800
"""Exports kept at most, whatever ``--otlp.queue`` and ``--otlp.interval`` make of it: some 50 MB, at 26 kB for 100 points."""


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


class OtlpSettings(Protocol):
    """The ``otlp.*`` settings; None where not given. Durations in seconds."""

    @property
    def endpoint(self) -> str | None: ...
    @property
    def metrics_endpoint(self) -> str | None: ...
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
    def histograms(self) -> str | None: ...
    @property
    def queue(self) -> float: ...


@dataclass(frozen=True)
class PushSettings:
    """Everything decided. Durations in seconds."""

    endpoint: str = field(repr=False)
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
    exponential: bool = False
    """Whether histograms go out with exponential buckets."""
    capacity: int = 15
    """Exports that may wait."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Of the resource, as the operator set them."""
    proxied: bool = False
    """Whether a proxy may stand between: one of its variables is set."""

    @property
    def receiver(self) -> str:
        """The endpoint, as messages may show it."""
        return without_secrets(self.endpoint)


def resolve(given: OtlpSettings, environ: Mapping[str, str]) -> PushSettings | None:
    """Decide on the push; None where nothing turns it on.

    Raises:
        ConfigError: every problem, each with the name of its flag or variable.
    """
    variables = Variables(environ)
    endpoint = (
        by_flag("metrics-endpoint", given.metrics_endpoint)
        or by_flag("endpoint", given.endpoint)
        or variables.otlp("ENDPOINT")
    )
    if endpoint is None or not _wanted(endpoint, variables):
        return None
    problems: list[str] = []
    protocol = _protocol(given, variables, problems)
    ca = by_flag("ca", given.ca) or variables.otlp("CERTIFICATE")
    cert = by_flag("cert", given.cert) or variables.otlp("CLIENT_CERTIFICATE")
    key = by_flag("key", given.key) or variables.otlp("CLIENT_KEY")
    found = target(endpoint, protocol, _insecure(given, variables), tls=bool(ca or cert), problems=problems)
    if found.secure:
        check_certificates(ca, cert, key, problems)
    else:
        problems += [
            f"{each.where} has no effect without TLS: write https:// in {endpoint.where}"
            for each in (ca, cert, key)
            if each is not None and each.flag
        ]
    if given.insecure is not None and re.match("https?://", endpoint.text, re.IGNORECASE):
        problems.append(
            f"--otlp.insecure has no effect beside the scheme in {endpoint.where}; leave one of them out"
        )
    interval = given.interval or variables.seconds("OTEL_METRIC_EXPORT_INTERVAL") or INTERVAL
    settings = PushSettings(
        endpoint=found.address,
        protocol=protocol,
        secure=found.secure,
        headers=headers(given.headers, variables, protocol, problems),
        interval=interval,
        timeout=_timeout(given, variables),
        gzip=_word(given.compression, variables.otlp("COMPRESSION"), ("none", "gzip")) == "gzip",
        ca=ca.text if ca and found.secure else None,
        cert=cert.text if cert and found.secure else None,
        key=(key or cert).text if cert and found.secure else None,
        temporality=_temporality(given, variables),
        exponential=_exponential(given, variables),
        capacity=min(math.ceil(given.queue / interval), MAX_QUEUE),
        attributes=attributes(variables),
        proxied=any(variables.raw(name) for name in _PROXIES[found.secure]),
    )
    if problems:
        raise ConfigError(*problems)
    return settings


_PROXIES = {
    True: ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
    False: ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
}


def _wanted(endpoint: NamedValue, variables: Variables) -> bool:
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


def _protocol(given: OtlpSettings, variables: Variables, problems: list[str]) -> str:
    value = by_flag("protocol", given.protocol) or variables.otlp("PROTOCOL")
    if value is None:
        return HTTP
    word = value.text.lower()
    if word not in {GRPC, HTTP}:
        problems.append(f"{value.where}={value.text[:80]}: expected {GRPC} or {HTTP}")
    return word


def _word(given: str | None, variable: NamedValue | None, known: tuple[str, ...]) -> str | None:
    if given is not None or variable is None:
        return given
    word = variable.text.lower()
    if word in known:
        return word
    ignored(variable, f"expected one of {', '.join(known)}; ignored")
    return None


def _temporality(given: OtlpSettings, variables: Variables) -> Temporality:
    preference = variables.one("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
    known = tuple(each.value for each in Temporality)
    return Temporality(_word(given.temporality, preference, known) or Temporality.CUMULATIVE.value)


def _exponential(given: OtlpSettings, variables: Variables) -> bool:
    aggregation = variables.one("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION")
    known = ("explicit_bucket_histogram", "base2_exponential_bucket_histogram")
    return _word(given.histograms, aggregation, known) in {"exponential", known[1]}


def _timeout(given: OtlpSettings, variables: Variables) -> float:
    if given.timeout is not None:
        return given.timeout
    names = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    request = variables.seconds(*names, zero=NO_LIMIT) or TIMEOUT
    export = variables.seconds("OTEL_METRIC_EXPORT_TIMEOUT", zero=NO_LIMIT) or NO_LIMIT
    return min(request, export, NO_LIMIT)


def _insecure(given: OtlpSettings, variables: Variables) -> bool | None:
    if given.insecure is not None:
        return given.insecure
    return variables.true("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
