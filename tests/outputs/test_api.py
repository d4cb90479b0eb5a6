"""The document for programs: shape, what it withholds, and that it can be written as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from exporter.catalogue import STATISTICS
from exporter.insight.observer import Observer
from exporter.insight.verdict import QUESTIONS
from exporter.insight.vitals import Vitals
from exporter.metrics.collector import Options
from exporter.metrics.families import Family
from exporter.metrics.published import Published
from exporter.outputs.api import FORMAT, KEYS, Api, document, metric
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.snapshot import Guest, PollState

ELAPSED = "vmguest_elapsed_seconds_total"


class World:
    """A simulated host, polled by hand on a clock of its own."""

    def __init__(
        self,
        scenario: str = "ballooning",
        *,
        identity: bool = False,
        experimental: bool = False,
        interval: float = 5.0,
    ) -> None:
        self.now, self.ahead = 1000.0, 1.79e9
        self.interval = interval
        self.source = WireSource(in_process(scenario, seed=1, clock=self.clock), source="simulated")
        self.observer = Observer(lambda: Guest(4, 8 * 2**30), pauses=experimental)
        self.poller = Poller(
            self.source,
            interval,
            clock=self.clock,
            wall=self.wall,
            on_state=self.observer.polled,
            extended=ExtendedReader(5.0, clock=self.clock, wall=self.wall),
        )
        self.published = Published(
            lambda: self.poller.state,
            Options(expose_identity=identity),
            guest=lambda: self.observer.insight.guest,
            insight=lambda: self.observer.insight,
            wall=self.wall,
            monotonic=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.ahead + self.now

    def run(self, polls: int) -> None:
        for _ in range(polls):
            self.now += self.interval
            self.poller.poll()
            self.poller.poll_extended(self.now + self.interval)


@contextmanager
def world(**wanted: Any) -> Iterator[World]:
    made = World(**wanted)
    try:
        yield made
    finally:
        made.source.close()


def test_it_holds_every_question_number_and_metric() -> None:
    with world() as host:
        host.run(20)
        found = json.loads(json.dumps(document(host.published), allow_nan=False))
    assert found["format"] == FORMAT == 1
    assert found.keys() == KEYS
    assert [each["key"] for each in found["answers"]] == [row.key for row in QUESTIONS]
    assert found["numbers"]["window"] > 50
    assert found["numbers"]["cpu_limit"] == "unlimited"
    names = {each["name"] for each in found["metrics"]}
    assert {"vmguest_up", "vmguest_memory_ballooned_bytes", "vmguest_disk_num_reads_total"} <= names
    assert next(each["labels"] for each in metric(found, "vmguest_disk_num_reads_total")).keys() == {"disk"}
    assert found["raw"]["statistics"]["cpu_limit"] == 4294967295
    assert any(group.startswith("vnet ") for group in found["raw"]["groups"])
    assert found["up"] is True
    assert found["poll"]["age"] == 0.0


def test_counters_are_told_as_of_the_sample_before_too() -> None:
    def ask(host: World) -> tuple[float | None, float | None, float | None]:
        found = document(host.published)
        before = found["before"]
        names = {each["name"] for each in before["metrics"]}
        assert names <= {each["name"] for each in found["metrics"] if each["kind"] == "counter"}
        assert not names & {"vmguest_polls_total", "vmguest_cpu_lost_seconds_total"}
        growth = None
        for now, then in zip(metric(found, ELAPSED), metric(before, ELAPSED), strict=False):
            growth = now["value"] - then["value"]
        return growth, before["poll"]["extended_read_monotonic"], found["poll"]["extended_read_monotonic"]

    with world() as host:
        host.run(1)
        growth, then, now = ask(host)
        assert (growth, then) == (None, None)
        assert now is not None
        host.run(10)
        growth, then, now = ask(host)
        assert growth == pytest.approx(host.interval, abs=0.01)
        assert now is not None
        assert then is not None
        assert now - then == pytest.approx(host.interval, abs=0.01)
        host.poller.poll()  # at the same time: the host's sample is the same
        assert ask(host)[0] == pytest.approx(host.interval, abs=0.01)


def test_the_sessions_start_is_the_one_that_its_metric_shows() -> None:
    with world() as host:
        host.run(3)
        began = host.poller.state.lives.session.start
        host.ahead += 7
        host.run(1)
        found = document(host.published)
        (shown,) = metric(found, "vmguest_session_start_timestamp_seconds")
        assert found["session"]["start"] == shown["value"] == began
        page = Api(host.published).content()
        (row,) = (row for fact in page["facts"] for row in fact["rows"] if row[0] == "Session began")
        assert row[1] == began


def test_nothing_is_told_of_the_session_before() -> None:
    with world(scenario="vmotion") as host:
        sessions: list[str] = []
        for _ in range(30):
            host.run(1)
            found = document(host.published)
            if sessions and found["session"]["id"] != sessions[-1]:
                assert found["before"] == {"poll": {"extended_read_monotonic": None}, "metrics": []}
            sessions.append(found["session"]["id"])
        assert len(set(sessions)) > 1


def test_the_numbers_are_those_of_the_verdict() -> None:
    """No field of the vitals is forgotten but those that are told elsewhere."""
    with world() as host:
        host.run(2)
        numbers = document(host.published)["numbers"]
    entries = {"setting_entries", "session_entries", "pause_entries"}
    elsewhere = {"guest", "reclaim", *entries, "heartbeat", "not_measured"}
    assert set(Vitals.__dataclass_fields__) - elsewhere <= numbers.keys()


def test_pauses_are_counted_and_the_document_stays_json() -> None:
    with world(scenario="pause", experimental=True, interval=1.0) as host:
        host.run(200)
        found = json.loads(json.dumps(document(host.published), allow_nan=False))
    assert found["numbers"]["pauses"] == len([one for one in found["events"] if one["kind"] == "pause"]) > 0


@pytest.mark.parametrize("identity", [False, True])
def test_what_identifies_the_vm_is_withheld_unless_asked_for(*, identity: bool) -> None:
    with world(identity=identity) as host:
        host.run(3)
        text = json.dumps(document(host.published))
    assert ("resource_pool_path" in text) is identity
    assert ("uuid.bios" in text) is identity


def test_stale_numbers_are_withheld() -> None:
    with world() as host:
        host.run(3)
        host.now += 60.0
        found = document(host.published)
    assert found["raw"] == {"statistics": {}, "groups": {}}
    assert found["settings"] == {}
    assert found["up"] is False
    assert found["verdict"]["level"] == "unknown"
    assert found["numbers"]["stolen"] is None
    assert found["poll"]["age"] == pytest.approx(60.0)


def test_what_the_metrics_withhold_is_withheld_here_too() -> None:
    """Extended statistics that have gone stale under polls that go on, and a session of which nothing is known now."""
    with world() as host:
        host.run(3)
        assert document(host.published)["raw"]["groups"]
        for _ in range(5):
            host.now += host.interval
            host.poller.poll()
        found = document(host.published)
        assert found["raw"]["statistics"]
        assert found["raw"]["groups"] == {}
        assert not [each for each in found["metrics"] if each["name"].startswith("vmguest_disk_")]
        host.now += 60.0
        found = document(host.published)
    assert found["session"] == {"id": None, "protocol": None, "changes": 0, "start": None}
    assert not [each for each in found["metrics"] if each["name"].startswith("vmguest_session_info")]
    moving = {name: found["guest"][name] for name in ("steal_seconds", "held_seconds", "available_bytes")}
    assert set(moving.values()) == {None}
    assert (found["guest"]["vcpus"], found["guest"]["memory_bytes"]) == (4, 8 * 2**30)


@pytest.mark.parametrize("late", ["guest", "part"])
def test_a_poll_that_falls_into_it_leaves_it_of_one_poll(late: str) -> None:
    with world() as host:
        host.run(4)
        expected = document(host.published)

        def poll() -> None:
            host.run(1)

        def guest() -> Guest:
            if late == "guest":
                poll()
            return Guest(4, 8 * 2**30)

        def part() -> list[Family]:
            poll()
            return []

        published = Published(
            lambda: host.poller.state,
            others=[part] if late == "part" else [],
            guest=guest,
            insight=lambda: host.observer.insight,
            wall=host.wall,
            monotonic=host.clock,
        )
        found = document(published)
    assert host.poller.state.polls == found["poll"]["polls"] + 1
    own = {"vmguest_exporter_build_info"}
    assert [each for each in found["metrics"] if each["name"] not in own] == [
        each for each in expected["metrics"] if each["name"] not in own
    ]
    for key in ("poll", "session", "before", "raw", "numbers", "charts", "answers", "events"):
        assert found[key] == expected[key], key


def test_nothing_in_it_is_later_than_itself() -> None:
    """A poll that ends while it is made has no age below 0."""
    with world() as host:
        host.run(1)
        state = host.poller.state

        def late() -> PollState:
            host.now += 0.5
            return replace(state, read_monotonic=host.now)

        found = document(Published(late, wall=host.wall, monotonic=host.clock))
    assert found["poll"]["age"] == 0.0


def test_before_the_first_poll_it_is_there_too() -> None:
    published = Published(lambda: PollState(interval=5.0), wall=time.time)
    response = Api(published).view()
    assert response.content_type == "application/json"
    assert dict(response.headers)["Cache-Control"] == "no-store"
    found = json.loads(response.body)
    assert found["times"] == found["events"] == []
    assert found["up"] is False
    assert found["session"] == {"id": None, "protocol": None, "changes": 0, "start": None}


def test_it_is_made_once_a_second_however_many_ask() -> None:
    with world() as host:
        host.run(1)
        api = Api(host.published)
        first = api.view().body
        host.now += 0.5
        assert api.view().body is first
        assert json.loads(first) == api.content(), "the page is of the same document"
        host.now += 1.0
        assert api.view().body is not first


def test_every_statistic_with_a_row_can_be_shown_raw() -> None:
    with world(scenario="steady") as host:
        host.run(1)
        raw = document(host.published)["raw"]["statistics"]
    assert raw.keys() <= {row.key for row in STATISTICS}
    assert len(raw) > 20
