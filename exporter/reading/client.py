"""A running exporter as a place to read: over its unix socket, or over HTTP and HTTPS.

Neither a proxy nor a redirect is followed: a password goes to the address that was given, and nowhere else.
"""

from __future__ import annotations

import base64
import errno
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from exporter import files
from exporter.errors import ConfigError, passing
from exporter.interim import FinalResponse
from exporter.machine.system import HERE
from exporter.outputs.api import FORMAT, PATH, SHAPE, Document
from exporter.outputs.prometheus import Format
from exporter.reading.base import NoAnswer
from exporter.urls import without_secrets

TIMEOUT = 5.0
"""Seconds for each step of one request."""
LARGEST = 32 * 2**20
"""Bytes of an answer, at most."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        if sys.platform == "win32":
            raise OSError(errno.EAFNOSUPPORT, "no unix sockets")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self.path)


@dataclass(frozen=True)
class BasicAuth:
    """HTTP basic authentication."""

    user: str
    password: str

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class ExporterClient:
    """An exporter; ``connect`` gives a new connection to it."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], http.client.HTTPConnection],
        *,
        prefix: str = "",
        metrics: str = "/metrics",
        login: BasicAuth | None = None,
        hint: str = "",
        local: bool = False,
    ) -> None:
        self.name = name
        self._connect = connect
        self._prefix = prefix
        self._metrics = metrics
        self._headers = {"Authorization": login.header} if login is not None else {}
        self._hint = hint
        self._local = local

    def document(self) -> Document:
        body = self._get(PATH, "application/json")
        try:
            found: Document = json.loads(body)
            version = found["format"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoAnswer(f"{self.name}: the answer to {PATH} is not an exporter's") from error
        if version != FORMAT:
            raise NoAnswer(
                f"{self.name}: it speaks format {version!r}, this program {FORMAT}; use the same release"
            )
        if missing := SHAPE.keys() - found.keys():
            raise NoAnswer(
                f"{self.name}: the answer to {PATH} is not an exporter's: no {', '.join(sorted(missing))}"
            )
        if wrong := [key for key, shape in SHAPE.items() if not isinstance(found[key], shape)]:
            raise NoAnswer(f"{self.name}: the answer to {PATH} is not understood: {', '.join(wrong)}")
        return found

    def page(self, form: Format) -> bytes:
        return self._get(self._metrics, form.content_type)

    def close(self) -> None:
        """Each request has a connection of its own."""

    def _get(self, path: str, accept: str) -> bytes:
        connection = self._connect()
        connection.response_class = FinalResponse
        try:
            connection.request("GET", self._prefix + path, headers={"Accept": accept, **self._headers})
            response = connection.getresponse()
            body = response.read(LARGEST)
        except PermissionError as error:
            raise NoAnswer(f"{self.name}: {error.strerror}; {self._hint or 'who are you?'}") from error
        except ssl.SSLCertVerificationError as error:
            raise NoAnswer(
                f"{self.name}: its certificate is not trusted ({error.verify_message}); give --ca=FILE with the one that"
                " it was issued by"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            there = "" if self._local else " there"
            raise NoAnswer(
                f"{self.name} does not answer: {why}; look at: {HERE.show_service}{there}"
            ) from error
        finally:
            connection.close()
        if response.status == http.client.UNAUTHORIZED:
            given = "name or password is wrong" if self._headers else "give --user and --password-file"
            raise NoAnswer(f"{self.name}: login refused; {given}")
        if response.status != http.client.OK:
            raise NoAnswer(f"{self.name}: {path} was answered with {response.status} {response.reason}")
        return body


def at_socket(path: str, metrics: str = "/metrics") -> ExporterClient:
    """The exporter on this machine."""
    return ExporterClient(
        f"the exporter at {path}",
        lambda: _UnixConnection(path),
        metrics=metrics,
        local=True,
        hint="ask as root or as a member of the socket's group (gpasswd -a NAME vmguest-exporter)",
    )


def at_url(url: str, user: str | None, password_file: Path | None, ca: Path | None) -> ExporterClient:
    """An exporter by its URL; ``/metrics`` at its end is left out.

    Raises:
        ConfigError: something can't be used.
    """
    shown = without_secrets(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # What stands in the port's place may be a password.
        raise ConfigError(
            "--url: expected http://HOST:PORT or https://HOST:PORT, with a port up to 65535"
        ) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ConfigError(
            f"--url={shown}: expected http://HOST:PORT or https://HOST:PORT; a name and password go into --user and"
            " --password-file"
        )
    if ca is not None and parts.scheme != "https":
        raise ConfigError("--ca has no effect without https:// in --url")
    if (user is None) != (password_file is None):
        raise ConfigError("--user and --password-file go together")
    login = None
    if user is not None and password_file is not None:
        try:
            login = BasicAuth(user, files.read_secret(password_file))
        except (OSError, ValueError) as error:
            raise ConfigError(passing(f"--password-file={password_file}: {_why(error)}", error)) from error
    host = parts.hostname
    prefix = parts.path.rstrip("/").removesuffix("/metrics")
    connect: Callable[[], http.client.HTTPConnection]
    if parts.scheme == "https":
        try:
            if ca is not None:
                files.check(ca, files.CERTIFICATES)
            context = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(passing(f"--ca={ca}: {_why(error)}", error)) from error
        connect = lambda: http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)  # noqa: E731
    else:
        connect = lambda: http.client.HTTPConnection(host, port, timeout=TIMEOUT)  # noqa: E731
    return ExporterClient(f"the exporter at {shown}", connect, prefix=prefix, login=login)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
