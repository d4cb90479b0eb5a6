"""The view of the status page's content: JSON, made once a second however many ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.metrics.families import Family
from exporter.metrics.published import Published
from exporter.outputs.page.status import MAX_AGE, Status
from exporter.snapshot import Guest, PollState, Snapshot


class World:
    """A poller's slot and a clock, moved by hand; counts how often the page was made."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made = 0
        self.polled = 0
        self.status = Status(
            Published(
                lambda: self.state,
                others=(self.other,),
                guest=self.guest,
                wall=lambda: self.now,
                monotonic=lambda: self.now,
            )
        )

    def guest(self) -> Guest:
        self.polled += 1
        return Guest(2, 2**30)

    @property
    def state(self) -> PollState:
        values = {"elapsed": int(1000 * self.now), "cpu_used": int(500 * self.now)}
        return PollState(interval=5.0, snapshot=Snapshot(1, 3, values), read_monotonic=self.now, polls=1)

    def other(self) -> tuple[Family, ...]:
        self.made += 1
        return ()

    def page(self) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(self.status.view().body)
        return page


@pytest.fixture
def world() -> World:
    return World()


def test_it_is_json_that_no_cache_keeps(world: World) -> None:
    response = world.status.view()
    assert response.content_type == "application/json"
    assert dict(response.headers)["Cache-Control"] == "no-store"
    assert world.page()["up"] is True


def test_without_insight_there_are_no_charts(world: World) -> None:
    assert world.page()["times"] == []
    assert world.page()["events"] == []


def test_however_many_ask_it_is_made_once_a_second(world: World) -> None:
    assert len({world.status.view().body for _ in range(100)}) == 1
    assert world.made == 1
    world.now += MAX_AGE
    world.status.view()
    assert world.made == 1
    world.now += 0.001
    world.status.view()
    assert world.made == 2
