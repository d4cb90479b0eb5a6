"""In which encoding a host gives a group of extended statistics so that it is understood."""

from __future__ import annotations

import logging
from collections.abc import Callable

from exporter.errors import RemoteProtocolError, RpcError, TimeoutExpired, TransportError
from exporter.protocol import stat_get

log = logging.getLogger("exporter.extended")


class Encodings:
    """What was learned of one session: the next one may be another host's."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Another session."""
        self._latest = stat_get.ENCODINGS[0]
        """The one that was learned last; a group that was never asked for begins with it."""
        self._by_group: dict[str, str] = {}
        """Group -> the encoding in which it was understood last. Two groups may differ in it."""

    def of(self, group: str) -> str:
        """The encoding in which ``group``, which was given, was understood last."""
        return self._by_group[group]

    def ask(self, group: str, question: Callable[[str], bytes]) -> stat_get.Reply:
        """The reply to ``question`` in the first encoding in which the host gives it and it is understood.

        Raises:
            RemoteProtocolError: the host gives it, and it is understood in none.
            RpcError: the host refuses it in each.
            TransportError: the connection fails over it in each; or there is no answer in time, which ends it at once.
            VMGuestError: as ``question``.
        """
        refusal: RpcError | None = None
        lost: TransportError | None = None
        malformed: RemoteProtocolError | None = None
        first = self._by_group.get(group, self._latest)
        encodings = [first, *(each for each in stat_get.ENCODINGS if each != first)]
        while encodings:
            encoding = encodings.pop(0)
            try:
                reply = stat_get.parse(encoding, question(encoding))
            except RpcError as error:
                refusal = error
                continue
            except RemoteProtocolError as error:
                # The first one tells most: it is of the encoding that should work.
                malformed = malformed or error
                continue
            except TimeoutExpired:
                raise
            except TransportError as error:
                if lost is None and group in self._by_group:
                    # It worked before: the VM may just have moved to another host, which breaks every connection.
                    encodings.insert(0, encoding)
                lost = lost or error
                continue
            if encoding not in (first, self._latest):
                why = {"encoding": encoding, "why": str(malformed or lost or refusal)}
                log.info("extended statistics in another encoding", extra=why)
            if encoding != first:
                self._latest = encoding
            self._by_group[group] = encoding
            return reply
        raise malformed or lost or refusal or RemoteProtocolError(f"{group}: in no encoding")
