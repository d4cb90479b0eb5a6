"""Contracts: those that come along, and what is said of one that can't be used."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from exporter.check.contract import BUILT_IN, load, read
from exporter.check.results import judge
from exporter.errors import ConfigError
from exporter.outputs.api import Document, document
from exporter.simulator.scenarios import SCENARIOS
from tests.check.guidelines import alerts
from tests.insight.simulated import Simulated


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    found = {}
    for name in SCENARIOS:
        world = Simulated(name).run(310)
        found[name] = document(world.published)
        world.close()
    return found


def told(key: str, found: Document) -> float | None:
    """The value that a rule is about, from the host's own numbers where they are there."""
    raw, numbers, guest = found["raw"]["statistics"], found["numbers"], found["guest"]
    megabytes = guest["installed_bytes"] / 2**20

    def part(name: str, whole: float) -> float | None:
        return 100 * raw[name] / whole if name in raw else None

    def withheld(name: str, whole: float) -> float | None:
        if name not in raw:
            return None
        return 0.0 if raw[name] in {0xFFFFFFFF, 0x1FC000} else max(0.0, 100 - 100 * raw[name] / whole)

    def share(name: str) -> float | None:
        return None if numbers[name] is None else 100 * numbers[name]

    values: dict[str, Any] = {
        "reservation": min(100.0, part("memory_reservation", guest["memory_bytes"] / 2**20) or 0.0),
        "balloon": part("memory_ballooned", megabytes),
        "swap": part("memory_swapped", megabytes),
        "memory_limit": withheld("memory_limit", megabytes),
        "cpu_withheld": withheld("cpu_limit", guest["vcpus"] * raw["host_cpu_frequency"]),
        "stolen": share("stolen"),
        "bursts": share("worst"),
        "numa": None if numbers["numa_local"] is None else 100 - 100 * numbers["numa_local"],
        "session": len([each for each in found["events"] if each["kind"] == "session"]),
        "vcpus": guest["vcpus"],
    }
    value: float | None = values[key]
    return value


@pytest.mark.parametrize("profile", BUILT_IN)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_rule_on_each_scenario(profile: str, scenario: str, documents: dict[str, Document]) -> None:
    text = files("exporter.check.profiles").joinpath(f"{profile}.toml").read_text()
    found = documents[scenario]
    results = judge(found, warning={}, critical={}, contract=load(profile)).results
    rules = tomllib.loads(text)["rule"]
    assert [each.title for each in results] == [rule["title"] for rule in rules]
    for rule, result in zip(rules, results, strict=True):
        value = told(rule["key"], found)
        expected = 0
        if value is None:
            assert result.note
        elif "critical" in rule and alerts(rule["critical"], value):
            expected = 2
        elif "warning" in rule and alerts(rule["warning"], value):
            expected = 1
        assert result.state == expected, (rule, value, result.text)


@pytest.mark.parametrize("profile", BUILT_IN)
def test_each_rule_says_why_and_where_that_is_written(profile: str) -> None:
    assert all(rule.title and rule.why and rule.source for rule in load(profile).rules)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\n[[rule]]\nkey = "frequency"\ncritical = "2.6:"\n')
    contract = load(str(file))
    assert contract.name == "mine"
    assert contract.rules[0].critical is not None
    assert contract.rules[0].critical.alerts(2.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"there is no \[\[rule\]\]"),
        ("rule = 3", r"there is no \[\[rule\]\]"),
        ("[[rule", "x.toml: "),
        ('[[rule]]\nkey = "stolen"', "rule 1: expected warning or critical"),
        ('[[rule]]\nkey = "stollen"\ncritical = "1"', "key = 'stollen': expected one of stolen"),
        ('[[rule]]\nkey = "stolen"\ncritical = "x"', "rule 1: 'x': expected a range"),
        ('[[rule]]\nkey = "stolen"\ncritical = "1"\nwhat = 1', "what: unknown"),
        ('what = 1\n[[rule]]\nkey = "stolen"\ncritical = 1', "what: unknown"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(text, "x.toml")


def test_no_such_profile() -> None:
    with pytest.raises(ConfigError, match="expected sap, sql, etcd, voip, or a file"):
        load("oracle")


def test_what_could_not_be_looked_at_is_no_promise_kept(documents: dict[str, Document]) -> None:
    contract = read('[[rule]]\nkey = "numa"\nwarning = "20"\n[[rule]]\nkey = "vcpus"\nwarning = "2:"\n', "x")
    texts = {
        name: judge(documents[name], warning={}, critical={}, contract=contract).text
        for name in ("steady", "older-host")
    }
    assert texts == {
        "steady": "x: every promise is kept.",
        "older-host": "x: no promise is seen to be broken. Not given: numa.",
    }
