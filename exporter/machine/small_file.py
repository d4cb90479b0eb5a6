"""The text of a small local file on which something hangs: a lock, a note beside it, one of the kernel's.

What can't be read is unknown, and never the same as what is not there.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from exporter import files

T = TypeVar("T")

TRIES = 5
PAUSE = 0.05
"""Seconds between two. A shortage of files or memory is often over by then."""
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESRCH})
"""The last one: a process that has ended since."""


def read(path: Path) -> str | None:
    """What stands there; None: there is no such file.

    Raises:
        OSError: it could not be read for a moment long, or is no regular file, so what stands there is not known.
    """
    found = retried(lambda: files.read_bytes(path))
    return None if found is None else found.decode("ascii", "replace")


def retried(look: Callable[[], T]) -> T | None:
    """What ``look`` finds; None: there is no such file. Errors as :func:`read`."""
    for left in reversed(range(TRIES)):
        try:
            return look()
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            if not left or isinstance(error, PermissionError):
                raise
        time.sleep(PAUSE)
    return None
