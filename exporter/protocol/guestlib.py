"""The exchange behind one read of the basic statistics: which version to ask for, and when to ask again.

::

    unknown ──ask 3──> data: V3
                 └──> refused, but not "Unknown command" ──ask 2──> data: V2
    V2 ──ask 2──> data of another session, or refused: ask 3 (the host may be a newer one now), as above
    any refusal that is left is the caller's

As VMware's library does it (open-vm-tools libguestlib/vmGuestLib.c, VMGuestLibUpdateInfo), with three
differences: the reply that shows a new session on V3 is whole and is used, not thrown away and asked for
again; the host's own words are kept where the library folds them into NOT_ENABLED; and V2 is remembered
only where the host said that it does not know V3, so that one refusal for another reason does not cost the
statistics that V2 lacks until the next session.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress

from exporter.errors import RpcError
from exporter.protocol import stats_v2, stats_v3
from exporter.snapshot import Snapshot


def command(version: int) -> bytes:
    """The request for all statistics in the reply format ``version`` (2 or 3)."""
    return b"guestlib.info.get %d" % version


def stat_command(encoding: str, name: str) -> bytes:
    """The request for the extended statistics of the group ``name`` ("" lists the groups), as ``StatGet`` sends it."""
    return f"guestlib.stat.get {encoding} {name}".encode()


class GuestLib:
    """What is remembered between reads: the version that worked, and the session that it worked in."""

    def __init__(self) -> None:
        self._version = stats_v3.VERSION
        self._session_id = 0

    def update(self) -> Generator[bytes, bytes, Snapshot]:
        """One read, without I/O: yields commands, is sent each reply's data, returns the snapshot.

        A refusal (:class:`~exporter.errors.RpcError`) is thrown in. Leaves with one when the host refuses
        every version, and with RemoteProtocolError when a reply can't be decoded.
        """
        if self._version == stats_v2.VERSION:
            self._version = stats_v3.VERSION
            with suppress(RpcError):
                snapshot = stats_v2.decode((yield command(stats_v2.VERSION)))
                if snapshot.session_id == self._session_id:
                    self._version = stats_v2.VERSION
                    return snapshot
        try:
            reply = yield command(stats_v3.VERSION)
        except RpcError as error:
            if error.reason == "unknown_command":
                raise
            try:
                reply = yield command(stats_v2.VERSION)
            except RpcError as last:
                # The first refusal says more: the second is often "Unsupported version" of a host without V2.
                raise error from last
            snapshot = stats_v2.decode(reply)
            if error.reason == "unsupported_version":
                self._version = stats_v2.VERSION
        else:
            snapshot = stats_v3.decode(reply)
        self._session_id = snapshot.session_id
        return snapshot
