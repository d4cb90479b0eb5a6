"""What the system has too little of. Imported before everything else, so it imports next to nothing."""

import errno
import sys


def shortage(error: BaseException | None, *, windows: bool = sys.platform == "win32") -> str:
    """What the system has too little of, and which limit to raise, where that is what ``error`` comes from; else nothing."""

    def words(what: str, limits: str) -> str:
        # Windows has no such limits: the machine itself is short of it.
        return what if windows else f"{what}: raise {limits}"

    while error is not None:
        if isinstance(error, MemoryError):
            return words("out of memory", "MemoryMax=, or ulimit -v")
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            return words(str(error.strerror), "LimitNOFILE=, or ulimit -n")
        if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
            return words(str(error), "TasksMax= and MemoryMax=, or ulimit -u and -v")
        error = error.__context__
    return ""
