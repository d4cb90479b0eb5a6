"""Which source of statistics: a forced one, or the first that works.

``auto`` looks at the hypervisor first (:mod:`exporter.machine.hypervisor`) and tries nothing on a machine that is not
VMware's. There it tries GuestRPC, where Python has vsock, then VMware's library, says which it took and why not the
other, and keeps to it. A host that answers and refuses (statistics switched off) is an answer: the other source would
get the same one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from exporter.errors import NotVMwareError, RpcError, VMGuestError
from exporter.machine.hypervisor import Hypervisor, detect
from exporter.machine.system import HERE, VSOCK, System
from exporter.session.base import Source
from exporter.session.vendor import LibrarySource
from exporter.session.wire import DEFAULT_TIMEOUT, WireSource
from exporter.snapshot import Snapshot, SourceInfo
from exporter.transport.base import Connector
from exporter.transport.unix import UnixConnector
from exporter.transport.vsock import VsockConnector

log = logging.getLogger("exporter.session")


def choose(
    source: str,
    *,
    socket_path: str = "",
    library_path: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    find_hypervisor: Callable[[], Hypervisor] = detect,
    system: System = HERE,
) -> Source:
    """The source for ``--source=auto|guestrpc|library``.

    ``socket_path`` speaks GuestRPC over a unix socket instead of vsock: a simulated host, so the machine is
    not looked at. ``timeout`` in seconds, for one request. Nor is it for ``library``, which looks by itself whenever it is
    asked, and has nothing to send elsewhere.

    Raises:
        NotVMwareError: vsock would be needed, and the hypervisor is not VMware.
    """
    if source == "library":
        return LibrarySource(library_path or None, timeout)
    if socket_path:
        return WireSource(UnixConnector(socket_path), timeout)
    found = _vmware(find_hypervisor, ". Nothing was sent to the host")
    if source == "guestrpc":
        return WireSource(VsockConnector(), timeout)
    sources: dict[str, Callable[[], Source]] = {
        "guestrpc": lambda: WireSource(VsockConnector(), timeout),
        "library": lambda: LibrarySource(library_path or None, timeout),
    }
    if VSOCK in system.lacks:
        del sources["guestrpc"]
    return AutoSource(sources, found.evidence)


def connector(socket_path: str = "", find_hypervisor: Callable[[], Hypervisor] = detect) -> Connector:
    """A connector to the host for a conversation beside the statistics (heartbeats, doctor).

    Raises:
        NotVMwareError: as :func:`choose`.
    """
    if socket_path:
        return UnixConnector(socket_path)
    _vmware(find_hypervisor)
    return VsockConnector()


def _vmware(find_hypervisor: Callable[[], Hypervisor], more: str = "") -> Hypervisor:
    """What stands before every vsock: elsewhere the other end would be somebody else's host."""
    found = find_hypervisor()
    if not found.vmware:
        raise NotVMwareError(
            f"this machine is not a VMware guest: its hypervisor is {found.name} ({found.evidence}){more}"
        )
    return found


class AutoSource:
    """Tries the sources in order at each read until one answers, then keeps to that one."""

    def __init__(self, sources: dict[str, Callable[[], Source]], evidence: str) -> None:
        self._sources = sources
        self._evidence = evidence
        self._made: dict[str, Source] = {}
        self._chosen: Source | None = None
        self._note = ""
        self._told: list[str] = []
        """Kinds of the errors that the log has been told of while no source answers."""

    @property
    def info(self) -> SourceInfo:
        if self._chosen is None:
            return SourceInfo("auto", "", "", self._note)
        return replace(self._chosen.info, note=self._note)

    @property
    def restarts(self) -> int | None:
        return self._chosen.restarts if self._chosen is not None else None

    def read(self) -> Snapshot:
        if self._chosen is not None:
            return self._chosen.read()
        failures: list[tuple[str, VMGuestError]] = []
        for name, make in self._sources.items():
            # Made once and kept while no source answers: the library's process counts its crashes and pauses.
            source = self._made.get(name) or self._made.setdefault(name, make())
            try:
                snapshot = source.read()
            except RpcError as error:
                # Over GuestRPC a refusal is the host's answer. The library has the same status for "no
                # channel to the host", so its refusal decides nothing.
                if name == "library":
                    failures.append((name, error))
                    continue
                self._take(name, failures)
                raise
            except VMGuestError as error:
                failures.append((name, error))
            else:
                self._take(name, failures)
                return snapshot
        self._note = "; ".join(f"{name}: {error}" for name, error in failures)
        if self._told != (kinds := [error.kind for _, error in failures]):
            self._told = kinds
            log.warning(
                "no source of statistics answers yet", extra={"hypervisor": self._evidence, "why": self._note}
            )
        # The first source is the one to repair: the second one is its substitute.
        raise failures[0][1]

    def _take(self, name: str, failures: list[tuple[str, VMGuestError]]) -> None:
        self._chosen = self._made.pop(name)
        self._close_others()
        others = "; ".join(f"not {other}: {error}" for other, error in failures)
        self._note = others or f"{name} answered first"
        log.info(
            "source of statistics chosen",
            extra={"source": name, "hypervisor": self._evidence, "why": self._note},
        )

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        if self._chosen is None:
            raise NotVMwareError("no source of statistics has answered yet")
        return self._chosen.stat(encoding, name, timeout)

    def close(self) -> None:
        self._close_others()
        if self._chosen is not None:
            self._chosen.close()

    def _close_others(self) -> None:
        for source in self._made.values():
            source.close()
        self._made.clear()
