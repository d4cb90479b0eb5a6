"""A host, and its source: the one interface behind which GuestRPC and VMware's library are the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from exporter.snapshot import Guest, Snapshot, SourceInfo


class Source(Protocol):
    """Reads the host. Owned and called by one thread."""

    @property
    def info(self) -> SourceInfo:
        """Which source, over which transport; ``protocol`` is filled in after the first good read."""

    @property
    def restarts(self) -> int | None:
        """Times that the library's process had to be restarted; None where there is no process."""

    def read(self) -> Snapshot:
        """Ask the host for the basic statistics; connects first where needed.

        Raises:
            VMGuestError: one of the kinds in :data:`exporter.errors.POLL_ERROR_KINDS`.
        """

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        """Ask for one group of extended statistics (``guestlib.stat.get <encoding> <name>``), as the host sent it.

        ``timeout``, seconds: less than the source's own limit, where the caller has less time.

        Raises:
            RpcError: the host has no such command or group.
            VMGuestError: as :meth:`read`.
        """

    def close(self) -> None:
        """Let go of connection, library and child processes. Never raises."""


class Host(NamedTuple):
    """The source of statistics, and the machine that they speak of."""

    source: Source
    guest: Callable[[], Guest]
    serve_at: Callable[[str], AbstractContextManager[None]] | None = None
    """Has a simulated host of this process answer on a unix socket too."""
    vcpus: Callable[[], int | None] | None = None
    """What ``guest`` tells of online vCPUs alone, cheap enough for each poll; None where they are always the same."""
