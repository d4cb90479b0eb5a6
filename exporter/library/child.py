"""The expendable process in which VMware's library runs: one thread, one question after another.

A crash in the library, which can't be caught, ends this process and nothing else. It asks for nothing by itself,
keeps no handle, and ends when its parent closes the pipe or dies.

Questions: ``{"ask": "load"}``, ``{"ask": "read"}``, ``{"ask": "stat", "encoding": …, "name": …}``, each with
``limit``, seconds, and ``number``, which comes back with the answer. Answers: what :meth:`Child.answer` returns.
Framing: :mod:`exporter.library.messages`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import IO

from exporter.errors import LibraryStatus, RpcError, VMGuestError
from exporter.library import handle, loader, messages

if sys.platform == "win32":
    from exporter.machine import windows_dlls

MEMORY = 512 * 2**20
"""Bytes of address space, of which Python and the library need some forty MiB."""

PROCESSES = 256
"""Processes and threads of the exporter's user beyond which the library can start none. Root's are not counted."""


class Child:
    """Answers questions with the library, which is loaded at the first one that can be."""

    def __init__(
        self, path: str | None, load: Callable[[str | None], loader.LoadedLibrary] = loader.load
    ) -> None:
        self._path = path
        self._load = load
        self._library: loader.LoadedLibrary | None = None

    def answer(self, question: messages.LibraryMessage) -> messages.LibraryMessage:
        """Never raises for what the library or the host does: that is an answer too, ``{"error": […]}``."""
        try:
            return self._answer(question)
        except VMGuestError as error:
            return {"error": self._spell(error)}
        except OSError as error:
            if sys.platform != "win32":
                raise
            # ctypes makes an exception of what ends a process elsewhere. Nothing is known of this memory any more.
            os._exit(_crash(error))

    def _answer(self, question: messages.LibraryMessage) -> messages.LibraryMessage:
        if self._library is None:
            self._library = self._load(self._path)
        library = self._library
        match question["ask"]:
            case "read":
                snapshot = handle.read(library)
                return {"session": snapshot.session_id, "values": dict(snapshot.values)}
            case "stat":
                data = handle.stat(library, question["encoding"], question["name"])
                return {"data": data.decode("latin-1")}
            case _:
                return {"library": loader.location(library.name), "missing": library.missing}

    def _spell(self, error: VMGuestError) -> list[str | int]:
        """An error as its class's name and what its constructor takes."""
        name = type(error).__name__
        if isinstance(error, RpcError):
            return [name, error.text, error.command]
        if isinstance(error, LibraryStatus) and self._library is not None:
            return [name, error.code, error.function, handle.status_text(self._library, error.code)]
        return [name, str(error)]


def serve(
    questions: IO[bytes],
    answers: IO[bytes],
    child: Child,
    set_alarm: Callable[[float], object] = lambda _: None,
) -> None:
    """Answer until the other side is gone.

    ``set_alarm(seconds)`` ends the process unless it is called again, with 0, before then: a parent that died
    while the library hangs could not.
    """
    try:
        while (question := messages.read(questions)) is not None:
            set_alarm(float(question["limit"]))
            answer = child.answer(question)
            set_alarm(0)
            messages.write(answers, {**answer, "number": question["number"]})
    except BrokenPipeError:
        pass


def main(arguments: list[str]) -> None:
    """The process: ``arguments`` is the library's path, or "" to search. Does not return."""
    run(Child(arguments[0] or None))


def run(child: Child) -> None:
    """The life of an expendable process, whichever library ``child`` has. Does not return."""
    _outlive_signals()
    _limit_resources()
    questions, answers = _private_pipes()
    serve(questions, answers, child, _alarm())
    # Nothing of the library's own clean-up is wanted.
    os._exit(0)


def _outlive_signals() -> None:
    """A signal to the whole group (Ctrl-C, systemd) is the parent's: it ends this process when it is done."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _limit_resources() -> None:
    """A crash is expected here and counted: a core file for each would fill the disk.

    What the library asks for when the host's bytes mislead it must not be the machine's memory, nor all its processes;
    a library that gets none aborts.
    """
    if sys.platform == "win32":
        windows_dlls.no_error_boxes()
    else:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        for each, bound in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_NPROC, PROCESSES)):
            _, most = resource.getrlimit(each)
            resource.setrlimit(each, (bound if most == resource.RLIM_INFINITY else min(bound, most), most))


def _private_pipes(stdin: int = 0, stdout: int = 1, stderr: int = 2) -> tuple[IO[bytes], IO[bytes]]:
    """The two pipes to the parent, moved out of the library's reach.

    What the library prints goes to standard error. Nobody reads that before this process is dead, so a write to
    the full pipe must fail, not wait.
    """
    questions, answers = os.fdopen(os.dup(stdin), "rb"), os.fdopen(os.dup(stdout), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, stdin)
    os.close(nothing)
    os.dup2(stderr, stdout)
    if sys.platform != "win32":
        os.set_blocking(stderr, False)
    return questions, answers


def _crash(error: OSError) -> int:
    """The exit status that the process would have had, an NTSTATUS (ctypes, callproc.c: SetException)."""
    status = getattr(error, "winerror", None) or next(
        (code for words, code in _EXCEPTIONS.items() if words in str(error)), _ACCESS_VIOLATION
    )
    # As a C int, which os._exit() takes.
    return (status & 0xFFFFFFFF) - (2**32 if status & 0x80000000 else 0)


_ACCESS_VIOLATION = 0xC0000005
_EXCEPTIONS = {"divide by zero": 0xC0000094, "stack overflow": 0xC00000FD, "breakpoint": 0x80000003}


def _alarm() -> Callable[[float], object]:
    if sys.platform == "win32":
        return lambda _: None
    # Without a handler the kernel ends the process, whatever the library is doing.
    return lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
