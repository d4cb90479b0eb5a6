"""A process that may die at any moment, and everything that it has started.

It has a session of its own and is ended as a group. What it leaves behind may hold its pipes open for ever, so
nothing here reads until an end that may not come: answers end when the process is dead, and its last words are what
stands in the pipe by then.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from exporter.machine import isolated
from exporter.threads import Thread

KILL_LIMIT = 1.0
"""Seconds for a killed process to be gone; one that the kernel holds on to is left to it."""
WORDS = 200
"""Characters of the last line on standard error that are kept."""
_PIPE = 2**16
"""Bytes that a pipe holds on Linux."""


class Expendable:
    """Started at once, with ``questions`` to write to and ``answers`` to read from.

    Raises:
        OSError, RuntimeError, MemoryError: it can't be started, or nobody be found to watch it.
    """

    def __init__(self, arguments: list[str], environ: Mapping[str, str] | None = None) -> None:
        # A pipe's reader can't be woken from this side, a socket's can; but Windows has sockets for no child's output.
        self._socket, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if sys.platform == "win32" else theirs.fileno(),
                # Nobody drains it: see the child, whose writes do not wait. Windows has no such pipes.
                stderr=subprocess.DEVNULL if sys.platform == "win32" else subprocess.PIPE,
                env=environ,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._tie = isolated.Tie(self._process)
        self.pid = self._process.pid
        self.questions = _opened(self._process.stdin)
        self.answers: IO[bytes] = (
            _opened(self._process.stdout) if sys.platform == "win32" else self._socket.makefile("rb")
        )
        """Blocks; for a thread of its own. Ends when the process is dead, whoever else has its pipes."""
        self._watcher = Thread(self._watch)
        try:
            self._watcher.start()
        except (RuntimeError, MemoryError):
            isolated.kill(self._process)
            self.end(0)
            self.answers.close()
            raise

    @property
    def returncode(self) -> int | None:
        """As of :class:`subprocess.Popen`; None until :meth:`end` has found it dead."""
        code: int | None = self._process.returncode
        return code

    def end(self, limit: float) -> str:
        """End it, by force where it is still there after ``limit`` seconds; return its last words. Never raises."""
        with suppress(OSError):
            self.questions.close()
        self._watcher.join(limit)
        if self._watcher.is_alive():
            isolated.kill(self._process)
            self._watcher.join(KILL_LIMIT)
        if not self._watcher.is_alive():
            # Reaped only now: until then nobody else could be given its number, which is the group's.
            self._process.wait()
        self._shut()
        self._socket.close()
        return self._last_words()

    def _watch(self) -> None:
        """Wait until it is dead, then see to it that nobody is left to keep its pipes open."""
        if sys.platform == "win32":
            self._process.wait()
            # What it has started may hold its pipes open.
            self._tie.end()
        else:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            isolated.kill(self._process)
            # A descendant may have left the group.
            self._shut()

    def _shut(self) -> None:
        """End of answers; those that have arrived can still be read."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def _last_words(self) -> str:
        """The last line that it left on standard error, glibc's reason for an abort for one."""
        if sys.platform == "win32" or self._process.stderr is None:
            return ""
        with self._process.stderr as pipe:
            os.set_blocking(pipe.fileno(), False)
            try:
                lines = os.read(pipe.fileno(), _PIPE).decode("utf-8", "replace").split("\n")
            except OSError:
                return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:WORDS]


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("a pipe that was not asked for")
    return pipe
