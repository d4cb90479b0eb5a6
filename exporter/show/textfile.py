"""Metrics for node_exporter's textfile collector: what host and guest gave, ``vmguest_up``, and nothing of a process.

node_exporter has ``process_*`` of its own, and counts of our own would begin anew with each run.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from exporter import catalogue, files
from exporter.errors import ConfigError

NOT_THERE = frozenset(metric.family for group in catalogue.OWN.values() for metric in group) - {
    metric.family
    for metric in (
        catalogue.UP,
        *catalogue.GUEST_METRICS,
        catalogue.GUEST_STEAL,
        catalogue.SESSION,
        catalogue.SESSION_START,
    )
}
"""Families of this program's own."""


def select(page: bytes) -> bytes:
    """The families of a page, in either text format, that are of host and guest."""
    end = b"# EOF\n"
    blocks = re.split(rb"^(?=# HELP )", page.removesuffix(end), flags=re.MULTILINE)
    kept = b"".join(block for block in blocks if wanted(block))
    return kept + (end if page.endswith(end) else b"")


def wanted(block: bytes) -> bool:
    """Whether a family, from its ``# HELP`` on, is the host's or the guest's."""
    words = block.split(b" ", 3)
    if len(words) < 4:
        return False
    name = words[2].decode()
    family = re.sub("_(total|info|created|bucket|count|sum)$", "", name)
    return name.startswith(catalogue.PREFIX) and not {name, family} & NOT_THERE


def replace(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, whole, for everybody to read.

    A symbolic link stays: what it leads to is replaced. What is no file (a pipe, /dev/null) is written to.

    Raises:
        ConfigError: it can't be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        files.replace(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise ConfigError(f"--output={path}: {error.strerror}") from error
