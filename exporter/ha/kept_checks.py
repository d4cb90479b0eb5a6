"""What the checks have found, for an exporter that starts after this one was killed: it need not find it anew.

One small file beside the lock: the boot's id, when it was written (CLOCK_BOOTTIME), and by check what :class:`Kept` holds. Without it an exporter that is restarted again and
again would never come to a bad verdict. What it says is never a verdict: that takes a fresh look.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from exporter import files
from exporter.ha.kept import Kept
from exporter.ha.lock import BOOT_ID, beside, boot
from exporter.ha.maintenance import boottime


class KeptChecks:
    """That of the exporter whose lock is ``lock_file``. None of the calls fails: what is lost is found anew."""

    def __init__(
        self, lock_file: str, *, boot_id: Path = BOOT_ID, clock: Callable[[], float] = boottime
    ) -> None:
        self.path = beside(lock_file, "checks")
        self._new = beside(str(self.path), "new")
        self._boot = cache(lambda: boot(boot_id))
        self._clock = clock
        self._written: Mapping[str, Kept] | None = None

    def read(self, cleared: float = 0.0) -> dict[str, Kept]:
        """What an exporter of this boot has left behind; bad time of before ``cleared`` (CLOCK_BOOTTIME), a maintenance, is none."""
        try:
            found = json.loads(files.read_bytes(self.path))
            if found["boot"] != self._boot():
                return {}
            at = float(found["at"])
            checks = {
                str(name): _kept(fields, self._clock() - at) for name, fields in found["checks"].items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            return {}
        if at < cleared:
            return {name: each._replace(bad_for=0.0, unsure=0.0) for name, each in checks.items()}
        return checks

    def write(self, kept: Mapping[str, Kept]) -> None:
        """From now on a successor finds this. Where it can't be written it finds nothing: nothing old either."""
        if kept == self._written:
            return
        checks = {name: each._asdict() for name, each in kept.items()}
        try:
            content = json.dumps({"boot": self._boot(), "at": self._clock(), "checks": checks}).encode()
            try:
                self._put(self._new, content, os.O_CREAT)
                self._new.replace(self.path)
            except OSError:
                # A directory in which nothing can be made by now, say.
                self._put(self.path, content)
        except OSError:
            self.clear()
            return
        self._written = dict(kept)

    @staticmethod
    def _put(path: Path, content: bytes, create: int = 0) -> None:
        descriptor = files.open_regular(path, os.O_WRONLY | os.O_TRUNC | create, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def clear(self) -> None:
        """An orderly stop: the next one begins anew."""
        self._written = None
        for path in (self.path, self._new):
            try:
                path.unlink(missing_ok=True)
            except OSError:
                with suppress(OSError):
                    self._put(path, b"")


def _kept(fields: dict[str, Any], ago: float) -> Kept:
    """As it was written so many seconds ago; numbers within bounds."""
    awaited, same_for, bad_for, unsure = (
        max(0.0, min(float(fields[name]), 1e6)) for name in ("awaited", "same_for", "bad_for", "unsure")
    )
    return Kept(
        max(0, int(fields["failures"])),
        tuple(map(int, fields["memory"])),
        max(0, int(fields["successes"])),
        awaited,
        max(0.0, same_for - max(0.0, ago)),
        bad_for,
        unsure,
        str(fields["of"]),
    )
