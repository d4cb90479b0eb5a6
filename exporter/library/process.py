"""The parent's side of the expendable process: ask, wait no longer than the limit, restart it after a crash.

Works with pipes and one thread per process that reads answers, which is what Windows has too. Does not import
ctypes: VMware's library is never in this process.
"""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TypeVar

from exporter.errors import LibraryCrashed, LibraryNotFound, TimeoutExpired
from exporter.library import answers, messages
from exporter.library.answers import Loaded
from exporter.library.expendable import Expendable
from exporter.machine import isolated
from exporter.snapshot import Snapshot
from exporter.threads import Thread

START_LIMIT = 10.0
"""Seconds for a new process to begin and load the library; usually well under 0.1."""
CLOSE_LIMIT = 0.2
"""Seconds for an idle process to notice that it is not wanted any more; then it is killed."""
GRACE = 1.0
"""The child ends itself this many seconds after the limit, should nobody be left to do it."""
MAX_PAUSE = 30.0
"""Seconds between starts when the library crashes each time."""

_T = TypeVar("_T")

_CRASH = 0x40000000
"""Windows: from here on the exit status is an NTSTATUS (ntstatus.h), a warning at least."""
_NTSTATUS = {
    0x80000003: "breakpoint",
    0xC0000005: "access violation",
    0xC000001D: "illegal instruction",
    0xC0000094: "division by zero",
    0xC00000FD: "stack overflow",
    0xC0000374: "heap corruption",
    0xC0000409: "buffer overrun or abort",
}

_NOT_UNDERSTOOD: messages.LibraryMessage = {}


def command(path: str | None) -> list[str]:
    """The child's command line; ``path`` as in :func:`exporter.library.loader.load`."""
    return isolated.command("exporter.library.child", path or "")


class LibraryProcess:
    """Asks VMware's library, in a process of its own. Owned by one thread; :meth:`close` may come from another.

    After a crash the next question starts a new process at once; when that one crashes too, not before a pause
    that doubles from a second to :data:`MAX_PAUSE`. Questions in the pause fail without a start.
    """

    def __init__(
        self,
        path: str | None,
        timeout: float,
        *,
        arguments: list[str] | None = None,
        environ: Mapping[str, str] | None = None,
        start_limit: float = START_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._named = bool(path)
        self._arguments = arguments or command(path)
        self._environ = environ
        self._timeout = timeout
        self._start_limit = start_limit
        self._clock = clock
        self._process: Expendable | None = None
        self._answers: queue.SimpleQueue[messages.LibraryMessage | None] = queue.SimpleQueue()
        self._reader: Thread | None = None
        self._crashes = 0
        self._not_before = clock()
        self._started = 0
        self._loaded: Loaded | None = None
        self._limit = timeout
        """Of the last question, seconds."""
        self._number = 0
        """Of the last question. A library that forks and returns twice gives two answers to one."""

    @property
    def restarts(self) -> int:
        """Times that a process had to be restarted."""
        return max(0, self._started - 1)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def load(self) -> Loaded:
        """Start the process and load the library, where that is not done yet.

        Raises:
            LibraryNotFound: there is none. The next call looks again.
            LibraryCrashed: it died of loading, or may not be started again yet.
        """
        if self._process is None:
            self._start()
        if self._loaded is None:
            self._loaded = self._ask({"ask": "load"}, self._start_limit, answers.loaded)
        return self._loaded

    def read(self) -> Snapshot:
        """:func:`exporter.library.handle.read` in the child; besides its errors, those of :meth:`load`."""
        self.load()
        return self._ask({"ask": "read"}, self._timeout, answers.snapshot)

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        """:func:`exporter.library.handle.stat` in the child; besides its errors, those of :meth:`load`.

        ``timeout``, seconds, can only shorten the process's own limit. When it is over, the process is ended, so that the
        next question need not wait for it. That is no crash, after which there might be a pause.

        Raises:
            TimeoutExpired: no answer in time.
        """
        self.load()
        limit = self._timeout if timeout is None else min(max(timeout, 0.0), self._timeout)
        question = {"ask": "stat", "encoding": encoding, "name": name}
        return self._ask(question, limit, answers.data)

    def close(self) -> None:
        """End the process. Never raises; a later question would start a new one."""
        self._end(CLOSE_LIMIT)

    def _start(self) -> None:
        if (wait := self._not_before - self._clock()) > 0:
            raise LibraryCrashed(
                f"VMware's library crashed {self._crashes} times in a row; it is started again in {wait:.0f} s"
            )
        try:
            process = Expendable(self._arguments, self._environ)
        except (OSError, RuntimeError, MemoryError) as error:
            raise self._crashed(f"can't be asked: its process can't be started: {error}") from error
        self._process = process
        answers: queue.SimpleQueue[messages.LibraryMessage | None] = queue.SimpleQueue()
        self._answers = answers
        self._started += 1
        self._reader = Thread(lambda: _pump(process.answers, answers))
        try:
            self._reader.start()
        except (RuntimeError, MemoryError) as error:
            crash = self._crashed(f"can't be asked: its process can't be listened to: {error}")
            process.answers.close()
            raise crash from error

    def _ask(
        self,
        question: messages.LibraryMessage,
        limit: float,
        decode: Callable[[messages.LibraryMessage], _T],
    ) -> _T:
        process = self._process
        if process is None:
            raise LibraryCrashed("VMware's library was closed while it was asked")
        answer: messages.LibraryMessage | None = None
        self._number += 1
        with suppress(OSError, ValueError):
            # A broken pipe means what an end of answers means, which the thread reports.
            messages.write(process.questions, {**question, "number": self._number, "limit": limit + GRACE})
        self._limit = limit
        try:
            answer = self._answers.get(timeout=limit)
        except queue.Empty:
            if question["ask"] == "stat":
                self._end(0)
                raise TimeoutExpired(
                    f"VMware's library did not answer within {limit:.3g} s; its process was killed"
                ) from None
            raise self._crashed(f"did not answer within {limit:g} s and was killed") from None
        answer = self._checked(answer)
        try:
            error = answers.error(answer)
            if error is None:
                result = decode(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as mistake:
            raise self._crashed("answered nonsense and was killed") from mistake
        if question["ask"] != "load":
            self._crashes = 0
        if isinstance(error, LibraryNotFound):
            error.named = self._named
        if error is not None:
            raise error
        return result

    def _checked(self, answer: messages.LibraryMessage | None) -> messages.LibraryMessage:
        """The answer to the question that was asked last; another one shows a process that is in no state to go on."""
        if answer is None:
            raise self._crashed("")
        if answer is not _NOT_UNDERSTOOD and answer.get("number") != self._number:
            raise self._crashed("answered another question than the last one and was killed")
        return answer

    def _crashed(self, what: str) -> LibraryCrashed:
        """Clear away, set the pause, say what happened."""
        process = self._process
        words = self._end(0 if what else CLOSE_LIMIT)
        self._crashes += 1
        pause = min(2.0 ** (self._crashes - 2), MAX_PAUSE) if self._crashes > 1 else 0.0
        self._not_before = self._clock() + pause
        what = what or _death(process.returncode if process else None, self._limit)
        return LibraryCrashed(f"VMware's library {what}{f': {words}' if words else ''}")

    def _end(self, limit: float) -> str:
        """End the process within about ``limit`` seconds; return its last words."""
        process, self._process, self._loaded = self._process, None, None
        return process.end(limit) if process is not None else ""


def _pump(pipe: IO[bytes], answers: queue.SimpleQueue[messages.LibraryMessage | None]) -> None:
    """Bring answers from the pipe to the queue, in a thread of its own; None is the end."""
    with pipe:
        try:
            while (answer := messages.read(pipe)) is not None:
                answers.put(answer)
        except (OSError, ValueError):
            answers.put(_NOT_UNDERSTOOD)
        answers.put(None)


def _death(code: int | None, limit: float) -> str:
    if code is None:
        return "ended"
    if code >= _CRASH:
        name = _NTSTATUS.get(code)
        return f"crashed its process ({name + ', ' if name else ''}0x{code:08X})"
    if code >= 0:
        return f"ended its process with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGALRM":
        # The child's own alarm, which nobody was left to forestall.
        return f"did not answer within {limit:g} s and ended itself"
    return f"crashed its process ({name})"
