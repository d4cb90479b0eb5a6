"""Whether this process runs in a container, and what of the machine it sees there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

MARKS = (
    ("run/.containerenv", "Podman"),
    (".dockerenv", "Docker"),
    ("var/run/secrets/kubernetes.io", "Kubernetes"),
)
"""Files of container engines."""
CGROUPS = {
    "kubepods": "Kubernetes",
    "docker": "Docker",
    "libpod": "Podman",
    "containerd": "containerd",
    "lxc": "LXC",
}
"""Words in the names of their control groups."""


def engine(root: Path, environ: Mapping[str, str]) -> str:
    """Name of the container engine; empty outside of containers. ``environ``: this process's.

    A pod need not have any of the files: Kubernetes leaves its own out with automountServiceAccountToken: false.
    """
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "Kubernetes"
    for path, name in MARKS:
        if _exists(root / path):
            return name
    said = [_read(root / "run/systemd/container"), *_read(root / "proc/1/environ").split("\0")]
    for word in said:
        name = word.removeprefix("container=")
        if name and (word.startswith("container=") or word == said[0]):
            return name
    groups = _read(root / "proc/self/cgroup")
    return next((name for word, name in CGROUPS.items() if word in groups), "")


def is_the_machines(folder: PurePosixPath, mountinfo: str) -> bool:
    """Whether ``folder`` of this container is the machine's directory of the same path, by proc(5)'s mountinfo.

    It is where something other than a whole file system is mounted, and that lies at this path in the machine too: what is
    mounted is named from the root of its own file system, so that the machine's ``/run/x`` is ``/x`` of the tmpfs at
    ``/run``, and ``/run/x`` where that is a directory of the root file system. Volumes and other directories of the machine lie elsewhere
    (``/var/lib/docker/volumes/…/_data``, ``/var/lib/kubelet/pods/…/volumes/kubernetes.io~empty-dir/…``,
    ``/srv/run/x``), and a tmpfs of the container's own is mounted whole.
    """
    there, depth, how = PurePosixPath("/"), 0, ""
    for line in mountinfo.splitlines():
        # "36 35 98:0 /mnt1 /mnt2 rw,noatime … - ext3 /dev/root rw": what of the file system is mounted, where, and how.
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        root, point = (PurePosixPath(field.replace("\\040", " ")) for field in fields[3:5])
        # The deepest one counts, and of several at one place the last.
        if folder.is_relative_to(point) and len(point.parts) >= depth:
            depth = len(point.parts)
            whole = str(root) == "/" or str(point) == "/"
            there = PurePosixPath("/") if whole else root / folder.relative_to(point)
            how = line.partition(" - ")[2]
    kind, options = how.split(" ")[0], how.split(" ")[-1].split(",")
    ours, theirs = folder.parts, _below_its_mount(there, options)
    if not theirs or ours[-len(theirs) :] != theirs:
        return False
    if kind == "tmpfs":
        # The machine's /run is made with a mode, so that not everybody can write to it; a volume in memory is not.
        return any(option.startswith("mode=") for option in options)
    # A disk that the machine would have mounted at /run is a volume.
    return ours[: -len(theirs)] != ("/", "run")


def _below_its_mount(there: PurePosixPath, options: list[str]) -> tuple[str, ...]:
    """Its names below what the machine mounts: a Btrfs subvolume, OSTree's folder for ``/var``, or the whole file system."""
    if there.parts[1:3] == ("ostree", "deploy"):
        return there.parts[4:]
    named = [option.removeprefix("subvol=") for option in options if option.startswith("subvol=/")]
    subvolume = named[0].replace("\\040", " ") if named else "/"
    return there.relative_to(subvolume if there.is_relative_to(subvolume) else "/").parts


def _read(path: Path) -> str:
    """The text of a file, stripped; empty where it can't be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except (OSError, ValueError):
        return ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
