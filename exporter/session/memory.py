"""What outlives this process, in the unit's RuntimeDirectory: the starts of the present session and of counters that fell by
themselves in it, and what was read last, against which a fall shows that nobody saw.

One file of JSON. It holds for this boot of this guest alone; systemd keeps the folder over a restart
(``RuntimeDirectoryPreserve=restart``) and sets ``RUNTIME_DIRECTORY`` (systemd.exec(5)). Where there is no such folder
nothing is kept, and an exporter that starts again works the start out anew. Two exporters in one folder do not disturb each
other: they write of the same session.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter import files
from exporter.clock import PLAUSIBLE, Instant, Start
from exporter.machine.systemd import runtime_directory
from exporter.session.remembered import Name, Remembered

log = logging.getLogger("exporter.session")

NAME = "session.json"

_LONGEST = 1024 * 1024
"""Bytes of the file; it has some thousand, or 60 for each counter where there are many disks. What is too much for it is left
out, as names are the host's: the extended statistics that were read, then the falls too.
"""
_MOST = 2.0**100
"""Of what a counter shows, in base units, and of a clock's seconds."""
_LATEST = 2**40
"""Seconds since the epoch that a start may have."""


class SessionFile:
    """The file at ``path``; ``boot_id`` is that of this boot. Neither reading nor writing ever raises."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._failed = False
        # Of no session: whatever is told first is news.
        self._kept = Remembered(0, None, None)

    def recall(self) -> Remembered | None:
        """The session of which this file speaks; None where it speaks of none of this boot."""
        try:
            found = json.loads(files.read_bytes(self._path, _LONGEST))
            return _remembered(found) if found["boot_id"] == self._boot_id else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            reason = {"file": str(self._path), "reason": repr(error)}
            log.warning("the session file can't be used", extra=reason)
            return None

    def keep(self, known: Remembered) -> None:
        """Write down what is known of the session: after each reading, before an output can show it. A counter that falls while
        no exporter runs is known to have fallen only by what was shown last. The folder is in memory (tmpfs).
        """
        if known == self._kept:
            return
        self._kept = known
        try:
            files.replace(self._path, self._written(known))
        except OSError as error:
            if not self._failed:
                log.warning(
                    "the session's start can't be kept: after a restart it has to be worked out again",
                    extra={"file": str(self._path), "reason": error.strerror},
                )
            self._failed = True

    def _written(self, known: Remembered) -> bytes:
        fields = {
            "boot_id": self._boot_id,
            "session_id": f"{known.session_id:#x}",
            "start": known.start,
            "elapsed": known.elapsed,
            "late": known.late,
        }
        basic: dict[Name, tuple[float, Instant]] = {
            name: each for name, each in known.read.items() if isinstance(name, str)
        }
        rest = {
            "alone": [[*_words(name), began.wall, began.begun] for name, began in known.alone.items()],
            "substituted": sorted(known.substituted),
        }
        for more in ({**rest, "read": _by_time(known.read)}, {**rest, "read": _by_time(basic)}, {}):
            text = json.dumps({**fields, **more}).encode()
            if len(text) <= _LONGEST:
                break
        return text


def _words(name: Name) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else name


def _by_time(read: Mapping[Name, tuple[float, Instant]]) -> list[Any]:
    """Wall clock, monotonic clock and what was read then: most were read together."""
    found: dict[Instant, list[Any]] = {}
    for name, (value, at) in read.items():
        found.setdefault(at, []).append([*_words(name), value])
    return [[*at, values] for at, values in found.items()]


def _remembered(found: Mapping[str, Any]) -> Remembered:
    session, start, elapsed = int(found["session_id"], 16), found["start"], found["elapsed"]
    if elapsed is not None and (type(elapsed) is not int or not 0 <= elapsed < 2**64):
        raise ValueError(f"{elapsed!r} is no number of milliseconds")
    if not 0 < session < 2**64:
        raise ValueError(f"a session {session}")
    fallen = found.get("alone", [])
    if not isinstance(fallen, list):
        raise TypeError(f"starts {fallen!r}")
    alone = {_name(name): Start(_number(begun), _start(wall)) for *name, wall, begun in fallen}
    read = {
        _name(name): (_number(value), Instant(_number(wall), _number(monotonic)))
        for wall, monotonic, values in found.get("read", ())
        for *name, value in values
    }
    told = {_name([word]) for word in found.get("substituted", ())}
    substituted = frozenset(name for name in read if isinstance(name, str) and name in told)
    known = None if start is None else _start(start, elapsed or 0)
    return Remembered(
        session, known, elapsed, alone, found.get("late") is True, read, substituted & read.keys()
    )


def _name(words: list[Any]) -> Name:
    if not (1 <= len(words) <= 2 and all(isinstance(word, str) for word in words)):
        raise ValueError(f"{words!r} is no counter")
    return words[0] if len(words) == 1 else (words[0], words[1])


def _number(number: Any) -> float:
    if type(number) not in (int, float) or not 0 <= number < _MOST:
        raise ValueError(f"{number!r} is no reading")
    return float(number)


def _start(start: Any, age: int = 0) -> float:
    """``start``, unless the wall clock ``age`` milliseconds later, at the last reading, was one that can't have been right."""
    if type(start) not in (int, float) or not (0 <= start < _LATEST and start + age / 1000 >= PLAUSIBLE):
        raise ValueError(f"a start at {start!r}")
    return float(start)


def session_file(environ: Mapping[str, str], boot_id: str | None) -> SessionFile | None:
    """The file in the folder that systemd gives the unit; None without such a folder, or a boot id to go by."""
    folder = runtime_directory(environ)
    return SessionFile(Path(folder) / NAME, boot_id) if folder and boot_id else None
