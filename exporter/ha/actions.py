"""What there is to do next, and what the policy wants: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.ha.rules import Phase
from exporter.protocol.appmonitor import AppState, Verb


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the host, then report to :meth:`exporter.ha.policy.Policy.done`."""

    verb: Verb
    state: AppState | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then, unless health, session, maintenance or a stop changes."""

    until: float


@dataclass(frozen=True, slots=True)
class Wish:
    """What the policy wants. ``well``: health is not bad now; ``grace_left``: seconds until bad health has effects."""

    phase: Phase
    healthy_once: bool
    well: bool
    grace_left: float


@dataclass(frozen=True, slots=True)
class End:
    """The stop is over. ``confirmed``: the host expects no more heartbeats, and no reset is asked for."""

    confirmed: bool


Action = Call | Wait | End
