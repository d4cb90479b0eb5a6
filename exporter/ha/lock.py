"""One heartbeating process per VM: a lock that a crash releases.

Neither the host nor VMware's library tells two beating programs apart: a healthy one masks a dead one, and one
Disable stops both (SDK release notes). The file's lines are the holder's pid, the boot's id, what the holder leaves
behind if it dies now (:class:`Leftover`), for how many seconds health has been bad, which process the holder is and
which its exporter (:mod:`exporter.machine.process`), when the host took the last heartbeat, and until when it may carry out a
call that the holder has given up (:mod:`exporter.ha.late`). A successor in the same boot takes the third, the fourth and
the last two over.

It is a file in a directory of the machine that only root or the exporter's user can write. Not an abstract socket: any
local user could take its name in the moment of a restart, and that would be a reset.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from exporter import files
from exporter.errors import ConfigError, Passing, passing
from exporter.ha.rules import SHORTAGES, Leftover
from exporter.machine import process, small_file

if sys.platform != "win32":
    import fcntl

DEFAULT_PATH = "/run/vmguest-exporter/ha.lock"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in the file: of the holder, or of the last one in this boot."""

    leftover: Leftover = Leftover.NOTHING
    bad_for: float = 0.0
    """Seconds for which health has been bad."""
    exporter: str = field(default="", compare=False)
    """The identity of the exporter whose heart that was; empty for a command."""
    last_beat: float | None = field(default=None, compare=False)
    """When the host took the last heartbeat, whoever sent it: seconds of the monotonic clock. None: none is known."""
    late_until: float | None = field(default=None, compare=False)
    """Until when it may carry out a call that was given up, by the same clock. None: there is no such call."""

    @property
    def exporter_runs(self) -> bool:
        """Where nobody holds the lock, it is about to start another heart."""
        return process.runs(self.exporter)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock, by its file."""

    pid: int = 0
    """0 where it can't be told."""
    identity: str = ""
    """Empty where it can't be told."""
    exporter: str = ""
    """The identity of the exporter whose heart this is; empty for a command that makes one call."""

    @property
    def seen(self) -> bool:
        """Its pid is that process's here too, and not one of another namespace's."""
        return process.runs(self.identity)

    @property
    def orphaned(self) -> bool:
        """It is the heart of an exporter that has ended."""
        return self.seen and bool(self.exporter) and not process.runs(self.exporter)


class Lock:
    """A lock that this process holds until :meth:`release` or its end.

    ``before``: what the last holder left; ``exporter``: the identity of the one whose heart this process is.
    """

    def __init__(self, descriptor: int, path: str, boot_id: str, before: Record, exporter: str = "") -> None:
        self.before = before
        self._own, self._exporter = "", exporter
        self._descriptor = descriptor
        self._path = path
        self._boot_id = boot_id
        self._last_beat = before.last_beat
        self.note(before.leftover, before.bad_for, late_until=before.late_until)

    def note(
        self,
        leftover: Leftover,
        bad_for: float = 0.0,
        last_beat: float | None = None,
        late_until: float | None = None,
    ) -> bool:
        """Write down what a successor would have to take over from now on; False: it could not be written.

        ``last_beat``, ``late_until``: as in :class:`Record`; for the first, None where there was none since.
        """
        self._noted = leftover, bad_for, last_beat, late_until
        self._last_beat = self._last_beat if last_beat is None else last_beat
        beat, late = ("" if time is None else f"{time:.3f}" for time in (self._last_beat, late_until))
        # In a shortage it may not be known before the next time.
        self._own = self._own or process.own()
        who = f"{self._own}\n{self._exporter}\n{beat}\n{late}\n"
        lines = f"{os.getpid()}\n{self._boot_id}\n{leftover.value}\n{bad_for:.3f}\n{who}".encode()
        # Written before it is cut: a reader, or a successor after a crash in between, finds the pid.
        # A full disk costs the successor this word for as long as it is full, and must not cost a heartbeat.
        try:
            os.pwrite(self._descriptor, lines, 0)
            os.ftruncate(self._descriptor, len(lines))
        except OSError:
            return False
        return True

    def keep(self) -> bool:
        """Take the lock again where its file was removed or replaced. False: another process holds what lies there now.

        Where no file can be made (a full disk, a directory that is gone) nobody else can take the lock either.
        """
        if _is_at(self._descriptor, self._path):
            return True
        try:
            descriptor = _locked(self._path)
        except ConfigError:
            return True
        if descriptor is None:
            return False
        os.close(self._descriptor)
        self._descriptor = descriptor
        self.note(*self._noted)
        return True

    def release(self) -> None:
        os.close(self._descriptor)


def beside(path: str, name: str) -> Path:
    """The file ``name`` of the exporter whose lock is ``path``: no other lock in that directory has the same."""
    return Path(f"{path}.{name}")


def acquire(path: str = DEFAULT_PATH, *, boot_id: Path = BOOT_ID, exporter: str = "") -> Lock | None:
    """Take the lock at ``path``, for the heart of ``exporter``; None when another process holds it (:func:`holder` says which).

    Raises:
        ConfigError: the file can't be had, or its directory is no place for it. ``passing``, where that may pass.
    """
    try:
        # With another word in its place, what the last holder left behind would not be known.
        here = boot(boot_id)
    except OSError as error:
        raise ConfigError(passing(f"{boot_id}: can't be read: {error.strerror}", error)) from error
    descriptor = _locked(path)
    if descriptor is None:
        return None
    return Lock(descriptor, path, here, _record(_lines(descriptor), here), exporter)


def holder(path: str = DEFAULT_PATH) -> int | None:
    """The pid of the process that holds the lock at ``path``; None when nobody does, 0 when it can't be told."""
    found = holding(path)
    return None if found is None else found.pid


def holding(path: str = DEFAULT_PATH) -> Holder | None:
    """Who holds the lock at ``path``; None when nobody does."""
    try:
        descriptor = small_file.retried(lambda: files.open_regular(path, os.O_RDONLY | os.O_NOFOLLOW))
    except OSError:
        # Whoever can't look does not know that nobody does.
        return Holder()
    if descriptor is None:
        return None
    try:
        # A shared lock: two that ask at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, _, _, _, identity, exporter, *_ = [*_lines(descriptor), *[""] * 6]
        return Holder(int(pid) if pid.isdigit() else 0, identity, exporter)
    finally:
        os.close(descriptor)
    return None


def record(path: str = DEFAULT_PATH, *, boot_id: Path = BOOT_ID) -> Record:
    """What stands in the file now, held or not; an empty one where there is no file.

    Raises:
        ConfigError: it can't be read, so what is left is not known. ``passing``, where that may pass.
    """
    try:
        text = small_file.read(Path(path))
        return Record() if text is None else _record(text.split("\n"), boot(boot_id))
    except OSError as error:
        raise ConfigError(passing(f"{path}: can't be read: {error.strerror}", error)) from error


def boot(boot_id: Path = BOOT_ID) -> str:
    """The id of this boot, the same in every container of the machine; ``-`` where it can't be read at all.

    Raises:
        OSError: a shortage. With another word in its place, a note of this boot would be taken for one of another.
    """
    try:
        text = small_file.read(boot_id)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        text = None
    return "-" if text is None else text.strip()


def _locked(path: str) -> int | None:
    """The file at ``path``, locked; None when another process holds it."""
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        # Somebody removed the file between open and lock: what was locked keeps nobody out.
        os.close(descriptor)


def _open(path: str) -> int:
    if not Path(path).is_absolute():
        raise ConfigError(
            f"{path}: the lock of the heartbeats needs a whole path: by a relative one, exporters that were started in "
            "different directories would each hold one of their own"
        )
    folder = Path(path).parent
    try:
        found = folder.stat()
        create = os.O_CREAT
        owners = {0, os.geteuid()}
        if os.geteuid() == 0 and found.st_uid:
            # An administrator beside the exporter's user. A lock of root's in its place would keep the exporter out.
            if not os.path.lexists(path):
                missing = Passing(
                    f"{path}: there is no lock of the heartbeats yet, and root's would keep out the user to whom {folder} belongs "
                    f"(uid {found.st_uid}): start that user's exporter first, or call this as that user"
                )
                raise ConfigError(missing)
            if Path(path).lstat().st_uid == found.st_uid:
                owners.add(found.st_uid)
                create = 0
        if found.st_uid not in owners or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"{path}: the lock of the heartbeats can't be here: others can write to {folder}. It must belong to root or "
                "to the exporter's user, with write permission for the owner alone"
            )
        # Whoever may read it could lock it, and keep the heartbeats out.
        descriptor = files.open_regular(path, os.O_RDWR | create | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        problem = (
            f"{path}: the lock of the heartbeats can't be opened: {error.strerror}. The systemd unit makes "
            "/run/vmguest-exporter; without it: install -d -m 0755 -o USER /run/vmguest-exporter, with the exporter's user. It "
            "is one file for every exporter of this machine"
        )
        raise ConfigError(passing(problem, error)) from error
    return descriptor


def _lines(descriptor: int) -> list[str]:
    return os.pread(descriptor, 300, 0).decode("ascii", "replace").split("\n")


def _record(lines: list[str], here: str) -> Record:
    _, before, word, bad_for, _, exporter, last_beat, late_until, *_ = [*lines, *[""] * 8]
    if before != here or word not in {each.value for each in Leftover}:
        return Record()
    seconds = _number(bad_for)
    return Record(
        Leftover(word),
        0.0 if seconds is None else max(0.0, min(seconds, 1e6)),
        exporter,
        _number(last_beat),
        _number(late_until),
    )


def _number(text: str) -> float | None:
    with suppress(ValueError):
        return number if math.isfinite(number := float(text)) else None
    return None


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), Path(path).stat())
    except OSError:
        return False
