"""The word that a stop was asked for: what tells an orderly stop that was cut short from a crash.

One small file beside the lock with the boot's id, from the beginning of a stop until Disable is confirmed.
``vmguest-exporter ha finish-stop``, which systemd runs after every end of the exporter, acts only where it stands.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from exporter.ha.lock import BOOT_ID, boot


class StopNote:
    """That of the exporter whose lock is ``lock_file``. None of the calls fails: a full disk must not stop a stop."""

    def __init__(self, lock_file: str, *, boot_id: Path = BOOT_ID) -> None:
        self.path = Path(lock_file).with_suffix(".stopping")
        self._boot_id = boot_id

    def write(self) -> None:
        """A stop begins."""
        with suppress(OSError):
            self.path.write_text(f"{boot(self._boot_id)}\n")

    def clear(self) -> None:
        """It is over, or the exporter runs again."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def stands(self) -> bool:
        """A stop began in this boot and did not end."""
        try:
            return self.path.read_text().strip() == boot(self._boot_id)
        except OSError:
            return False
