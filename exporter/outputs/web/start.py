"""The web server as a part of the program: its settings, and its start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from exporter.config import Settings
from exporter.errors import ConfigError
from exporter.metrics.published import Published
from exporter.outputs.page.landing import views
from exporter.outputs.page.status import Status
from exporter.outputs.process import StandardCollector
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application
from exporter.outputs.web.connections import connection_limit
from exporter.outputs.web.listen import EVERYWHERE, bind
from exporter.outputs.web.login_queue import WAITING
from exporter.outputs.web.secured import Secured
from exporter.outputs.web.server import WebServer

log = logging.getLogger("exporter.web")


def check(settings: Settings, _environ: Mapping[str, str]) -> None:
    """Raise ConfigError for an address that can't be listened on, or a web configuration that can't be used."""
    if not settings.web.enabled:
        return
    problems: list[str] = []
    for attempt in (_try_to_bind, _try_to_secure):
        try:
            attempt(settings)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)


def start(
    settings: Settings, published: Published, parts: ExitStack, failed: Callable[[], None]
) -> WebServer | None:
    """Listen, unless the web server is off; ``parts`` ends it.

    ``failed`` is called from the server's thread should that fail later on.
    """
    if not settings.web.enabled:
        return None
    path = settings.web.telemetry_path
    page = Page(published, None if settings.web.disable_exporter_metrics else StandardCollector())
    status = Status(published)
    application = Application(
        page, lambda: published.state.polls > 0, path, views(path, status.view, status.content)
    )
    if settings.web.config_file is None:
        server = WebServer(application, settings.web.listen, failed=failed)
    else:
        # Who waits for a login keeps a connection.
        secured = Secured(settings.web.config_file, waiting=min(WAITING, connection_limit() // 2))
        server = WebServer(
            secured.with_headers(application),
            settings.web.listen,
            admit=secured.admit,
            listener=secured.listener,
            scheme=secured.scheme,
            failed=failed,
        )
    published.add(server.refusals.families)
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
        Secured(settings.web.config_file)
