"""Whose the monitoring is that may be on at the host. Decides nothing and waits for nothing.

Part of :class:`~exporter.ha.conversation.Conversation`, which alone writes it.
"""

from __future__ import annotations

from exporter.ha.host_state import HostState
from exporter.ha.rules import Phase
from exporter.protocol.appmonitor import Verb


class Claim:
    """Reads ``host``, and tells it what is ours."""

    def __init__(self, host: HostState) -> None:
        self.armed = False
        """Monitoring was switched on or taken over here: heartbeats are ours to give."""
        self._host = host
        self._given_up = False
        """What a predecessor left on was lost before health was good: it stays off until then."""

    @property
    def expected(self) -> bool:
        """The host may expect heartbeats that are ours to give: also what a predecessor left on, until it says no."""
        return self.armed or (self._host.ours and self._host.may_be_on and not self._given_up)

    @property
    def unsettled(self) -> bool:
        """It is on, and nobody's: health may have turned good while it was asked whether it is on."""
        return self._host.on and not self.expected

    def may_be_taken(self, phase: Phase, *, healthy_once: bool) -> bool:
        """Whether what is found on is to be taken over. What comes on before health was good is switched off, whosever it is."""
        return phase is not Phase.WAITING and (self._host.ours or healthy_once)

    def switched_on(self) -> None:
        """Enable was taken."""
        self.armed = True

    def sent(self, verb: Verb) -> None:
        """A call goes out. With Enable nothing is given up any more."""
        self._given_up = self._given_up and verb is not Verb.ENABLE

    def take_over(self, now: float) -> None:
        self.armed, self._given_up = True, False
        self._host.taken_over(now)

    def give_up(self) -> None:
        """It was lost, and health has not been good here yet: nothing to restore."""
        self.armed, self._given_up = False, True

    def forget(self) -> None:
        """Maintenance is over: what is off is not ours any more."""
        self.armed = self.armed and self._host.may_be_on
