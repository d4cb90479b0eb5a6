r"""How a host fails: rules as rows, each with a probability or a number of times, counted, and seeded.

On a command line a rule is ``KIND[:NAME=VALUE]…``, in a scenario file a ``[[fault]]`` table with the same names:

    disconnect:p=0.1                      one call in ten, the connection breaks before the reply
    error:text=disabled:times=3           the first three calls are refused with this text
    delay:seconds=5:skip=10:on=GuestAppMonitor

``p`` probability (1) · ``times`` at most so often (no bound) · ``skip`` the first so many calls · ``on`` only
commands that begin so. A colon inside a text is written ``\:``. The kinds are :data:`KINDS`.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum

from exporter.errors import ConfigError


class Stage(Enum):
    """Where in the answering of a call a fault takes hold."""

    CONNECT = "connect"
    BEFORE = "before"
    """Instead of, or ahead of, the reply."""
    REFUSAL = "refusal"
    STATISTICS = "statistics"
    """The data of a V3 reply."""
    PACKET = "packet"


@dataclass(frozen=True)
class FaultKind:
    """``on`` is the default of the rule's; ``text``, ``seconds`` and ``bytes`` are defaults where they apply."""

    stage: Stage
    summary: str
    on: str = ""
    text: str | None = None
    seconds: float | None = None
    bytes: int | None = None


_V3 = "guestlib.info.get 3"
_LIBRARY = "with VMware's library: "

KINDS: Mapping[str, FaultKind] = {
    "refuse": FaultKind(Stage.CONNECT, "the connection is refused (over a unix socket: closed at once)"),
    "disconnect": FaultKind(Stage.BEFORE, "the connection breaks before the reply"),
    "delay": FaultKind(Stage.BEFORE, "the reply comes later by `seconds` (1)", seconds=1.0),
    "truncate": FaultKind(
        Stage.PACKET, "`bytes` of the reply (0: half of it), then the connection breaks", bytes=0
    ),
    "corrupt": FaultKind(Stage.PACKET, "`bytes` (1) of the reply, length apart, have another value", bytes=1),
    "no-status": FaultKind(Stage.PACKET, "a reply that begins neither with '1 ' nor with '0 '"),
    "error": FaultKind(Stage.REFUSAL, "the command is refused with `text` (disabled)", text="disabled"),
    "unknown-command": FaultKind(Stage.REFUSAL, "the host has no such command", text="Unknown command"),
    "unsupported-version": FaultKind(
        Stage.REFUSAL, "the host has no V3 statistics", on=_V3, text="Unsupported version"
    ),
    "version-4": FaultKind(Stage.STATISTICS, "the reply to version 3 says that it is version 4", on=_V3),
    "session-zero": FaultKind(Stage.STATISTICS, "session id 0, which means that there is no data", on=_V3),
    "short-header": FaultKind(Stage.STATISTICS, "a reply of three bytes", on=_V3),
    "empty-body": FaultKind(
        Stage.STATISTICS, f"a header without statistics; {_LIBRARY}its process dies", on=_V3
    ),
    "cut-list": FaultKind(
        Stage.STATISTICS, f"the list ends early; {_LIBRARY}success without a value", on=_V3
    ),
    "out-of-order": FaultKind(
        Stage.STATISTICS, f"statistics 1 and 2 changed places; {_LIBRARY}success without a value", on=_V3
    ),
    "huge-size": FaultKind(
        Stage.STATISTICS, f"the header announces 2 GiB; {_LIBRARY}it reads past the reply", on=_V3
    ),
    "future-list": FaultKind(
        Stage.STATISTICS, "two statistics more than anybody knows; no fault, in fact: a newer host", on=_V3
    ),
    "growing-path": FaultKind(
        Stage.STATISTICS,
        f"a resource pool path 16 bytes longer at each call; {_LIBRARY}it writes past its memory",
        on=_V3,
    ),
}


@dataclass(frozen=True)
class Fault:
    """One rule. Values of None are those of its kind."""

    kind: str
    p: float = 1.0
    times: int | None = None
    skip: int = 0
    on: str | None = None
    text: str | None = None
    seconds: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        row = KINDS.get(self.kind)
        if row is None:
            raise ConfigError(f"fault {self.kind!r}: no such kind; {near(self.kind, KINDS)}")
        problems = []
        if not 0 <= self.p <= 1:
            problems.append(f"fault {self.kind}: p = {self.p:g}: expected a probability from 0 to 1")
        for name in ("times", "skip", "seconds", "bytes"):
            value = getattr(self, name)
            if value is not None and value < 0:
                problems.append(f"fault {self.kind}: {name} = {value:g}: expected 0 or more")
        for name in ("text", "seconds", "bytes"):
            default = getattr(row, name)
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
            elif default is None:
                problems.append(f"fault {self.kind}: {name} means nothing to this kind")
        if problems:
            raise ConfigError(*problems)
        if self.on is None:
            object.__setattr__(self, "on", row.on)

    @property
    def stage(self) -> Stage:
        return KINDS[self.kind].stage

    @classmethod
    def parse(cls, rule: str) -> Fault:
        """A rule of the command line.

        Raises:
            ConfigError: what is wrong with it, and what was expected.
        """
        kind, *parts = (part.replace("\\:", ":") for part in re.split(r"(?<!\\):", rule))
        fields: dict[str, object] = {}
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals:
                raise ConfigError(f"fault {rule!r}: {part!r} stands where NAME=VALUE is expected")
            fields[name.strip()] = value
        return cls.of(kind.strip(), fields)

    @classmethod
    def of(cls, kind: str, fields: Mapping[str, object]) -> Fault:
        """A rule from names and values; numbers may be given as text.

        Raises:
            ConfigError: every value that can't be used.
        """
        problems = []
        values: dict[str, int | float | str] = {}
        for name, raw in fields.items():
            convert = _FIELDS.get(name)
            if convert is None:
                problems.append(f"fault {kind}: {name!r}: no such name; {near(name, _FIELDS)}")
                continue
            value = _converted(raw, convert)
            if value is None:
                problems.append(f"fault {kind}: {name} = {raw!r}: expected {_EXPECTED[convert]}")
            else:
                values[name] = value
        if problems:
            raise ConfigError(*problems)
        return cls(kind, **values)  # type: ignore[arg-type]  # converted by _FIELDS


_FIELDS: Mapping[str, type[int | float | str]] = {
    "p": float,
    "times": int,
    "skip": int,
    "on": str,
    "text": str,
    "seconds": float,
    "bytes": int,
}
_EXPECTED = {int: "a whole number", float: "a number", str: "a text"}


def _converted(raw: object, convert: type[int | float | str]) -> int | float | str | None:
    """``raw`` as a number or text, None where it isn't one; 2.5 is no whole number."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        value = convert(raw)
    except ValueError:
        return None
    return value if isinstance(raw, str) or convert is str or value == raw else None


def near(word: str, known: Iterable[str]) -> str:
    """``did you mean …?`` where a known word is near, else all of them."""
    words = list(known)
    # Dashes and underscores are what people mix up.
    plain = {each.replace("_", "-"): each for each in words}
    found = [plain[each] for each in get_close_matches(word.lower().replace("_", "-"), plain, 3, 0.6)]
    if found:
        return f"did you mean {' or '.join(found)}?"
    return f"expected one of {', '.join(words)}"


@dataclass
class FaultRule:
    """A fault at work. ``seen`` counts the calls that it is about, ``fired`` those that it spoiled."""

    fault: Fault
    seen: int = 0
    fired: int = 0


@dataclass
class FaultRules:
    """The rules of one host. Safe to use from several threads."""

    rules: list[FaultRule]
    random: random.Random
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, faults: Iterable[Fault], seed: int = 0) -> FaultRules:
        return cls([FaultRule(fault) for fault in faults], random.Random(seed))  # noqa: S311  to be foreseen is its purpose

    def fire(self, command: str = "", *, connecting: bool = False) -> list[FaultRule]:
        """The rules that spoil this call (or, with ``connecting``, this connection), in their order."""
        found = []
        with self._lock:
            for rule in self.rules:
                fault = rule.fault
                if (fault.stage is Stage.CONNECT) is not connecting or not command.startswith(fault.on or ""):
                    continue
                rule.seen += 1
                if rule.seen <= fault.skip or (fault.times is not None and rule.fired >= fault.times):
                    continue
                if self.random.random() < fault.p:
                    rule.fired += 1
                    found.append(rule)
        return found

    def fired(self) -> dict[str, int]:
        """How often each kind has fired."""
        counts: dict[str, int] = {}
        with self._lock:
            for rule in self.rules:
                counts[rule.fault.kind] = counts.get(rule.fault.kind, 0) + rule.fired
        return counts
