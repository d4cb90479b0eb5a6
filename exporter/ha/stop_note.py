"""The word that a stop was asked for: what tells an orderly stop that was cut short from a crash.

One small file beside the lock with the boot's id and the identity of the exporter that was asked, from the beginning of a
stop until Disable is confirmed. A heart whose exporter is gone finishes that stop, and so does ``vmguest-exporter ha
finish-stop``, which systemd runs after every end of the exporter: both act only where it stands.

At other times the file is there as well, and as long: it is written over where it lies, which takes no room on a disk
that is full by the time of the stop.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from exporter import files
from exporter.errors import ConfigError, passing
from exporter.ha.lock import BOOT_ID, beside, boot, holding
from exporter.machine import small_file

log = logging.getLogger("exporter.ha")

ROOM = 36 + 32
"""Characters for the boot's id, a space, and an identity: two numbers and a colon."""
BLANK = "." * ROOM


class StopNote:
    """That of the exporter whose lock is ``lock_file``. The calls that write say whether they could."""

    def __init__(self, lock_file: str, *, boot_id: Path = BOOT_ID) -> None:
        self.path = beside(lock_file, "stopping")
        self._lock_file = lock_file
        self._boot_id = boot_id
        self._told = False

    def write(self, exporter: str = "") -> bool:
        """A stop of ``exporter`` (:func:`exporter.machine.process.identity`) begins."""
        try:
            noted = self._put(f"{boot(self._boot_id)} {exporter}".ljust(ROOM))
        except OSError:
            noted = False
        if not noted and not self._told:
            self._told = True
            log.error(
                "the stop can't be noted (is the disk full, or are files short?): should it be cut short, it is taken for a crash",
                extra={"path": str(self.path)},
            )
        return noted

    def write_for_the_dead(self) -> str | None:
        """A stop begins that ends what an exporter which died has left on; for whom it is noted, None where it is not.

        Another exporter's heartbeats are not ended, unless that has ended, and its heart is about to.
        """
        holder = holding(self._lock_file)
        if holder is not None and not holder.orphaned:
            return None
        exporter = holder.exporter if holder else ""
        return exporter if self.write(exporter) else None

    def clear_that_of(self, exporter: str) -> None:
        """It is over, unless another one was noted meanwhile."""
        with suppress(ConfigError):
            if self.exporter() == exporter:
                self.clear()

    def clear(self) -> bool:
        """It is over, or the exporter runs again: the room is kept for the next one."""
        return self._put(BLANK)

    def has_room(self) -> bool:
        """Whether a stop can be noted; makes the room where there is none yet. What stands there stays."""
        if self.path.exists():
            return os.access(self.path, os.W_OK)
        try:
            self._write(BLANK, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return True
        except OSError:
            return False
        return True

    def stands(self) -> bool:
        """A stop began in this boot and did not end. Errors as :meth:`exporter`."""
        return self.exporter() is not None

    def exporter(self) -> str | None:
        """Whose stop that is, empty where it can't be told; None: there is none.

        Raises:
            ConfigError: it can't be read, so whether a stop was asked for is not known. ``passing``, where that may pass.
        """
        try:
            here, *exporter = (small_file.read(self.path) or BLANK).split() or [""]
            return " ".join(exporter) if here == boot(self._boot_id) else None
        except OSError as error:
            raise ConfigError(passing(f"{self.path}: can't be read: {error.strerror}", error)) from error

    def _put(self, word: str) -> bool:
        try:
            try:
                self._write(word, 0)
            except OSError:
                # Not there yet, or of another user: root's, from a call by hand; or something else that lies there.
                self.path.unlink(missing_ok=True)
                self._write(word, os.O_CREAT | os.O_EXCL)
        except OSError:
            return False
        return True

    def _write(self, word: str, create: int) -> None:
        data = f"{word}\n".encode()
        descriptor = files.open_regular(self.path, os.O_WRONLY | os.O_NOFOLLOW | create, 0o644)
        try:
            if os.pwrite(descriptor, data, 0) != len(data):
                raise OSError
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
