"""Mappings of words in YAML's block style, which is what hosts send. What YAML has besides is refused, not guessed at.

Read is what YAML reads, or nothing: ``tests/protocol/test_block_yaml.py`` holds it against PyYAML.
Source: YAML 1.2.2, 6.1, 7.3.3, 8.2.2; YAML 1.1 for what it takes for something else than text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporter.errors import RemoteProtocolError
from exporter.protocol.stat_values import MAX_DEPTH, MAX_ELEMENTS

Mapping = dict[object, object]
"""Words are text, numbers, or a list, which is no value, for what YAML takes for something else."""

_QUOTED = re.compile(r"""(["'])([^"'\\]*)\1""")
_PLAIN = re.compile(r"""(?:[^\s\-?:,\[\]{}#&*!|>"'%@`]|-(?=[^\s]))(?:[^:#]|:(?![ ]|$)|(?<![ ])\#)*""")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_LONGEST_NUMBER = 42
_OTHER = re.compile(
    r"""[-+]?\.?[0-9][0-9_]*(\.[0-9_]*)?(e[-+]?[0-9]+)?|[-+]?\.(inf|nan)|[-+]?0[box]?[0-9a-f_]+
    |[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t ].*)?
    |~|null|true|false|yes|no|on|off|=|<<""".replace("\n    ", ""),
    re.IGNORECASE,
)
"""Other bases, dates, truth values, nothing."""
_STRANGE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Tabs, control characters, and what ends a line in one version of YAML only."""
_LONGEST_KEY = 1000


def read(lines: Sequence[str]) -> Mapping:
    """The mapping that ``lines`` spell; a key without a value has empty text.

    Raises:
        RemoteProtocolError: there is anything else in them.
    """
    if strange := next((line for line in lines if _STRANGE.search(line)), None):
        raise _refused(f"a character in {strange[:80]!r}")
    left = [line for line in lines if line.strip(" ") and not line.lstrip(" ").startswith("#")]
    if left and left[0].rstrip(" ") == "---":
        del left[0]
    if len(left) > 1 and left[-1].rstrip(" ") == "...":
        del left[-1]
    root: Mapping = {}
    levels = [(0, root)]
    """Indentation and mapping of each that is open."""
    bare: tuple[Mapping, str] | None = None
    """Where a key without a value stands: what is indented further belongs to it."""
    for number, line in enumerate(left):
        key, word = _pair(line)
        indent = len(line) - len(line.lstrip(" "))
        if number == 0:
            levels = [(indent, root)]
        elif bare is not None and indent > levels[-1][0]:
            inner: Mapping = {}
            bare[0][bare[1]] = inner
            levels.append((indent, inner))
        while levels and levels[-1][0] > indent:
            levels.pop()
        if not levels or levels[-1][0] != indent or len(levels) > MAX_DEPTH:
            raise _refused(f"the indentation of {line[:80]!r}")
        mapping = levels[-1][1]
        if key in mapping or len(mapping) >= MAX_ELEMENTS:
            raise _refused(f"the key {key[:80]!r} twice, or more than {MAX_ELEMENTS} keys")
        mapping[key] = _word(word)
        bare = (mapping, key) if word == "" else None
    # A key that YAML does not take for text is no name.
    return {(name,) if _OTHER.fullmatch(str(name)) else name: value for name, value in root.items()}


def _pair(line: str) -> tuple[str, str]:
    """Key and word of a line; an empty word where there is none."""
    stripped = line.strip(" ")
    if quoted := _QUOTED.match(stripped):
        key, rest = quoted[2], stripped[quoted.end() :].lstrip(" ")
        good = rest == ":" or rest.startswith(": ")
        word = rest[1:]
    else:
        key, colon, word = stripped.partition(": ")
        if not colon:
            key, colon = stripped[:-1], stripped[-1:]
        key = key.rstrip(" ")
        good = colon[:1] == ":" and _PLAIN.fullmatch(key) is not None and key != "<<"
    if not good or len(key) > _LONGEST_KEY or line.startswith(("--- ", "... ")):
        raise _refused(f"a line {line[:80]!r}")
    return key, word.strip(" ")


def _word(word: str) -> object:
    if quoted := _QUOTED.fullmatch(word):
        return quoted[2]
    if not word:
        return word
    if not _PLAIN.fullmatch(word):
        raise _refused(f"the value {word[:80]!r}")
    if number := _NUMBER.fullmatch(word):
        # A longer one is for the gate to refuse, as text in which it is a number too.
        return word if len(word) > _LONGEST_NUMBER else float(word) if number[2] else int(word)
    return [word] if _OTHER.fullmatch(word) else word


def _refused(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"extended statistics in YAML with {what}: no host is known to send that")
