"""Three sources to one checked :class:`Settings`; whatever is wrong is reported in one go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from exporter.config import rules, toml, variables
from exporter.config.given import Given
from exporter.config.settings import BY_NAME, GROUPS, RawTable, Settings
from exporter.errors import ConfigError, passing


def load(
    flags: Iterable[Given] = (),
    environ: Mapping[str, str] | None = None,
    problems: Sequence[str] = (),
    used: Collection[str] = (),
) -> Settings:
    """Build the settings: ``flags`` win over ``environ``, that wins over the file that either names.

    ``problems`` are those that reading the command line has already found; ``used`` names settings that have an effect
    without what they need elsewhere.

    Raises:
        ConfigError: with every problem of every source, the outvoted ones too.
    """
    environ = environ or {}
    found = [*problems]
    from_environ, more = variables.read(environ)
    found += more
    values, more = _parse([*flags])
    found += more
    outer, more = _parse(from_environ)
    found += more
    values = outer | values
    tables: Mapping[str, tuple[RawTable, ...]] = {}
    file = values.get("config.file")
    if isinstance(file, str):
        contents = toml.read(file)
        inner, more = _parse(contents.given)
        found += [*contents.problems, *more]
        values = inner | values
        tables = contents.tables
    settings = _build(values, tables)
    # Contradictions between values make sense only where each value does.
    found += [] if found else rules.contradictions(settings, environ, {*values, *tables}, used=used)
    if found:
        raise ConfigError(*found)
    return settings


def _parse(given: Iterable[Given]) -> tuple[dict[str, object], list[str]]:
    """Values by dotted name, and problems. Of a setting given twice the last one counts; repeatable ones add up."""
    values: dict[str, object] = {}
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
            problems.append(passing(each.problem(str(error)), error.__cause__))
            continue
        before = values.get(each.option.name, ())
        values[each.option.name] = (*before, *items) if isinstance(before, tuple) else tuple(items)
    return values, problems


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
    return Settings(**fields)
