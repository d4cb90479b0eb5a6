"""Checks of certificates, and of the OTLP receiver. What is wrong with them is said in serve's own words."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from exporter.advice import Advice, Where
from exporter.doctor.finding import Diagnosis, Fact, Facts, fail, ok, skip, warn
from exporter.doctor.world import World
from exporter.errors import ConfigError
from exporter.interim import FinalResponse
from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.settings import PushSettings
from exporter.outputs.web import tls_context, webconfig

RENEW = 14 * 86400
"""Seconds before a certificate expires from which a warning is due."""
CONNECT_LIMIT = 1.0
GRPC_NAMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
"""How targets begin that gRPC resolves in its own ways (grpc/grpc: doc/naming.md)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tls_files(world: World) -> Diagnosis:
    """Whether certificates and keys can be read, belong together, and for how long they are good."""
    parts = (_web(world), _otlp(world))
    problems = [problem for found, _ in parts for problem in found]
    files = [file for _, found in parts for file in found]
    if problems:
        return fail(
            "A certificate or key can't be used.",
            Advice(
                "tls-files",
                Where.GUEST,
                "correct what is listed; the exporter must be able to read the files",
            ),
            *problems,
        )
    if not files:
        return skip("No certificate is configured.")
    ends = {file: end for file in files if (end := _end(world, file)) is not None}
    # Not by time.gmtime(), which ends with the year 3000 on Windows: one that never ends has 9999 (RFC 5280, 4.1.2.5).
    days = {file: str((_EPOCH + timedelta(seconds=end)).date()) for file, end in ends.items()}
    facts: Facts = {"files": files, "ends": days}
    soon = [file for file, end in ends.items() if end < world.wall() + RENEW]
    if soon:
        return warn(
            f"The certificate {' and '.join(f'{file} ends on {days[file]}' for file in soon)}.",
            Advice("tls-files", Where.GUEST, "renew it; the exporter takes new files without a restart"),
            **facts,
        )
    return ok("Certificates and keys can be read and belong together.", **facts)


def _web(world: World) -> tuple[tuple[str, ...], list[str]]:
    """Problems, and certificates, of ``--web.config.file``."""
    path = world.settings.web.config_file
    if path is None:
        return (), []
    try:
        files = webconfig.read(path).tls
        if files is None:
            return (), []
        tls_context.context(files)
    except ConfigError as error:
        return error.problems, []
    return (), [files.cert_file] if files.cert_file else []


def _otlp(world: World) -> tuple[tuple[str, ...], list[str]]:
    """Problems, and certificates, of the OTLP push; problems without certificates are :func:`otlp_endpoint`'s."""
    otlp = world.settings.otlp
    variables = any(
        name.endswith(("_CERTIFICATE", "_CLIENT_KEY")) for name in world.environ if name.startswith("OTEL_")
    )
    if not (otlp.ca or otlp.cert or otlp.key or variables):
        return (), []
    try:
        push = world.push
    except ConfigError as error:
        return error.problems, []
    return (), [file for file in (push.ca, push.cert) if file] if push else []


def _end(world: World, path: str) -> float | None:
    """Seconds since the epoch; None where openssl is not there to say it."""
    ran = world.run(["openssl", "x509", "-noout", "-enddate", "-in", path])
    try:
        return float(ssl.cert_time_to_seconds(ran.out.removeprefix("notAfter=")))
    except ValueError:
        return None


def otlp_endpoint(world: World) -> Diagnosis:
    """Whether the receiver takes a connection, TLS where it is wanted, and over HTTP an export of nothing."""
    try:
        push = world.push
    except ConfigError as error:
        return fail(
            "The OTLP push can't be used as it is set.",
            Advice("otlp-endpoint", Where.GUEST, "correct what is listed"),
            *error.problems,
        )
    if push is None:
        return skip("No OTLP receiver is configured.")
    if push.proxied:
        return skip(f"The OTLP receiver {push.receiver} is not tried: a proxy may stand between.")
    if push.endpoint.startswith(GRPC_NAMES):
        return skip(f"The OTLP receiver {push.receiver} is not tried: gRPC resolves that name itself.")
    url = urlsplit(push.endpoint if "://" in push.endpoint else f"//{push.endpoint}")
    host, port = url.hostname or "", url.port or (443 if push.secure else 80)
    where = f"{host}:{port}"
    began = world.clock()
    try:
        status = _try(push, host, port, url.path)
    except socket.gaierror as error:
        return _unreachable(
            f"the name {host} can't be resolved ({error.strerror})",
            "correct --otlp.endpoint, or the resolver",
        )
    except ssl.SSLCertVerificationError as error:
        return _unreachable(
            f"the certificate of {where} is not accepted ({error.verify_message})",
            "name the certificates that it is checked against with --otlp.ca",
        )
    except ssl.SSLError as error:
        return _unreachable(
            f"{where} does not speak TLS as it should ({error.reason or error})",
            "write http:// in --otlp.endpoint (gRPC: --otlp.insecure) for a receiver without TLS",
        )
    except TimeoutError:
        return _unreachable(
            f"{where} did not answer within {CONNECT_LIMIT:g} s", "look for a firewall in between"
        )
    except http.client.HTTPException:
        return _unreachable(
            f"{where} does not speak HTTP", "port 4317 is usually gRPC's: try --otlp.protocol=grpc"
        )
    except OSError as error:
        return _unreachable(
            f"{where} does not take connections ({error.strerror})", "start the receiver, or correct the port"
        )
    facts: Facts = {
        "receiver": where,
        "tls": push.secure,
        "http_status": status,
        "ms": round((world.clock() - began) * 1000, 1),
    }
    if status in {401, 403}:
        return _unreachable(
            f"{where} answers {status}", "give the key that it wants with --otlp.headers", **facts
        )
    if status == 404:
        return _unreachable(
            f"{where} answers 404 to {url.path}", "correct the path in --otlp.endpoint", **facts
        )
    if status and status >= 400:
        return warn(
            f"The OTLP receiver {where} answers {status} to an export of nothing.",
            Advice("otlp-endpoint", Where.GUEST, "look into the receiver's log"),
            **facts,
        )
    return ok(f"The OTLP receiver {where} {'takes exports' if status else 'takes connections'}.", **facts)


def _try(push: PushSettings, host: str, port: int, path: str) -> int | None:
    """The status of an export without metrics over HTTP; None over gRPC, where a connection must do."""
    context = _context(push) if push.secure else None
    if push.protocol == GRPC:
        with socket.create_connection((host, port), CONNECT_LIMIT) as connection:
            if context is not None:
                context.wrap_socket(connection, server_hostname=host).close()
        return None
    connection_ = (
        http.client.HTTPSConnection(host, port, timeout=CONNECT_LIMIT, context=context)
        if context is not None
        else http.client.HTTPConnection(host, port, timeout=CONNECT_LIMIT)
    )
    connection_.response_class = FinalResponse
    with closing(connection_):
        # No bytes are a valid ExportMetricsServiceRequest (opentelemetry-proto, collector/metrics/v1).
        connection_.request("POST", path, b"", {**push.headers, "content-type": "application/x-protobuf"})
        return connection_.getresponse().status


def _context(push: PushSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=push.ca)
    if push.cert:
        context.load_cert_chain(push.cert, push.key, lambda: "")
    return context


def _unreachable(why: str, text: str, **facts: Fact) -> Diagnosis:
    return fail(
        f"The OTLP receiver can't be used: {why}.", Advice("otlp-endpoint", Where.GUEST, text), **facts
    )
