"""Checks of certificates, and of the OTLP receiver."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter.advice import Advice, Where
from exporter.doctor.finding import Facts, Outcome, fail, ok, skip, warn
from exporter.doctor.world import World

RENEW = 14 * 86400
"""Seconds before a certificate's end from which on it is worth a word."""
CONNECT_LIMIT = 1.0


class File(NamedTuple):
    """A certificate with its key, or (``key`` empty) certificates to check another's against."""

    of: str
    """Which setting names it."""
    path: str
    key: str = ""


def tls_files(world: World) -> Outcome:
    """Whether certificates and keys can be read, belong together, and for how long they are good."""
    files = [*_web_files(world), *_otlp_files(world)]
    if not files:
        return skip("No certificate is configured.")
    problems = [problem for file in files if (problem := _problem(file))]
    if problems:
        return fail(
            "A certificate or key can't be used.",
            Advice(
                "tls-files",
                Where.GUEST,
                "correct what stands below; the exporter must be able to read both files",
            ),
            *problems,
        )
    ends = {file.path: end for file in files if file.key and (end := _end(world, file.path)) is not None}
    days = {path: time.strftime("%Y-%m-%d", time.gmtime(end)) for path, end in ends.items()}
    facts: Facts = {"ends": days}
    soon = [path for path, end in ends.items() if end < world.wall() + RENEW]
    if soon:
        return warn(
            f"The certificate {' and '.join(f'{path} ends on {days[path]}' for path in soon)}.",
            Advice(
                "tls-files", Where.GUEST, "renew it; the exporter reads certificates anew without a restart"
            ),
            **facts,
        )
    return ok("Certificates and keys can be read and belong together.", **facts)


def _problem(file: File) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load: Callable[[], None]
    if file.key:
        # Without a password callback an encrypted key would ask the terminal for one.
        load = lambda: context.load_cert_chain(file.path, file.key, lambda: b"")  # noqa: E731
    else:
        load = lambda: context.load_verify_locations(file.path)  # noqa: E731
    names = f"{file.path} and {file.key}" if file.key else file.path
    try:
        load()
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{file.of}: {names} do not belong together"
        return f"{file.of}: {names}: not usable as PEM ({error.reason or error})"
    except OSError as error:
        return f"{file.of}: {names}: {error.strerror}"
    return ""


def _end(world: World, path: str) -> float | None:
    """Seconds since the epoch; None where openssl is not there to say it."""
    ran = world.run(["openssl", "x509", "-noout", "-enddate", "-in", path])
    try:
        return float(ssl.cert_time_to_seconds(ran.out.removeprefix("notAfter=")))
    except ValueError:
        return None


def _web_files(world: World) -> list[File]:
    return []


def _otlp_files(world: World) -> list[File]:
    otlp = world.settings.otlp
    files = [File("--otlp.ca", otlp.ca)] if otlp.ca else []
    if otlp.cert and otlp.key:
        files.append(File("--otlp.cert and --otlp.key", otlp.cert, otlp.key))
    return files


def otlp_endpoint(world: World) -> Outcome:
    """Whether the receiver takes a connection, and where there is TLS, a handshake."""
    endpoint = _endpoint(world)
    if not endpoint:
        return skip("No OTLP receiver is configured.")
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    secure = url.scheme == "https" or (not url.scheme and not world.settings.otlp.insecure)
    port = url.port or (443 if secure else 80)
    host = url.hostname or ""
    where = f"{host}:{port}"
    began = world.clock()
    try:
        with socket.create_connection((host, port), CONNECT_LIMIT) as connection:
            if secure:
                _context(world).wrap_socket(connection, server_hostname=host).close()
    except socket.gaierror as error:
        return _unreachable(
            f"The name {host} can't be resolved ({error.strerror}).",
            "correct --otlp.endpoint, or the resolver",
        )
    except ssl.SSLCertVerificationError as error:
        return _unreachable(
            f"The certificate of {where} is not accepted: {error.verify_message}.",
            "name the certificates that it is checked against with --otlp.ca",
        )
    except ssl.SSLError as error:
        return _unreachable(
            f"{where} does not speak TLS as it should ({error.reason or error}).",
            "write http:// in --otlp.endpoint (gRPC: --otlp.insecure) for a receiver without TLS",
        )
    except TimeoutError:
        return _unreachable(
            f"{where} did not answer within {CONNECT_LIMIT:g} s.", "look for a firewall in between"
        )
    except OSError as error:
        return _unreachable(
            f"{where} does not take connections: {error.strerror}.", "start the receiver, or correct the port"
        )
    took = (world.clock() - began) * 1000
    return ok(
        f"{where} takes connections{' with TLS' if secure else ''}.",
        endpoint=where,
        tls=secure,
        connect_ms=round(took, 1),
    )


def _unreachable(sentence: str, text: str) -> Outcome:
    return fail(f"The OTLP receiver can't be reached: {sentence}", Advice("otlp-endpoint", Where.GUEST, text))


def _context(world: World) -> ssl.SSLContext:
    otlp = world.settings.otlp
    context = ssl.create_default_context(cafile=otlp.ca)
    if otlp.cert and otlp.key:
        context.load_cert_chain(otlp.cert, otlp.key, lambda: b"")
    return context


def _endpoint(world: World) -> str:
    names = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return world.settings.otlp.endpoint or next(
        (url for name in names if (url := world.environ.get(name))), ""
    )
