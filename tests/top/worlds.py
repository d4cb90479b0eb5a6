"""Documents of simulated hosts at two times, for screens that are the same in each run."""

from __future__ import annotations

from functools import cache

from exporter.outputs.api import Document, document
from exporter.top.frame import Frame
from tests.insight.simulated import Simulated


@cache
def documents(scenario: str, seconds: float = 1800.0) -> tuple[Document, Document]:
    """After ``seconds``, and a round of extended statistics before that. Fails where the simulator does: the goldens come of it."""
    world = Simulated(scenario).run(seconds)
    before = document(world.published)
    for _ in range(4):
        world.now += 5.0
        world.poll()
    after = document(world.published)
    state = world.poller.state
    world.close()
    assert before["up"], before["problem"]
    assert after["up"], after["problem"]
    # None: this host has none.
    assert state.extended_up is not False
    return before, after


def frame(scenario: str, seconds: float = 1800.0) -> Frame:
    before, after = documents(scenario, seconds)
    return Frame(before).after(after)
