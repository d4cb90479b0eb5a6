"""Passwords: HTTP basic authentication (RFC 7617) against bcrypt hashes.

bcrypt is slow by design, 50 ms at the usual cost, so its answers are remembered and the number of requests that
wait for it is bounded: however many wrong passwords come in, who has been let in before is let in at once.
``bcrypt`` is an optional dependency (extra ``web``), imported where there are users.
"""

from __future__ import annotations

import binascii
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum
from hashlib import blake2b

from exporter.errors import ConfigError
from exporter.outputs.web.webconfig import FLAG

REMEMBERED = 100
"""Refused pairs of name and password that are remembered; those let in are as few as there are users."""
WAITING = 2
"""Requests that may be at bcrypt or wait for it, of the server's four threads."""

_NOBODY = b"$2b$%02d$oWNA8x9OO.C5r/D4nioWsOinz1Vu/9o2tznZCJzQaXNkUgz.xwtHi"
"""The hash of a random text that was thrown away, less its cost: an unknown name takes as long as a known one."""


class Login(Enum):
    """What a request's credentials are worth."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    BUSY = "busy"
    """Not known: too many others wait for bcrypt."""


def checker() -> Callable[[bytes, bytes], bool]:
    """Give bcrypt's comparison of a password with a hash.

    Raises:
        ConfigError: bcrypt is not installed.
    """
    try:
        import bcrypt
    except ImportError as error:
        raise ConfigError(
            f"{FLAG}: basic_auth_users needs bcrypt; install it with: pip install 'vmguest-exporter[web]',"
            " or apt-get install python3-bcrypt"
        ) from error

    def matches(password: bytes, hashed: bytes) -> bool:
        try:
            # Go's bcrypt, by which other exporters judge, looks at 72 bytes too.
            return bcrypt.checkpw(password[:72], hashed)
        except ValueError:
            return False

    return matches


class Passwords:
    """The users of one web configuration. Any thread may ask."""

    def __init__(self, users: Mapping[str, bytes], matches: Callable[[bytes, bytes], bool]) -> None:
        self._users = {name.encode(): hashed for name, hashed in users.items()}
        self._matches = matches
        cost = max(int(hashed[4:6]) for hashed in users.values())
        self._nobody = _NOBODY % cost
        # Only a keyed digest of a password stays in memory.
        self._secret = os.urandom(32)
        self._good: set[bytes] = set()
        self._bad: OrderedDict[bytes, None] = OrderedDict()
        self._room = threading.BoundedSemaphore(WAITING)
        self._one_at_a_time = threading.Lock()

    def judge(self, authorization: str) -> Login:
        """What an ``Authorization`` header is worth; empty where there was none."""
        credentials = _credentials(authorization)
        if credentials is None:
            return Login.REFUSED
        name, password = credentials
        digest = blake2b(b"%d:%b%b" % (len(name), name, password), key=self._secret).digest()
        if digest in self._good:
            return Login.ACCEPTED
        if digest in self._bad:
            return Login.REFUSED
        if not self._room.acquire(blocking=False):
            return Login.BUSY
        try:
            with self._one_at_a_time:
                good = self._matches(password, self._users.get(name, self._nobody)) and name in self._users
        finally:
            self._room.release()
        return self._remember(digest, good=good)

    def _remember(self, digest: bytes, *, good: bool) -> Login:
        if good:
            self._good.add(digest)
            return Login.ACCEPTED
        self._bad[digest] = None
        if len(self._bad) > REMEMBERED:
            self._bad.popitem(last=False)
        return Login.REFUSED


def _credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """Name and password, or None where the header holds none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = binascii.a2b_base64(encoded.encode("ascii")).partition(b":")
    except ValueError:
        return None
    return (name, password) if colon else None
