"""What is worked out of each state: when the guest is asked, what one poll may cost, what a mistake must not do."""

from __future__ import annotations

from dataclasses import replace

from exporter.insight.interval import LimitState
from exporter.insight.memory import MemoryLimitState
from exporter.insight.observer import Observer
from exporter.insight.question import Level
from exporter.insight.settings import settings_of
from exporter.insight.timeline import Facts
from exporter.insight.verdict import summary
from exporter.snapshot import Guest, PollState, Snapshot
from tests.insight.simulated import Simulated


def test_the_guest_is_asked_once_per_round_and_not_per_poll() -> None:
    asked = []

    def guest() -> Guest:
        asked.append(1)
        return Guest(4, 8 * 2**30)

    Simulated("steady", 1.0, guest=guest).run(150)
    assert 10 <= len(asked) <= 12


def test_a_session_change_asks_the_guest_at_once() -> None:
    asked: list[float] = []

    def guest() -> Guest:
        asked.append(simulated.now)
        return Guest(4, 1)

    simulated = Simulated("vmotion", 5.0, guest=guest)
    simulated.run(60)
    assert {1030.0, 1060.0} <= set(asked)


def test_states_of_the_limits() -> None:
    assert Simulated("steady").run(10).insight.cpu_limit is LimitState.NONE
    assert Simulated("steady").run(10).insight.memory_limit is MemoryLimitState.NONE
    assert Simulated("cpu-limit").run(60).insight.cpu_limit is LimitState.THROTTLING
    assert Simulated("cpu-limit").run(0).insight.cpu_limit is LimitState.BINDING, (
        "one snapshot does not throttle"
    )


def test_a_repeated_sample_leaves_the_state_as_it_was() -> None:
    simulated = Simulated("cpu-limit").run(60)
    simulated.poll()
    assert simulated.insight.cpu_limit is LimitState.THROTTLING


def test_the_state_of_a_limit_is_gone_with_the_session_that_it_was_of() -> None:
    simulated = Simulated("cpu-limit").run(60)
    snapshot = Snapshot(99, 3, {"elapsed": 1})
    simulated.told(PollState(interval=5.0, snapshot=snapshot, polls=999, read_monotonic=2000.0))
    assert simulated.insight.cpu_limit is None
    assert simulated.insight.memory_limit is None


def test_settings_are_compared_with_those_of_the_last_run() -> None:
    first = Simulated("steady").run(10)
    kept, facts = first.insight.settings, first.insight.facts
    assert isinstance(facts, Facts)
    again = Simulated("cpu-limit")
    again.observer = Observer(again.guest, settings=kept, facts=replace(facts, session_id=5))
    again.run(10)
    session, change = again.entries
    assert session.kind == "session"
    assert change.text == "CPU limit went from none to 2.6 GHz; seen at the exporter's start."
    assert again.insight.setting_changes["cpu_limit"] == 1


def test_a_host_without_stolen_time_is_not_cleared() -> None:
    answers = Simulated("v2-host").run(600).answers()
    for key in ("host", "undetermined", "bursts"):
        assert answers[key].level is Level.UNKNOWN, answers[key].text
    assert summary(tuple(answers.values()))[0] is Level.UNKNOWN


def test_bursts_are_unknown_without_the_number_of_vcpus() -> None:
    answers = Simulated("noisy-neighbour", guest=Guest).run(600).answers()
    assert answers["bursts"].level is Level.UNKNOWN
    assert answers["host"].level is Level.UNKNOWN


def test_a_first_run_sees_no_change() -> None:
    assert Simulated("cpu-limit").run(60).entries == []


def test_settings_as_last_seen_are_there_for_the_next_run() -> None:
    simulated = Simulated("changed-limit").run(120)
    snapshot = simulated.poller.state.snapshot
    assert snapshot is not None
    assert simulated.insight.settings == settings_of(snapshot, simulated.guest())
    assert simulated.insight.settings["cpu_limit"] == 2.4e9


def test_the_build_of_the_new_host_is_a_clue_when_it_is_known() -> None:
    simulated = Simulated("vmotion").run(60)
    facts = simulated.insight.facts
    assert facts is not None
    assert facts.build.startswith("VMware ESXi")
