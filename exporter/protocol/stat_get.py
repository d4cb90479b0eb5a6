"""Replies to ``guestlib.stat.get``: four encodings, one list of values.

========  ==================================================================================================
xml       ``<metrics session="N"><metric name="…" type="…" units="…">value</metric>…</metrics>``, one line
json      the same triples; an object keyed by name, or a list of objects with ``name``: both are taken
yaml      ``name:`` and, indented, ``type: …``, ``units: …``, ``value: …``
text      ``name = value`` lines; no type and no units
========  ==================================================================================================

Source: Guest SDK Programming Guide, "Extended guest statistics". Names and shapes may change between ESXi
releases, so what is not understood inside a good frame is left out, and a frame that is not understood is one
error: :class:`~exporter.errors.RemoteProtocolError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.parsers import expat

from exporter.errors import RemoteProtocolError
from exporter.snapshot import ExtendedValue

ENCODINGS = ("xml", "json", "yaml", "text")
"""In order of preference: xml's shape is documented without doubt and it carries the session id."""

MAX_REPLY = 256 << 10
"""Longest reply that is looked into, bytes; a real one has one to three KiB."""

MAX_NAME = 128
MAX_TEXT = 512
"""Longest name, and longest value that is text, characters. Longer ones are left out."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The statistics of one group. ``session_id`` is 0 where the encoding does not carry it."""

    values: tuple[ExtendedValue, ...]
    session_id: int = 0


def parse(encoding: str, reply: bytes) -> Reply:
    """Decode one reply.

    Raises:
        RemoteProtocolError: it is too long, or not of that encoding.
    """
    if len(reply) > MAX_REPLY:
        raise RemoteProtocolError(f"extended statistics of {len(reply)} bytes: {MAX_REPLY} are looked into")
    text = reply.rstrip(b"\0").decode("utf-8", "replace")
    return _PARSERS[encoding](text)


def parse_names(reply: bytes) -> tuple[str, ...]:
    """The groups that the host offers: the text reply to an empty name, one a line, repetitions left out."""
    if len(reply) > MAX_REPLY:
        raise RemoteProtocolError(f"a list of groups of {len(reply)} bytes: {MAX_REPLY} are looked into")
    lines = reply.rstrip(b"\0").decode("utf-8", "replace").splitlines()
    return tuple(dict.fromkeys(name for line in lines if (name := line.strip())))


def _value(name: str, raw: object, type_: object = "", units: object = "") -> ExtendedValue | None:
    """One statistic; None where name or value can't be used."""
    if not name or len(name) > MAX_NAME:
        return None
    value: float | int | str
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, str):
        raw = raw.strip()
        if len(raw) > MAX_TEXT:
            return None
        value = _number(raw)
    elif isinstance(raw, int | float) and math.isfinite(raw):
        value = raw
    else:
        return None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return None
    return ExtendedValue(name, value, str(type_)[:MAX_NAME].strip(), str(units)[:MAX_NAME].strip())


def _number(text: str) -> float | int | str:
    """``text`` as a number where it is a plain decimal one, else as it stands."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 20:
        return int(text)
    if digits.isascii() and digits.replace(".", "", 1).isdigit() and digits[0] != "." and digits[-1] != ".":
        return float(text)
    return text


def _collect(values: Iterable[ExtendedValue | None]) -> tuple[ExtendedValue, ...]:
    """Usable ones, the first of each name."""
    found: dict[str, ExtendedValue] = {}
    for value in values:
        if value is not None:
            found.setdefault(value.name, value)
    return tuple(found.values())


def _xml(text: str) -> Reply:
    """By expat's events: no tree, no entities, no document type, nothing outside the text."""
    session_id = 0
    depth = 0
    attributes: dict[str, str] = {}
    content: list[str] = []
    values: list[ExtendedValue | None] = []

    def start(tag: str, found: dict[str, str]) -> None:
        nonlocal depth, session_id, attributes
        depth += 1
        if (depth, tag) == (1, "metrics"):
            session = found.get("session", "0")
            if session.isascii() and session.isdigit() and len(session) <= 20:
                session_id = int(session)
        elif (depth, tag) == (2, "metric"):
            attributes = found
            content.clear()
        else:
            raise RemoteProtocolError(f"<{tag}> at depth {depth}: <metrics> with <metric> in it is expected")

    def end(_tag: str) -> None:
        nonlocal depth
        if depth == 2:
            get = attributes.get
            values.append(_value(get("name", ""), "".join(content), get("type", ""), get("units", "")))
        depth -= 1

    def doctype(*_: object) -> None:
        raise RemoteProtocolError("a document type declaration: a host sends none")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = content.append
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise RemoteProtocolError(f"extended statistics are no XML: {error}") from error
    return Reply(_collect(values), session_id)


def _json(text: str) -> Reply:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"extended statistics are no JSON: {error}") from error
    session_id = 0
    if isinstance(document, dict):
        session = document.get("session")
        if isinstance(session, str) and session.isascii() and session.isdigit():
            session = int(session)
        if isinstance(session, int) and 0 < session < 1 << 64 and "metrics" in document:
            session_id = session
        document = document.get("metrics", document)
    values: list[ExtendedValue | None] = []
    if isinstance(document, dict):
        for name, entry in document.items():
            if isinstance(entry, dict):
                values.append(_value(name, entry.get("value"), entry.get("type", ""), entry.get("units", "")))
            else:
                values.append(_value(name, entry))
    elif isinstance(document, list):
        for entry in document:
            if isinstance(entry, dict):
                name = entry.get("name")
                name = name if isinstance(name, str) else ""
                values.append(_value(name, entry.get("value"), entry.get("type", ""), entry.get("units", "")))
    else:
        raise RemoteProtocolError("extended statistics in JSON are neither an object nor a list")
    return Reply(_collect(values), session_id)


def _yaml(text: str) -> Reply:
    """The one shape that hosts send; not YAML at large, which would be a way to send us anything."""
    values: list[ExtendedValue | None] = []
    name = ""
    fields: dict[str, str] = {}

    def finish() -> None:
        if name:
            get = fields.get
            values.append(_value(name, get("value"), get("type", ""), get("units", "")))

    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.strip() in ("---", "...") or line.lstrip().startswith("#"):
            continue
        key, colon, rest = (
            line.strip().rpartition(":") if line[0] not in " \t" else line.strip().partition(":")
        )
        if not colon:
            raise RemoteProtocolError(f"extended statistics are no YAML: line {number} has no colon")
        if line[0] in " \t":
            fields[key.strip()] = rest.strip().strip("\"'")
        elif rest.strip():
            raise RemoteProtocolError(
                f"extended statistics in YAML: line {number} has a value where fields are expected"
            )
        else:
            finish()
            name, fields = key.strip().strip("\"'"), {}
    finish()
    return Reply(_collect(values))


def _text(text: str) -> Reply:
    values: list[ExtendedValue | None] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise RemoteProtocolError(f"extended statistics in text: line {number} is no 'name = value'")
        values.append(_value(name.strip(), value))
    return Reply(_collect(values))


_PARSERS: dict[str, Callable[[str], Reply]] = {"xml": _xml, "json": _json, "yaml": _yaml, "text": _text}
