"""The status page's content: the verdict on a scenario, the last hour, and where it all comes from."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from exporter import __version__, catalogue
from exporter.advice import NO_ANSWER
from exporter.errors import TimeoutExpired
from exporter.insight.history import SPAN, STEP
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.outputs.page.overview import CHARTS
from exporter.outputs.page.status import Status
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.snapshot import Guest, PollState, Snapshot

START = 1_700_000_000.0


class Machine:
    """An exporter on a simulated host, its clock moved by hand."""

    def __init__(self, scenario: str, heartbeat: tuple[Family, ...] = ()) -> None:
        self.now = 1000.0
        source = WireSource(in_process(scenario, clock=self.clock), 5.0, source="simulated")
        reader = ExtendedReader(15.0, clock=self.clock, wall=self.wall)
        self.poller = Poller(source, 5.0, clock=self.clock, wall=self.wall, extended=reader)
        self.heartbeat = heartbeat
        collector = Published(
            lambda: self.poller.state,
            others=(self.others,),
            guest=lambda: Guest(4, 8 * 2**30),
            wall=self.wall,
            monotonic=self.clock,
        )
        self.status = Status(collector)

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return START + self.now

    def others(self) -> tuple[Family, ...]:
        return self.heartbeat

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 5.0
            self.poller.poll()
            self.poller.poll_extended(self.now + 5.0)
            self.status.record(self.poller.state)

    def page(self) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(self.status.view().body)
        return page

    def facts(self) -> dict[str, Any]:
        return {label: value for group in self.page()["facts"] for label, value, _ in group["rows"]}


VERDICTS = {
    "steady": ("ok", r"^Nothing is held back\.$"),
    "noisy-neighbour": ("critical", r"^Each vCPU was ready but not run for \d\d % of the time"),
    "ballooning": ("warning", r"^The host has taken 3\.\d GiB of the guest's memory back, 4\d % of it"),
    "cpu-limit": ("warning", r"^The CPU limit of 2\.6 GHz is used up"),
    "swapping": ("warning", r"come back from the host's disk"),
}


@pytest.mark.parametrize(("scenario", "expected"), VERDICTS.items(), ids=list(VERDICTS))
def test_the_verdict_on_a_scenario(scenario: str, expected: tuple[str, str]) -> None:
    machine = Machine(scenario)
    machine.run(600)
    verdict = machine.page()["verdict"]
    assert verdict["level"] == expected[0]
    assert re.search(expected[1], verdict["text"])


@pytest.fixture(scope="module")
def machine() -> Machine:
    """More than an hour on a host with room."""
    machine = Machine("steady")
    machine.run(1.2 * SPAN)
    return machine


class TestContent:
    def test_it_is_up_and_has_a_version(self, machine: Machine) -> None:
        page = machine.page()
        assert (page["version"], page["up"], page["problem"]) == (__version__, True, None)

    def test_every_question_has_an_answer_and_what_it_rests_on(self, machine: Machine) -> None:
        answers = machine.page()["answers"]
        assert len(answers) == 5
        assert all(set(answer) == {"question", "level", "text", "threshold"} for answer in answers)

    def test_charts_hold_the_last_hour(self, machine: Machine) -> None:
        charts = machine.page()["charts"]
        assert [chart["title"] for chart in charts] == [title for _, title, _, _ in CHARTS]
        for chart in charts:
            times = [at for at, _ in chart["points"]]
            assert len(times) == SPAN / STEP
            assert times == sorted(times)
            assert times[0] >= -SPAN
            assert times[-1] <= 0.0
            assert all(value is not None for _, value in chart["points"][1:])

    def test_shares_are_ratios_and_memory_is_bytes(self, machine: Machine) -> None:
        charts = {chart["title"]: chart for chart in machine.page()["charts"]}
        assert all(0 <= value <= 1 for _, value in charts["CPU used"]["points"][1:])
        assert charts["CPU used"]["full"] == 1.0
        assert charts["Memory used"]["full"] == 8 * 2**30
        assert charts["Memory used"]["points"][-1][1] > 2**30

    def test_facts(self, machine: Machine) -> None:
        facts = machine.facts()
        assert facts["vCPUs"] == 4.0
        assert facts["CPU limit"] == "unlimited"
        assert facts["Memory limit"] == "unlimited"
        assert facts["Source"] == "simulated"
        assert facts["Protocol"] == "3"
        assert facts["Session"].startswith("0x")
        assert facts["Hypervisor"].startswith("VMware ESXi")
        assert facts["Extended statistics"] == "read"
        assert facts["Last good poll"] == START + machine.now
        assert facts["Heartbeat"] == "off"

    def test_it_is_not_too_long_for_a_slow_line(self, machine: Machine) -> None:
        assert len(machine.status.view().body) < 65536


class TestTrouble:
    def test_before_the_first_poll(self) -> None:
        page = Machine("steady").page()
        assert page["verdict"] == {"level": "unknown", "text": "There are no fresh statistics from the host."}
        assert all(chart["points"] == [] for chart in page["charts"])
        assert page["up"] is False

    def test_with_one_poll_rates_are_not_known(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(5)
        page = machine.page()
        assert page["answers"][1]["level"] == "unknown"
        assert page["verdict"]["level"] == "ok"

    def test_a_hung_poll_is_not_covered_up(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(300)
        machine.now += 16
        page = machine.page()
        assert page["up"] is False
        assert page["verdict"]["level"] == "unknown"
        assert len(page["charts"][0]["points"]) == 30, "what was, was"

    def test_a_failed_poll_is_told_in_the_words_of_the_log_and_of_doctor(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        error = TimeoutExpired("no answer in 2 s")

        def fails() -> Snapshot:
            raise error

        machine = Machine("host-stats-disabled")
        machine.run(5)
        monkeypatch.setattr(machine.poller._source, "read", fails)
        machine.poller.poll()
        machine.now += 2
        assert machine.page()["problem"] == {
            "kind": "timeout",
            "text": "no answer in 2 s",
            "advice": NO_ANSWER.sentence,
        }

    def test_what_is_not_known_any_more_is_not_said_of_the_host(self) -> None:
        machine = Machine("cpu-limit")
        machine.run(60)
        machine.now += 60
        assert {answer["text"] for answer in machine.page()["answers"]} == {"Not known now."}
        assert {answer["level"] for answer in machine.page()["answers"]} == {"unknown"}

    def test_a_host_without_extended_statistics_has_no_word_on_them(self) -> None:
        machine = Machine("v2-host")
        machine.run(60)
        facts = machine.facts()
        assert "Extended statistics" not in facts
        assert "Hypervisor" not in facts
        assert facts["Protocol"] == "2"

    def test_a_source_that_is_not_known_yet(self) -> None:
        state = PollState(interval=5.0)
        status = Status(Published(lambda: state, guest=Guest))
        page = json.loads(status.view().body)
        labels = [label for group in page["facts"] for label, *_ in group["rows"]]
        assert "Source" not in labels
        assert "Poll interval" in labels


class TestHeartbeat:
    @staticmethod
    def families(enabled: float, healthy: float, status: str) -> tuple[Family, ...]:
        return (
            Family(catalogue.HA_ENABLED, (Point(enabled),)),
            Family(catalogue.HA_HEALTHY, (Point(healthy),)),
            Family(
                catalogue.HA_APP_STATUS,
                tuple(Point(float(word == status), (("status", word),)) for word in ("green", "red", "gray")),
            ),
            Family(catalogue.HA_HEARTBEATS, (Point(17.0),)),
            Family(catalogue.HA_HEARTBEATS_WITHHELD, (Point(0.0),)),
            Family(catalogue.HA_LAST_HEARTBEAT, (Point(START + 999),)),
        )

    def test_on(self) -> None:
        facts = Machine("steady", self.families(1.0, 1.0, "green")).facts()
        assert facts["Monitoring"] == "on"
        assert facts["Status as vSphere sees it"] == "green"
        assert facts["Health"] == "good"
        assert facts["Heartbeats"] == 17.0
        assert facts["Withheld"] == 0.0
        assert facts["Last heartbeat"] == START + 999
        assert "Heartbeat" not in facts

    def test_off_and_unwell(self) -> None:
        facts = Machine("steady", self.families(0.0, 0.0, "none")).facts()
        assert (facts["Monitoring"], facts["Health"]) == ("off", "bad")
        assert "Status as vSphere sees it" not in facts
