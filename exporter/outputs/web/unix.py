"""The same pages on a unix socket, for the commands on this machine and programs like them: waitress's own server.

Read only, as everywhere; who may connect is a matter of the file's mode and group. waitress sends to slow readers
from its loop, so one of them holds up nobody.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from exporter.errors import ConfigError, passing
from exporter.outputs.web.application import WSGI
from exporter.outputs.web.restarts import PAUSE, Restarts, drop_connections

log = logging.getLogger("exporter.web")

GROUP = "vmguest-exporter"
MODE = "660"
CONNECTIONS = 64
IDLE_SECONDS = 30
BUFFER = 16 * 2**20
"""Bytes that may wait for one reader before they go into a temporary file; a document has a tenth of a mebibyte."""
FLAG = "--api.socket"


def check_path(path: Path) -> None:
    """Raise ConfigError where no socket can be made at ``path``; one that nobody answers on will be replaced."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{FLAG}={path}: a file that is no socket stands there; choose another path")
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(f"{FLAG}={path}: there is no folder {path.parent}; make it first") from None
        return
    except OSError as error:
        raise ConfigError(passing(f"{FLAG}={path}: {error.strerror}", error)) from error
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except OSError as error:
            raise ConfigError(passing(f"{FLAG}={path}: {error.strerror}", error)) from error
    taken = OSError(errno.EADDRINUSE, "in use")
    raise ConfigError(passing(f"{FLAG}={path}: another exporter answers there; choose another path", taken))


class UnixServer:
    """Serves ``application`` at ``path`` in a thread of its own.

    ``failed`` is called should that thread end by itself; where ``restarts`` are wanted it begins again instead.
    """

    def __init__(
        self,
        application: WSGI,
        path: Path,
        *,
        failed: Callable[[], None] = lambda: None,
        restarts: Restarts | None = None,
    ) -> None:
        self._application = application
        self._path = path
        self._failed = failed
        self._restarts = restarts or Restarts()
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Make the socket, then serve.

        Raises:
            ConfigError: there can be no socket at that path.
        """
        logging.getLogger("waitress").setLevel(logging.WARNING)
        check_path(self._path)
        try:
            self._server = create_server(
                self._application,
                map=self._map,
                unix_socket=str(self._path),
                unix_socket_perms=MODE,
                threads=1,
                connection_limit=CONNECTIONS,
                channel_timeout=IDLE_SECONDS,
                outbuf_overflow=BUFFER,
                ident=GROUP,
            )
        except OSError as error:
            raise ConfigError(passing(f"{FLAG}={self._path}: {error.strerror}", error)) from error
        with contextlib.suppress(LookupError, PermissionError):
            # No such group on this machine, or not ours to give: then it is the process's own.
            shutil.chown(self._path, group=GROUP)
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._thread.start()
        log.info("answering on the socket %s", self._path)

    def close(self) -> None:
        """Stop, drop every connection, remove the socket. Never raises; may be called twice."""
        if self._thread is None:
            return
        self._stopping.set()
        # A loop that failed has closed the pipe that would wake it.
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._server.pull_trigger()
        self._thread.join(1.0)
        self._thread = None
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wasyncore.loop(timeout=30.0, use_poll=True, map=self._map, count=1)
            except Exception as error:
                if not self._restarts.wanted:
                    log.critical("the socket's server failed", exc_info=True)
                    self._failed()
                    break
                self._restarts.failed("the socket's server", error)
                drop_connections(self._map)
                self._stopping.wait(PAUSE)
        self._server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)
