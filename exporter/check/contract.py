"""What a VM was promised: rules in TOML, four that come with the program, and anybody's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from exporter import files
from exporter.check.measures import BY_KEY
from exporter.check.ranges import Range, parse
from exporter.errors import ConfigError

BUILT_IN = ("sap", "sql", "etcd", "voip")
_KEYS = {"key", "title", "warning", "critical", "why", "source"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one number is held against: one promise, ``source`` being where it is written, or a threshold without words."""

    key: str
    title: str = ""
    warning: Range | None = None
    critical: Range | None = None
    why: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    name: str
    rules: tuple[Rule, ...]


def load(profile: str) -> Contract:
    """A profile by its name, or a file.

    Raises:
        ConfigError: there is no such profile, or it can't be used; every problem is named.
    """
    if profile in BUILT_IN:
        text = (
            resources.files("exporter.check.profiles").joinpath(f"{profile}.toml").read_text(encoding="utf-8")
        )
        return read(text, profile)
    try:
        text = files.read_text(profile)
    except OSError as error:
        raise ConfigError(
            f"--profile={profile}: {error.strerror}; expected {', '.join(BUILT_IN)}, or a file (docs/terminal.md shows one)"
        ) from error
    return read(text, profile)


def read(text: str, where: str) -> Contract:
    """The contract that ``text`` spells; errors as :func:`load`."""
    try:
        content = files.parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    problems = [
        f"{where}: {key}: unknown; expected name and [[rule]]" for key in content.keys() - {"name", "rule"}
    ]
    rules: list[Rule] = []
    tables = content.get("rule")
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise ConfigError(*problems, f"{where}: there is no [[rule]]")
    for number, table in enumerate(tables, 1):
        try:
            rules.append(_rule(table))
        except ValueError as error:
            problems.append(f"{where}: rule {number}: {error}")
    if problems:
        raise ConfigError(*problems)
    return Contract(str(content.get("name", where)), tuple(rules))


def _rule(table: Mapping[str, Any]) -> Rule:
    if unknown := table.keys() - _KEYS:
        raise ValueError(f"{', '.join(sorted(unknown))}: unknown; expected {', '.join(sorted(_KEYS))}")
    key = table.get("key")
    if not isinstance(key, str) or key not in BY_KEY:
        raise ValueError(f"key = {key!r}: expected one of {', '.join(BY_KEY)}")
    if not table.keys() & {"warning", "critical"}:
        raise ValueError("expected warning or critical, a range")
    ranges = {name: parse(str(table[name])) if name in table else None for name in ("warning", "critical")}
    words = {name: str(table.get(name, "")) for name in ("title", "why", "source")}
    return Rule(key, words["title"], ranges["warning"], ranges["critical"], words["why"], words["source"])
