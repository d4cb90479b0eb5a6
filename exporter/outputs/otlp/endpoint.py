"""Where the receiver is: one text, from the setting or a variable, to the address that a client takes.

Sources: OpenTelemetry specification ``protocol/exporter.md`` (endpoint URLs for OTLP/HTTP, OTLP/gRPC targets);
grpc/grpc ``doc/naming.md``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from exporter.machine.system import HERE, UNIX_SOCKETS, System
from exporter.outputs.otlp.variables import NamedValue, log
from exporter.urls import without_secrets

GRPC, HTTP = "grpc", "http/protobuf"


class Target(NamedTuple):
    address: str
    secure: bool


_WHOLE = frozenset({"--otlp.metrics-endpoint", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"})
"""What is taken as it is; the others are the base of ``/v1/metrics``."""
_URL = re.compile(
    r"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@]+)(?::(\d{1,5}))?(/[^\s#]*)?",
    re.IGNORECASE | re.ASCII,
)
_GRPC_NAME = re.compile(r"(?:dns|ipv4|ipv6|unix|unix-abstract):\S+", re.ASCII)
"""Targets that gRPC resolves itself (grpc/grpc: doc/naming.md); unix sockets on Unix systems only."""
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|\[::1\]", re.IGNORECASE | re.ASCII)
_PATH = "/v1/metrics"


def target(
    endpoint: NamedValue,
    protocol: str,
    insecure: bool | None,
    *,
    tls: bool,
    problems: list[str],
    system: System = HERE,
) -> Target:
    """Where it leads; what is wrong with it goes into ``problems``. ``system``: whose sockets there are."""
    text, where, flag = endpoint
    match = _URL.fullmatch(text)
    unix_sockets = UNIX_SOCKETS not in system.lacks
    if protocol == GRPC and _GRPC_NAME.fullmatch(text):
        local = flag and text.startswith("unix")
        if text.startswith("unix") and not unix_sockets:
            problems.append(
                f"{where}={without_secrets(text)[:120]}: gRPC has no unix sockets on {system.name}; name the receiver by HOST:PORT"
            )
        return Target(text, secure=not insecure if insecure is not None else tls or not local)
    if match is None or not 0 < int(match[3] or 1) < 65536 or not (match[1] or match[3]):
        expected = "http://HOST:PORT, https://HOST:PORT or HOST:PORT"
        if protocol == GRPC:
            expected += f", or a target of gRPC (dns:///HOST:PORT{', unix:PATH' if unix_sockets else ''})"
        problems.append(f"{where}={without_secrets(text)[:120]}: expected {expected}")
        return Target(text, secure=False)
    scheme, host, port, path = (match[1] or "").lower(), match[2], match[3], match[4] or ""
    if not scheme and path.strip("/") and protocol != GRPC:
        problems.append(
            f"{where}={without_secrets(text)[:120]}: expected http:// or https:// before a host with a path"
        )
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
            problems.append(f"{where}={without_secrets(text)[:120]}: gRPC knows no path; expected HOST:PORT")
        return Target(f"{host}:{port or (443 if secure else 80)}", secure)
    if port == "4317":
        log.warning("%s: port 4317 is commonly gRPC's; if exports fail, try --otlp.protocol=grpc", where)
    authority = f"{host}:{port}" if port else host
    return Target(
        f"{'https' if secure else 'http'}://{authority}{_path(endpoint, path, problems)}", secure=secure
    )


def _path(endpoint: NamedValue, path: str, problems: list[str]) -> str:
    if endpoint.where in _WHOLE:
        return path or "/"
    if "?" in path:
        problems.append(
            f"{endpoint.where}={without_secrets(endpoint.text)[:120]}: a base URL has no query; the whole one is --otlp.metrics-endpoint"
        )
    # People copy the whole URL from their vendor's page into the setting.
    base = path.rstrip("/")
    return base if base.endswith(_PATH) else base + _PATH
