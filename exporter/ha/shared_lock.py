"""Whether the lock is one that the whole machine sees: a container may have a directory of its own in that place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from exporter.errors import ConfigError, passing
from exporter.ha.rules import SHORTAGES
from exporter.machine import container

MOUNTS = "proc/self/mountinfo"


def check_shared(path: str, *, root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a lock that only this container can see: another container's heartbeats would not be kept out by it.

    ``root``: where the files are that tell of containers and mounts.

    Raises:
        ConfigError: the directory is not the machine's; says what to mount. Or that can't be told now (``passing``).
    """
    engine = container.engine(root, environ)
    if not engine:
        return
    folder = Path(path).parent.resolve()
    try:
        mounts = (root / MOUNTS).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if error.errno in SHORTAGES:
            raise ConfigError(passing(f"{root / MOUNTS}: can't be read: {error.strerror}", error)) from error
        mounts = ""
    if not container.is_the_machines(PurePosixPath(folder), mounts):
        raise ConfigError(
            f"{path}: this is a container ({engine}), and {folder} is its own or a volume, not the machine's directory of that "
            "path: heartbeats of another container, or of the machine, would be neither seen nor kept out. Mount it from the "
            f"machine, at the same path (docker run -v {folder}:{folder}; Kubernetes: a hostPath volume of type "
            "DirectoryOrCreate)"
        )


def elsewhere(path: str, root: Path = Path("/proc/1/root")) -> str:
    """That another mount namespace has something else in the lock's place; empty where that is not so, or can't be known.

    ``root``: the files as the machine's first process sees them (proc(5)), which only root can look at.
    """
    try:
        folder = Path(path).parent.resolve()
        here, there = folder.stat(), (root / folder.relative_to("/")).stat()
    except OSError:
        return ""
    if os.path.samestat(here, there):
        return ""
    return (
        f"{path}: {folder} is another directory here than for the first process of this machine, as in a container or another "
        "mount namespace: an exporter there would be neither seen nor told. Make this call from the machine itself"
    )
