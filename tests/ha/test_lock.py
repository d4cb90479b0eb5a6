"""One heartbeater: real locks, held by real processes."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import files
from exporter.config.places import LockFile
from exporter.errors import ConfigError
from exporter.ha import lock, shared_lock
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.lock import Lock, acquire, holder
from exporter.ha.maintenance import Maintenance
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote
from exporter.machine import process, small_file
from exporter.machine.process import own


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "run").mkdir()
    return str(tmp_path / "run" / "ha.lock")


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    file = tmp_path / "boot_id"
    file.write_text("boot-1\n")
    return file


HOLD = """
import sys
from exporter.ha.lock import acquire
from exporter.ha.rules import Leftover
held = acquire(sys.argv[1])
held.note(Leftover.MONITORING)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def taken(path: str, boot: Path) -> Lock:
    held = acquire(path, boot_id=boot)
    assert held is not None
    return held


def test_the_file_holds_pid_boot_and_what_is_left_behind(path: str, boot: Path) -> None:
    held = taken(path, boot)
    assert Path(path).read_text() == f"{os.getpid()}\nboot-1\noff\n0.000\n{own()}\n\n\n\n"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    held.release()


def test_a_second_process_is_kept_out_and_can_name_the_first(path: str, other: subprocess.Popen[str]) -> None:
    assert acquire(path) is None
    assert holder(path) == other.pid


def test_the_holder_s_exporter_is_known_where_it_is_a_heart(path: str, boot: Path) -> None:
    for exporter, orphaned in [(own(), False), ("1:1", True), ("", False)]:
        held = acquire(path, boot_id=boot, exporter=exporter)
        assert held is not None
        found = lock.holding(path)
        assert found == lock.Holder(os.getpid(), own(), exporter)
        assert found is not None
        assert found.seen
        assert found.orphaned is orphaned
        held.release()
    assert lock.holding(path) is None
    assert not lock.Holder(os.getpid(), f"{os.getpid()}:1", "1:1").orphaned, "of another namespace"


def test_whoever_can_not_look_does_not_know_that_nobody_holds_it(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> int:
        raise OSError(errno.ENFILE, "Too many open files in system")

    monkeypatch.setattr(os, "open", short)
    assert holder(path) == 0


def test_a_crash_releases_and_leaves_word(path: str, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert holder(path) is None
    held = acquire(path)
    assert held is not None
    assert held.before.leftover is Leftover.MONITORING
    assert holder(path) == os.getpid()
    held.release()
    assert holder(path) is None


@pytest.mark.parametrize("leftover", list(Leftover))
def test_a_word_is_for_a_successor_of_the_same_boot(path: str, boot: Path, leftover: Leftover) -> None:
    held = taken(path, boot)
    held.note(Leftover.REQUEST)
    held.note(leftover)
    held.release()
    held = taken(path, boot)
    assert held.before.leftover is leftover, "and it stays until something else is noted"
    held.release()
    boot.write_text("boot-2\n")
    held = taken(path, boot)
    assert held.before.leftover is Leftover.NOTHING
    held.release()


@pytest.mark.parametrize("content", ["", "x", "1\n", "1\nboot-1\n", "1\nboot-1\nnonsense\n", "\0" * 500])
def test_a_damaged_file_leaves_nothing(path: str, boot: Path, content: str) -> None:
    Path(path).write_text(content)
    held = taken(path, boot)
    assert held.before.leftover is Leftover.NOTHING
    held.release()


def test_without_a_boot_id_the_word_still_counts(path: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    held = taken(path, nowhere)
    held.note(Leftover.MONITORING)
    held.release()
    held = taken(path, nowhere)
    assert held.before.leftover is Leftover.MONITORING
    held.release()


def test_a_file_that_was_removed_keeps_nobody_out(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between open and lock: the lock would be on a file that no other process can find."""
    removed: list[str] = []
    open_ = lock._open

    def open_and_remove(path: str) -> int:
        descriptor = open_(path)
        if not removed:
            removed.append(path)
            Path(path).unlink()
        return descriptor

    monkeypatch.setattr(lock, "_open", open_and_remove)
    held = taken(path, boot)
    assert holder(path) == os.getpid()
    held.release()


def test_one_whose_file_is_removed_under_it_takes_it_again(path: str, boot: Path) -> None:
    """Found by force: a second exporter started, and beat beside the first."""
    held = taken(path, boot)
    held.note(Leftover.REQUEST, 7.0)
    Path(path).unlink()
    assert holder(path) is None
    assert held.keep()
    assert holder(path) == os.getpid()
    assert acquire(path, boot_id=boot) is None
    assert lock.record(path, boot_id=boot) == lock.Record(Leftover.REQUEST, 7.0)
    inode = Path(path).stat().st_ino
    assert held.keep()
    assert Path(path).stat().st_ino == inode
    held.release()
    assert holder(path) is None


def test_one_whose_file_is_replaced_takes_that_one_unless_another_has_it(path: str, boot: Path) -> None:
    held = taken(path, boot)
    held.note(Leftover.MONITORING)
    Path(path).unlink()
    second = taken(path, boot)
    assert not held.keep()
    second.release()
    assert held.keep()
    assert lock.record(path, boot_id=boot).leftover is Leftover.MONITORING
    held.release()


def test_where_no_file_can_be_made_nobody_else_has_it_either(path: str, boot: Path) -> None:
    held = taken(path, boot)
    folder = Path(path).parent
    folder.rename(folder.with_name("elsewhere"))
    assert held.keep()
    folder.mkdir()
    assert held.keep()
    assert holder(path) == os.getpid()
    held.release()


def test_a_word_that_can_not_be_written_is_no_error(path: str, boot: Path) -> None:
    held = taken(path, boot)
    held.release()
    held.note(Leftover.MONITORING)


def test_a_place_that_can_not_be_had_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/x: the lock .*install -d"):
        acquire(str(tmp_path / "file" / "x"))


@pytest.mark.parametrize(
    ("number", "passes"),
    [
        *((getattr(errno, name), True) for name in ("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR")),
        *((getattr(errno, name), True) for name in ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ENOENT", "ESTALE")),
        *((getattr(errno, name), False) for name in ("EACCES", "EPERM", "ELOOP", "EISDIR", "ENAMETOOLONG")),
    ],
)
def test_a_shortage_is_no_wrong_setting(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    """What systemd does not start again must never be one that would start a moment later."""

    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(ConfigError) as caught:
        acquire(path, boot_id=boot)
    assert caught.value.passing is passes


def test_a_boot_that_can_not_be_read_for_now_is_no_other_boot(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> str:
        raise OSError(errno.ENFILE, "Too many open files in system")

    monkeypatch.setattr(files, "read_bytes", fails)
    with pytest.raises(ConfigError) as caught:
        acquire(path, boot_id=boot)
    assert caught.value.passing


def test_mounts_that_can_not_be_read_for_now_are_no_wrong_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, read = machine(tmp_path, ""), Path.read_text

    def fails(self: Path, *args: Any, **kwargs: Any) -> str:
        if self.name == "mountinfo":
            raise OSError(errno.ENFILE, "Too many open files in system")
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", fails)
    with pytest.raises(ConfigError) as caught:
        shared_lock.check_shared("/run/vmguest-exporter/ha.lock", root=root, environ={})
    assert caught.value.passing


def test_a_link_is_not_followed(tmp_path: Path, path: str) -> None:
    Path(path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        acquire(path)


def test_what_is_no_regular_file_is_no_lock(path: str) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="this is a pipe, not a regular file"):
        acquire(path)
    assert lock.holding(path) == lock.Holder(), "and nobody waits for who may write into it"


def test_a_file_that_may_not_be_read_is_somebodys(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    assert holder(path) == 0


def test_a_holder_without_a_pid_is_not_known(path: str, boot: Path) -> None:
    held = taken(path, boot)
    Path(path).write_text("")
    assert holder(path) == 0
    held.release()


def test_nobody_holds_what_is_not_there(path: str) -> None:
    assert holder(path) is None


def test_the_seconds_of_bad_health_are_for_a_successor_of_the_same_boot(path: str, boot: Path) -> None:
    held = taken(path, boot)
    held.note(Leftover.MONITORING, 12.5)
    held.release()
    assert lock.record(path, boot_id=boot).bad_for == 12.5
    held = taken(path, boot)
    assert (held.before.leftover, held.before.bad_for) == (Leftover.MONITORING, 12.5)
    held.release()
    boot.write_text("boot-2\n")
    assert lock.record(path, boot_id=boot) == lock.Record()


@pytest.mark.parametrize(
    ("bad_for", "read"), [("", 0.0), ("x", 0.0), ("nan", 0.0), ("-3", 0.0), ("1e300", 1e6)]
)
def test_damaged_seconds_are_no_bad_health(path: str, boot: Path, bad_for: str, read: float) -> None:
    Path(path).write_text(f"1\nboot-1\non\n{bad_for}\n")
    assert lock.record(path, boot_id=boot).bad_for == read


def test_a_typo_makes_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        acquire(str(tmp_path / "vmguset-exporter" / "ha.lock"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_directory_that_others_can_write_to_is_no_place(tmp_path: Path, mode: int) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    with pytest.raises(ConfigError, match="others can write to"):
        acquire(str(tmp_path / "shared" / "ha.lock"))


RUN = "/run/vmguest-exporter"
OVERLAY = "10 1 0:50 / / rw - overlay overlay rw\n"


def machine(tmp_path: Path, mounts: str, mark: str = ".dockerenv") -> Path:
    """A root with the mounts, and the file ``mark`` of a container engine."""
    table = tmp_path / "proc/self/mountinfo"
    table.parent.mkdir(parents=True)
    table.write_text(mounts)
    if mark:
        (tmp_path / mark).touch()
    return tmp_path


VOLUMES = [
    "/var/lib/docker/volumes/0123456789abcdef/_data",
    "/var/lib/docker/volumes/vmguest-exporter/_data",
    "/docker/volumes/vmguest-exporter/_data",
    "/var/lib/containers/storage/volumes/vmguest-exporter/_data",
    "/var/lib/kubelet/pods/11-22/volumes/kubernetes.io~empty-dir/vmguest-exporter",
    "/var/lib/kubelet/pods/11-22/volumes/kubernetes.io~csi/pvc-1/mount",
    "/pods/11-22/volume-subpaths/run/exporter/0",
    "/var/lib/containerd/io.containerd.grpc.v1.cri/containers/11/volumes/22",
    "/opt/local-path-provisioner/pvc-11_default_run",
    "/srv/somewhere-else",
    "/srv/run/vmguest-exporter",
    "/home/op/monitoring/run/vmguest-exporter",
    "/var/lib/kubelet/pods/11-22/volumes/kubernetes.io~empty-dir/run/vmguest-exporter",
    "/ostree/deploy/rhcos/var/lib/kubelet/pods/11-22/volumes/kubernetes.io~empty-dir/run/vmguest-exporter",
    "/vmguest-exporter",
]
"""What container engines and Kubernetes mount for volumes, and directories of the machine, as mountinfo names it: the last is
a folder of a volume with a disk of its own."""


@pytest.mark.parametrize(
    "mounts",
    [
        "",
        "nonsense\n",
        OVERLAY,
        OVERLAY + f"11 10 0:51 / {RUN} rw - tmpfs tmpfs rw\n",
        OVERLAY + "11 10 0:51 / /run rw - tmpfs tmpfs rw\n",
        OVERLAY + "11 10 0:22 /vmguest /run/vmguest rw - tmpfs tmpfs rw\n",
        OVERLAY
        + f"11 10 0:22 /vmguest-exporter {RUN} rw - tmpfs tmpfs rw\n12 11 0:51 / {RUN} rw - tmpfs tmpfs rw\n",
        OVERLAY + f"11 10 0:91 /vmguest-exporter {RUN} rw,relatime - tmpfs tmpfs rw,size=1024k\n",
        OVERLAY + "11 10 8:1 /pods/11-22/volumes/kubernetes.io~empty-dir/run /run rw - ext4 /dev/sda1 rw\n",
        OVERLAY
        + f"11 10 0:40 /@home/op/run/vmguest-exporter {RUN} rw - btrfs /dev/sda1 rw,subvolid=257,subvol=/@home\n",
        *[OVERLAY + f"11 10 8:1 {volume} {RUN} rw - ext4 /dev/sda1 rw\n" for volume in VOLUMES],
    ],
)
def test_a_container_without_the_machines_directory_is_refused(tmp_path: Path, mounts: str) -> None:
    """Found by force: a volume counted as the machine's directory, and two exporters each held a lock of their own."""
    root = machine(tmp_path, mounts)
    with pytest.raises(ConfigError, match=f"docker run -v {RUN}:{RUN}"):
        shared_lock.check_shared(f"{RUN}/ha.lock", root=root, environ={})


def test_no_refusal_names_another_place(tmp_path: Path) -> None:
    """Whoever took it would hold a lock that nobody else looks at."""
    (tmp_path / "file").touch()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    refusals: dict[str, Callable[[str], object]] = {
        f"{tmp_path}/{folder}/ha.lock": acquire for folder in ("missing", "file", "shared")
    }
    root = machine(tmp_path, OVERLAY)
    refusals[f"{RUN}/ha.lock"] = lambda path: shared_lock.check_shared(path, root=root, environ={})
    for path, refuse in refusals.items():
        with pytest.raises(ConfigError) as refused:
            refuse(path)
        said = str(refused.value)
        assert {word.rstrip(".") for word in re.findall(r"/[\w./-]+", said)} <= {
            path,
            str(Path(path).parent),
            RUN,
        }
        assert "--ha.lock-file" not in said


def test_no_container_needs_no_mount(tmp_path: Path) -> None:
    shared_lock.check_shared(f"{RUN}/ha.lock", root=machine(tmp_path, OVERLAY, ""), environ={})


def test_a_pod_without_a_token_is_a_container(tmp_path: Path) -> None:
    """As the project's own DaemonSet makes them, under containerd: no engine's file is there."""
    root = machine(tmp_path, OVERLAY, "")
    with pytest.raises(ConfigError, match="Kubernetes"):
        shared_lock.check_shared(f"{RUN}/ha.lock", root=root, environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


@pytest.mark.parametrize(
    ("mount", "folder"),
    [
        (f"0:22 /vmguest-exporter {RUN} rw shared:5 - tmpfs tmpfs rw,size=1024k,mode=755", RUN),
        (f"0:22 /vmguest-exporter {RUN} rw master:5 - tmpfs tmpfs rw,mode=755,inode64", RUN),
        (
            "0:22 / /run rw - tmpfs tmpfs rw,mode=755\n12 11 0:22 /vmguest-exporter /run/vmguest-exporter rw - tmpfs tmpfs rw,mode=755",
            RUN,
        ),
        (f"8:1 {RUN} {RUN} rw - ext4 /dev/sda1 rw", RUN),
        (f"0:22 /vmguest-exporter {RUN} rw - tmpfs tmpfs rw,mode=755", f"{RUN}/below"),
        ("0:40 /@/var/lib/x /var/lib/x rw - btrfs /dev/sda1 rw,subvolid=256,subvol=/@", "/var/lib/x"),
        ("0:40 /root/var/lib/x /var/lib/x rw - btrfs /dev/sda1 rw,subvol=/root", "/var/lib/x"),
        ("0:40 /@/a\\040b/lib/x /var/lib/x rw - btrfs /dev/sda1 rw,subvol=/@/a\\040b", "/var/lib/x"),
        (f"0:40 {RUN} {RUN} rw - btrfs /dev/sda1 rw,subvolid=5,subvol=/", RUN),
        ("8:4 /ostree/deploy/rhcos/var/lib/x /var/lib/x rw - xfs /dev/sda4 rw", "/var/lib/x"),
        ("8:1 /lib/x\\040y /var/lib/x\\040y rw - xfs /dev/sda2 rw", "/var/lib/x y"),
    ],
)
def test_a_container_with_the_machines_directory_is_taken(tmp_path: Path, mount: str, folder: str) -> None:
    root = machine(tmp_path, f"{OVERLAY}11 10 {mount}\n")
    shared_lock.check_shared(f"{folder}/ha.lock", root=root, environ={})


def test_a_relative_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by force: from two directories, two exporters each held a lock of their own."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="needs a whole path"):
        acquire("ha.lock")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="root only: files of another user")
def test_root_may_act_in_the_directory_of_the_exporters_user(tmp_path: Path) -> None:
    folder, path = tmp_path / "own", tmp_path / "own" / "ha.lock"
    folder.mkdir(mode=0o755)
    os.chown(folder, 4321, 4321)
    with pytest.raises(ConfigError, match="there is no lock of the heartbeats yet") as caught:
        lock.acquire(str(path))
    assert caught.value.passing
    assert not path.exists(), "no lock of root's that keeps the exporter out"
    path.touch()
    with pytest.raises(ConfigError, match="others can write to"):
        lock.acquire(str(path))
    os.chown(path, 4321, 4321)
    held = lock.acquire(str(path))
    assert held is not None
    held.release()
    assert path.stat().st_uid == 4321
    folder.chmod(0o775)
    with pytest.raises(ConfigError, match="others can write to"):
        lock.acquire(str(path))


@pytest.mark.parametrize("names", [("ha.a", "ha.b"), ("ha.stopping", "ha.checks"), ("ha", "ha.lock")])
def test_no_two_locks_of_a_directory_share_a_file(tmp_path: Path, names: tuple[str, str]) -> None:
    """Found by a stranger: ha.a and ha.b had one note of a stop, and that of ha.stopping was the lock itself."""
    files = []
    for name in names:
        path = str(tmp_path / name)
        files += [Path(path), Maintenance(path).path, StopNote(path).path, KeptChecks(path).path]
    assert len(set(files)) == 8
    Path(tmp_path / names[0]).write_text("the lock")
    path = str(tmp_path / names[0])
    StopNote(path).write()
    Maintenance(path).begin(10)
    KeptChecks(path).write({"shop": Kept(1)})
    assert Path(path).read_text() == "the lock"
    other = str(tmp_path / names[1])
    assert (Maintenance(other).left(), StopNote(other).stands(), KeptChecks(other).read()) == (
        None,
        False,
        {},
    )


def test_no_note_beside_a_lock_is_a_name_for_another_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "ha.lock")
    Maintenance(path).begin(60)
    StopNote(path).write()
    KeptChecks(path).write({"db": Kept(1, ())})
    notes = [each for each in tmp_path.iterdir() if each != Path(path)]
    assert len(notes) == 4
    for note in notes:
        with pytest.raises(ValueError, match="may be another lock's"):
            LockFile().parse(str(note))


def short_of_files(monkeypatch: pytest.MonkeyPatch, times: float = float("inf")) -> None:
    """The next ``times`` files can't be opened, for the lock's words or to look at it."""
    monkeypatch.setattr(small_file, "PAUSE", 0.0)
    left = [times]

    def then(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise OSError(errno.ENFILE, "Too many open files in system")
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "open", then(os.open))


def test_what_is_left_on_is_not_nothing_because_it_can_not_be_read(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: one read that failed, and monitoring that was on was left on."""
    held = taken(path, boot)
    held.note(Leftover.MONITORING)
    held.release()
    with monkeypatch.context() as patch:
        short_of_files(patch, 1)
        assert lock.record(path, boot_id=boot).leftover is Leftover.MONITORING
    short_of_files(monkeypatch)
    with pytest.raises(ConfigError, match="can't be read") as caught:
        lock.record(path, boot_id=boot)
    assert caught.value.passing


def test_a_look_that_fails_once_is_no_holder_and_one_that_fails_is_not_nobody(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(path, boot).release()
    with monkeypatch.context() as patch:
        short_of_files(patch, 1)
        assert lock.holding(path) is None
    short_of_files(monkeypatch)
    assert lock.holding(path) == lock.Holder()


def test_a_holder_that_could_not_tell_who_it_is_tells_it_with_its_next_word(
    path: str, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: no identity for life, so that nobody could have ended it."""
    with monkeypatch.context() as patch:
        patch.setattr(process, "own", lambda: "")
        held = taken(path, boot)
    held.note(Leftover.MONITORING)
    assert Path(path).read_text().split("\n")[4] == process.own() != ""
    held.release()
