"""The host that the settings name: simulated, recorded, or the one that this machine runs on."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple

from exporter.config import Settings
from exporter.errors import ConfigError, LibraryNotFound, NotVMwareError, VMGuestError
from exporter.machine import guest
from exporter.session.base import Source
from exporter.session.choose import choose
from exporter.session.memory import SessionFile, session_file
from exporter.session.replay import ReplaySource
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.simulator.server import Server
from exporter.snapshot import Guest

log = logging.getLogger("exporter.session")


class Host(NamedTuple):
    """The source of statistics, and the machine that they speak of."""

    source: Source
    guest: Callable[[], Guest] = guest.read
    server: Server | None = None
    """The simulated host, where there is one in this process."""


def find_host(settings: Settings) -> Host:
    """The host that the settings name.

    Raises:
        NotVMwareError: there is none from this machine.
        LibraryNotFound: the library was asked for, and there is none that can be loaded.
        ConfigError: a scenario or recording that can't be used.
    """
    if settings.source == "simulated":
        return _simulated(settings)
    return Host(source(settings))


def check(settings: Settings, _environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a scenario or recording that can't be used."""
    if settings.source in {"simulated", "replay"}:
        find_host(settings).source.close()


def memory(settings: Settings, environ: Mapping[str, str]) -> SessionFile | None:
    """What outlives this process of the host's session; a host that is played begins anew with each process."""
    if settings.source in {"simulated", "replay"}:
        return None
    return session_file(environ, guest.read().boot_id)


def source(settings: Settings) -> Source:
    """The source of a host that is not simulated here; errors as :func:`find_host`."""
    if settings.source == "replay":
        replay = settings.replay
        return ReplaySource(replay.file or "", speed=replay.speed, loop=replay.loop)
    found = choose(
        settings.source,
        socket_path=settings.guestrpc.socket or "",
        library_path=settings.library.path or "",
        timeout=settings.guestrpc.timeout,
    )
    if settings.source == "library":
        _leads_somewhere(found)
    return found


def _simulated(settings: Settings) -> Host:
    # A host that starts anew has a new session: with one and the same seed its counters would seem to fall.
    seed = secrets.randbits(32) if settings.simulated.seed is None else settings.simulated.seed
    try:
        connector = in_process(settings.simulated.scenario, seed=seed)
    except ConfigError as error:
        raise ConfigError(*(f"--simulated.scenario: {problem}" for problem in error.problems)) from error

    def simulated() -> Guest:
        with connector.server.hold() as host:
            return host.guest()

    wire = WireSource(connector, settings.guestrpc.timeout, source="simulated")
    return Host(wire, simulated, connector.server)


def _leads_somewhere(found: Source) -> None:
    """Fail at start where a forced library can never work; what may pass is left to the poller."""
    try:
        found.read()
    except (LibraryNotFound, NotVMwareError):
        found.close()
        raise
    except VMGuestError as error:
        log.debug("the first question to the library failed", extra={"kind": error.kind})
