"""What can't be a machine is refused, all of it at once."""

import pytest

from exporter.errors import ConfigError
from exporter.simulator.scenario import Machine, Scenario


def test_defaults_are_a_whole_machine() -> None:
    assert Machine().shares == (4000, 81920)
    assert Machine(cpu_shares=1, memory_shares=0).shares == (1, 0)


def test_a_scenario_needs_a_name_and_a_sentence_only() -> None:
    assert Scenario("mine", "what it is").machine == Machine()


def test_an_impossible_machine_is_refused_with_every_reason() -> None:
    with pytest.raises(ConfigError) as raised:
        Machine(vcpus=0, memory=-5, cpu_limit=-1, memory_shares=-2)
    assert raised.value.problems == (
        "machine.vcpus = 0: expected a number of 1 or more",
        "machine.memory = -5: expected a number of 1 or more",
        "machine.cpu_limit = -1: expected a number of 0 or more",
        "machine.memory_shares = -2: expected a number of -1 or more",
    )


def test_a_machine_fits_its_host() -> None:
    with pytest.raises(ConfigError) as raised:
        Machine(vcpus=64, memory=200_000)
    assert raised.value.problems == (
        "machine.vcpus = 64: expected at most machine.host_cores (32)",
        "machine.memory = 200000: expected at most half of machine.host_memory (262144)",
    )
