"""Maintenance: no heartbeats until it ends, whatever starts or stops in the meantime.

One small file beside the lock, which root and the exporter's user can write: the boot's id, and the end in seconds of
CLOCK_BOOTTIME (which goes on while the machine is suspended) or ``inf``. ``vmguest-exporter ha disable`` writes it,
``ha enable`` removes it, a running heart looks at it every second. Another boot is the end of it. A second file, which stays,
says when the last one began: for who stood still over all of it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from exporter import files
from exporter.errors import ConfigError
from exporter.ha.lock import BOOT_ID, beside, boot
from exporter.ha.rules import SHORTAGES
from exporter.machine import small_file


def boottime() -> float:
    """Seconds since the boot, those of a suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Maintenance:
    """That of the exporter whose lock is ``lock_file``."""

    def __init__(
        self,
        lock_file: str,
        *,
        boot_id: Path = BOOT_ID,
        clock: Callable[[], float] = boottime,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.path = beside(lock_file, "maintenance")
        self._trace = beside(lock_file, "maintained")
        self._boot_id = boot_id
        self._clock = clock
        self._tell = tell
        self._end: float | None = math.inf
        """By the last look; None: there is no maintenance. Before the first nobody knows better."""
        self._short = self._known = False
        self._begun = 0.0
        self._seen: float | None = None

    def left(self) -> float | None:
        """Seconds until its end, infinite where it has none; None outside of maintenance.

        A file that can't be read or understood is a maintenance without an end: nobody knows better, and a missed
        heartbeat resets the machine where a missed Enable does not. Where only files or memory are short, what was
        known last goes on to hold.
        """
        try:
            self._end, self._short = self._look(), False
            self._known = True
        except OSError as error:
            if not self._short:
                self._tell(
                    f"{self.path}: whether this is maintenance can't be read: {error.strerror}. What was known last holds."
                )
            self._short = True
        left = None if self._end is None else self._end - self._clock()
        return None if left is None or left <= 0 else left

    def _look(self) -> float | None:
        """The end by the file.

        Raises:
            OSError: a shortage.
        """
        try:
            # What is no regular file is not waited for: it is a maintenance as well. Where nothing is known yet, a shortage is
            # given a moment to pass.
            look = partial(files.read_bytes, self.path)
            found = look() if self._known else small_file.retried(look)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            return math.inf
        if found is None:
            return None
        lines = found.decode("ascii", "replace").split("\n")
        if lines[0] != boot(self._boot_id) and len(lines) > 1:
            return None
        try:
            end = float(lines[1])
        except (IndexError, ValueError):
            return math.inf
        return math.inf if math.isnan(end) else end

    def begun(self) -> float:
        """When the last one of this boot began, whether or not it is over: CLOCK_BOOTTIME; 0 where none is known.

        What can't be read is as it was known last.
        """
        try:
            here, begun = files.read_bytes(self._trace).decode("ascii", "replace").split()
            self._begun = float(begun) if here == boot(self._boot_id) else 0.0
        except FileNotFoundError:
            self._begun = 0.0
        except (OSError, ValueError):
            pass
        return self._begun

    def happened(self) -> bool:
        """Whether there is one, or has been one since the last call: what was bad before it is none of the bad time."""
        begun = self.begun()
        new = self._seen is not None and begun > self._seen
        self._seen = max(begun, self._seen or 0.0)
        return self.left() is not None or new

    def begin(self, seconds: float) -> None:
        """From now on, for ``seconds`` or without an end (``math.inf``).

        Raises:
            ConfigError: it can't be written. What was noted before stands.
        """
        now = self._clock()
        try:
            here = boot(self._boot_id)
            _write(self.path, f"{here}\n{now + seconds}\n")
            # Whoever does not stand still sees the maintenance itself.
            with suppress(OSError):
                _write(self._trace, f"{here}\n{now}\n")
        except OSError as error:
            raise ConfigError(
                f"{self.path}: maintenance can't be noted: {error.strerror}. Run as root or as the exporter's user, "
                "with the exporter's own --ha.lock-file"
            ) from error

    def end(self) -> None:
        """Over, if there was one.

        Raises:
            ConfigError: it can't be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path}: maintenance can't be ended: {error.strerror}") from error


def _write(path: Path, content: str) -> None:
    """All of it or nothing.

    Raises:
        OSError: what was there before stands.
    """
    # Two at the same moment each have their own.
    new = beside(str(path), f"new.{os.getpid()}")
    try:
        # World-readable: the exporter may run as another user than whoever calls this.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = files.open_regular(new, flags, 0o644)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o644)
            file.write(content)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
