"""What a reply to ``guestlib.stat.get`` may hold, whatever its encoding, and how much of it.

The polling thread reads it: no reply may cost more than some tens of milliseconds (``benchmarks/parse.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from exporter.errors import RemoteProtocolError
from exporter.snapshot import ExtendedValue

MAX_REPLY = 64 << 10
"""Longest reply that is looked into, bytes; a real one has one to three KiB, the list of 256 disks eight."""

MAX_ELEMENTS = 1024
"""Most statistics (and, in XML, elements; in JSON, keys of one object) of one reply. A real group has 6 to 30."""

MAX_DEPTH = 16
"""Of XML elements and YAML mappings; a real reply has two."""

MAX_NAME = 128
MAX_TEXT = 512
"""Longest name, and longest value that is text, characters. Longer ones are left out."""

BLANK = " \t\r\n"
"""What is no part of a name or value at its ends. Not Unicode's spaces: the host sends none."""

_LEAST, _MOST = -(2**63), 2**64 - 1
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LONGEST_NUMBER = 42
"""Characters: 20 digits before the point and after it, the point and a sign."""
_UNCLEAN = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What no name, unit or text may hold: it would break a log, a page or an encoder."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The statistics of one group. ``session_id`` is 0 where the encoding does not carry it."""

    values: tuple[ExtendedValue, ...]
    session_id: int = 0
    dropped: int = 0
    """Statistics left out: their name or value can't be used, or the name stood there before."""


@dataclass(slots=True)
class Values:
    """Collects what a parser finds."""

    found: dict[str, ExtendedValue] = field(default_factory=dict)
    dropped: int = 0
    _read: int = 0
    """Values: text that can be used, and numbers, also those that are too large."""
    _full: int = 0
    _unread: int = 0
    """Statistics in full (name, type, unit, value, not a flat word): all, and those without a value."""

    def add(
        self, name: object, raw: object, type_: object = "", units: object = "", *, full: bool = False
    ) -> None:
        """Take one statistic, or count it as dropped. Of two with one name the first counts.

        ``full``: it has the shape of a number with type and unit; an empty value is none.

        Raises:
            RemoteProtocolError: more than :data:`MAX_ELEMENTS` were given.
        """
        if len(self.found) + self.dropped >= MAX_ELEMENTS:
            raise RemoteProtocolError(f"more than {MAX_ELEMENTS} extended statistics in one reply")
        key, kind, unit, value = _word(name), _word(type_), _word(units), _value(raw)
        read = value not in (None, "") or _is_number(raw)
        self._read += read
        if full:
            self._full += 1
            self._unread += not read
            value = value if read else None
        if not key or key in self.found or kind is None or unit is None or value is None:
            self.dropped += 1
        else:
            self.found[key] = ExtendedValue(key, value, kind, unit)

    def drop(self) -> None:
        """Count something that is no statistic where one is expected."""
        self.add(None, None)

    def reply(self, encoding: str, session_id: int = 0, *, strange: bool = False) -> Reply:
        """What was found. A reply without statistics is good: a group may have none.

        ``strange``: there was something else where statistics are expected.

        Raises:
            RemoteProtocolError: it has statistics, and of none the value can be read: it is of a shape that nobody knows.
        """
        nothing = not self._read and (self.found or self.dropped or strange)
        words = all(isinstance(each.value, str) for each in self.found.values())
        if nothing or (words and self._full == self._unread > 0):
            raise RemoteProtocolError(f"extended statistics of which nothing is understood as {encoding}")
        return Reply(tuple(self.found.values()), session_id, self.dropped)


def _word(raw: object) -> str | None:
    """A name, type or unit; None where it can't be used. JSON's null is no unit."""
    if raw is None:
        return ""
    if not isinstance(raw, str):
        return None
    word = raw.strip(BLANK)
    return None if len(word) > MAX_NAME or _UNCLEAN.search(word) else word


def _value(raw: object) -> float | int | str | None:
    """A number of at most 64 bits, or text; None for anything else."""
    if isinstance(raw, str):
        raw = raw.strip(BLANK)
        match = _NUMBER.fullmatch(raw)
        if match is None:
            return None if len(raw) > MAX_TEXT or _UNCLEAN.search(raw) else raw
        if len(raw) > _LONGEST_NUMBER:
            return None
        raw = float(raw) if match[1] else int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    # Not a number compares as false. Nothing is added, so that it is never -0.0, which a page would show.
    return raw + 0 if _LEAST <= raw <= _MOST else None


def _is_number(raw: object) -> bool:
    """Whether it is a number, of whatever size."""
    if isinstance(raw, str):
        return _NUMBER.fullmatch(raw.strip(BLANK)) is not None
    return isinstance(raw, int | float)


def session_id(raw: object) -> int:
    """The session id that ``raw`` spells in decimal, or is; 0, which means none, where it is no such number."""
    value = _value(raw)
    return value if isinstance(value, int) and value > 0 else 0


def decode(reply: bytes) -> str:
    """A reply as text, without the NUL that ends it and a byte order mark that may begin it.

    Raises:
        RemoteProtocolError: it is too long, or goes on after a NUL.
    """
    if len(reply) > MAX_REPLY:
        raise RemoteProtocolError(f"extended statistics of {len(reply)} bytes: {MAX_REPLY} are looked into")
    reply = reply.rstrip(b"\0")
    if b"\0" in reply:
        raise RemoteProtocolError(f"extended statistics with a NUL at byte {reply.index(0)}")
    return reply.decode("utf-8", "replace").removeprefix("\ufeff")
