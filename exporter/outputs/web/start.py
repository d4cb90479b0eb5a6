"""The web server and the socket beside it as a part of the program: their settings, and their start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from exporter.config import Settings
from exporter.errors import Problems
from exporter.machine.system import HERE, UNIX_SOCKETS
from exporter.machine.systemd import runtime_directory
from exporter.metrics.published import Published
from exporter.outputs.api import PATH, Api
from exporter.outputs.page.landing import views
from exporter.outputs.process import StandardCollector
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application
from exporter.outputs.web.listen import EVERYWHERE, bind
from exporter.outputs.web.restarts import Restarts
from exporter.outputs.web.server import WebServer
from exporter.outputs.web.unix import UnixServer, check_path

log = logging.getLogger("exporter.web")


SECURED = "exporter.outputs.web.secured"
"""TLS and passwords, imported where there is a web configuration file."""
NAME = "api.sock"
"""In systemd's RuntimeDirectory."""


def check(settings: Settings, environ: Mapping[str, str], unread: Collection[str] = ()) -> None:
    """Raise ConfigError for an address that can't be listened on, or a web configuration that can't be used."""
    problems = Problems()
    for attempt, needed in (_try_to_bind, "web.listen-address"), (_try_to_secure, "web.config.file"):
        if settings.web.enabled and not {"web.enabled", needed} & set(unread):
            with problems.gather():
                attempt(settings)
    path = socket_path(settings, environ)
    if path is not None and not {"api.enabled", "api.socket"} & set(unread):
        with problems.gather():
            check_path(path)
    problems.tell()


def socket_path(settings: Settings, environ: Mapping[str, str]) -> Path | None:
    """Where programs on this machine ask; None: nowhere."""
    if not settings.api.enabled or UNIX_SOCKETS in HERE.lacks:
        return None
    if settings.api.socket is not None:
        return Path(settings.api.socket)
    folder = runtime_directory(environ)
    return Path(folder) / NAME if folder else None


def start(
    settings: Settings,
    environ: Mapping[str, str],
    published: Published,
    parts: ExitStack,
    failed: Callable[[], None],
) -> WebServer | None:
    """Listen, on what is not switched off; ``parts`` ends it.

    ``failed`` is called from a server's thread should that fail later on.
    """
    socket_at = socket_path(settings, environ)
    if not settings.web.enabled and socket_at is None:
        return None
    path = settings.web.telemetry_path
    page = Page(published, None if settings.web.disable_exporter_metrics else StandardCollector())
    api = Api(published)
    application = Application(
        page,
        lambda: published.state.polls > 0,
        path,
        {**views(path, api.content), PATH: api.view},
    )
    restarts = Restarts(wanted=settings.ha.enabled)
    if socket_at is not None:
        unix = UnixServer(application, socket_at, failed=failed, restarts=restarts)
        unix.start()
        parts.callback(unix.close)
    server = _web(settings, application, published, parts, failed, restarts) if settings.web.enabled else None
    published.add(restarts.families)
    return server


def _web(
    settings: Settings,
    application: Application,
    published: Published,
    parts: ExitStack,
    failed: Callable[[], None],
    restarts: Restarts,
) -> WebServer:
    path = settings.web.telemetry_path
    if settings.web.config_file is None:
        server = WebServer(application, settings.web.listen, failed=failed, restarts=restarts)
    else:
        secured = _secured(settings.web.config_file)
        server = WebServer(
            secured.with_headers(application),
            settings.web.listen,
            admit=secured.admit,
            listener=secured.listener,
            scheme=secured.scheme,
            failed=failed,
            restarts=restarts,
        )
    published.add(server.families)
    server.start()
    parts.callback(server.close)
    for (host, port), url in zip(server.addresses, server.urls, strict=True):
        where = url.rstrip("/") + path
        if host in EVERYWHERE:
            log.info("listening on %s and on port %d of every other address of this machine", where, port)
        else:
            log.info("listening on %s", where)
    return server


def _try_to_bind(settings: Settings) -> None:
    for bound in bind(settings.web.listen):
        bound.close()


def _try_to_secure(settings: Settings) -> None:
    if settings.web.config_file is not None:
        _secured(settings.web.config_file)


def _secured(path: str) -> Any:
    return import_module(SECURED).Secured(path)
