"""Which groups of extended statistics a host has: by its own list, asked for at the start, after a session change and every
minute. A host that says that it has none is asked again every ten minutes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from exporter.catalogue.extended_names import usable
from exporter.errors import RemoteProtocolError, RpcError
from exporter.protocol import stat_get

log = logging.getLogger("exporter.extended")

LIST_INTERVAL = 60.0
"""Seconds after which the groups are listed anew: a disk or network card may have come or gone."""
NONE_INTERVAL = 600.0
"""The same, of a host that said that it has none: it may have been wrong for a moment."""

ALWAYS = ("session", "host", "resources")
"""Groups asked for where a host gives no list of them that can be used."""


class Groups:
    """Of one session."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Another session may be another host."""
        self.names: tuple[str, ...] = ()
        self._unusable = False
        self.list_anew()

    def list_anew(self) -> None:
        """The list is out of date."""
        self._due = -math.inf

    @property
    def due(self) -> bool:
        """Whether it is time to ask for the list."""
        return self._clock() >= self._due

    def assume(self) -> None:
        """The list was not answered."""
        self.names = self.names or ALWAYS

    def ask(self, question: Callable[[], bytes], *, worked: bool) -> int:
        """Take the reply to ``question``; how many of its names are left out. No names: the host has no such statistics.

        ``worked``: it has given some in this session, so that a refusal is a passing one. The groups that are known stay
        where the list can't be used: one that is gone is refused by itself.

        Raises:
            VMGuestError: as ``question``, where it is not answered.
        """
        now = self._clock()
        names: tuple[str, ...] = ()
        why = "it names no group that is known"
        try:
            names = tuple(stat_get.parse_names(question()))
        except RemoteProtocolError as error:
            why = str(error)
        except RpcError as error:
            if error.reason in ("unknown_command", "disabled") and not worked:
                if self.names or not self._unusable:
                    log.info("the host has no extended statistics", extra={"reason": error.text})
                self.names, self._unusable, self._due = (), True, now + NONE_INTERVAL
                return 0
            # Or a host that gives groups in other encodings only.
            why = str(error)
        self._due = now + LIST_INTERVAL
        groups = usable(names)
        left_out = len(names) - len(groups)
        if not groups and not self._unusable:
            log.warning("the host's list of extended statistics can't be used", extra={"reason": why})
        self._unusable = not groups
        groups = groups or self.names or ALWAYS
        if groups != self.names:
            log.info("extended statistics", extra={"groups": ", ".join(groups)})
        self.names = groups
        return left_out
