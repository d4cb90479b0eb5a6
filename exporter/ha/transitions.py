"""The states of the heartbeats, and what leads from one to another: the table that the policy runs by.

The picture in the documents is drawn from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from exporter.ha.rules import Phase


class PhaseCause(Enum):
    """Why a phase is entered; exactly one holds at any moment, and the first that holds counts."""

    STOP = "an orderly stop"
    MAINTENANCE = "maintenance"
    NEVER_GOOD = "nothing is on, and health was not good yet"
    WELL = "health is good, or not bad for long enough"
    HAND_BACK = "bad for --ha.grace (on-unhealthy: disable)"
    ASK = "a check is bad for --ha.grace (on-unhealthy: request-reset)"
    WITHHOLD = "bad for --ha.grace"


AIM: dict[PhaseCause, Phase] = {
    PhaseCause.STOP: Phase.STOPPING,
    PhaseCause.MAINTENANCE: Phase.MAINTENANCE,
    PhaseCause.NEVER_GOOD: Phase.WAITING,
    PhaseCause.WELL: Phase.BEATING,
    PhaseCause.HAND_BACK: Phase.OFF,
    PhaseCause.ASK: Phase.ASKING,
    PhaseCause.WITHHOLD: Phase.WITHHOLDING,
}
"""Cause -> phase."""

TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset(
        {Phase.BEATING, Phase.WITHHOLDING, Phase.ASKING, Phase.OFF, Phase.MAINTENANCE, Phase.STOPPING}
    ),
    Phase.BEATING: frozenset(
        {
            Phase.WAITING,
            Phase.WITHHOLDING,
            Phase.ASKING,
            Phase.OFF,
            Phase.MAINTENANCE,
            Phase.STOPPING,
        }
    ),
    Phase.WITHHOLDING: frozenset(
        {Phase.WAITING, Phase.BEATING, Phase.ASKING, Phase.MAINTENANCE, Phase.STOPPING}
    ),
    Phase.ASKING: frozenset(
        {Phase.WAITING, Phase.BEATING, Phase.WITHHOLDING, Phase.MAINTENANCE, Phase.STOPPING}
    ),
    Phase.OFF: frozenset({Phase.WAITING, Phase.BEATING, Phase.MAINTENANCE, Phase.STOPPING}),
    Phase.MAINTENANCE: frozenset(
        {Phase.WAITING, Phase.BEATING, Phase.WITHHOLDING, Phase.ASKING, Phase.OFF, Phase.STOPPING}
    ),
    Phase.STOPPING: frozenset({Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
}
"""Phase -> the phases that may follow it."""

_NAMES = {phase: phase.name.title() for phase in Phase}


def picture() -> str:
    """The table as a Mermaid state diagram. A stop and maintenance come from anywhere: they have one arrow each."""
    return "\n".join(("stateDiagram-v2", "    [*] --> Waiting", *_arrows())) + "\n"


def _arrows() -> Iterator[str]:
    causes = {phase: cause.value for cause, phase in AIM.items()}
    for before, followers in TRANSITIONS.items():
        for after in Phase:
            if after not in followers or after in {Phase.STOPPING, Phase.MAINTENANCE}:
                continue
            why = causes.get(after, "Disable is confirmed, or the time limit has passed")
            yield f"    {_NAMES[before]} --> {_NAMES[after]}: {why}"
    for after in (Phase.MAINTENANCE, Phase.STOPPING):
        yield f"    Anywhere --> {_NAMES[after]}: {causes[after]}"
    yield "    Stopped --> [*]"
