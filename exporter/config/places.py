"""Values that name a place: paths, addresses, URLs, and the headers that go there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from exporter import files
from exporter.config.values import ValueKind
from exporter.machine.system import HERE, UNIX_SOCKETS, System
from exporter.urls import without_secrets


class Location(ValueKind):
    """A path that need not exist yet: a socket, a lock."""

    placeholder = "PATH"
    expects = "a path"

    def parse(self, text: str) -> str:
        if "\0" in text or not text:
            raise ValueError("a path has at least one character and no NUL")
        if any(mark in text for mark in "\a\b\t\n\v\f\r"):
            # "C:\temp" in TOML has a tab in it.
            raise ValueError("it holds a control character: in TOML a path of Windows goes in single quotes")
        return text


class SocketPath(Location):
    """The path of a unix socket, which may be created later. The kernel takes 107 bytes (unix(7), sun_path)."""

    expects = "the path of a unix socket"

    def parse(self, text: str) -> str:
        path = super().parse(text)
        if len(os.fsencode(path)) > 107:
            raise ValueError("the system takes at most 107 bytes for it; choose a shorter folder")
        return path


class InputFile(Location):
    """A file that must be readable now: found at start, not at the first certificate rotation at night. ``largest``: bytes."""

    placeholder = "FILE"
    expects = "a readable file"

    def __init__(self, largest: int | None = None) -> None:
        super().__init__()
        self._largest = largest

    def parse(self, text: str) -> str:
        path = super().parse(text)
        try:
            files.check(path, self._largest)
        except OSError as error:
            raise ValueError(error.strerror) from error
        return path


NOTES = (".maintenance", ".maintained", ".stopping", ".checks", ".stranger", ".new")
"""How the files end that the heartbeats put beside their lock: each name is a lock's, and one of these."""


class LockFile(Location):
    """A file that is made where it is missing and written over: opening what is no file could wait for ever, and what is
    larger than a lock is somebody's data.
    """

    expects = "the whole path of a lock file"

    def parse(self, text: str) -> str:
        path = super().parse(text)
        if not Path(path).is_absolute():
            raise ValueError("by a relative one, exporters of different directories would not see each other")
        if path.endswith(NOTES):
            raise ValueError(
                f"{Path(path).suffix} is how a note beside a lock is named, and it may be another lock's; name it like ha.lock"
            )
        try:
            files.check_kind(path, files.LOCK)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # Whoever takes the lock says what to do.
        except OSError as error:
            raise ValueError(error.strerror) from error
        return path


class Address(NamedTuple):
    """Where to listen. An empty host means every address of the machine; port 0, one that the system picks."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_UNIX_SOCKET = "--api.socket=PATH serves the same pages on a unix socket"


class ListenAddress(ValueKind):
    """``HOST:PORT``, ``:PORT`` or ``[IPV6]:PORT``; repeatable. ``system``: whose sockets there are."""

    placeholder = "HOST:PORT"
    expects = "HOST:PORT, :PORT or [IPV6]:PORT"
    repeatable = True

    def __init__(self, system: System = HERE) -> None:
        super().__init__()
        self._system = system

    def parse(self, text: str) -> Address:
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s\[\]:/]*)):(\d{1,5})", text, re.ASCII)
        if not match:
            if re.fullmatch(r"\d{1,5}", text, re.ASCII):
                raise ValueError(f"put a colon before the port: :{text}")
            if re.match(r"unix(-abstract)?:|[/\\@.]", text):
                raise ValueError(self._system.lacks.get(UNIX_SOCKETS, _UNIX_SOCKET))
            raise ValueError("put an IPv6 address in brackets" if text.count(":") > 1 else "")
        port = int(match[3])
        if port > 65535:
            raise ValueError("a port is at most 65535")
        return Address(match[1] or match[2] or "", port)

    def native(self, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(f'write it as text: ":{value}"')  # noqa: TRY004  one kind of error for all
        return super().native(value)


class UrlPath(ValueKind):
    """The path of a page on the exporter's own web server."""

    placeholder = "/PATH"
    expects = "a path such as /metrics"

    def parse(self, text: str) -> str:
        if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", text):
            raise ValueError("/ is the status page" if text == "/" else "")
        if text.startswith(("//", "/-/")) or text.endswith("/"):
            raise ValueError("/-/ is taken by /-/healthy and /-/ready" if text.startswith("/-/") else "")
        return text


class Endpoint(ValueKind):
    """An OTLP receiver. Which forms there are, for flags and standard variables alike, :mod:`exporter.outputs` says."""

    placeholder = "URL"
    expects = "http://HOST:PORT, https://HOST:PORT or HOST:PORT"
    secret = True

    def parse(self, text: str) -> str:
        if not text or re.search(r"\s", text):
            raise ValueError
        if re.fullmatch(r"\d{1,5}", text, re.ASCII):
            raise ValueError(f"put the receiver's name before the port: localhost:{text}")
        if "@" in text.partition("?")[0]:
            raise ValueError("a name or password in a URL ends up in logs; use a header")
        return text

    def show(self, value: object) -> str:
        return without_secrets(str(value))


class Header(ValueKind):
    """``NAME=VALUE``, percent-encoded and separated by commas as in OTEL_EXPORTER_OTLP_HEADERS; repeatable.

    In TOML a table, taken as it is. Messages never repeat the text: it is usually a secret.
    """

    placeholder = "NAME=VALUE"
    expects = "NAME=VALUE"
    repeatable = True
    secret = True

    def parse(self, text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError("there is no = in it")
        return self._checked(unquote(name.strip()), unquote(value.strip()))

    def native(self, value: object) -> object:
        if isinstance(value, tuple):
            name, text = value
            if not isinstance(text, str):
                raise ValueError("write the value in quotes")  # noqa: TRY004  as above
            return self._checked(name, text)
        return super().native(value)

    def show(self, value: object) -> str:
        return f"{value[0]}=<hidden>" if isinstance(value, tuple) else "<hidden>"

    def _checked(self, name: str, value: str) -> tuple[str, str]:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError("the name is no HTTP header name")
        if not re.fullmatch(r"[\x20-\x7e\t]*", value):
            raise ValueError("the value holds characters that no header may hold")
        return name.lower(), value
