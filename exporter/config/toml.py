"""The settings file: TOML, keys as in the flags (``[poll] interval = "5s"``), every problem with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from exporter import files
from exporter.config.given import Given, did_you_mean, nearest
from exporter.config.places import Header
from exporter.config.settings import BY_NAME, RawTable
from exporter.errors import passing

TABLES = ("ha.check",)
"""Arrays of tables that are handed on unread."""

PATHS = "a path of Windows goes in single quotes, which take a backslash as it is: 'C:\\Program Files\\…'"
MOST_PROBLEMS = 50
"""Of one file; a file with more of them was meant for something else."""

Keys = tuple[str | int, ...]


class Contents:
    """What a file gives."""

    def __init__(self) -> None:
        self.given: list[Given] = []
        self.tables: dict[str, tuple[RawTable, ...]] = {}
        self.problems: list[str] = []
        self.meant: set[str] = set()
        """Names of settings that can't be had from the file and were meant to be in it, as far as one can guess."""


def read(path: str) -> Contents:
    """Read the file at ``path``; nothing is raised, all that is wrong is in ``problems``."""
    contents = Contents()
    text = ""
    try:
        text = files.read_text(path)
        document = files.parse_toml(text)
    except OSError as error:
        contents.problems.append(passing(f"{path}: {error.strerror}", error))
        contents.meant = {*BY_NAME}
    except ValueError as error:
        contents.problems.append(_syntax_problem(path, str(error), text))
        contents.meant = {*BY_NAME}
    else:
        _Walk(path, key_lines(text), contents).table((), document)
        if (more := len(contents.problems) - MOST_PROBLEMS) > 0:
            contents.problems[MOST_PROBLEMS:] = [f"{path}: {more:,} more problems"]
    return contents


def _syntax_problem(path: str, message: str, text: str) -> str:
    match = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message)
    if match:
        line = text.splitlines()[int(match[2]) - 1 :][:1]
        key = _ASSIGNMENT.match(line[0]) if line else None
        # "Cannot overwrite a value" alone does not say which.
        named = f": {key[1]}" if key and "overwrite" in match[1] else ""
        hint = f"; {PATHS}" if "\\" in match[1] or "hex value" in match[1] else ""
        return f"{path}:{match[2]}: {match[1]}{named} (column {match[3]}){hint}"
    return f"{path}:{text.count(chr(10)) + 1}: {message}"


class _Walk:
    def __init__(self, path: str, lines: Mapping[Keys, int], contents: Contents) -> None:
        self._path = path
        self._lines = lines
        self._contents = contents

    def table(self, path: tuple[str, ...], table: Mapping[str, object]) -> None:
        for key, value in table.items():
            self._entry((*path, key), value)

    def _entry(self, path: tuple[str, ...], value: object) -> None:
        name = ".".join(path)
        where = f"{self._path}:{self._line(path)}: {name}"
        row = BY_NAME.get(name)
        if name == "config.file":
            self._contents.problems.append(f"{where}: a settings file can't name another; use --config.file")
        elif row is not None:
            if row.kind.repeatable:
                try:
                    items = _items(row.kind, value)
                except ValueError as error:
                    self._contents.problems.append(Given(row, value, where, native=True).problem(str(error)))
                    self._contents.meant.add(name)
                    return
                self._contents.given += [Given(row, each, where, native=True) for each in items]
            else:
                self._contents.given.append(Given(row, value, where, native=True))
        elif name in TABLES:
            self._raw(path, where, value)
        elif any(known.startswith(f"{name}.") for known in BY_NAME):
            if isinstance(value, dict):
                self.table(path, value)
            else:
                self._contents.problems.append(
                    f"{where}: this is a group of settings; write [{name}] and the key below"
                )
        else:
            few = len(self._contents.problems) < MOST_PROBLEMS  # looking for a near name takes its time
            hint = did_you_mean(name, (*BY_NAME, *TABLES)) if few else ""
            if hint:
                self._contents.meant.add(nearest(name, (*BY_NAME, *TABLES)))
            self._contents.problems.append(f"{where}: no such setting{hint}")

    def _raw(self, path: tuple[str, ...], where: str, value: object) -> None:
        name = ".".join(path)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self._contents.problems.append(f"{where}: expected tables; write [[{name}]] above each")
            return
        self._contents.tables[name] = tuple(
            RawTable(
                each,
                self._path,
                self._line((*path, index)),
                {key: self._line((*path, index, key)) for key in each},
            )
            for index, each in enumerate(value)
        )

    def _line(self, path: Keys) -> int:
        # A key inside an inline table has no line of its own: take the nearest one above it.
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return 1


def _items(kind: object, value: object) -> list[object]:
    if isinstance(value, list):
        if not value:
            raise ValueError("it is empty; leave it out for the default")
        return list(value)
    if isinstance(kind, Header):
        if isinstance(value, dict):
            return list(value.items())
        if isinstance(value, str):
            return list(kind.split(value))
    return [value]


_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEY})\s*=")
_TOKEN = re.compile(r'''"""|\'\'\'|"(?:\\.|[^"\\])*"|'[^']*'|\#.*|[\[\]{}]''')
_ENDS = {'"""': re.compile(r'(?:\\.|[^\\])*?"""'), "'''": re.compile(r".*?'''")}


def key_lines(text: str) -> dict[Keys, int]:
    """The line (from 1) at which each key and table of a *valid* TOML document stands.

    tomllib tells positions only of syntax errors. Keys of inline tables are not found.
    """
    found: dict[Keys, int] = {}
    counts: dict[Keys, int] = {}
    table: Keys = ()
    for number, line in _outer_lines(text):
        if header := _HEADER.match(line):
            table = _resolve(_split(header[2]), counts)
            if header[1] == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                table = (*table, index)
            found.setdefault(table, number)
        elif key := _ASSIGNMENT.match(line):
            found.setdefault((*table, *_split(key[1])), number)
    return found


def _outer_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin outside of every multi-line string, array and inline table."""
    quote, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not quote and not depth:
            yield number, line
        position = 0
        if not quote and not depth and (start := _ASSIGNMENT.match(line) or _HEADER.match(line)):
            # The brackets of a table header are no array.
            position = start.end()
        while position < len(line):
            if quote:
                end = _ENDS[quote].match(line, position)
                if not end:
                    break
                position, quote = end.end(), ""
            token = _TOKEN.search(line, position)
            if not token:
                break
            position = token.end()
            if token[0] in _ENDS:
                quote = token[0]
            elif token[0] in "[{":
                depth += 1
            elif token[0] in "]}":
                depth = max(0, depth - 1)


def _split(key: str) -> Keys:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key))


def _resolve(path: Keys, counts: Mapping[Keys, int]) -> Keys:
    """A header below an array of tables belongs to its last table."""
    resolved: Keys = ()
    for depth, part in enumerate(path):
        resolved = (*resolved, part)
        if depth < len(path) - 1 and resolved in counts:
            resolved = (*resolved, counts[resolved] - 1)
    return resolved
