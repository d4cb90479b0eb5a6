"""One value as somebody gave it, and the words for what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from exporter.config.options import Option
from exporter.config.places import Endpoint
from exporter.urls import without_secrets

_CONTROL = re.compile(r"[\x00-\x1f]")
_SHOWN = 200
"""Characters of a value that a message repeats; paths are long."""


class Given(NamedTuple):
    """``raw`` is text, or what TOML made of it where ``native``. ``where`` names the flag, variable or line."""

    option: Option
    raw: object
    where: str
    native: bool = False

    def problem(self, why: str) -> str:
        """A sentence: where, what was given, what was expected, and why this is not it."""
        given = self.where
        raw = self.raw
        if url := isinstance(self.option.kind, Endpoint):
            raw = without_secrets(raw if isinstance(raw, str) else _literal(raw))
        if url or not self.option.kind.secret:
            text = _literal(raw) if self.native else str(raw)
            given += f" = {text[:_SHOWN]}" if self.native else f"={text[:_SHOWN]}"
        return f"{given}: expected {self.option.kind.expects}" + (f"; {why}" if why else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean …?``, or nothing where no known word is near."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is near, empty where none is."""
    by_plain: dict[str, str] = {}
    for each in known:
        by_plain.setdefault(_plain(each), each)
    near = get_close_matches(_plain(word), by_plain, 1, 0.75)
    return by_plain[near[0]] if near else ""


def in_order(problems: Iterable[str]) -> list[str]:
    """By where they come from: the command line, variables by name, files line by line; each once."""

    def place(problem: str) -> tuple[int, str, int]:
        if not problem.startswith("-"):
            if variable := re.match(r"[A-Z][A-Z0-9_]*_[A-Z0-9_]+(?=[=: ])", problem):
                return 1, variable[0], 0
            if line := re.match(r"(.*?):(\d+): ", problem):
                return 2, line[1], int(line[2])
        return 0, "", 0

    return sorted(dict.fromkeys(problems), key=place)


def _plain(word: str) -> str:
    # Dashes, dots and underscores are what people mix up; they should not count as far apart.
    return word.lower().replace("_", "-").replace(".", "-")


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_literal(each)}' for key, each in value.items())}}}"
    if isinstance(value, str):
        # "C:\\temp" of TOML has a tab in it, which would be none to whoever reads the message.
        return f'"{_CONTROL.sub(lambda found: json.dumps(found[0])[1:-1], value)}"'
    return str(value)
