"""What outlives this process: the present session's start, in the unit's RuntimeDirectory.

One file of JSON. It holds for this boot of this guest alone; systemd keeps the folder over a restart
(``RuntimeDirectoryPreserve=restart``) and sets ``RUNTIME_DIRECTORY`` (systemd.exec(5)). Where there is no such folder
nothing is kept, and an exporter that starts again works the start out anew.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.session.epoch import Remembered
from exporter.snapshot import Snapshot

log = logging.getLogger("exporter.session")

NAME = "session.json"

_LONGEST = 4096
"""Bytes of the file that are looked into; it has some hundred."""
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
        self._kept: Remembered | None = Remembered(0, 0.0, None)

    def recall(self) -> Remembered | None:
        """The session of which this file speaks; None where it speaks of none of this boot."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_LONGEST))
            return _remembered(found) if found["boot_id"] == self._boot_id else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            reason = {"file": str(self._path), "reason": repr(error)}
            log.warning("the session file can't be used", extra=reason)
            return None

    def keep(self, snapshot: Snapshot, start: float | None) -> None:
        """Write down that the session of ``snapshot`` began at ``start``, or that nothing is known of it.

        To be called with each reading: the file is written where it says something else, and once a minute.
        """
        elapsed = snapshot.values.get("elapsed")
        new = None
        if start is not None:
            new = Remembered(snapshot.session_id, start, elapsed if isinstance(elapsed, int) else None)
        if not _newer(new, self._kept):
            return
        self._kept = new
        try:
            if start is None:
                self._path.unlink(missing_ok=True)
                return
            fields = {
                "boot_id": self._boot_id,
                "session_id": f"{snapshot.session_id:#x}",
                "start": start,
                "elapsed": elapsed,
            }
            file = self._path.with_name(self._path.name + ".new")
            file.write_text(json.dumps(fields), "utf-8")
            file.replace(self._path)
        except OSError as error:
            if not self._failed:
                log.warning(
                    "the session's start can't be kept: after a restart it has to be worked out again",
                    extra={"file": str(self._path), "reason": error.strerror},
                )
            self._failed = True


def _newer(new: Remembered | None, kept: Remembered | None) -> bool:
    """Whether ``new`` is worth writing after ``kept``."""
    if new is None or kept is None or new[:2] != kept[:2]:
        return new != kept
    if new.elapsed is None:
        return False
    return kept.elapsed is None or not kept.elapsed <= new.elapsed < kept.elapsed + _REFRESH


def _remembered(found: Mapping[str, Any]) -> Remembered:
    session, start, elapsed = int(found["session_id"], 16), float(found["start"]), found["elapsed"]
    if not (0 < session < 2**64 and 0 <= start < _LATEST):
        raise ValueError(f"a session {session} that began at {start}")
    if elapsed is not None and (type(elapsed) is not int or not 0 <= elapsed < 2**64):
        raise ValueError(f"{elapsed!r} is no number of milliseconds")
    return Remembered(session, start, elapsed)


def session_file(environ: Mapping[str, str], boot_id: str | None) -> SessionFile | None:
    """The file in the folder that systemd gives the unit; None without such a folder, or a boot id to go by."""
    # More than one folder is separated by colons; ours is the first.
    folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return SessionFile(Path(folder) / NAME, boot_id) if folder and boot_id else None
