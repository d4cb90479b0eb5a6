"""VMware's HA library by ctypes, in a process of its own: ``libappmonitorlib``, ``libappmonitor``.

The library kills its process in the call that follows a failed connect, is not thread-safe, and waits for a reply
without a time limit. So a process that does nothing else loads it and calls it from its one thread: this one. Its
parent's side is :mod:`exporter.library.appmonitor_process`.

Source: open-vm-tools lib/include/vmGuestAppMonitorLib.h; faults: libappmonitor/vmGuestAppMonitorLib.c.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

from exporter.errors import LibraryNotFound
from exporter.library import messages
from exporter.library.child import Child, run
from exporter.library.loader import bind
from exporter.protocol.appmonitor import Verb

NAMES = ("libappmonitorlib.so", "libappmonitor.so.0", "libappmonitor.so")
"""Of the Guest SDK; of open-vm-tools, at run time and for developers."""

PREFIX = "VMGuestAppMonitor_"

STATUS_TEXT = ctypes.c_void_p
"""A ``char *`` to be freed. Not ``c_char_p``: Python would copy the text and lose the address."""

SIGNATURES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "Enable": ((), ctypes.c_int),
    "Disable": ((), ctypes.c_int),
    "IsEnabled": ((), ctypes.c_int),
    "MarkActive": ((), ctypes.c_int),
    "GetAppStatus": ((), STATUS_TEXT),
    "PostAppState": ((ctypes.c_char_p,), ctypes.c_int),
    "Free": ((STATUS_TEXT,), None),
}
"""Function without its prefix -> argument types, result type: the whole header."""

OPTIONAL = ("PostAppState",)
"""Since vSphere 5.5."""


class AppMonitorStatus(IntEnum):
    """``VMGuestAppMonitorLibError``, by when the library really returns it."""

    SUCCESS = 0
    OTHER = 1
    """Any reply but ``0``, most refusals, a connection lost twice."""
    NOT_RUNNING_IN_VM = 2
    NOT_ENABLED = 3
    """No channel could be opened. The next call of any kind crashes."""
    NOT_SUPPORTED = 4
    """The host knows no such command."""


def load(
    path: str | None, names: Iterable[str] = NAMES, dlopen: Callable[[str], Any] = ctypes.CDLL
) -> dict[str, Callable[..., Any]]:
    """The library's functions, by their names without the prefix.

    Raises:
        LibraryNotFound: there is no library by any of the names, or it is something else; says what was tried.
    """
    tried = []
    for name in [path] if path else names:
        try:
            handle = dlopen(name)
        except OSError as error:
            tried.append(str(error))
            continue
        functions = bind(handle, PREFIX, SIGNATURES)
        missing = [PREFIX + symbol for symbol in SIGNATURES if symbol not in (*functions, *OPTIONAL)]
        if not missing:
            return functions
        tried.append(f"{name} (it has no {', '.join(missing)})")
    raise LibraryNotFound(f"VMware's HA library can't be loaded. Tried: {'; '.join(tried)}")


class AppMonitorChild(Child):
    """Answers ``{"ask": verb, "argument": text}`` with the library, loaded at the first question.

    Answers: ``{"status": n}``, for IsEnabled too; ``{"text": …}`` or null for GetAppStatus; ``{"missing": name}``
    where this library lacks the function; ``{"not_found": text}`` where there is no library.
    """

    def __init__(
        self, path: str | None, load_functions: Callable[[str | None], dict[str, Callable[..., Any]]] = load
    ) -> None:
        super().__init__(path)
        self._load_functions = load_functions
        self._functions: dict[str, Callable[..., Any]] = {}

    def answer(self, question: messages.LibraryMessage) -> messages.LibraryMessage:
        try:
            self._functions = self._functions or self._load_functions(self._path)
        except LibraryNotFound as error:
            return {"not_found": str(error)}
        verb = Verb(question["ask"])
        function = self._functions.get(verb.value)
        if function is None:
            return {"missing": PREFIX + verb.value}
        if verb is Verb.GET_APP_STATUS:
            return {"text": self._text(function())}
        if verb is Verb.POST_APP_STATE:
            return {"status": function(question["argument"].encode())}
        return {"status": function()}

    def _text(self, pointer: int | None) -> str | None:
        if not pointer:
            return None
        try:
            return ctypes.string_at(pointer).decode("latin-1")
        finally:
            self._functions["Free"](pointer)


def main(arguments: list[str]) -> None:
    """The process: ``arguments`` is the library's path, or "" to search. Does not return."""
    run(AppMonitorChild(arguments[0] or None))
