"""One heartbeating process per VM: a lock that a crash releases.

Neither the host nor VMware's library tells two beating programs apart: a healthy one masks a dead one, and one
Disable stops both (SDK release notes). The file's first line is the holder's pid, the second the boot's id, the
third what the holder leaves behind if it dies now: :class:`Leftover`. A successor in the same boot takes that over.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from exporter.errors import ConfigError
from exporter.ha.rules import Leftover

DEFAULT_PATH = "/run/vmguest-exporter/ha.lock"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Lock:
    """A lock that this process holds until :meth:`release` or its end.

    ``leftover``: what the last holder left, in this boot.
    """

    def __init__(self, descriptor: int, boot: str, leftover: Leftover) -> None:
        self.leftover = leftover
        self._descriptor = descriptor
        self._boot = boot
        self.note(leftover)

    def note(self, leftover: Leftover) -> None:
        """Write down what a successor would have to take over from now on."""
        lines = f"{os.getpid()}\n{self._boot}\n{leftover.value}\n".encode()
        # Written before it is cut: a reader, or a successor after a crash in between, finds the pid.
        # A full disk costs the successor this word, and must not cost a heartbeat.
        with suppress(OSError):
            os.pwrite(self._descriptor, lines, 0)
            os.ftruncate(self._descriptor, len(lines))

    def release(self) -> None:
        os.close(self._descriptor)


def acquire(path: str = DEFAULT_PATH, *, boot_id: Path = BOOT_ID) -> Lock | None:
    """Take the lock at ``path``; None when another process holds it (:func:`holder` says which).

    Raises:
        ConfigError: the file can't be had.
    """
    boot = _boot(boot_id)
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            break
        # Somebody removed the file between open and lock: what was locked keeps nobody out.
        os.close(descriptor)
    _, before, word, *_ = [*_lines(descriptor), "", "", ""]
    known = before == boot and word in {each.value for each in Leftover}
    return Lock(descriptor, boot, Leftover(word) if known else Leftover.NOTHING)


def holder(path: str = DEFAULT_PATH) -> int | None:
    """The pid of the process that holds the lock at ``path``; None when nobody does, 0 when it can't be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        return 0
    except OSError:
        return None
    try:
        # A shared lock: two that ask at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _lines(descriptor)[0]
        return int(pid) if pid.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def _open(path: str) -> int:
    try:
        with suppress(FileExistsError):
            Path(path).parent.mkdir(mode=0o755)
        # Whoever may read it could lock it, and keep the heartbeats out.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{path}: the lock of the heartbeats can't be opened: {error.strerror}. Run under the systemd unit, which "
            "makes /run/vmguest-exporter, or name another place with --ha.lock-file, the same for every exporter "
            "of this machine"
        ) from error


def _lines(descriptor: int) -> list[str]:
    return os.pread(descriptor, 200, 0).decode("ascii", "replace").split("\n")


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), Path(path).stat())
    except OSError:
        return False


def _boot(boot_id: Path) -> str:
    try:
        return boot_id.read_text().strip()
    except OSError:
        return "-"
