"""The status page's content: the verdict on a scenario, the last hour, and where it all comes from."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import pytest

from exporter import __version__, catalogue
from exporter.advice import NO_ANSWER
from exporter.errors import TimeoutExpired
from exporter.insight.history import SPAN, STEP
from exporter.insight.verdict import QUESTIONS
from exporter.insight.words import percent
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.outputs.api import Api
from exporter.outputs.page.charts import CHARTS
from exporter.snapshot import Guest, PollState, Snapshot
from tests.insight.simulated import START, Simulated


class Machine(Simulated):
    """An exporter on a simulated host, and the content of its page."""

    def __init__(self, scenario: str, heartbeat: tuple[Family, ...] = ()) -> None:
        super().__init__(scenario)
        self.published.add(lambda: heartbeat)
        self.status = Api(self.published)

    def page(self) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(self.status.view().body)
        return page

    def facts(self) -> dict[str, Any]:
        return {label: value for group in self.page()["facts"] for label, value, _ in group["rows"]}

    def chart(self, title: str) -> dict[str, Any]:
        found: dict[str, Any] = next(chart for chart in self.page()["charts"] if chart["title"] == title)
        return found


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
        assert [answer["question"] for answer in answers] == [row.title for row in QUESTIONS]
        assert all(set(answer) == {"key", "question", "level", "text", "threshold"} for answer in answers)

    def test_charts_hold_the_last_hour(self, machine: Machine) -> None:
        page = machine.page()
        times = page["times"]
        assert len(times) == SPAN / STEP
        assert times == sorted(times)
        assert times[0] >= -SPAN
        assert times[-1] <= 0.0
        assert [chart["title"] for chart in page["charts"]] == [chart.title for chart in CHARTS]
        for chart in page["charts"]:
            assert len(chart["values"]) == len(times)
            known = [value for value in chart["values"] if value is not None]
            assert len(known) >= (
                len(times) - 1 if chart["title"] != "Waiting for memory" else len(times) / 2
            )

    def test_shares_are_ratios_and_memory_is_bytes(self, machine: Machine) -> None:
        assert all(0 <= value <= 1 for value in machine.chart("CPU used")["values"][1:])
        assert machine.chart("CPU used")["full"] == 1.0
        assert machine.chart("Memory used")["full"] == 8 * 2**30
        assert machine.chart("Memory used")["values"][-1] > 2**30

    def test_each_chart_tells_its_query(self, machine: Machine) -> None:
        names = {metric.prometheus for metric in catalogue.METRICS}
        for chart in [*machine.page()["charts"], machine.page()["band"]]:
            assert any(name in chart["query"] for name in names)

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
        assert len(machine.status.view().body) < 2**17
        assert len(gzip.compress(machine.status.view().body)) < 2**14


class TestNow:
    """One "now", named, and of when it is."""

    def test_charts_and_verdict_say_the_same(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(600)
        now = machine.chart("CPU stolen")["now"]
        assert now["of"] == "last 5 minutes"
        host = machine.answers()["host"].text
        assert f"{percent(now['value'])} of the time in the last 5 minutes" in host

    def test_a_level_has_the_time_of_its_reading(self) -> None:
        machine = Machine("ballooning")
        machine.run(600)
        now = machine.chart("Memory ballooned")["now"]
        assert now["value"] > 3 * 2**30
        assert START + machine.now - STEP <= now["time"] <= START + machine.now

    def test_when_the_host_is_lost_nothing_is_now(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(300)
        machine.now += 153
        page = machine.page()
        assert page["verdict"]["level"] == "unknown"
        assert all(chart["now"] is None for chart in page["charts"])
        assert page["times"][-1] <= -153

    def test_after_an_hour_without_the_host_nothing_is_the_last_hour(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(300)
        machine.now += SPAN
        assert machine.page()["times"] == []

    def test_a_gap_stays_one(self) -> None:
        machine = Machine("steady")
        machine.run(100)
        machine.now += 200
        machine.run(100)
        page = machine.page()
        steps = [after - before for before, after in pairwise(page["times"])]
        assert sum(step > page["gap"] for step in steps) == 1

    def test_a_slow_host_has_wider_steps_and_no_gaps(self) -> None:
        machine = Machine("slow-refresh")
        machine.run(300)
        page = machine.page()
        assert page["gap"] == 50.0
        assert max(after - before for before, after in pairwise(page["times"])) <= 25.0


class TestBand:
    def test_its_parts_are_the_stolen_time_by_cause(self) -> None:
        machine = Machine("cpu-limit")
        machine.run(300)
        parts = {part["title"]: part["values"] for part in machine.page()["band"]["parts"]}
        stolen = machine.chart("CPU stolen")["values"]
        for position in range(1, len(stolen)):
            lost = sum(parts[title][position] for title in parts if title != "used")
            assert lost == pytest.approx(stolen[position], abs=0.001)
        assert max(parts["lost to the CPU limit"][1:]) > 0.2


class TestEvents:
    def test_what_happened_stands_newest_first(self) -> None:
        machine = Machine("vmotion")
        machine.run(100)
        events = machine.page()["events"]
        assert [event["kind"] for event in events] == ["session"] * 3
        assert events[0]["time"] > events[-1]["time"]
        assert all(event["guess"] and event["clues"] for event in events)


class TestTrouble:
    def test_before_the_first_poll(self) -> None:
        page = Machine("steady").page()
        assert page["verdict"] == {"level": "unknown", "text": "There are no fresh statistics from the host."}
        assert page["times"] == []
        assert all(chart["values"] == [] for chart in page["charts"])
        assert page["up"] is False

    def test_with_one_poll_rates_are_not_known(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(0)
        levels = {answer["question"]: answer["level"] for answer in machine.page()["answers"]}
        assert levels["Is it starved by the host?"] == "unknown"
        assert machine.page()["verdict"]["level"] == "unknown"

    def test_a_hung_poll_is_not_covered_up(self) -> None:
        machine = Machine("noisy-neighbour")
        machine.run(300)
        machine.now += 16
        page = machine.page()
        assert page["up"] is False
        assert page["verdict"]["level"] == "unknown"
        assert len(page["times"]) == 31, "what was, was"

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
        heartbeat, *answers = machine.page()["answers"]
        assert {(answer["level"], answer["text"]) for answer in answers} == {("unknown", "Not known now.")}
        assert heartbeat["text"] == "This exporter sends no heartbeats."

    def test_a_reset_that_is_near_is_told_whether_or_not_the_host_gives_statistics(self) -> None:
        machine = Machine("steady", TestHeartbeat.families(1.0, 1.0, "red"))
        machine.run(60)
        machine.now += 60
        verdict = machine.page()["verdict"]
        assert verdict["level"] == "critical"
        assert "vSphere HA misses heartbeats" in verdict["text"]

    def test_a_host_that_is_lost_gives_no_extended_statistics_either(self) -> None:
        machine = Machine("steady")
        machine.run(60)
        assert machine.facts()["Extended statistics"] == "read"
        machine.now += 60
        assert machine.facts()["Extended statistics"] == "failing"

    def test_a_host_without_extended_statistics_has_no_word_on_them(self) -> None:
        machine = Machine("v2-host")
        machine.run(60)
        facts = machine.facts()
        assert "Extended statistics" not in facts
        assert "Hypervisor" not in facts
        assert facts["Protocol"] == "2"

    def test_a_source_that_is_not_known_yet(self) -> None:
        state = PollState(interval=5.0)
        status = Api(Published(lambda: state, guest=Guest))
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

    def test_maintenance_and_a_dry_run_are_in_the_verdict(self) -> None:
        maintenance = (
            *self.families(1.0, 1.0, "gray"),
            Family(catalogue.HA_MAINTENANCE_END, (Point(START),)),
        )
        dry = (*self.families(1.0, 1.0, "green"), Family(catalogue.HA_DRY_RUN, (Point(1.0),)))
        for families, word in ((maintenance, "Maintenance"), (dry, "A dry run")):
            machine = Machine("steady", families)
            machine.run(60)
            verdict = machine.page()["verdict"]
            assert verdict["level"] == "info"
            assert verdict["text"].startswith(word)
