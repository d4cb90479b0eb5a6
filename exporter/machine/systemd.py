"""What systemd is told about this process: sd_notify(3), one datagram per message, no library; and the folder that it gives."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Speaks to ``$NOTIFY_SOCKET``; does nothing where there is none, as outside systemd."""

    def __init__(self, environ: Mapping[str, str], pid: int | None = None) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of an abstract name.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._watchdog = _watchdog(environ, os.getpid() if pid is None else pid)

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two :meth:`alive`: half of what the unit allows. None: no watchdog is set."""
        return None if self._watchdog is None or not self._address else self._watchdog / 2

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A manager that does not listen is no reason to stop, nor to wait.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    # The variables are inherited by children; WATCHDOG_PID says whom they mean.
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        seconds = int(environ.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return seconds if seconds > 0 else None


def runtime_directory(environ: Mapping[str, str]) -> str:
    """The folder that systemd has made for the unit (``RuntimeDirectory=``, systemd.exec(5)), the first where there are more; empty
    without one.
    """
    return environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
