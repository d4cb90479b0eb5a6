"""States, thresholds at their edges, and the line for every scenario as it was approved."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from exporter.check.contract import BUILT_IN, Contract, Rule, load
from exporter.check.formats import FORMATS, nagios
from exporter.check.measures import MEASURES
from exporter.check.ranges import parse
from exporter.check.results import State, Summary, judge
from exporter.insight.verdict import QUESTIONS
from exporter.outputs.api import Document, document
from exporter.simulator.scenarios import SCENARIOS
from tests.check.guidelines import alerts, status
from tests.insight.simulated import Simulated

DOCUMENT = Path(__file__).parents[2] / "docs" / "terminal.md"


def after(scenario: str, seconds: float = 310) -> Document:
    world = Simulated(scenario).run(seconds)
    try:
        return document(world.published)
    finally:
        world.close()


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    return {name: after(name, 600) for name in SCENARIOS}


def altered(found: Document, **numbers: Any) -> Document:
    return {**found, "numbers": {**found["numbers"], **numbers}}


def check(found: Document, *, strict: bool = False, **ranges: dict[str, str]) -> tuple[State, str]:
    given = {name: {key: parse(text) for key, text in each.items()} for name, each in ranges.items()}
    summary = judge(
        found, warning=given.get("warning", {}), critical=given.get("critical", {}), strict=strict
    )
    return summary.state, nagios(summary, "here")


def test_each_scenarios_state_is_the_one_that_was_approved(documents: dict[str, Document]) -> None:
    lines = []
    for name, found in documents.items():
        summary = judge(found, warning={}, critical={})
        assert status(nagios(summary, ""))[0] == summary.state.name
        keys = ", ".join(f"`{each.key}`" for each in summary.results if each.state is not State.OK)
        lines.append(f"| `{name}` | {summary.state.value} | {summary.state.name} | {keys or '-'} |")
    generated = "| Scenario | Exit status | State | Of |\n| --- | --- | --- | --- |\n" + "\n".join(lines)
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- checks -->\n).*?(\n<!-- /checks -->)", re.DOTALL)
    if os.environ.get("UPDATE_GOLDEN"):
        text = pattern.sub(lambda match: match[1] + generated + match[2], text)
        DOCUMENT.write_text(text, encoding="utf-8")
    assert generated in text


@pytest.mark.parametrize("text", ["10", "10:", "@5:10", "~:9.99"])
@pytest.mark.parametrize("value", [0.0, 0.05, 0.0999, 0.1, 0.10001, 1.0])
def test_a_threshold_at_its_edges(text: str, value: float) -> None:
    found = altered(after("steady", 20), stolen=value)
    state, line = check(found, critical={"stolen": text})
    word, data = status(line)
    assert (state is State.CRITICAL) is alerts(text, 100 * value)
    assert word == state.name
    assert data["stolen"].value == pytest.approx(100 * value, abs=0.001)
    assert data["stolen"][1:] == ("%", "", text)


def test_critical_comes_before_warning_and_both_before_unknown() -> None:
    found = after("steady", 20)

    def state(*, strict: bool = False, **numbers: Any) -> State:
        warning, critical = {"stolen": "0:1"}, {"stolen": "0:5"}
        return check(altered(found, **numbers), strict=strict, warning=warning, critical=critical)[0]

    assert state(stolen=0.02) is State.WARNING
    assert state(stolen=0.06) is State.CRITICAL
    assert state(stolen=0.06, strict=True) is State.CRITICAL
    assert state(stolen=0.0, numa_local=None, strict=True) is State.OK, "the questions have their answers"
    assert state(stolen=None) is State.UNKNOWN
    assert (
        check(altered(found, stolen=None), warning={"stolen": "5"}, critical={"vcpus": "99:"})[0]
        is State.CRITICAL
    )


def test_a_threshold_takes_the_place_of_the_insights_own(documents: dict[str, Document]) -> None:
    found = documents["ballooning"]
    assert check(found)[0] is State.WARNING
    assert check(found, critical={"balloon": "100"})[0] is State.OK
    assert check(found, critical={"balloon": "5"})[0] is State.CRITICAL


def test_what_is_named_and_not_given_is_unknown() -> None:
    """A bound that can't be looked at is not kept; whoever asked for the figure has to hear that there is none."""
    found = altered(after("steady", 20), memory_contention=None)
    state, line = check(found, critical={"memory_wait": "1"})
    assert state is State.UNKNOWN
    assert "CPU time waiting for memory: not given by the host, or too short a time." in line
    assert "memory_wait=" not in line
    for key in ("memory_wait", "heartbeat", "pauses", "steal"):
        alone = judge(found, warning={}, critical={}, only=frozenset({key}))
        # Heartbeats that are not sent are an answer; a threshold for them has no figure.
        assert alone.state is (State.OK if key == "heartbeat" else State.UNKNOWN), key
        assert check(found, warning={key: "1"})[0] is State.UNKNOWN, key
    balloon = judge(found, warning={}, critical={}, only=frozenset({"balloon"}))
    assert (balloon.state, balloon.text) == (State.OK, "The balloon is empty.")
    sent = judge(found, warning={}, critical={}, only=frozenset({"heartbeat"}))
    assert sent.text == "This exporter sends no heartbeats.", "which is not that all is well"


def test_what_nobody_named_and_the_host_does_not_give_is_ok_with_a_note() -> None:
    """A host that simply has no such statistic is no fault; a profile says which promises could not be looked at."""
    found = altered(after("steady", 20), memory_contention=None, swap_in=None)
    assert judge(found, warning={}, critical={}).state is State.OK
    promised = Contract(
        "mine", (Rule("memory_wait", critical=parse("1")), Rule("vcpus", critical=parse("1:")))
    )

    def held(**given: Any) -> Summary:
        return judge(found, contract=promised, **{"warning": {}, "critical": {}, **given})

    assert held().state is State.OK
    assert held().text == "mine: no promise is seen to be broken. Not given: memory_wait."
    assert held(strict=True).state is State.UNKNOWN
    assert held(critical={"memory_wait": parse("5")}).state is State.UNKNOWN, "named beside the profile"


def test_info_is_ok(documents: dict[str, Document]) -> None:
    found = documents["remote-memory"]
    assert found["verdict"]["level"] == "info"
    state, line = check(found)
    assert state is State.OK
    assert "another NUMA node" in line


def test_a_host_that_is_silent_is_unknown() -> None:
    found = {
        **after("steady", 20),
        "up": False,
        "problem": {"kind": "x", "text": "no answer", "advice": "Do."},
    }
    state, line = check(found)
    assert state is State.UNKNOWN
    assert "no answer. Do." in line


@pytest.mark.parametrize("contract", [None, *BUILT_IN])
def test_without_any_reading_nothing_but_the_heartbeats_is_ok(contract: str | None) -> None:
    world = Simulated("steady")
    found = document(world.published)
    world.close()
    assert not found["up"]
    promised = load(contract) if contract is not None else None
    given = parse("10")
    summary = judge(
        found,
        warning={"stolen": given},
        critical={"memory_wait": given},
        contract=promised,
    )
    assert summary.state is State.UNKNOWN
    needs_no_host = {"heartbeat", "vcpus"}
    assert {each.state for each in summary.results if each.key not in needs_no_host} == {State.UNKNOWN}
    ok = [each.key for each in summary.results if each.state is State.OK]
    assert set(ok) <= needs_no_host
    assert len(summary.results) > 2


def test_a_threshold_for_heartbeats_is_about_the_time_since_the_last(documents: dict[str, Document]) -> None:
    found = documents["steady"]
    beat = {
        "name": "vmguest_ha_last_heartbeat_timestamp_seconds",
        "kind": "gauge",
        "unit": "s",
        "points": [{"labels": {}, "value": found["time"] - 40.0}],
    }
    found = {**found, "metrics": [*found["metrics"], beat]}
    state, line = check(found, warning={"heartbeat": "30"}, critical={"heartbeat": "60"})
    assert state is State.WARNING
    assert status(line)[1]["heartbeat"] == (40.0, "s", "30", "60")
    assert check(found, critical={"heartbeat": "30"})[0] is State.CRITICAL


def test_strict_is_about_what_the_host_gives(documents: dict[str, Document]) -> None:
    healthy, old = documents["steady"], documents["older-host"]
    assert "pauses" in {each["key"] for each in healthy["answers"] if each["level"] == "unknown"}
    state, line = check(healthy, strict=True)
    assert state is State.OK
    assert "Not given" not in line
    assert check(old)[0] is State.OK
    assert check(old, strict=True)[0] is State.UNKNOWN


def test_every_question_has_a_result_whatever_comes(documents: dict[str, Document]) -> None:
    found = documents["steady"]
    new = {"key": "brand-new", "question": "New?", "level": "warning", "text": "It is new.", "threshold": ""}
    found = {**found, "answers": [*found["answers"], new]}
    summary = judge(found, warning={}, critical={})
    assert len(summary.results) == len(QUESTIONS) + 1
    assert summary.state is State.WARNING
    assert summary.results[-1].key == "brand_new"


def test_measures_judge_questions_that_there_are() -> None:
    assert {row.question for row in MEASURES if row.question} <= {row.key for row in QUESTIONS}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("scenario", ["steady", "noisy-neighbour", "old-host"])
def test_every_format_on_hosts_good_bad_and_old(
    name: str, scenario: str, documents: dict[str, Document]
) -> None:
    summary = judge(documents[scenario], warning={"stolen": parse("5")}, critical={"stolen": parse("10:20")})
    said = FORMATS[name](summary, "here")
    lines = said.splitlines()
    if name == "json":
        read = json.loads(said)
        assert read["state"] == summary.state
        assert len(read["results"]) == len(summary.results)
    elif name == "nagios":
        assert status(said)[0] == summary.state.name
    elif name == "checkmk":
        assert len(lines) == len(summary.results) + 1
        assert lines[0].startswith(f'{summary.state.value} "VM verdict" - ')
        form = re.compile(r'[0-3] "VM [^"]+" (-|\w+=-?[\d.]+(;[\d.]*){2}) .+')
        assert all(form.fullmatch(line) for line in lines), said
    elif name == "zabbix":
        assert shlex.split(lines[1]) == ["-", "vmguest.text", nagios_text(summary)]
        assert all(
            re.fullmatch(r"- vmguest\.(check|value)(\[\w+\])? -?[\d.]+", line)
            for line in [lines[0], *lines[2:]]
        ), said
    else:
        assert re.fullmatch(r'vmguest_check,key=all state=[0-3]i,text="[^"]+"', lines[0])
        assert all(
            re.fullmatch(r"vmguest_check,key=\w+ state=[0-3]i(,value=-?[\d.]+)?", line) for line in lines[1:]
        ), said


def nagios_text(summary: Summary) -> str:
    return nagios(summary, "").partition(" - ")[2].partition(" | ")[0]


def test_words_in_quotes_keep_them() -> None:
    summary = Summary(State.UNKNOWN, 'no "C:\\x"\nhere', ())
    line = FORMATS["zabbix"](summary, "").splitlines()[1]
    assert shlex.split(line) == ["-", "vmguest.text", 'no "C:\\x" here']
    assert FORMATS["influx"](summary, "").endswith(r',text="no \"C:\\x\" here"')


def test_nothing_in_the_text_begins_performance_data() -> None:
    found = after("steady", 20)
    bad = {"key": "bad", "question": "?", "level": "critical", "text": "a | b\nc", "threshold": ""}
    _, line = check({**found, "answers": [bad]})
    assert "a / b c" in line
    status(line)
