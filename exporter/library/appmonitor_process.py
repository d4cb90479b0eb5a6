"""The heart's side of VMware's HA library: ask its process, wait no longer than the limit, restart it.

It is killed and started again at once when a channel could not be opened, a call took too long, or it died, so that
the new one is ready for the heartbeat that is tried next. The process is :mod:`exporter.library.appmonitor`.
"""

from __future__ import annotations

import io
import os
import select
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from exporter.errors import (
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NotVMwareError,
    RpcError,
    TimeoutExpired,
)
from exporter.library import messages
from exporter.library.appmonitor import PREFIX, AppMonitorStatus
from exporter.machine import isolated
from exporter.protocol import appmonitor
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

START_LIMIT = 3.0
"""Seconds for a new process to begin, on top of its first call's own limit."""
KILL_LIMIT = 1.0
"""Seconds for a killed process to be gone; one that the kernel holds on to is left to it."""


def command(path: str | None) -> list[str]:
    """The child's command line; ``path`` as in :func:`exporter.library.appmonitor.load`."""
    return isolated.command("exporter.library.appmonitor", path or "")


class LibraryAppMonitor:
    """HA Application Monitoring through the child process; an :class:`exporter.ha.base.AppMonitor`.

    ``timeout``: seconds for one call. Starts no thread: the heart has one only.
    """

    def __init__(
        self,
        path: str | None,
        timeout: float,
        *,
        arguments: list[str] | None = None,
        start_limit: float = START_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.starts = 0
        self._arguments = arguments or command(path)
        self._timeout = timeout
        self._start_limit = start_limit
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._fresh = True
        self._number = 0
        """Of the last question."""

    def enable(self) -> Code:
        return self._status(Verb.ENABLE)

    def disable(self) -> Code:
        return self._status(Verb.DISABLE)

    def is_enabled(self) -> bool:
        if self._is_enabled():
            return True
        # The library says 0 for every failure too: Gray shows that the channel works, and another 0 that this was none. For
        # half a minute after Enable, or in a cluster where nobody acts, Gray goes with "on" as well.
        status = self.get_app_status()
        if self._is_enabled():
            return True
        if status is not AppStatus.GRAY:
            raise LibraryStatus(
                AppMonitorStatus.SUCCESS,
                f"{PREFIX}IsEnabled",
                f"its word for a failure too, while the application status is {status.value}",
            )
        return False

    def _is_enabled(self) -> bool:
        return self._ask(Verb.IS_ENABLED).get("status") == 1

    def mark_active(self) -> Code:
        return self._status(Verb.MARK_ACTIVE)

    def get_app_status(self) -> AppStatus:
        text = self._ask(Verb.GET_APP_STATUS).get("text")
        if not isinstance(text, str):
            raise LibraryStatus(
                AppMonitorStatus.OTHER,
                f"{PREFIX}GetAppStatus",
                "no text, which is its only way to say that it failed",
            )
        return appmonitor.parse_app_status(text.encode("latin-1", "replace"))

    def post_app_state(self, state: AppState) -> Code:
        return appmonitor.post(state, lambda text: self._status(Verb.POST_APP_STATE, text))

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        # It holds nothing worth an orderly end, and may be inside a call that never returns.
        isolated.kill(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILL_LIMIT)

    def _status(self, verb: Verb, argument: str = "") -> Code:
        function = PREFIX + verb.value
        status = self._ask(verb, argument).get("status")
        match status:
            case AppMonitorStatus.SUCCESS:
                return Code.OK
            case AppMonitorStatus.OTHER:
                return Code.UNTOLD
            case AppMonitorStatus.NOT_RUNNING_IN_VM:
                raise NotVMwareError("VMware's library says that this machine is not a VMware guest")
            case AppMonitorStatus.NOT_SUPPORTED:
                refusal = RpcError("Unknown command", function)
                # Where its connection breaks the library sends the command once more, and says nothing of it.
                refusal.repeated = True
                raise refusal
            case AppMonitorStatus.NOT_ENABLED:
                self._restart()
                raise LibraryStatus(
                    AppMonitorStatus.NOT_ENABLED, function, "no channel to the host could be opened"
                )
            case _:
                self._restart()
                raise LibraryStatus(
                    status if isinstance(status, int) else AppMonitorStatus.OTHER, function, "unknown"
                )

    def _ask(self, verb: Verb, argument: str = "") -> messages.LibraryMessage:
        process = self._process or self._start()
        limit = self._timeout + (self._start_limit if self._fresh else 0.0)
        try:
            self._number += 1
            question = {
                "ask": verb.value,
                "argument": argument,
                "number": self._number,
                "limit": limit + 1,
            }
            answer = _exchange(process, question, limit, self._clock)
        except TimeoutExpired:
            self._restart()
            raise
        except (OSError, ValueError) as error:
            self._restart()
            code = process.returncode
            how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
            raise LibraryCrashed(f"VMware's HA library ended its process ({how}) in {verb.value}") from error
        self._fresh = False
        if "not_found" in answer:
            # Somebody may install it: the next process looks again.
            self.close()
            raise LibraryNotFound(str(answer["not_found"]))
        if "missing" in answer:
            raise RpcError("Unknown command", str(answer["missing"]))
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Nobody would read what the library prints, and a full pipe would stop it.
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise LibraryCrashed(f"the process for VMware's HA library can't be started: {error}") from error
        self.starts += 1
        self._process, self._fresh = process, True
        return process

    def _restart(self) -> None:
        """At once, so that the new one is ready for the heartbeat that is tried next."""
        self.close()
        with suppress(LibraryCrashed):
            self._start()


def _exchange(
    process: subprocess.Popen[bytes],
    question: messages.LibraryMessage,
    limit: float,
    clock: Callable[[], float],
) -> messages.LibraryMessage:
    """One question and its answer.

    Raises:
        TimeoutExpired: no answer within ``limit`` seconds.
        OSError, ValueError: the process has ended, or talks nonsense: a library that forks and returns twice gives two
            answers to one question.
    """
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    messages.write(process.stdin, question)
    deadline = clock() + limit
    data, wanted = b"", 4
    while len(data) < wanted:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - clock()))
        if not ready:
            raise TimeoutExpired(
                f"VMware's HA library did not answer within {limit:g} s; its process was killed"
            )
        piece = os.read(process.stdout.fileno(), wanted - len(data))
        if not piece:
            raise OSError("the process has ended")
        data += piece
        if len(data) == wanted == 4:
            wanted += min(int.from_bytes(data, "big"), messages.LIMIT)
    answer = messages.read(io.BytesIO(data))
    if answer is None:
        raise ValueError("an empty answer")
    if answer.pop("number", None) != question["number"]:
        raise ValueError("an answer to another question")
    return answer
