"""Replies to ``guestlib.stat.get``: four encodings, one list of values.

========  ==================================================================================================
xml       ``<metrics session="N"><metric name="…" type="…" units="…">value</metric>…</metrics>``, one line
json      the same triples; an object keyed by name, or a list of objects with ``name``; words without a type are flat:
          ``"version": "…"``
yaml      ``name:`` and, indented, ``type: …``, ``units: …``, ``value: …``; words are flat: ``version: …``
text      ``name = value`` lines; no type and no units
========  ==================================================================================================

Names and shapes may change between ESXi releases, so what is not understood inside a good frame is skipped, and a
statistic that can't be used is left out and counted. One error, after which another encoding is asked, is a frame that is
not understood, a reply that has statistics but of none the value, and YAML of any other kind than mappings of words:
:class:`~exporter.errors.RemoteProtocolError`.
Source: Guest SDK Programming Guide, "Extended guest statistics"; that words are flat in JSON is what production
code reads (chef/ohai, vmware plugin).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from xml.parsers import expat

from exporter.errors import RemoteProtocolError
from exporter.protocol import block_yaml
from exporter.protocol.stat_values import (
    BLANK,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_REPLY,
    Reply,
    Values,
    decode,
    session_id,
)

__all__ = ["ENCODINGS", "MAX_REPLY", "Reply", "parse", "parse_names"]

ENCODINGS = ("xml", "json", "yaml", "text")
"""In order of preference: xml's shape is documented without doubt and it carries the session id."""


def parse(encoding: str, reply: bytes) -> Reply:
    """Decode one reply.

    Raises:
        RemoteProtocolError: it is too long, too deep, has too many parts, or is not of that encoding.
    """
    return _PARSERS[encoding](decode(reply))


def parse_names(reply: bytes) -> tuple[str, ...]:
    """The groups that the host offers: the text reply to an empty name, one a line, repetitions left out.

    Raises:
        RemoteProtocolError: it is too long, or goes on after a NUL.
    """
    lines = decode(reply).split("\n")
    return tuple(dict.fromkeys(name for line in lines if (name := line.strip(BLANK))))


class _Xml:
    """By expat's events: no tree, no entities, no document type, nothing outside the text."""

    def __init__(self) -> None:
        self.values = Values()
        self.session_id = 0
        self._elements = 0
        self._depth = 0
        self.strange = False
        """Whether there is anything but statistics where statistics are expected."""
        self._attributes: dict[str, str] | None = None
        self._texts: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise RemoteProtocolError(
                f"extended statistics in XML of more than {MAX_ELEMENTS} elements or {MAX_DEPTH} levels"
            )
        if self._depth == 1:
            if tag != "metrics":
                raise RemoteProtocolError(
                    f"extended statistics in XML begin with <{tag}>, not with <metrics>"
                )
            self.session_id = session_id(attributes.get("session"))
        elif self._depth == 2:
            # Any other element beside <metric> is one that nobody knows yet.
            self._attributes = attributes if tag == "metric" else None
            self.strange |= tag != "metric"
            self._texts = [""]
        elif self._depth == 3:
            self._texts.append("")

    def text(self, text: str) -> None:
        if self._depth == 2:
            self._texts[-1] += text
        elif self._depth == 1:
            self.strange |= bool(text.strip(BLANK))

    def end(self, _tag: str) -> None:
        if self._depth == 2 and self._attributes is not None:
            get = self._attributes.get
            # A child is skipped. Pieces of text on both sides of one are not put together to a number.
            texts = [text for each in self._texts if (text := each.strip(BLANK))]
            value = None if len(texts) > 1 else "".join(texts)
            full = len(self._texts) > 1 or len(self._attributes) > 1
            self.values.add(get("name"), value, get("type"), get("units"), full=full)
        self._depth -= 1

    def doctype(self, *_: object) -> None:
        raise RemoteProtocolError("a document type declaration: a host sends none")


def _xml(text: str) -> Reply:
    found = _Xml()
    # The text is UTF-8 by now, whatever its declaration says.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    parser.StartDoctypeDeclHandler = found.doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise RemoteProtocolError(f"extended statistics are no XML: {error}") from error
    return found.values.reply("XML", found.session_id, strange=found.strange)


class _Object(dict[str, object]):
    """An object of JSON: of two values with one name the first. ``pairs`` has both."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        if len(pairs) > MAX_ELEMENTS:
            raise RemoteProtocolError(f"an object of {len(pairs)} keys: {MAX_ELEMENTS} are looked at")
        super().__init__()
        self.pairs = pairs
        for name, value in pairs:
            self.setdefault(name, value)


def _integer(digits: str) -> float:
    """Infinite for more than 64 bits: Python refuses the longest ones, and takes its time for long ones."""
    return int(digits) if len(digits) <= 20 else float("inf")


def _json(text: str) -> Reply:
    try:
        document = json.loads(text, parse_int=_integer, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"extended statistics are no JSON: {error}") from error
    session = 0
    metrics = document.get("metrics") if isinstance(document, dict) else None
    if isinstance(metrics, list) or (isinstance(metrics, dict) and "value" not in metrics):
        session = session_id(document.get("session"))
        document = metrics
    values = Values()
    if isinstance(document, _Object):
        entries: list[tuple[object, object]] = list(document.pairs)
    elif isinstance(document, list):
        entries = [(entry.get("name") if isinstance(entry, dict) else None, entry) for entry in document]
    else:
        raise RemoteProtocolError("extended statistics in JSON are neither an object nor a list")
    for name, entry in entries:
        _add(values, name, entry)
    return values.reply("JSON", session)


def _add(values: Values, name: object, entry: object) -> None:
    """One statistic of JSON or YAML: flat, or in full."""
    if isinstance(entry, _Object) and len(entry.pairs) > len(entry):
        # Two values, or two units: nobody can tell which the host means.
        values.add(name, None, full=True)
    elif isinstance(entry, dict):
        # In a list a flat word is an object too.
        full = entry.keys() != {"name", "value"}
        values.add(name, entry.get("value"), entry.get("type"), entry.get("units"), full=full)
    else:
        values.add(name, entry)


def _yaml(text: str) -> Reply:
    values = Values()
    for name, entry in block_yaml.read(_lines(text.replace("\r\n", "\n"), "YAML")).items():
        _add(values, name, entry)
    return values.reply("YAML")


def _text(text: str) -> Reply:
    values = Values()
    for line in _lines(text, "text"):
        name, equals, value = line.partition("=")
        if equals:
            values.add(name, value)
        elif line.strip(BLANK):
            values.drop()
    return values.reply("text")


def _lines(text: str, encoding: str) -> list[str]:
    """The lines of a reply in YAML or text: no name begins as JSON and XML do, whole or broken.

    Raises:
        RemoteProtocolError: one does.
    """
    lines = text.split("\n")
    for line in lines:
        if line.lstrip(BLANK + "\ufeff").startswith(("{", "[", "<", "}", "]")):
            raise RemoteProtocolError(f"extended statistics in {encoding} look like JSON or XML")
    return lines


_PARSERS: dict[str, Callable[[str], Reply]] = {"xml": _xml, "json": _json, "yaml": _yaml, "text": _text}
