"""What outlives this process: the present session's start, in the unit's RuntimeDirectory.

One file of JSON. It holds for this boot of this guest alone; systemd keeps the folder over a restart
(``RuntimeDirectoryPreserve=restart``) and sets ``RUNTIME_DIRECTORY`` (systemd.exec(5)). Where there is no such folder
nothing is kept, and an exporter that starts again works the start out anew.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.session.epoch import Remembered
from exporter.snapshot import Snapshot

log = logging.getLogger("exporter.session")

NAME = "session.json"


class SessionFile:
    """The file at ``path``; ``boot_id`` is that of this boot. Neither reading nor writing ever raises."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._failed = False

    def recall(self) -> Remembered | None:
        """The session of which this file speaks; None where it speaks of none of this boot."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
            return _remembered(found) if found["boot_id"] == self._boot_id else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = {"file": str(self._path), "reason": repr(error)}
            log.warning("the session file can't be used", extra=reason)
            return None

    def keep(self, snapshot: Snapshot, start: float | None) -> None:
        """Write down that the session of ``snapshot`` began at ``start``, or that nothing is known of it."""
        try:
            if start is None:
                self._path.unlink(missing_ok=True)
                return
            fields = {
                "boot_id": self._boot_id,
                "session_id": f"{snapshot.session_id:#x}",
                "start": start,
                "elapsed": snapshot.values.get("elapsed"),
            }
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(fields), "utf-8")
            new.replace(self._path)
        except OSError as error:
            if not self._failed:
                log.warning(
                    "the session's start can't be kept: an exporter that starts again works it out anew",
                    extra={"file": str(self._path), "reason": error.strerror},
                )
            self._failed = True


def _remembered(found: Mapping[str, Any]) -> Remembered:
    start, elapsed = float(found["start"]), found["elapsed"]
    if not 0 <= start < math.inf:
        raise ValueError(f"a start of {start}")
    return Remembered(int(found["session_id"], 16), start, None if elapsed is None else int(elapsed))


def session_file(environ: Mapping[str, str], boot_id: str | None) -> SessionFile | None:
    """The file in the folder that systemd gives the unit; None without such a folder, or a boot id to go by."""
    # More than one folder is separated by colons; ours is the first.
    folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return SessionFile(Path(folder) / NAME, boot_id) if folder and boot_id else None
