"""What is worked out of each state: when the guest is asked, what one poll may cost, what a mistake must not do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.insight.interval import LimitState
from exporter.insight.memory import MemoryLimitState
from exporter.insight.observer import Observer
from exporter.insight.question import Level
from exporter.insight.settings import settings_of
from exporter.insight.timeline import SessionFacts
from exporter.insight.verdict import summary
from exporter.insight.vitals import vitals_of
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, PollState, Snapshot
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
    assert isinstance(facts, SessionFacts)
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


@pytest.mark.parametrize(("stolen", "high"), [(1000, 0), (1001, 30)])
def test_a_burst_is_above_the_bucket_that_the_rule_takes(stolen: int, high: int) -> None:
    observer = Observer(lambda: Guest(2, 8 * 2**30))
    state = PollState(interval=5.0)
    for polls in range(1, 62):
        values = {"elapsed": 5000 * polls, "cpu_stolen": stolen * (polls // 2)}
        at = 5.0 * polls
        state = replace(state, snapshot=Snapshot(1, 3, values), polls=polls, read_time=at, read_monotonic=at)
        observer.polled(state)
    assert vitals_of(state, observer.insight, 305.0).high == high
    ratio = observer.insight.ledger.stolen_ratio
    assert ratio is not None
    assert ratio.count - ratio.counts[ratio.bounds.index(0.1)] == high


def test_the_build_is_a_clue_whatever_else_happens_meanwhile() -> None:
    observer = Observer(lambda: Guest(2, 8 * 2**30))
    polls = 0

    def poll(session: int, shares: int, build: str | None) -> None:
        nonlocal polls
        polls += 1
        at = 5.0 * polls
        groups = {"session": (ExtendedValue("version", build),)} if build else {}
        observer.polled(
            PollState(
                interval=5.0,
                snapshot=Snapshot(session, 3, {"elapsed": 5000 * polls, "cpu_shares": shares}),
                polls=polls,
                read_time=at,
                read_monotonic=at,
                extended=ExtendedSnapshot(session, groups, at, at) if build else None,
            )
        )

    poll(1, 2000, "VMware ESXi 8.0.2 build-1")
    poll(2, 4000, None)
    poll(2, 4000, "VMware ESXi 8.0.3 build-2")
    session, setting = observer.insight.timeline
    assert (session.kind, setting.kind) == ("session", "setting")
    assert session.guess == "probably moved to a host with another build"
    assert session.clues[-1] == "VMware ESXi 8.0.2 build-1 before, VMware ESXi 8.0.3 build-2 now"


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


def test_a_silent_host_leaves_what_needs_none() -> None:
    simulated = Simulated("changed-limit").run(600)
    told = simulated.vitals()
    simulated.now += 3600.0
    silent = simulated.vitals()
    assert silent.guest == told.guest
    assert silent.used is None
    assert silent.setting_entries == told.setting_entries != ()
    simulated.now += 24 * 3600.0
    assert simulated.vitals().setting_entries == ()


@pytest.mark.parametrize(
    ("name", "statistic", "unit"),
    [
        ("host_frequency", "host_cpu_frequency", 10**6),
        ("cpu_limit", "cpu_limit", 10**6),
        ("cpu_reservation", "cpu_reservation", 10**6),
        ("memory_reservation", "memory_reservation", 2**20),
        ("ballooned", "memory_ballooned", 2**20),
        ("balloon_target", "memory_balloon_target", 2**20),
        ("balloon_max", "memory_balloon_max", 2**20),
        ("swapped", "memory_swapped", 2**20),
    ],
)
def test_vitals_have_what_the_host_gave_in_base_units(name: str, statistic: str, unit: int) -> None:
    simulated = Simulated("changed-limit").run(120)
    snapshot = simulated.poller.state.snapshot
    assert snapshot is not None
    assert getattr(simulated.vitals(), name) == snapshot.values[statistic] * unit


def test_vitals_of_a_vm_that_swaps_have_its_wait_for_memory() -> None:
    contention = Simulated("swapping").run(600).vitals().memory_contention
    assert contention is not None
    assert contention > 0
