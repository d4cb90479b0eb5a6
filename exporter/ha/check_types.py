"""The ``[[ha.check]]`` tables of the settings file as checks; whatever is wrong is told with file, line and key.

::

    [[ha.check]]
    name = "shop"                 # label of vmguest_ha_check_healthy
    type = "http"                 # one of TYPES
    url = "http://127.0.0.1:8080/health"
    interval = "10s"              # these four for every type, with these defaults
    timeout = "5s"
    failures = 3
    successes = 1
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from exporter.config.settings import RawTable
from exporter.config.values import Duration, Whole
from exporter.errors import ConfigError
from exporter.ha import checks
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import CheckTiming
from exporter.ha.look import Probe
from exporter.ha.running_clock import RunningClock

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
    numbers = [each for each in given if isinstance(each, int) and 200 <= each <= 599]
    if numbers and len(numbers) == len(given):
        return numbers
    raise ValueError("expected a status such as 200, or a list of them; 200 to 599")


def _pattern(value: object) -> str:
    try:
        re.compile(_text(value))
    except (re.error, OverflowError) as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("expected a regular expression: this one is nested too deeply") from error
    return str(value)


def _arguments(value: object) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value) and value[0]:
        return value
    raise ValueError(
        'expected a list, program first, such as ["/usr/bin/pg_isready", "-q"]; there is no shell'
    )


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a ``[[ha.check]]`` table. ``default``: what holds without it, in words; empty where it must be there."""

    name: str
    read: Read
    help: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class CheckType:
    """One type of check. ``make`` makes its probe; the keys are the arguments of ``make``."""

    name: str
    make: Callable[..., Probe]
    help: str
    keys: tuple[Key, ...]
    clock: bool = False
    """Whether ``make`` takes the clock that checks count their time by: of time in which the machine ran."""


_TIMING = CheckTiming()

COMMON: tuple[Key, ...] = (
    Key(
        "interval",
        _duration(1.0, _HOUR),
        "Time between two looks; 5s at most while the check is bad.",
        f"{_TIMING.interval:g}s",
    ),
    Key("timeout", _duration(0.1, 300.0), "Time for one look, everything included.", f"{_TIMING.timeout:g}s"),
    Key("failures", _count(1000), "Failed looks one after another until it is bad.", f"{_TIMING.failures}"),
    Key("successes", _count(1000), "Good looks one after another until it is good.", f"{_TIMING.successes}"),
)
"""Of every type: the fields of :class:`~exporter.ha.check_runner.CheckTiming`."""

TYPES: tuple[CheckType, ...] = (
    CheckType("http", checks.http, "A GET is answered as expected. Redirects are not followed.", (
        Key("url", _url, "http or https; certificates are verified."),
        Key("status", _statuses, "A status or a list of them.", "200"),
        Key("body", _pattern, "Regular expression that is somewhere in the first 64 KiB of the body, read as UTF-8.", "anything"),
    )),
    CheckType("tcp", checks.tcp, "Something takes a connection.", (
        Key("host", _text, "Name or address."),
        Key("port", _count(65535), "1 to 65535."),
    )),
    CheckType("command", checks.command, "A program ends with status 0. What it prints is not read.", (
        Key("arguments", _arguments, "List, the program first. There is no shell."),
    )),
    CheckType("systemd", checks.systemd, "A unit is active.", (
        Key("unit", _text, "Its name, such as postgresql.service."),
    )),
    CheckType("file", checks.file, "A file exists, and is being written to.", (
        Key("path", _text, "The file."),
        Key("max_age", _duration(1.0, 30 * 24 * _HOUR), "It was seen to change within this time.", "no limit"),
    ), clock=True),
)  # fmt: skip

_BY_NAME = {row.name: row for row in TYPES}


def rows() -> list[tuple[str, str, str, str]]:
    """Type, key, default and meaning, for the documents."""
    found = [("every type", key.name, key.default, key.help) for key in COMMON]
    for row in TYPES:
        found += [(row.name, key.name, key.default or "needed", key.help) for key in row.keys]
    return found


def read(tables: Iterable[RawTable], clock: RunningClock) -> list[CheckRunner]:
    """The checks, not started yet; they count their time by ``clock``.

    Raises:
        ConfigError: with every problem of every table.
    """
    problems: list[str] = []
    runners: dict[str, CheckRunner] = {}
    for table in tables:
        runner = _read_one(table, problems, clock)
        if runner is None:
            continue
        if runner.name in runners:
            problems.append(
                f"{table.where('name')}: name: {runner.name!r} stands twice; each check needs its own"
            )
        runners[runner.name] = runner
    if problems:
        raise ConfigError(*problems)
    return list(runners.values())


def _read_one(table: RawTable, problems: list[str], clock: RunningClock) -> CheckRunner | None:
    """One table as a check, or None with what is wrong added to ``problems``."""
    before = len(problems)
    kind = table.values.get("type")
    if not isinstance(kind, str) or kind not in _BY_NAME:
        problems.append(f"{table.where('type')}: type: expected one of {', '.join(_BY_NAME)}")
        return None
    row = _BY_NAME[kind]
    readers: dict[str, Read] = {"type": _text, "name": _name}
    readers |= {key.name: key.read for key in (*row.keys, *COMMON)}
    values: dict[str, Any] = {}
    for key, value in table.values.items():
        reader = readers.get(key)
        if reader is None:
            near = difflib.get_close_matches(key, readers, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(readers)}"
            problems.append(f"{table.where(key)}: {key}: no such key for type {kind!r}; {hint}")
            continue
        try:
            values[key] = reader(value)
        except ValueError as error:
            problems.append(f"{table.where(key)}: {key}: {error}")
    needed = ("name", *(key.name for key in row.keys if not key.default))
    problems += [
        f"{table.where()}: {key}: missing; a check of type {kind!r} needs it"
        for key in needed
        if key not in table.values
    ]
    if len(problems) > before:
        return None
    timing = CheckTiming(**{key.name: values[key.name] for key in COMMON if key.name in values})
    arguments = {key.name: values[key.name] for key in row.keys if key.name in values}
    # Hashed: an address may hold a password.
    of = sha256(repr((row.name, sorted(arguments.items()))).encode()).hexdigest()[:16]
    if row.clock:
        arguments["clock"] = clock
    return CheckRunner(values["name"], row.make(**arguments), timing, clock, of)
