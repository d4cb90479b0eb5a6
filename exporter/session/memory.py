"""What outlives this process: the starts of the present session and of counters that fell by themselves in it, in the
unit's RuntimeDirectory.

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
from exporter.clock import PLAUSIBLE
from exporter.session.epoch import MOST_FALLS, Name, Remembered

log = logging.getLogger("exporter.session")

NAME = "session.json"

_LONGEST = 64 * 1024
"""Bytes of the file; it has some hundred. Names are the host's: where they are longer the falls are left out."""
_LATEST = 2**40
"""Seconds since the epoch that a start may have."""
_REFRESH = 60_000
"""Milliseconds after which ``elapsed`` is written anew: one that is lower at the next start of the exporter fell."""


class SessionFile:
    """The file at ``path``; ``boot_id`` is that of this boot. Neither reading nor writing ever raises."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._failed = False
        # Of no session: whatever is told first is news.
        self._kept: Remembered | None = Remembered(0, None, None)

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
        """Write down what is known of the session, or that no start is.

        To be called with each reading: the file is written where it says something else, and once a minute.
        """
        new = known if known.start is not None or known.alone else None
        if not _newer(new, self._kept):
            return
        self._kept = new
        try:
            if new is None:
                self._path.unlink(missing_ok=True)
            else:
                files.replace(self._path, self._written(new))
        except OSError as error:
            if not self._failed:
                log.warning(
                    "the session's start can't be kept: after a restart it has to be worked out again",
                    extra={"file": str(self._path), "reason": error.strerror},
                )
            self._failed = True

    def _written(self, known: Remembered) -> bytes:
        alone = [[*([name] if isinstance(name, str) else name), start] for name, start in known.alone.items()]
        fields = {
            "boot_id": self._boot_id,
            "session_id": f"{known.session_id:#x}",
            "start": known.start,
            "elapsed": known.elapsed,
        }
        text = json.dumps({**fields, "alone": alone}).encode()
        return text if len(text) <= _LONGEST else json.dumps(fields).encode()


def _newer(new: Remembered | None, kept: Remembered | None) -> bool:
    """Whether ``new`` is worth writing after ``kept``."""
    if new is None or kept is None or new._replace(elapsed=kept.elapsed) != kept:
        return new != kept
    if new.elapsed is None:
        return False
    return kept.elapsed is None or not kept.elapsed <= new.elapsed < kept.elapsed + _REFRESH


def _remembered(found: Mapping[str, Any]) -> Remembered:
    session, start, elapsed = int(found["session_id"], 16), found["start"], found["elapsed"]
    if elapsed is not None and (type(elapsed) is not int or not 0 <= elapsed < 2**64):
        raise ValueError(f"{elapsed!r} is no number of milliseconds")
    if not 0 < session < 2**64:
        raise ValueError(f"a session {session}")
    alone: dict[Name, float] = {}
    for *name, began in found.get("alone", ())[:MOST_FALLS]:
        if not (1 <= len(name) <= 2 and all(isinstance(word, str) for word in name)):
            raise ValueError(f"{name!r} is no counter")
        alone[name[0] if len(name) == 1 else (name[0], name[1])] = _start(began)
    return Remembered(session, None if start is None else _start(start, elapsed or 0), elapsed, alone)


def _start(start: Any, age: int = 0) -> float:
    """``start``, unless the wall clock ``age`` milliseconds later, at the last reading, was one that can't have been right."""
    if type(start) not in (int, float) or not (0 <= start < _LATEST and start + age / 1000 >= PLAUSIBLE):
        raise ValueError(f"a start at {start!r}")
    return float(start)


def session_file(environ: Mapping[str, str], boot_id: str | None) -> SessionFile | None:
    """The file in the folder that systemd gives the unit; None without such a folder, or a boot id to go by."""
    # More than one folder is separated by colons; ours is the first.
    folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return SessionFile(Path(folder) / NAME, boot_id) if folder and boot_id else None
