"""How a setting is written: one class per kind of value.

A kind turns text (flags and variables) or a TOML value into what the program uses, and back into text for
people. It raises ``ValueError`` with what is wrong beyond "expected …", or with nothing to add.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})


class Kind:
    """Text as it is."""

    expects = "text"
    """Completes the sentence "expected …"."""
    placeholder = "TEXT"
    """Stands for the value in the help."""
    repeatable = False
    """Whether several values make one setting; then :meth:`parse` and :meth:`native` return one of them."""

    def __init__(self, placeholder: str = "") -> None:
        if placeholder:
            self.placeholder = placeholder

    def parse(self, text: str) -> object:
        if not text:
            raise ValueError("it is empty")
        return text

    def native(self, value: object) -> object:
        """The same from a TOML value."""
        if isinstance(value, str):
            return self.parse(value)
        raise ValueError("write it in quotes")

    def split(self, text: str) -> list[str]:
        """The single values in one flag or variable, for a repeatable kind."""
        return [part.strip() for part in text.split(",") if part.strip()]

    def show(self, value: object) -> str:
        return str(value)


class Switch(Kind):
    """On or off; as a flag also ``--name`` and ``--no-name``."""

    expects = "true or false"
    placeholder = ""

    def parse(self, text: str) -> bool:
        word = text.lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise ValueError

    def native(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError("write it without quotes")

    def show(self, value: object) -> str:
        return "true" if value else "false"


class Choice(Kind):
    """One of a few words; ``aliases`` are other spellings, taken and not shown."""

    def __init__(self, *words: str, **aliases: str) -> None:
        self.words = words
        self._aliases = aliases
        self.expects = f"one of {', '.join(words)}"
        self.placeholder = "|".join(words)

    def parse(self, text: str) -> str:
        word = self._aliases.get(text, text)
        if word in self.words:
            return word
        raise ValueError


class Duration(Kind):
    """A time span with its unit; seconds as a float. ``reason`` says why the bounds are where they are."""

    placeholder = "DURATION"

    def __init__(self, minimum: float, maximum: float, reason: str = "") -> None:
        self._minimum, self._maximum, self._reason = minimum, maximum, reason
        self.expects = f"a duration between {self.show(minimum)} and {self.show(maximum)}"

    def parse(self, text: str) -> float:
        if not _DURATION.fullmatch(text):
            bare = re.fullmatch(r"\d+(?:\.\d+)?", text)
            raise ValueError(
                f"it needs a unit: {text}s" if bare else "it is written like 5s, 100ms, 1h or 1m30s"
            )
        # Rounded to the microsecond, so that 100ms is the 0.1 that the bounds are written in.
        seconds = round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), 6)
        if not self._minimum <= seconds <= self._maximum:
            raise ValueError(self._reason)
        return seconds

    def native(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f'it needs quotes and a unit: "{value}s"')  # noqa: TRY004  one kind of error for all
        return self.parse(str(value))

    def show(self, value: object) -> str:
        left = round(float(str(value)) * 1000)
        parts = []
        for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"


class Whole(Kind):
    """A whole number."""

    placeholder = "N"

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum, self._maximum = minimum, maximum
        self.expects = f"a whole number between {minimum} and {maximum}"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
            raise ValueError
        return self._bounded(int(text))

    def native(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return self._bounded(value)
        raise ValueError("write it without quotes" if isinstance(value, str) else "")

    def _bounded(self, value: int) -> int:
        if self._minimum <= value <= self._maximum:
            return value
        raise ValueError


class Factor(Kind):
    """A positive number."""

    placeholder = "X"

    def __init__(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = minimum, maximum
        self.expects = f"a number between {minimum:g} and {maximum:g}"

    def parse(self, text: str) -> float:
        if not re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
            raise ValueError
        return self._bounded(float(text))

    def native(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._bounded(float(value))
        raise ValueError("write it without quotes" if isinstance(value, str) else "")

    def show(self, value: object) -> str:
        return f"{value:g}"

    def _bounded(self, value: float) -> float:
        if self._minimum <= value <= self._maximum:
            return value
        raise ValueError


class Location(Kind):
    """A path that need not exist yet: a socket, a lock."""

    placeholder = "PATH"
    expects = "a path"

    def parse(self, text: str) -> str:
        if "\0" in text or not text:
            raise ValueError("a path has at least one character and no NUL")
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
    """A file that must be readable now: found at start, not at the first certificate rotation at night."""

    placeholder = "FILE"
    expects = "a readable file"

    def parse(self, text: str) -> str:
        path = super().parse(text)
        if os.path.isdir(path):  # noqa: PTH112  pathlib is 3 ms of start-up that nothing else here needs
            raise ValueError("this is a folder")
        try:
            os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
        except OSError as error:
            raise ValueError(error.strerror) from error
        return path


class Address(NamedTuple):
    """Where to listen. An empty host means every address of the machine; port 0, one that the system picks."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ListenAddress(Kind):
    """``HOST:PORT``, ``:PORT`` or ``[IPV6]:PORT``; repeatable."""

    placeholder = "HOST:PORT"
    expects = "HOST:PORT, :PORT or [IPV6]:PORT"
    repeatable = True

    def parse(self, text: str) -> Address:
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s\[\]:/]*)):(\d{1,5})", text, re.ASCII)
        if not match:
            if re.fullmatch(r"\d{1,5}", text, re.ASCII):
                raise ValueError(f"put a colon before the port: :{text}")
            raise ValueError("put an IPv6 address in brackets" if text.count(":") > 1 else "")
        port = int(match[3])
        if port > 65535:
            raise ValueError("a port is at most 65535")
        return Address(match[1] or match[2] or "", port)


class UrlPath(Kind):
    """The path of a page on the exporter's own web server."""

    placeholder = "/PATH"
    expects = "a path such as /metrics"

    def parse(self, text: str) -> str:
        if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", text):
            raise ValueError("/ is the status page" if text == "/" else "")
        if text.startswith(("//", "/-/")) or text.endswith("/"):
            raise ValueError("/-/ is taken by /-/healthy and /-/ready" if text.startswith("/-/") else "")
        return text


class Endpoint(Kind):
    """An OTLP receiver. Which of the forms fits depends on the protocol; :mod:`exporter.outputs` decides."""

    placeholder = "URL"
    expects = "http://HOST:PORT, https://HOST:PORT or HOST:PORT"

    def parse(self, text: str) -> str:
        match = re.fullmatch(
            r"(?:(https?)://)?([^\s/?#@]*@)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@]+)(?::(\d{1,5}))?(/[^\s?#]*)?",
            text,
            re.IGNORECASE | re.ASCII,
        )
        if not match:
            raise ValueError
        scheme, login, _host, port, path = match.groups()
        if login:
            raise ValueError("a name or password in a URL ends up in logs; use a header")
        if not scheme and (port is None or path):
            raise ValueError("without http:// or https:// it is HOST:PORT alone")
        if port is not None and not 1 <= int(port) <= 65535:
            raise ValueError("a port is between 1 and 65535")
        return text


class Header(Kind):
    """``NAME=VALUE``, percent-encoded and separated by commas as in OTEL_EXPORTER_OTLP_HEADERS; repeatable.

    In TOML a table, taken as it is. Messages never repeat the text: it is usually a secret.
    """

    placeholder = "NAME=VALUE"
    expects = "NAME=VALUE"
    repeatable = True

    def parse(self, text: str) -> tuple[str, str]:
        from urllib.parse import unquote

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
