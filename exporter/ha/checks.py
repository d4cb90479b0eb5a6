"""The kinds of checks: each a function that makes a probe. A probe looks once and says what is wrong, or None.

A probe keeps to its time limit as well as it can; where the kernel does not let it, :mod:`exporter.ha.check_runner` counts
the silence. None uses a shell, and nothing that a check prints is read.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from exporter.ha.check_runner import Probe

BODY = 1 << 20
"""Bytes of a reply's body that a pattern is looked for in."""
KILL_LIMIT = 1.0
"""Seconds for a killed command to be gone; one that the kernel holds on to is left to it."""


def http(url: str, status: Sequence[int] = (200,), body: str | None = None) -> Probe:
    """GET ``url``: one of the ``status`` codes, and ``body``, a pattern, somewhere in the reply. No redirects."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    pattern = re.compile(body.encode()) if body is not None else None

    def probe(limit: float) -> str | None:
        deadline = time.monotonic() + limit
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=limit)
        try:
            connection.request("GET", path, headers={"User-Agent": "vmguest-exporter", "Connection": "close"})
            reply = connection.getresponse()
            if reply.status not in status:
                return f"{url} answered {reply.status}, {' or '.join(map(str, status))} is expected"
            if pattern is None:
                return None
            text = b""
            while len(text) < BODY and (piece := reply.read1(65536)):
                if time.monotonic() > deadline:
                    return f"{url} did not answer within {limit:g} s"
                text += piece
        except TimeoutError:
            return f"{url} did not answer within {limit:g} s"
        except (OSError, HTTPException) as error:
            return f"{url}: {str(error).strip() or type(error).__name__}"
        finally:
            connection.close()
        return None if pattern.search(text) else f"{url}: the body does not match {body!r}"

    return probe


def tcp(host: str, port: int) -> Probe:
    """Something at ``host`` takes a connection on ``port``."""

    def probe(limit: float) -> str | None:
        try:
            socket.create_connection((host, port), limit).close()
        except TimeoutError:
            return f"{host}:{port} did not take a connection within {limit:g} s"
        except OSError as error:
            return f"{host}:{port}: {error.strerror or error}"
        return None

    return probe


def command(arguments: Sequence[str]) -> Probe:
    """The program ends with status 0. At the time limit it is killed, with all that it has started."""
    name = arguments[0]

    def probe(limit: float) -> str | None:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A group of its own: to be killed as a whole, and out of reach of the terminal's Ctrl-C.
                start_new_session=True,
            )
        except OSError as error:
            return f"{name} can't be started: {error.strerror}"
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            # Not reaped yet, so the group is still this one and no other.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(KILL_LIMIT)
            return f"{name} took longer than {limit:g} s and was killed"
        if status == 0:
            return None
        return (
            f"{name} ended with status {status}" if status > 0 else f"{name} was killed by signal {-status}"
        )

    return probe


def systemd(unit: str) -> Probe:
    """The service manager has ``unit`` as active."""
    ask = command(["systemctl", "is-active", "--quiet", "--", unit])

    def probe(limit: float) -> str | None:
        problem = ask(limit)
        return problem and f"unit {unit} is not active ({problem})"

    return probe


def file(path: str, max_age: float | None = None, wall: Callable[[], float] = time.time) -> Probe:
    """``path`` exists and, with ``max_age``, was written to within so many seconds."""

    def probe(limit: float) -> str | None:  # noqa: ARG001  a file system that hangs heeds no limit
        try:
            age = wall() - Path(path).stat().st_mtime
        except OSError as error:
            return f"{path}: {error.strerror}"
        if max_age is not None and age > max_age:
            return f"{path} was last written to {age:.0f} s ago, {max_age:g} s at most are allowed"
        return None

    return probe


def web(address: Callable[[], tuple[str, int]], *, tls: bool = False) -> Probe:
    """The exporter's own web server answers: a GET of /-/healthy at ``address``.

    With ``tls`` anything that comes back counts, an alert or the end of the connection too: the request is not
    encrypted, and any reaction to it shows what is to be known, that the server's loop turns.
    """

    def probe(limit: float) -> str | None:
        host, port = address()
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound
        try:
            data = _first_line(host, port, limit)
        except TimeoutError:
            return f"the exporter's web server did not answer within {limit:g} s"
        except OSError as error:
            if tls and isinstance(error, ConnectionResetError):
                return None
            return f"the exporter's web server: {error.strerror or error}"
        # Any word of HTTP will do: 401 where a password is set, say.
        return None if tls or data.startswith(b"HTTP/1.") else "the exporter's web server does not speak HTTP"

    return probe


def _first_line(host: str, port: int, limit: float) -> bytes:
    """What comes back for a GET of /-/healthy, up to the end of its first line."""
    deadline = time.monotonic() + limit
    data = b""
    with socket.create_connection((host, port), limit) as connection:
        connection.sendall(b"GET /-/healthy HTTP/1.0\r\nUser-Agent: vmguest-exporter\r\n\r\n")
        while b"\n" not in data and len(data) < 4096:
            connection.settimeout(max(deadline - time.monotonic(), 1e-6))
            piece = connection.recv(4096)
            if not piece:
                break
            data += piece
    return data
