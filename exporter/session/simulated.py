"""The simulated host of ``--source=simulated``."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager

from exporter.config import Settings
from exporter.errors import ConfigError, passing
from exporter.session.base import Host
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.simulator.server import serve_unix
from exporter.snapshot import Guest


def find_host(settings: Settings) -> Host:
    """A host of its own in this process.

    Raises:
        ConfigError: a scenario that can't be used.
    """
    # A host that restarts has a new session: with the same seed its counters would seem to fall.
    seed = secrets.randbits(32) if settings.simulated.seed is None else settings.simulated.seed
    try:
        connector = in_process(settings.simulated.scenario, seed=seed)
    except ConfigError as error:
        named = (passing(f"--simulated.scenario: {problem}", error.__cause__) for problem in error.problems)
        raise ConfigError(*named) from error
    server = connector.server

    def guest() -> Guest:
        with server.hold() as host:
            return host.guest()

    def serve_at(path: str) -> AbstractContextManager[None]:
        return serve_unix(path, server)

    return Host(WireSource(connector, settings.guestrpc.timeout, source="simulated"), guest, serve_at)
