"""That somebody else sends heartbeats: the host said that monitoring was on, and this lock named nobody who had switched it on.

One small file beside the lock, with the boot's id. Disable hides such a stranger, and does not end it: what was seen once
holds until an exporter with this lock has switched monitoring on, which explains the next time that it is on.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from exporter import files
from exporter.ha.lock import BOOT_ID, beside, boot


class StrangerNote:
    """That of the lock ``lock_file``. Where nothing can be written or read, nobody is known."""

    def __init__(self, lock_file: str, *, boot_id: Path = BOOT_ID) -> None:
        self.path = beside(lock_file, "stranger")
        self._boot_id = boot_id

    def write(self) -> None:
        """One was seen."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with suppress(OSError), os.fdopen(files.open_regular(self.path, flags, 0o644), "w") as file:
            file.write(f"{boot(self._boot_id)}\n")

    def clear(self) -> None:
        """An exporter with this lock has switched monitoring on."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def stands(self) -> bool:
        """One was seen in this boot."""
        try:
            return files.read_bytes(self.path).decode("ascii", "replace").strip() == boot(self._boot_id)
        except OSError:
            return False
