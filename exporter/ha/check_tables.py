"""The ``[[ha.check]]`` tables of the settings file as checks; whatever is wrong is told with file, line and key.

::

    [[ha.check]]
    name = "shop"                 # label of vmguest_ha_check_healthy
    type = "http"                 # http, tcp, command, systemd, file
    url = "http://127.0.0.1:8080/health"
    interval = "10s"              # these four for every type, with these defaults
    timeout = "5s"
    failures = 3
    successes = 1
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from exporter.config.settings import RawTable
from exporter.config.values import Duration, Whole
from exporter.errors import ConfigError
from exporter.ha import checks
from exporter.ha.watch import Probe, Rhythm, Watch

OWN = ("poll", "web")
"""Names of the exporter's own two checks."""

_HOUR = 3600.0
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Read = Callable[[object], Any]
"""A TOML value to what the check takes; ValueError says what is expected."""


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError("expected text in quotes")


def _name(value: object) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value) and value not in OWN:
        return value
    raise ValueError(
        f"expected letters, digits, '_', '.' and '-', 64 at most, and neither of {', '.join(OWN)}"
    )


def _duration(minimum: float, maximum: float) -> Read:
    kind = Duration(minimum, maximum)

    def read(value: object) -> float:
        try:
            return kind.native(value)
        except ValueError as error:
            raise ValueError(f"expected {kind.expects}{f'; {error}' if str(error) else ''}") from error

    return read


def _count(maximum: int) -> Read:
    kind = Whole(1, maximum)

    def read(value: object) -> int:
        try:
            return kind.native(value)
        except ValueError as error:
            raise ValueError(f"expected {kind.expects}") from error

    return read


def _url(value: object) -> str:
    try:
        parts = urlsplit(_text(value))
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if good:
        return str(value)
    raise ValueError('expected an address such as "http://127.0.0.1:8080/health"')


def _statuses(value: object) -> list[int]:
    given = value if isinstance(value, list) else [value]
    numbers = [each for each in given if isinstance(each, int) and 100 <= each <= 599]
    if numbers and len(numbers) == len(given):
        return numbers
    raise ValueError("expected a status such as 200, or a list of them")


def _pattern(value: object) -> str:
    try:
        re.compile(_text(value).encode())
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    return str(value)


def _arguments(value: object) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value) and value[0]:
        return value
    raise ValueError(
        'expected a list, program first, such as ["/usr/bin/pg_isready", "-q"]; there is no shell'
    )


_COMMON: Mapping[str, Read] = {
    "interval": _duration(1.0, _HOUR),
    "timeout": _duration(0.1, 300.0),
    "failures": _count(1000),
    "successes": _count(1000),
}

_TYPES: Mapping[str, tuple[Callable[..., Probe], Mapping[str, Read], Mapping[str, Read]]] = {
    "http": (checks.http, {"url": _url}, {"status": _statuses, "body": _pattern}),
    "tcp": (checks.tcp, {"host": _text, "port": _count(65535)}, {}),
    "command": (checks.command, {"arguments": _arguments}, {}),
    "systemd": (checks.systemd, {"unit": _text}, {}),
    "file": (checks.file, {"path": _text}, {"max_age": _duration(1.0, 30 * 24 * _HOUR)}),
}
"""Type -> what makes its probe, keys it must have, keys it may have; both are the maker's arguments."""


def read(tables: Iterable[RawTable]) -> list[Watch]:
    """The checks, not started yet.

    Raises:
        ConfigError: with every problem of every table.
    """
    problems: list[str] = []
    watches: dict[str, Watch] = {}
    for table in tables:
        watch = _read_one(table, problems)
        if watch is None:
            continue
        if watch.name in watches:
            problems.append(
                f"{table.where('name')}: name: {watch.name!r} stands twice; each check needs its own"
            )
        watches[watch.name] = watch
    if problems:
        raise ConfigError(*problems)
    return list(watches.values())


def _read_one(table: RawTable, problems: list[str]) -> Watch | None:
    """One table as a check, or None with what is wrong added to ``problems``."""
    before = len(problems)
    kind = table.values.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        problems.append(f"{table.where('type')}: type: expected one of {', '.join(_TYPES)}")
        return None
    make, needed, possible = _TYPES[kind]
    known: dict[str, Read] = {"type": _text, "name": _name, **needed, **possible, **_COMMON}
    values: dict[str, Any] = {}
    for key, value in table.values.items():
        reader = known.get(key)
        if reader is None:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            problems.append(f"{table.where(key)}: {key}: no such key for type {kind!r}; {hint}")
            continue
        try:
            values[key] = reader(value)
        except ValueError as error:
            problems.append(f"{table.where(key)}: {key}: {error}")
    problems += [
        f"{table.where()}: {key}: missing; a check of type {kind!r} needs it"
        for key in ("name", *needed)
        if key not in table.values
    ]
    if len(problems) > before:
        return None
    rhythm = Rhythm(**{key: values[key] for key in _COMMON if key in values})
    return Watch(
        values["name"], make(**{key: values[key] for key in (*needed, *possible) if key in values}), rhythm
    )
