"""The host that the settings name: the one that this machine runs on, or one that is played here."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from importlib import import_module

from exporter.config import Settings
from exporter.errors import LibraryNotFound, NotVMwareError, VMGuestError
from exporter.machine import guest
from exporter.session.base import Host, Source
from exporter.session.choose import choose
from exporter.session.memory import SessionFile, session_file

log = logging.getLogger("exporter.session")


PLAYED = {"simulated": "exporter.session.simulated", "replay": "exporter.session.recorded"}
"""Sources that play a host, and the module of each, imported where it is asked for."""


def find_host(settings: Settings) -> Host:
    """The host that the settings name.

    Raises:
        NotVMwareError: there is none from this machine.
        LibraryNotFound: the library was asked for, and there is none that can be loaded.
        ConfigError: a scenario or recording that can't be used.
    """
    if settings.source in PLAYED:
        host: Host = import_module(PLAYED[settings.source]).find_host(settings)
        return host
    return Host(source(settings), guest.read, vcpus=guest.vcpus)


def check(settings: Settings, _environ: Mapping[str, str], unread: Collection[str] = ()) -> None:
    """Raise ConfigError for a scenario or recording that can't be used."""
    missing = settings.source == "replay" and settings.replay.file is None
    if settings.source in PLAYED and "source" not in unread and not missing:
        find_host(settings).source.close()


def memory(settings: Settings, environ: Mapping[str, str]) -> SessionFile | None:
    """What outlives this process of the host's session; a host that is played begins anew with each process."""
    if settings.source in PLAYED:
        return None
    return session_file(environ, guest.read().boot_id)


def source(settings: Settings) -> Source:
    """The source of a host that is not played; errors as :func:`find_host`."""
    found = choose(
        settings.source,
        socket_path=settings.guestrpc.socket or "",
        library_path=settings.library.path or "",
        timeout=settings.guestrpc.timeout,
    )
    if settings.source == "library":
        _leads_somewhere(found)
    return found


def _leads_somewhere(found: Source) -> None:
    """Fail at start where a forced library can never work; what may pass is left to the poller."""
    try:
        found.read()
    except (LibraryNotFound, NotVMwareError):
        found.close()
        raise
    except VMGuestError as error:
        log.debug("the first question to the library failed", extra={"kind": error.kind})
