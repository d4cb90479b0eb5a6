"""What there is to do next, and what the policy wants: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.errors import VMGuestError
from exporter.ha.base import AppMonitor
from exporter.ha.host_state import CallResult
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
    silent_until: float = float("-inf")
    """No heartbeat before, while that phase is to beat."""


@dataclass(frozen=True, slots=True)
class End:
    """The stop is over. ``confirmed``: the host expects no more heartbeats, and no reset is asked for."""

    confirmed: bool


Action = Call | Wait | End


def perform(monitor: AppMonitor, call: Call) -> CallResult:
    """Ask the host; its answer, or the error that stands in its place."""
    try:
        match call.verb:
            case Verb.ENABLE:
                return monitor.enable()
            case Verb.DISABLE:
                return monitor.disable()
            case Verb.IS_ENABLED:
                return monitor.is_enabled()
            case Verb.MARK_ACTIVE:
                return monitor.mark_active()
            case Verb.GET_APP_STATUS:
                return monitor.get_app_status()
            case Verb.POST_APP_STATE:
                return monitor.post_app_state(call.state or AppState.OK)
    except VMGuestError as error:
        return error
