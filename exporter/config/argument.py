"""The values of a command's own arguments, for argparse: the same kinds as those of settings, in the same words."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

from exporter.config.values import Duration


def duration(kind: Duration) -> Callable[[str], float]:
    """Seconds, within the bounds of ``kind``."""

    def read(text: str) -> float:
        try:
            return kind.parse(text)
        except ValueError as error:
            why = f"; {error}" if str(error) else ""
            raise ArgumentTypeError(f"{text!r}: expected {kind.expects}{why}") from error

    return read


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number above 0")
    return int(text)


def file(text: str) -> Path:
    """The name of a file; an empty one would be the folder that one is in."""
    if not text:
        raise ArgumentTypeError("a path has at least one character")
    return Path(text)


def unwritable(path: Path) -> str:
    """Why ``path`` can't be a file that is written, as far as one can tell beforehand; empty where it can."""
    try:
        if path.is_dir():
            return "this is a folder"
        return "" if path.parent.is_dir() else f"there is no folder {path.parent}"
    except OSError as error:
        return error.strerror or str(error)


def uncreatable(path: Path, exists: str) -> str:
    """The same of a file that must not be there yet. ``exists``: the words for one that is."""
    try:
        path.lstat()
    except FileNotFoundError:
        return unwritable(path)
    except OSError as error:
        return error.strerror or str(error)
    return exists
