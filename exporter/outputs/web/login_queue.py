"""Logins that wait for bcrypt: one at a time, and each source address in its turn.

bcrypt is slow by design, 50 ms at the usual cost. However many wrong names and passwords come in, from one address
or from many, a login from another address waits for one login of each at most, and there is room for it as long
as fewer addresses wait than the queue holds.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from exporter.threads import Thread

log = logging.getLogger("exporter.web")

WAITING = 64
"""Logins that may wait, in all."""
EACH = 16
"""Of one source address."""
START = 1.0
"""Seconds that whoever brings a login waits for the queue's thread to start; that is the loop of the web server."""


class Login(NamedTuple):
    """``check`` is slow and is called by the queue's thread; ``turn_away`` is called instead when there is no room."""

    check: Callable[[], None]
    turn_away: Callable[[], None]


def source(address: str) -> str:
    """What counts as one: an IPv4 address, or the network of 64 bits that an IPv6 host may choose its addresses in."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


class LoginQueue:
    """Any thread may put; a thread of its own, started with the first, takes."""

    def __init__(self, waiting: int = WAITING, each: int = EACH) -> None:
        self._room = waiting
        self._each = each
        self._turns: OrderedDict[str, deque[Login]] = OrderedDict()
        """Source to what waits from there; the next source stands first."""
        self._condition = threading.Condition()
        self._thread: Thread | None = None

    def put(self, address: str, login: Login) -> None:
        """Let ``login`` wait for its turn, or turn it or another away."""
        turned_away = self._enter(source(address), login)
        if turned_away is not None:
            turned_away.turn_away()

    def _enter(self, origin: str, login: Login) -> Login | None:
        with self._condition:
            own = self._turns.get(origin, ())
            turned_away = None
            if not self._started() or len(own) >= self._each:
                return login
            if sum(map(len, self._turns.values())) >= self._room:
                most = max(self._turns.values(), key=len)
                if len(most) <= len(own) + 1:
                    return login
                turned_away = most.pop()
            self._turns.setdefault(origin, deque()).append(login)
            self._condition.notify()
            return turned_away

    def _started(self) -> bool:
        if self._thread is None:
            thread = Thread(self._run)
            try:
                thread.start(START)
            except (RuntimeError, MemoryError):
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            login = self._next()
            try:
                login.check()
            except Exception:
                log.exception("a login could not be checked")
                login.turn_away()

    def _next(self) -> Login:
        with self._condition:
            while not self._turns:
                self._condition.wait()
            origin, logins = self._turns.popitem(last=False)
            login = logins.popleft()
            if logins:
                self._turns[origin] = logins
            return login
