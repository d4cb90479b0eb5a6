"""A setting is a field of a dataclass; flag, variable and TOML key follow from its dotted name."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from exporter.config.values import ValueKind

PREFIX = "VMGUEST_"

_METADATA = "option"


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What a setting's author writes down, in the metadata of the field."""

    kind: ValueKind
    help: str
    default: str
    name: str
    flag: str


@dataclass(frozen=True)
class Option:
    """A setting in its place. ``name`` is the dotted name that everything else follows from: ``poll.interval``."""

    name: str
    group: str
    """Field of :class:`exporter.config.Settings` that holds it; empty for a setting of no group."""
    field: str
    kind: ValueKind
    help: str
    default: str
    """As one would write it; of a setting without a value, what happens then."""
    word: str
    """The flag without its dashes; differs from the name where people expect a shorter one (``--no-web``)."""

    @property
    def flag(self) -> str:
        return f"--{self.word}"

    @property
    def negative(self) -> str:
        """``--no-…``; of a switch only."""
        return f"--no-{self.word}"

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper().replace(".", "_").replace("-", "_")

    def show(self, value: object) -> str:
        """A value of this setting as a user would write it, secrets hidden; empty where there is none."""
        if value is None:
            return ""
        if isinstance(value, tuple) and self.kind.repeatable:
            return ",".join(map(self.kind.show, value))
        return self.kind.show(value)


def option(
    kind: ValueKind, text: str, *, default: str | None, name: str = "", flag: str = "", unset: str = ""
) -> Any:
    """One setting: the field of a dataclass, read back by :func:`options`.

    ``default`` is written as a user would. None: no value, and ``unset`` says what happens then. ``name`` is
    the last part of the dotted name where it is not the field's; ``flag`` replaces the whole of it.
    """
    value = None if default is None else kind.parse(default)
    if kind.repeatable:
        value = () if value is None else (value,)
    row = _Row(kind=kind, help=text, default=unset if default is None else default, name=name, flag=flag)
    # A repr ends up in logs and tracebacks.
    return field(default=value, metadata={_METADATA: row}, repr=not kind.secret)


def options(group_type: type, group: str = "") -> list[Option]:
    """The options among the fields of a dataclass, ``group`` being its name in the whole."""
    found = []
    for each in fields(group_type):
        row = each.metadata.get(_METADATA)
        if row is None:
            continue
        last = row.name or each.name.replace("_", "-")
        name = f"{group}.{last}" if group else last
        found.append(Option(name, group, each.name, row.kind, row.help, row.default, row.flag or name))
    return found
