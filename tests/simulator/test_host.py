"""One VM on one host, on a clock that the test holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import BY_ID
from exporter.errors import ConfigError, RpcError
from exporter.protocol import stats_v2, stats_v3
from exporter.simulator.curves import constant, steps
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Scenario, ScenarioEvent
from exporter.simulator.scenarios import SCENARIOS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(
    scenario: Scenario | str = "steady", seed: int = 0, speed: float = 1.0
) -> tuple[SimulatedHost, Clock]:
    clock = Clock()
    return SimulatedHost(scenario, clock, seed, speed=speed), clock


def number(host: SimulatedHost, id_: int) -> int:
    valid, value = host.values()[id_]
    assert valid
    assert isinstance(value, int)
    return value


def texts(host: SimulatedHost) -> list[str]:
    return [happening.text for happening in host.take_happenings()]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_reply_holds_what_the_host_says_it_holds(name: str) -> None:
    host, clock = made(name)
    clock.now += 47.3
    version = host.scenario.versions[0]
    decode = stats_v3.decode if version == stats_v3.VERSION else stats_v2.decode
    snapshot = decode(host.info(version))
    sent = {
        BY_ID[id_].key: value.decode() if isinstance(value, bytes) else value
        for id_, (valid, value) in host.values().items()
        if valid and (id_ <= host.scenario.statistics if version == stats_v3.VERSION else BY_ID[id_].v2)
    }
    assert snapshot.values == sent
    assert snapshot.session_id == host.session_id
    assert snapshot.protocol == version


@given(st.sampled_from(sorted(SCENARIOS)), st.lists(st.floats(0, 40), min_size=1, max_size=6))
@settings(deadline=None)
def test_counters_never_fall_within_a_session(name: str, pauses: list[float]) -> None:
    host, clock = made(name)
    before: dict[int, int] = {}
    session = host.session_id
    for pause in pauses:
        clock.now += pause
        counters = {id_: number(host, id_) for id_ in (4, 17, 19)}
        if host.session_id == session:
            assert all(counters[id_] >= value for id_, value in before.items())
        before, session = counters, host.session_id


@given(st.integers(0, 5), st.lists(st.floats(0.01, 20), max_size=5))
@settings(deadline=None)
def test_seed_and_time_alone_decide(seed: int, pauses: list[float]) -> None:
    asked, unasked = made("vmotion", seed), made("vmotion", seed)
    for pause in pauses:
        asked[1].now += pause
        asked[0].values()
    unasked[1].now = asked[1].now
    assert unasked[0].info(3) == asked[0].info(3)


def test_session_ids_are_64_bits_wide_and_differ_by_seed() -> None:
    ids = {made(seed=seed)[0].session_id for seed in range(50)}
    assert len(ids) == 50
    assert any(id_ > 2**63 for id_ in ids)
    assert all(0 < id_ < 2**64 for id_ in ids)


def test_a_sample_is_repeated_for_a_moment_and_then_another_one() -> None:
    host, clock = made()
    first = host.info(3)
    clock.now += 0.019
    assert host.info(3) is first
    clock.now += 0.002
    assert host.info(3) is not first


def test_a_clock_that_goes_back_is_waited_for() -> None:
    host, clock = made()
    clock.now += 10
    reply = host.info(3)
    clock.now -= 5
    assert host.info(3) == reply


def test_speed_makes_the_statistics_run() -> None:
    host, clock = made(speed=60)
    clock.now += 1
    assert number(host, 17) == 60_000


def test_a_version_that_the_host_does_not_know_is_refused_as_hosts_do() -> None:
    host, _ = made("v2-host")
    with pytest.raises(RpcError, match="Unsupported version"):
        host.info(3)
    assert len(host.info(2)) == 669


def test_a_session_change_restarts_the_counters_and_breaks_the_connections() -> None:
    host, clock = made()
    clock.now += 100
    used, session = number(host, 4), host.session_id
    host.session_change("resume")
    assert host.session_id != session
    assert host.generation == 1
    assert host.session_changes == 1
    assert number(host, 4) == number(host, 17) == 0
    clock.now += 10
    assert 0 < number(host, 4) < used
    assert texts(host) == [f"session change (resume): {host.session_id}"]


def test_vmotion_comes_every_so_often_also_when_nobody_asks() -> None:
    host, clock = made("vmotion")
    clock.now += 95
    host.advance()
    assert host.session_changes == 3
    assert number(host, 17) == 5_000


def test_events_come_in_their_order_and_once() -> None:
    events = (
        ScenarioEvent(20, "remove-disk", "scsi0:0"),
        ScenarioEvent(10, "add-disk", "scsi0:7"),
        ScenarioEvent(30, "session-change"),
        ScenarioEvent(31, "add-nic", "00:50:56:00:00:01"),
        ScenarioEvent(32, "remove-nic", "00:50:56:00:00:01"),
        ScenarioEvent(33, "remove-nic", "never there"),
        ScenarioEvent(40, "host-restart", "2.5"),
    )
    host, clock = made(Scenario("story", "", events=events))
    clock.now += 15
    assert texts(host) == ["scsi0:7 added"]
    clock.now += 27
    said = texts(host)
    assert said[0] == "scsi0:0 removed"
    assert [text.partition(":")[0] for text in said[1:]] == [
        "session change (vMotion)",
        "00",
        "00",
        "session change (host restart)",
    ]
    assert host.down
    clock.now += 1
    assert not host.down
    assert texts(host) == []
    assert number(host, 17) == 3_000


def test_events_at_one_time_come_as_they_were_written() -> None:
    events = (
        ScenarioEvent(1, "add-disk", "b"),
        ScenarioEvent(1, "add-disk", "a"),
        ScenarioEvent(1, "remove-disk", "b"),
    )
    host, clock = made(Scenario("story", "", events=events))
    clock.now += 1
    assert texts(host) == ["b added", "a added", "b removed"]


def test_a_session_change_by_event_may_have_another_cause() -> None:
    host, clock = made(Scenario("story", "", events=(ScenarioEvent(1, "session-change", "revert"),)))
    clock.now += 1
    assert texts(host) == [f"session change (revert): {host.session_id}"]


def test_a_session_change_makes_vsphere_ha_forget() -> None:
    host, _ = made()
    host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    host.session_change()
    assert not host.ha.enabled
    assert texts(host)[-1] == "HA: vMotion, monitoring forgotten, status Gray"


def test_an_event_that_is_noticed_late_happened_in_time() -> None:
    host, clock = made(Scenario("story", "", events=(ScenarioEvent(20, "session-change"),)), speed=2)
    host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    clock.now += 300
    (enabled, change, forgotten) = host.take_happenings()
    assert [enabled.time, change.time, forgotten.time] == [0, 10, 10]
    assert host.ha.resets == []


def test_a_reset_is_noticed_without_a_question_from_the_guest() -> None:
    host, clock = made()
    host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    clock.now += 300
    assert texts(host)[-1] == "HA: RESET of the VM (number 1): no heartbeat for 30 s"
    assert [reset.time for reset in host.ha.resets] == [1030.0]


def test_a_statistic_can_be_set_and_let_go() -> None:
    host, clock = made()
    host.set("memory_ballooned", 777)
    assert host.values()[12] == (True, 777)
    host.set(12, steps((0, 1), (5, 2)))
    assert host.values()[12] == (True, 1)
    clock.now += 5
    assert host.values()[12] == (True, 2)
    host.set("memory_ballooned", False)
    assert host.values()[12] == (False, 0)
    host.set("memory_ballooned", None)
    assert host.values()[12] == (True, 0)
    host.set("memory_ballooned", None)
    with pytest.raises(ConfigError, match="no such statistic"):
        host.set("nonsense", None)


def test_setting_a_limit_counts_from_now_on_only() -> None:
    host, clock = made()
    clock.now += 60.007
    before = number(host, 4)
    host.set("cpu_limit", 26)
    assert abs(number(host, 4) - before) < 20
    clock.now += 60
    assert number(host, 4) - before < 3_000


def test_what_a_scenario_sets_is_sent() -> None:
    host, _ = made(Scenario("odd", "", set={4: constant(2**64 - 1), 18: constant("/x")}))
    assert host.values()[4] == (True, 2**64 - 1)
    assert host.values()[18] == (True, b"/x")


def test_a_plugged_device_starts_at_zero_and_a_second_of_its_name_changes_nothing() -> None:
    host, clock = made()
    clock.now += 60.013
    host.add_disk("scsi0:9")
    host.add_disk("scsi0:9")
    assert b"num.reads = 0\n" in host.stat("text", "vscsi scsi0:9")
    clock.now += 30
    assert b"num.reads = 0\n" not in host.stat("text", "vscsi scsi0:9")
    host.remove_disk("scsi0:9")
    with pytest.raises(RpcError):
        host.stat("text", "vscsi scsi0:9")


def test_cards_come_and_go_too() -> None:
    host, _ = made()
    host.add_nic("00:50:56:00:00:09")
    assert b"vnet 00:50:56:00:00:09\n" in host.stat("text", "")
    host.remove_nic("00:50:56:00:00:09")
    assert b"vnet 00:50:56:00:00:09\n" not in host.stat("text", "")
    assert texts(host) == ["00:50:56:00:00:09 added", "00:50:56:00:00:09 removed"]


def test_counters_of_devices_restart_with_the_session() -> None:
    host, clock = made()
    clock.now += 60
    host.session_change()
    assert b"num.reads = 0\n" in host.stat("text", "vscsi scsi0:0")
    assert b"num.tx = 0\n" in host.stat("text", "vnet 00:50:56:9a:1b:02")


def test_a_given_session_id_is_the_first_one() -> None:
    host, _ = made(Scenario("one", "", session_id=2**64 - 1))
    assert host.session_id == 2**64 - 1
    host.session_change()
    assert host.session_id != 2**64 - 1


def test_only_the_last_thousand_happenings_are_kept() -> None:
    host, _ = made()
    for _ in range(1100):
        host.session_change()
    assert len(texts(host)) == 1000
