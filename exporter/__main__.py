"""``python -m exporter`` and the console script: nothing that happens to the process ends in a traceback.

An interrupt while modules are being imported, no descriptors, no memory: each is a line and an exit status.
"""

import errno
import sys

FAILED, INTERRUPTED = 1, 130
"""The second is 128 + SIGINT, as shells say it."""


def entry() -> None:
    """Run the command line, and exit with its status."""
    try:
        from exporter.commands.cli import entry as run

        status = run()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        if not (words := _shortage(error)):
            raise
        print(f"vmguest-exporter: {words}", file=sys.stderr)
        status = FAILED
    sys.exit(status)


def _shortage(error: BaseException | None) -> str:
    """What the system has too little of, where that is what ``error`` comes from; else nothing."""
    while error is not None:
        if isinstance(error, MemoryError):
            return "out of memory: raise MemoryMax=, or ulimit -v"
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            return f"{error.strerror}: raise LimitNOFILE=, or ulimit -n"
        error = error.__context__
    return ""


if __name__ == "__main__":
    entry()
