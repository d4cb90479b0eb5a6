"""Each built-in scenario shows what its name says, and a name leads to it."""

from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.simulator import scenario_file
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenarios import SCENARIOS

PROMISED = {
    "steady",
    "noisy-neighbour",
    "ballooning",
    "cpu-limit",
    "swapping",
    "vmotion",
    "host-stats-disabled",
    "v2-host",
    "old-host",
}


class After:
    """A scenario after some minutes, and what happened in the last one."""

    def __init__(self, name: str, seconds: float = 240) -> None:
        self._now = 0.0
        self.host = SimulatedHost(name, lambda: self._now)
        self._now = seconds - 60
        self._before = self._read()
        self._now = seconds
        self._after = self._read()

    def _read(self) -> dict[int, int]:
        return {id_: value for id_, (_, value) in self.host.values().items() if isinstance(value, int)}

    def level(self, id_: int) -> int:
        return self._after[id_]

    def rate(self, id_: int) -> float:
        """Per vCPU and second of elapsed time."""
        elapsed = self._after[17] - self._before[17]
        return (self._after[id_] - self._before[id_]) / elapsed / self.host.scenario.machine.vcpus


def test_all_promised_scenarios_are_there() -> None:
    assert set(SCENARIOS) >= PROMISED
    assert all(row.summary.endswith(".") for row in SCENARIOS.values())


def test_steady_lacks_nothing() -> None:
    steady = After("steady")
    assert 0.15 < steady.rate(4) < 0.5
    assert steady.rate(19) < 0.01
    assert steady.level(12) == steady.level(13) == steady.level(31) == 0


def test_noisy_neighbour_steals() -> None:
    assert After("noisy-neighbour").rate(19) > 0.15


def test_ballooning_balloons_and_does_not_swap() -> None:
    ballooning = After("ballooning")
    assert ballooning.level(12) == pytest.approx(0.40 * 8192, abs=2)
    assert ballooning.level(13) == 0
    assert ballooning.level(20) < 0.5 * 8192


def test_the_balloons_target_is_seen_before_the_balloon() -> None:
    ballooning = After("ballooning", 61)
    assert ballooning.level(35) > ballooning.level(12) + 300


def test_cpu_limit_throttles() -> None:
    limited = After("cpu-limit")
    assert limited.level(2) == 2600
    assert limited.rate(4) == pytest.approx(0.25, abs=0.001)
    assert limited.rate(19) > 0.1


def test_swapping_swaps_with_the_balloon_at_its_maximum() -> None:
    swapping = After("swapping")
    assert swapping.level(12) == swapping.level(36)
    assert swapping.level(13) == pytest.approx(0.20 * 8192, abs=2)
    assert swapping.level(31) > 0


def test_vmotion_changes_sessions() -> None:
    assert After("vmotion").host.session_changes == 8


def test_host_stats_disabled_marks_them() -> None:
    values = After("host-stats-disabled").host.values()
    assert [id_ for id_, (valid, _) in values.items() if not valid] == list(range(21, 31))


@pytest.mark.parametrize(("name", "size"), [("steady", 38), ("old-host", 37), ("older-host", 30)])
def test_old_hosts_have_shorter_lists(name: str, size: int) -> None:
    assert SimulatedHost(name).info(3)[16:20] == size.to_bytes(4, "big")


def test_a_name_leads_to_its_scenario() -> None:
    assert scenario_file.load("swapping") is SCENARIOS["swapping"]


def test_a_file_is_one_with_an_ending_or_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('summary = "Mine."\n')
    assert scenario_file.load(str(file)).summary == "Mine."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stedy", "scenario 'stedy': no such one; did you mean steady"),
        ("cpu_limit", "did you mean cpu-limit"),
        ("xyzzy", "expected one of steady, noisy-neighbour"),
    ],
)
def test_a_wrong_name_is_met_with_the_right_ones(name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        scenario_file.load(name)
