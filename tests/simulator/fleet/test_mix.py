"""Which VMs there are."""

import random
from collections import Counter
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.simulator.fleet import mix


def test_weights_are_read() -> None:
    assert mix.parse("steady=90, noisy=7.5,hungry=0") == {"steady": 90, "noisy": 7.5, "hungry": 0}


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "cpu-limit"\n')
    assert mix.scenario(str(file)).machine.cpu_limit == 2600
    assert mix.parse(f"{file}=1") == {str(file): 1}
    file.write_text("vcpus = 3\n")
    with pytest.raises(ConfigError, match=r"--mix: .*mine.toml: vcpus: no such key"):
        mix.parse(f"{file}=1")


@pytest.mark.parametrize("count", [1, 7, 50, 1000])
def test_each_comes_as_often_as_its_weight_says(count: int) -> None:
    drawn = Counter(each.name for each in mix.draw(count, mix.DEFAULT, random.Random(1)))
    assert drawn.total() == count
    for name, weight in mix.DEFAULT.items():
        assert abs(drawn[name] - count * weight / sum(mix.DEFAULT.values())) < 1


def test_what_troubles_others_only_together_comes_together() -> None:
    names = [each.name for each in mix.draw(200, {"steady": 94, "noisy": 6}, random.Random(2))]
    places = [place for place, name in enumerate(names) if name == "noisy"]
    assert len(places) == 12
    assert all(second - first == 1 for first, second, _ in zip(*[iter(places)] * 3, strict=True))


def test_steady_vms_come_in_all_sizes() -> None:
    drawn = mix.draw(200, {"steady": 1}, random.Random(3))
    assert {each.machine.vcpus for each in drawn} == {2, 4, 8}
    assert {len(each.disks) for each in drawn} == {1, 2, 4}
    assert {len(each.nics) for each in drawn} == {1, 2}
