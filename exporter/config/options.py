"""The row of a setting, and how flag, variable and TOML key follow from its dotted name."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, dataclass_transform

from exporter.config.values import Kind

PREFIX = "VMGUEST_"


class Row(NamedTuple):
    """What a setting's author writes down; ``value`` is the default ready for use."""

    value: object
    default: str
    kind: Kind
    help: str
    name: str
    flag: str


class Option(NamedTuple):
    """A row in its place. ``name`` is the dotted name that everything else follows from: ``poll.interval``."""

    name: str
    group: str
    """Field of :class:`exporter.config.Settings` that holds it; empty for a setting of no group."""
    field: str
    kind: Kind
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


def option(
    kind: Kind, text: str, *, default: str | None, name: str = "", flag: str = "", unset: str = ""
) -> Any:
    """One setting, as the default of a field of a :class:`Group`.

    ``default`` is written as a user would. None: no value, and ``unset`` says what happens then. ``name`` is
    the last part of the dotted name where it is not the field's; ``flag`` replaces the whole of it.
    """
    value = None if default is None else kind.parse(default)
    if kind.repeatable:
        value = () if value is None else (value,)
    return Row(value, unset if default is None else default, kind, text, name, flag)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
class Group:  # noqa: PLW1641  some hold tables, which have no hash
    """Frozen values with defaults: to the type checker and the reader a frozen, keyword-only dataclass.

    The standard one compiles some six methods per class: 12 ms for these dozen classes, a tenth of the time
    that the whole program may take until its first scrape.
    """

    rows: ClassVar[dict[str, Row]]
    _defaults: ClassVar[dict[str, object]]

    def __init_subclass__(cls) -> None:
        names = [name for name in cls.__annotations__ if name in cls.__dict__]
        cls.rows = {name: each for name in names if isinstance(each := cls.__dict__[name], Row)}
        cls._defaults = {name: getattr(cls.rows.get(name), "value", cls.__dict__[name]) for name in names}

    def __init__(self, **values: object) -> None:
        if unknown := values.keys() - self._defaults.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        self.__dict__.update(self._defaults | values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __repr__(self) -> str:
        """Secrets hidden: a repr ends up in logs and tracebacks."""
        shown = (f"{name}={self.show(name) or value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def show(self, name: str) -> str:
        """One value as a user would write it, secrets hidden; empty where there is none."""
        row, value = self.rows.get(name), self.__dict__[name]
        if row is None or value is None:
            return ""
        return ",".join(map(row.kind.show, value)) if row.kind.repeatable else row.kind.show(value)

    @classmethod
    def options(cls, group: str = "") -> list[Option]:
        """The options among the fields, ``group`` being the name of this one in the whole."""
        found = []
        for field, row in cls.rows.items():
            last = row.name or field.replace("_", "-")
            name = f"{group}.{last}" if group else last
            found.append(Option(name, group, field, row.kind, row.help, row.default, row.flag or name))
        return found
