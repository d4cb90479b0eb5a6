"""Scenarios by their names: built-in ones, and those of users in TOML files.

::

    base = "steady"                     # a built-in scenario; what the file does not say is as there
    summary = "Balloon, then a move"

    [machine]                           # fields of Machine: vcpus, memory (MB), cpu_limit (MHz), …
    vcpus = 8

    [drive]                             # fields of Drive: what the physics follow, fractions of 0 to 1
    demand = [[0, 0.2], ["1m", 0.9]]

    [set]                               # any statistic, by catalogue key or id, in the host's unit, as given
    memory_ballooned = [[0, 0], [60, 2048]]                       # in a straight line
    cpu_limit = {steps = [[0, "unlimited"], [30, 1300]]}          # from one value to the next
    memory_swapped = {ramp = [[0, 0], [10, 512], [20, 0]], every = 20}   # again and again
    host_memory_used = false                                      # not valid

    [session]
    id = 18446744073709551615
    every = 30                          # or at = [10, 25]

    [host]                              # versions, statistics, refresh, host_info, encodings, json_list, secure_only,
    statistics = 30                     # privileged, disks, nics

    [ha]                                # fields of exporter.simulator.ha.MonitorOptions

    [[event]]
    at = "45s"
    do = "add-disk"
    what = "scsi0:2"

    [[fault]]
    kind = "disconnect"
    p = 0.1

Times are seconds, or texts such as "500ms", "90s", "5m", "1h".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from exporter import files
from exporter.errors import ConfigError, passing
from exporter.simulator import statistics, toml_values
from exporter.simulator.curves import Curve
from exporter.simulator.faults import Fault, near
from exporter.simulator.scenario import Drive, Scenario, ScenarioEvent
from exporter.simulator.scenarios import SCENARIOS

_TABLES = ("base", "summary", "machine", "drive", "set", "session", "host", "ha", "event", "fault")
_SESSION = ("id", "every", "at")
_EVENT = ("at", "do", "what")
_NEEDS_DEVICE = ("add-disk", "remove-disk", "add-nic", "remove-nic")

T = TypeVar("T")


def load(name: str) -> Scenario:
    """The built-in scenario of that name, else the one in the file of that name.

    Raises:
        ConfigError: neither; or everything that is wrong in the file.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    if "/" in name or "\\" in name or name.endswith(".toml"):
        return read(name)
    raise ConfigError(
        f"scenario {name!r}: no such one; {near(name, SCENARIOS)} (a file's name ends in .toml)"
    )


def read(path: str) -> Scenario:
    """The scenario in the file at ``path``.

    Raises:
        ConfigError: the file can't be read, or everything that is wrong in it, each with its key.
    """
    try:
        document = files.parse_toml(files.read_text(path))
    except OSError as error:
        raise ConfigError(passing(f"{path}: can't be read: {error.strerror}", error)) from error
    except ValueError as error:
        raise ConfigError(f"{path}: no TOML: {error}") from error
    return _Reader(path, document).scenario()


class _Reader:
    def __init__(self, path: str, document: Mapping[str, object]) -> None:
        self._path = path
        self._document = document
        self._problems: list[str] = []

    def scenario(self) -> Scenario:
        self._known("", self._document, _TABLES)
        base = self._base()
        session, host = self._table("session", _SESSION), self._table("host", toml_values.HOST)
        drive = {
            key: curve
            for key, raw in self._table("drive", Drive._fields).items()
            if (curve := self._value(f"drive.{key}", raw, toml_values.drive)) is not None
        }
        changes = tuple(
            ScenarioEvent(at, "session-change")
            for at in self._value(
                "session.at", session.get("at", []), toml_values.list_of(toml_values.duration)
            )
            or ()
        )
        changed: dict[str, Any] = {
            "name": Path(self._path).name.removesuffix(".toml"),
            "summary": self._value("summary", self._document.get("summary", base.summary), toml_values.text),
            "machine": self._dataclass("machine", base.machine),
            "drive": base.drive._replace(**drive),
            "set": {**base.set, **self._set()},
            "ha": self._dataclass("ha", base.ha),
            "events": (*base.events, *changes, *self._events()),
            "faults": (*base.faults, *self._faults()),
            "session_id": self._value(
                "session.id", session.get("id", base.session_id), toml_values.session_id
            ),
            "session_every": self._value(
                "session.every", session.get("every", base.session_every), toml_values.period
            ),
        }
        for key, raw in host.items():
            changed[key] = self._value(f"host.{key}", raw, toml_values.HOST[key])
        if self._problems:
            raise ConfigError(*self._problems)
        return replace(base, **changed)

    def _base(self) -> Scenario:
        name = self._value("base", self._document.get("base", "steady"), toml_values.text)
        found = SCENARIOS.get(name or "steady")
        if found is None:
            self._problem("base", f"no scenario {name!r}; {near(str(name), SCENARIOS)}")
        return found or SCENARIOS["steady"]

    def _dataclass(self, name: str, base: T) -> T:
        """A table whose keys are the fields of a dataclass; each keeps the type that it has in ``base``."""
        given = self._table(name, [field.name for field in fields(base)])  # type: ignore[arg-type]
        converted = {
            key: self._value(f"{name}.{key}", raw, toml_values.like(getattr(base, key)))
            for key, raw in given.items()
        }
        if any(value is None for value in converted.values()):
            return base
        try:
            return replace(base, **converted)  # type: ignore[type-var]
        except ConfigError as error:
            self._problems += [f"{self._path}: {problem}" for problem in error.problems]
            return base

    def _set(self) -> dict[int, Curve]:
        found: dict[int, Curve] = {}
        for key, raw in self._mapping("set", self._document.get("set", {})).items():
            curve = self._value(f"set.{key}", raw, toml_values.curve)
            if curve is not None:
                self._try("set", lambda: found.update(statistics.set_curves(key, curve)))  # noqa: B023  called at once
        return found

    def _events(self) -> list[ScenarioEvent]:
        found = []
        for number, table in enumerate(self._tables("event"), 1):
            name = f"event {number}"
            self._known(name, table, _EVENT)
            at = self._value(f"{name}.at", table.get("at"), toml_values.duration)
            do = self._value(f"{name}.do", table.get("do"), toml_values.event)
            what = self._value(f"{name}.what", table.get("what", ""), toml_values.text)
            if at is None or do is None or what is None:
                continue
            if do in _NEEDS_DEVICE and not what:
                self._problem(f"{name}.what", "expected the disk (scsi0:2) or the card's MAC")
            if do in ("host-restart", "pause") and what:
                what = str(self._value(f"{name}.what", what, toml_values.duration))
            found.append(ScenarioEvent(at, do, what))
        return found

    def _faults(self) -> list[Fault]:
        found: list[Fault] = []
        for number, table in enumerate(self._tables("fault"), 1):
            rest = dict(table)
            kind = self._value(f"fault {number}.kind", rest.pop("kind", None), toml_values.text)
            if kind is not None:
                self._try(f"fault {number}", lambda: found.append(Fault.of(kind, rest)))  # noqa: B023  called at once
        return found

    def _table(self, name: str, known: Iterable[str]) -> Mapping[str, object]:
        """The table ``name`` without its unknown keys, which are problems."""
        table = self._mapping(name, self._document.get(name, {}))
        return {key: table[key] for key in self._known(name, table, known)}

    def _mapping(self, name: str, value: object) -> Mapping[str, object]:
        if isinstance(value, dict):
            return value
        self._problem(name, f"expected a table; write [{name}] and its keys below")
        return {}

    def _tables(self, name: str) -> list[Mapping[str, object]]:
        value = self._document.get(name, [])
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return value
        self._problem(name, f"expected tables; write [[{name}]] above each")
        return []

    def _known(self, name: str, table: Mapping[str, object], known: Iterable[str]) -> list[str]:
        words = list(known)
        for key in table:
            if key not in words:
                self._problem(f"{name}.{key}" if name else key, f"no such key; {near(key, words)}")
        return [key for key in table if key in words]

    def _value(self, name: str, raw: object, convert: Callable[[object], T]) -> T | None:
        """``raw`` converted; None after telling of a problem."""
        try:
            return convert(raw)
        except toml_values.Wrong as wrong:
            given = "is missing" if raw is None else f"= {raw!r}"
            self._problem(f"{name} {given}", f"expected {wrong}")
            return None

    def _try(self, name: str, do: Callable[[], object]) -> None:
        try:
            do()
        except ConfigError as error:
            for problem in error.problems:
                self._problem(name, problem)

    def _problem(self, name: str, text: str) -> None:
        self._problems.append(f"{self._path}: {name}: {text}")
