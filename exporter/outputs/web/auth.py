"""Passwords: HTTP basic authentication (RFC 7617) against bcrypt hashes.

bcrypt is slow by design, so its answers are remembered: who has been let in before is let in at once.
``bcrypt`` is an optional dependency (extra ``web``), imported where there are users.
"""

from __future__ import annotations

import binascii
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

from exporter.errors import ConfigError
from exporter.machine.extras import how_to_get
from exporter.outputs.web.webconfig import FLAG, cost

REMEMBERED = 100
"""Refused pairs of name and password that are remembered; those let in are as few as there are users."""
SIGNIFICANT = 72
"""Bytes of a password that bcrypt looks at, here as in Go's, by which other exporters judge."""
DEAR = 1.0
"""Seconds that one check may take before the operator is told."""

_NOBODY = b"$2b$%02d$oWNA8x9OO.C5r/D4nioWsOinz1Vu/9o2tznZCJzQaXNkUgz.xwtHi"
"""The hash of a random text that was thrown away, less its cost."""
_TRIAL = 6
"""Cost of the check by which others are estimated: 4 ms."""

Matches = Callable[[bytes, bytes], bool]
"""Compares a password with a hash."""


class Credentials(NamedTuple):
    """What a client gave."""

    name: bytes
    password: bytes


def credentials(authorization: str) -> Credentials | None:
    """Those in an ``Authorization`` header, or None where it holds none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = binascii.a2b_base64(encoded.encode("ascii")).partition(b":")
    except ValueError:
        return None
    return Credentials(name, password[:SIGNIFICANT]) if colon else None


def checker() -> Matches:
    """Give bcrypt's comparison of a password with a hash.

    Raises:
        ConfigError: bcrypt is not installed.
    """
    try:
        import bcrypt
    except ImportError as error:
        way = how_to_get("bcrypt>=4.0,<6", "apt-get install python3-bcrypt", "dnf install python3-bcrypt")
        raise ConfigError(f"{FLAG}: basic_auth_users needs bcrypt: {way}") from error

    def matches(password: bytes, hashed: bytes) -> bool:
        try:
            return bcrypt.checkpw(password, hashed)
        except ValueError:
            return False

    return matches


def remarks(
    users: Mapping[str, bytes], matches: Matches, clock: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[str, str]]:
    """What the operator should know about the costs of the hashes: topics and sentences."""
    costs = {name: cost(hashed) for name, hashed in users.items()}
    if len(set(costs.values())) > 1:
        dearer = sorted(name for name, each in costs.items() if each > min(costs.values()))
        names = ", ".join(dearer)
        why = "the hashes of basic_auth_users differ in cost, so the time of a wrong password tells that these names"
        yield f"names {names}", f"{why} exist: {names}; give all the same"
    begun = clock()
    matches(b"", _NOBODY % _TRIAL)
    trial = clock() - begun
    for name, each in costs.items():
        if (seconds := trial * 2.0 ** (each - _TRIAL)) > DEAR:
            why = f"to check the password of {name} takes about {seconds:.0f} s on this machine"
            yield (
                f"cost {name} {each}",
                f"{why} (bcrypt cost {each}) and other logins wait meanwhile; 10 is usual",
            )


class Admitted:
    """Who has been let in. Outlives a change of the users: each is let in as long as the hash stays the same."""

    def __init__(self) -> None:
        # Only a keyed digest of a password stays in memory.
        self.secret = os.urandom(32)
        self.hashes: dict[bytes, bytes] = {}
        """Digest of name and password to the hash that they matched."""


class Passwords:
    """The users of one web configuration. Any thread may ask."""

    def __init__(self, users: Mapping[str, bytes], matches: Matches, admitted: Admitted) -> None:
        self._users = {name.encode(): hashed for name, hashed in users.items()}
        self._matches = matches
        self._admitted = admitted
        # As cheap as the cheapest: a stranger must not make this machine work harder than a user could.
        self._nobody = _NOBODY % min(map(cost, users.values()))
        self._lock = threading.Lock()
        self._refused: OrderedDict[bytes, None] = OrderedDict()

    def known(self, given: Credentials) -> bool | None:
        """Whether ``given`` are a user's, as far as that is remembered; None where only bcrypt can tell."""
        digest = self._digest(given)
        with self._lock:
            matched = self._admitted.hashes.get(digest)
            if matched is not None and self._users.get(given.name) == matched:
                return True
            return False if digest in self._refused else None

    def check(self, given: Credentials) -> bool:
        """The same by bcrypt, unless it has become known meanwhile; slow."""
        known = self.known(given)
        if known is not None:
            return known
        hashed = self._users.get(given.name, self._nobody)
        good = self._matches(given.password, hashed) and given.name in self._users
        digest = self._digest(given)
        with self._lock:
            if good:
                self._admitted.hashes[digest] = hashed
            else:
                self._refused[digest] = None
                if len(self._refused) > REMEMBERED:
                    self._refused.popitem(last=False)
        return good

    def _digest(self, given: Credentials) -> bytes:
        name, password = given
        return blake2b(b"%d:%b%b" % (len(name), name, password), key=self._admitted.secret).digest()
