"""The web configuration in force: what it asks of a request and of a connection, read again when it changes.

What is looked at is the file and the certificates that it names, by time, size and inode, at most once a second.
A change that can't be used is logged once with its line, and what was in force stays in force: a slip of the pen
at night does not open the door, and does not stop the scrapes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporter.errors import ConfigError
from exporter.once import Once
from exporter.outputs.web import auth, tls_context, webconfig
from exporter.outputs.web.application import (
    WSGI,
    Environ,
    Headers,
    Response,
    StartResponse,
    responding,
)
from exporter.outputs.web.auth import Passwords
from exporter.outputs.web.connections import Listener, connection_limit
from exporter.outputs.web.login_queue import WAITING, Login, LoginQueue
from exporter.outputs.web.server import Decide
from exporter.outputs.web.tls import TLSListener
from exporter.outputs.web.tls_context import Context
from exporter.outputs.web.webconfig import FLAG, WebConfig

log = logging.getLogger("exporter.web")

LOOK_SECONDS = 1.0
"""Time between two looks at the files."""

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class LoadedConfig:
    """One reading of the configuration, ready for use."""

    config: WebConfig
    stamps: tuple[Stamp, ...]
    context: Context | None
    passwords: Passwords | None
    limiter: Limiter | None


class Limiter:
    """A token bucket: ``burst`` requests at once, then one every ``interval`` seconds."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()
        self._lock = threading.Lock()

    def allows(self) -> bool:
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) / self._interval)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Secured:
    """The file at ``path``.

    Raises:
        ConfigError: at the start, everything that is wrong with it.
    """

    def __init__(
        self, path: str, clock: Callable[[], float] = time.monotonic, *, waiting: int | None = None
    ) -> None:
        """``waiting``: how many logins may wait for their turn."""
        if waiting is None:
            # Who waits keeps a connection.
            waiting = min(WAITING, connection_limit() // 2)
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._logins = LoginQueue(waiting)
        self._too_many = self.with_headers(responding(TOO_MANY))
        self._unauthorized = self.with_headers(responding(UNAUTHORIZED))
        self._once = Once()
        self._admitted = auth.Admitted()
        self._rules = self._read()
        self._problem = ""
        self._next_look = clock() + LOOK_SECONDS

    @property
    def scheme(self) -> str:
        return "http" if self._rules.context is None else "https"

    @property
    def listener(self) -> Callable[..., Listener]:
        """What the web server listens with. Whether that is TLS is settled at the start."""
        first = self._rules.context
        if first is None:
            return Listener
        return partial(TLSListener, context=lambda: self.rules().context or first)

    def admit(self, headers: Mapping[str, str], address: str, decide: Decide) -> None:
        """Whether a request may ask the application; a new login waits for its turn."""
        rules = self.rules()
        if rules.limiter is not None and not rules.limiter.allows():
            decide(self._too_many)
            return
        passwords = rules.passwords
        if passwords is None:
            decide(None)
            return
        given = auth.credentials(headers.get("AUTHORIZATION", ""))
        known = False if given is None else passwords.known(given)
        if given is None or known is not None:
            decide(None if known else self._unauthorized)
            return

        def check() -> None:
            # The users may have changed while it waited.
            current = self._rules.passwords
            decide(None if current is None or current.check(given) else self._unauthorized)

        self._logins.put(address, Login(check, lambda: decide(self._too_many)))

    def with_headers(self, application: WSGI) -> WSGI:
        """``application``, with the headers that the configuration asks for."""

        def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            asked = self.rules().config.headers
            names = {name for name, _ in asked}

            def start(status: str, headers: Headers) -> object:
                # The operator's word replaces the page's own.
                return start_response(
                    status, [*(field for field in headers if field[0] not in names), *asked]
                )

            return application(environ, start)

        return answer

    def rules(self) -> LoadedConfig:
        """What is in force now. Any thread may ask."""
        now = self._clock()
        if now >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._next_look = now + LOOK_SECONDS
                self._look()
            finally:
                self._lock.release()
        return self._rules

    def _look(self) -> None:
        # After a failure the next reading may name other files than those known here: try until it succeeds.
        if not self._problem and self._stamps(self._rules.config) == self._rules.stamps:
            return
        try:
            self._rules = self._read_again()
        except ConfigError as error:
            if str(error) != self._problem:
                log.error("the changed web configuration is not used", extra={"problems": str(error)})  # noqa: TRY400
            self._problem = str(error)
        else:
            self._problem = ""
            log.info("web configuration read again", extra={"file": self._path})

    def _read_again(self) -> LoadedConfig:
        rules = self._read()
        if (rules.context is None) != (self._rules.context is None):
            raise ConfigError(f"{FLAG}={self._path}: to switch TLS on or off takes a restart")
        return rules

    def _read(self) -> LoadedConfig:
        config = webconfig.read(self._path)
        # Taken before the certificates are read: a change in between is seen at the next look.
        stamps = self._stamps(config)
        context = passwords = limiter = None
        if config.unused_tls and self._once.is_news("tls"):
            log.warning(
                "tls_server_config names no certificate, so everything is served without TLS",
                extra={"file": self._path},
            )
        if config.tls is not None:
            context = tls_context.context(config.tls)
        if config.users:
            passwords = self._passwords(config.users)
        if config.rate_interval:
            limiter = Limiter(config.rate_interval, config.rate_burst, self._clock)
        return LoadedConfig(config, stamps, context, passwords, limiter)

    def _passwords(self, users: Mapping[str, bytes]) -> Passwords:
        matches = auth.checker()
        for topic, remark in auth.remarks(users, matches):
            if self._once.is_news(topic):
                log.warning(remark)
        return Passwords(users, matches, self._admitted)

    def _stamps(self, config: WebConfig) -> tuple[Stamp, ...]:
        return tuple(_stamp(file) for file in (self._path, *(config.tls.files if config.tls else ())))


def _stamp(path: str) -> Stamp:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


TOO_MANY = Response(
    b"Too many requests; try again\n", status="429 Too Many Requests", headers=(("Retry-After", "1"),)
)
UNAUTHORIZED = Response(
    b"Name and password, please\n",
    status="401 Unauthorized",
    headers=(("WWW-Authenticate", 'Basic realm="vmguest-exporter"'),),
)
