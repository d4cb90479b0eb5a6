"""The word that a stop was asked for: what tells an orderly stop that was cut short from a crash.

One small file beside the lock with the boot's id, from the beginning of a stop until Disable is confirmed.
``vmguest-exporter ha finish-stop``, which systemd runs after every end of the exporter, acts only where it stands.

At other times the file is there as well, and as long: it is written over where it lies, which takes no room on a disk
that is full by the time of the stop.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from exporter.ha.lock import BOOT_ID, beside, boot

log = logging.getLogger("exporter.ha")


class StopNote:
    """That of the exporter whose lock is ``lock_file``. The calls that write say whether they could, and never fail."""

    def __init__(self, lock_file: str, *, boot_id: Path = BOOT_ID) -> None:
        self.path = beside(lock_file, "stopping")
        self._boot_id = boot_id

    def write(self) -> bool:
        """A stop begins."""
        noted = self._put(boot(self._boot_id))
        if not noted:
            log.error(
                "the stop can't be noted (is the disk full?): should it be cut short, it is taken for a crash",
                extra={"path": str(self.path)},
            )
        return noted

    def clear(self) -> bool:
        """It is over, or the exporter runs again: the room is kept for the next one."""
        return self._put(self._blank)

    def has_room(self) -> bool:
        """Whether a stop can be noted; makes the room where there is none yet. What stands there stays."""
        if self.path.exists():
            return os.access(self.path, os.W_OK)
        try:
            self._write(self._blank, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return True
        except OSError:
            return False
        return True

    def stands(self) -> bool:
        """A stop began in this boot and did not end."""
        try:
            return self.path.read_text(encoding="ascii", errors="replace").strip() == boot(self._boot_id)
        except OSError:
            return False

    @property
    def _blank(self) -> str:
        return "." * len(boot(self._boot_id))

    def _put(self, word: str) -> bool:
        try:
            try:
                self._write(word, 0)
            except OSError:
                # Not there yet, or of another user: root's, from a call by hand.
                self.path.unlink(missing_ok=True)
                self._write(word, os.O_CREAT | os.O_EXCL)
        except OSError:
            return False
        return True

    def _write(self, word: str, create: int) -> None:
        data = f"{word}\n".encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | create, 0o644)
        try:
            if os.pwrite(descriptor, data, 0) != len(data):
                raise OSError
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
