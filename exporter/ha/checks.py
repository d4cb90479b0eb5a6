"""The kinds of checks: each a function that makes a probe. A probe looks once and says what is wrong, or None.

A probe keeps to its time limit as well as it can; where the kernel does not let it, :mod:`exporter.ha.check_runner` counts
the silence. None uses a shell, and nothing that a check prints is read.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from exporter.ha.connect import connect
from exporter.ha.deadline import DeadlineSocket
from exporter.ha.look import LookMemory, NotKnownYet, OwnFault, Probe
from exporter.ha.program import run
from exporter.ha.rules import SHORTAGES
from exporter.ha.search import search
from exporter.interim import FinalResponse
from exporter.machine import memory_kills

BODY = 1 << 16
"""Bytes of a reply's body that a pattern is looked for in."""
NOT_ACTIVE, NO_SUCH_UNIT = 3, 4
"""Exit status of ``systemctl is-active``, by systemctl(1)."""
STATES = frozenset({"inactive", "failed", "activating", "deactivating", "maintenance"})
"""Its words for a unit that is not active. Old ones say "unknown" of no such unit, and of no bus too."""
KILLED = frozenset({-9, 128 + 9})
"""Exit status of a program that SIGKILL ended, which is 9 wherever there is one, and of a shell whose program it ended."""


def http(url: str, status: Sequence[int] = (200,), body: str | None = None) -> Probe:
    """GET ``url``: one of the ``status`` codes, and ``body``, a pattern, somewhere in the reply. No redirects.

    One limit for everything: connection, TLS, headers that drip in, body and pattern.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def probe(limit: float) -> str | None:
        deadline = time.monotonic() + limit
        try:
            found, text = _get(parts, path, deadline, wanted=body is not None)
        except TimeoutError:
            return f"{url} did not answer within {limit:g} s"
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                raise
            return f"{url}: {str(error).strip() or type(error).__name__}"
        if found not in status:
            return f"{url} answered {found}, {' or '.join(map(str, status))} is expected"
        if body is None or (re.escape(body) == body and body.encode() in text):
            return None
        try:
            matches = search(body, text, deadline - time.monotonic())
        except TimeoutError:
            return f"{url}: the pattern {body!r} took too long on the body, and was given up"
        return None if matches else f"{url}: the body does not match {body!r}"

    return probe


def _get(parts: SplitResult, path: str, deadline: float, *, wanted: bool) -> tuple[int, bytes]:
    """Status, and the beginning of the body where it is ``wanted``.

    Raises:
        TimeoutError: the deadline has passed, wherever the exchange was.
        OSError, HTTPException: there is no answer, or none that means anything.
    """
    left = deadline - time.monotonic()
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=left)
    connection.response_class = FinalResponse
    with ExitStack() as closes:
        opened = closes.enter_context(connect(connection.host, connection.port, left))
        try:
            if parts.scheme == "https":
                opened = closes.enter_context(_secured(opened, connection.host))
                _shake_hands(opened, deadline - time.monotonic())
            connection.sock = DeadlineSocket(opened, deadline)
            connection.request("GET", path, headers={"User-Agent": "vmguest-exporter", "Connection": "close"})
            reply = connection.getresponse()
            text = b""
            while wanted and len(text) < BODY and (piece := reply.read1(BODY - len(text))):
                text += piece
        except (OSError, HTTPException) as error:
            if time.monotonic() >= deadline:
                raise TimeoutError from error
            raise
        finally:
            connection.close()
    return reply.status, text


def _secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    """Takes over ``plain``; nothing is sent yet."""
    context = ssl.create_default_context()
    return context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)


def _shake_hands(secured: ssl.SSLSocket, limit: float) -> None:
    """Within ``limit`` seconds for all of it, however many messages it takes."""
    secured.settimeout(max(limit, 0.001))
    try:
        secured.do_handshake()
    except ssl.SSLCertVerificationError:
        # OpenSSL silently skips authorities that it can't open: with no file descriptor left, no certificate is trusted.
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        raise


def tcp(host: str, port: int) -> Probe:
    """Something at ``host`` takes a connection on ``port``."""

    def probe(limit: float) -> str | None:
        try:
            connect(host, port, limit).close()
        except TimeoutError:
            return f"{host}:{port} did not take a connection within {limit:g} s"
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            return f"{host}:{port}: {error.strerror or error}"
        return None

    return probe


def command(arguments: Sequence[str]) -> Probe:
    """The program ends with status 0. At the time limit it is killed, with all that it has started."""
    name = arguments[0]
    groups: set[int] = set()

    def probe(limit: float) -> str | None:
        kills = memory_kills.count()
        try:
            status, _ = run(arguments, limit, groups)
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            if error.errno == errno.ETXTBSY:
                raise OwnFault(f"the exporter could not look: {name} is being written to") from error
            return f"{name} can't be started: {error.strerror}"
        if status is None:
            return f"{name} took longer than {limit:g} s and was killed"
        if status == 0:
            return None
        # Programs kill themselves too, timeout(1) for one. Where the kernel has killed something meanwhile, or does not
        # tell, it may have been this.
        if status in KILLED and (kills is None or memory_kills.count() != kills):
            raise OwnFault(f"the exporter could not look: {name} was killed, for want of memory perhaps")
        return (
            f"{name} ended with status {status}" if status > 0 else f"{name} was killed by signal {-status}"
        )

    return probe


def systemd(unit: str) -> Probe:
    """The service manager has ``unit`` as active, in its own words.

    Nothing but such words, with the status that belongs to them, is a word on the unit. systemctl(1): 3 is "unit is not
    active", 4 "no such unit"; 1 is any failure of its own, no bus for one, and in a chroot it does nothing and ends with 0.
    """
    groups: set[int] = set()

    def probe(limit: float) -> str | None:
        try:
            status, words = run(["systemctl", "is-active", "--", unit], limit, groups, subprocess.PIPE)
        except OSError as error:
            raise OwnFault(
                f"the exporter could not look: systemctl can't be started: {error.strerror}"
            ) from error
        if status is None:
            raise OwnFault(
                f"the exporter could not look: systemctl took longer than {limit:g} s and was killed"
            )
        state = " ".join(words.split())
        not_active = status == NOT_ACTIVE and state in STATES
        if not state or not (not_active or status in {0, NO_SUCH_UNIT}):
            raise OwnFault(
                f"the exporter could not look: systemctl ended with status {status}, and does not know {unit}"
            )
        return None if status == 0 else f"unit {unit} is not active ({state})"

    return probe


def file(
    path: str,
    max_age: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> Probe:
    """``path`` exists and, with ``max_age``, was seen to change within so many seconds.

    Judged by change over the steady clock: a wall clock that is set makes no file fresh or stale. Its age by that clock
    counts at the first look alone, and there only in its favour. ``clock`` stands still with the machine, as does whoever
    writes to the file.
    """
    return _File(Path(path), max_age, clock, wall)


@dataclass(slots=True)
class _File:
    path: Path
    max_age: float | None
    clock: Callable[[], float]
    wall: Callable[[], float]
    seen: bool = False
    """It was seen to change, or fresh at the first look."""
    state: LookMemory = ()
    """At the last look."""
    before: int = 0
    """Seconds for which a predecessor knew it not to change."""
    changed: float | None = None
    """When it changed; None before the first look."""

    @property
    def memory(self) -> LookMemory:
        """Seconds for which it has not changed, by who runs since the last look too: so it is if the next look finds the same;
        1 if :attr:`seen`; :attr:`state`. Empty before there was a look.
        """
        unchanged = self.before if self.changed is None else int(self.clock() - self.changed)
        return (unchanged, int(self.seen), *self.state) if self.state else ()

    @memory.setter
    def memory(self, kept: LookMemory) -> None:
        if len(kept) == 5:
            self.before, self.seen, self.state = kept[0], bool(kept[1]), kept[2:]

    def __call__(self, limit: float) -> str | None:  # noqa: ARG002  a file system that hangs heeds no limit
        path, max_age = self.path, self.max_age
        try:
            now = path.stat()
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            return f"{path}: {error.strerror}"
        if max_age is None:
            return None
        state = (now.st_mtime_ns, now.st_size, now.st_ino)
        if not self.state:
            age = self.wall() - now.st_mtime
            self.seen = 0 <= age <= max_age
            self.changed = self.clock() - (age if self.seen else 0.0)
        elif self.state != state:
            self.seen, self.changed = True, self.clock()
        elif self.changed is None:
            self.changed = self.clock() - self.before
        self.state = state
        unchanged = self.clock() - self.changed
        if unchanged > max_age:
            return f"{path} has not changed for {unchanged:.0f} s, {max_age:g} s at most are allowed"
        if not self.seen:
            raise NotKnownYet(f"{path} was old at the first look, and has not changed since")
        return None


def web(responds: Callable[[float], bool]) -> Probe:
    """The loop of the exporter's own web server turns: asked from inside, whatever strangers do to its door."""

    def probe(limit: float) -> str | None:
        return None if responds(limit) else f"the exporter's web server stood still for {limit:g} s"

    return probe
