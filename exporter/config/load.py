"""Three sources to one checked :class:`Settings`; whatever is wrong is reported in one go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from exporter.config import rules, toml, variables
from exporter.config.given import Given, in_order
from exporter.config.settings import BY_NAME, GROUPS, RawTable, Settings
from exporter.errors import ConfigError, passing
from exporter.machine.system import HERE, System

PartsCheck = Callable[[Settings, Mapping[str, str], Collection[str]], Iterable[str]]


def load(
    flags: Iterable[Given] = (),
    environ: Mapping[str, str] | None = None,
    problems: Sequence[str] = (),
    used: Collection[str] = (),
    *,
    meant: Collection[str] = (),
    check: PartsCheck | None = None,
    wrong: bool = False,
    system: System = HERE,
) -> Settings:
    """Build the settings: ``flags`` win over ``environ``, that wins over the file that either names.

    ``problems`` are those that reading the command line has already found, and ``meant`` the settings that flags which
    don't exist may have meant; ``used`` names settings that have an effect without what they need elsewhere. ``check``
    tells what the parts of the program would find wrong; it is asked where something else is, here or (``wrong``) in what
    the caller has found, and given the names of the settings whose values can't be known. ``system``: the one that may
    lack what a setting needs.

    Raises:
        ConfigError: with every problem of every source, the outvoted ones too, in the order of where they come from.
    """
    environ = environ or {}
    found = _Sources(problems)
    found.add(flags, (), meant)
    found.add(*variables.read(environ))
    tables: Mapping[str, tuple[RawTable, ...]] = {}
    if "config.file" in found.unread:
        found.add((), (), BY_NAME)  # It may say anything.
    elif isinstance(file := found.values.get("config.file"), str):
        contents = toml.read(file)
        found.add(contents.given, contents.problems, contents.meant)
        tables = contents.tables
    settings = _build(found.values, tables)
    given = {*found.named, *tables}
    found.problems += rules.contradictions(settings, environ, given, system, used, found.unread)
    if (found.problems or wrong) and check is not None:
        found.problems += check(settings, environ, found.unread)
    if found.problems:
        raise ConfigError(*in_order(found.problems))
    return settings


class _Sources:
    """What the sources give, the strongest first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.values: dict[str, object] = {}
        self.named: set[str] = set()
        """Names of those that were given, with whatever value."""
        self.problems = [*problems]
        self.unread: set[str] = set()
        """Names of those whose value can't be known: what follows from it is neither right nor wrong."""

    def add(self, given: Iterable[Given], problems: Iterable[str], meant: Iterable[str]) -> None:
        given = [*given]
        self.named |= {each.option.name for each in given}
        values, wrong, more = _parse(given)
        self.problems += [*problems, *more]
        self.unread |= (wrong | {*meant}) - {*self.values}
        self.values = values | self.values


def _parse(given: Iterable[Given]) -> tuple[dict[str, object], set[str], list[str]]:
    """Values by dotted name, names of what can't be read, and problems. Of a setting given twice the last one counts;
    repeatable ones add up.
    """
    values: dict[str, object] = {}
    wrong = set()
    problems = []
    for each in given:
        kind = each.option.kind
        try:
            if not kind.repeatable:
                values[each.option.name] = kind.native(each.raw) if each.native else kind.parse(str(each.raw))
                continue
            # Nothing at all is one part that is empty, and refused as such.
            items = (
                [kind.native(each.raw)]
                if each.native
                else [kind.parse(part) for part in kind.split(str(each.raw)) or [""]]
            )
        except ValueError as error:
            wrong.add(each.option.name)
            problems.append(passing(each.problem(str(error)), error.__cause__))
            continue
        before = values.get(each.option.name, ())
        values[each.option.name] = (*before, *items) if isinstance(before, tuple) else tuple(items)
    return values, wrong, problems


def _build(values: Mapping[str, object], tables: Mapping[str, tuple[RawTable, ...]]) -> Settings:
    groups: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        row = BY_NAME[name]
        groups.setdefault(row.group, {})[row.field] = value
    for name, rows in tables.items():
        group, _, last = name.partition(".")
        groups.setdefault(group, {})[f"{last}s"] = rows
    fields: dict[str, Any] = groups.pop("", {})
    fields |= {name: GROUPS[name](**inner) for name, inner in groups.items()}
    return Settings(**fields, given=frozenset(values))
