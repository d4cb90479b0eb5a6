"""A real Prometheus scrapes exporters on simulated hosts, loads every rule and runs every query of every panel.

Rules are run with seconds for minutes (``compressed`` in conftest.py); nothing else about them is changed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dashboards.__main__ import BOARDS, FOLDER
from dashboards.one_vm.blame import BLAME
from dashboards.one_vm.common import EXTENDED
from dashboards.one_vm.common import HOST as NOT_THE_HOST
from dashboards.panels import OVER_TIME
from dashboards.sheets import Range, Server, draw

RUN = 75.0
"""Seconds after which every scenario has shown its trouble; the slowest takes 60."""

FIRING = {
    "noisy-neighbour": {"VMGuestCPUStarved/warning", "VMGuestCPUStarved/critical"},
    # With seconds for minutes an empty balloon's first seconds count as stuck.
    "ballooning": {
        "VMGuestBallooned/info",
        "VMGuestBallooned/warning",
        "VMGuestBalloonGrowing/warning",
        "VMGuestBalloonStuck/warning",
    },
    "cpu-limit": {"VMGuestCPULimitThrottling/warning", "VMGuestCPULimitBinding/info"},
    "new-limit": {
        "VMGuestCPULimitThrottling/warning",
        "VMGuestCPULimitBinding/info",
        "VMGuestSettingChanged/info",
    },
    "swapping": {
        "VMGuestBallooned/info",
        "VMGuestBallooned/warning",
        "VMGuestBalloonGrowing/warning",
        "VMGuestBalloonNearMaximum/warning",
        "VMGuestHypervisorSwapped/info",
        "VMGuestHypervisorSwapActive/warning",
        "VMGuestMemoryContention/warning",
    },
    "memory-limit": {
        "VMGuestMemoryLimitBinding/warning",
        "VMGuestHypervisorSwapped/info",
        "VMGuestHypervisorSwapActive/warning",
        "VMGuestMemoryContention/warning",
    },
    "numa": {"VMGuestNUMARemote/info"},
    "slow-disk": {"VMGuestDiskSlow/warning"},
    "balloon-coming": {"VMGuestBalloonGrowing/warning", "VMGuestBalloonStuck/warning"},
    "churn": {"VMGuestSessionChurn/warning"},
    "less-and-less": {"VMGuestStatisticsPartial/info", "VMGuestDeprecatedCounterGone/info"},
    "no-host": {"VMGuestStatisticsDown/warning", "VMGuestPollErrors/info"},
    "push-nowhere": {"VMGuestOTLPBacklog/warning"},
    "gone": {"VMGuestExporterDown/warning"},
    "ha-in-trouble": {
        "VMGuestHAHeartbeatNotGreen/critical",
        "VMGuestHAHeartbeatLate/critical",
        "VMGuestHAUnhealthy/critical",
        "VMGuestHAResetRequested/critical",
    },
    "ha-not-taken": {"VMGuestHANotEnabled/warning"},
    # A loss warns: late heartbeats are counted between two samples, and there are none any more.
    "ha-gone": {"VMGuestHAExporterDown/warning", "VMGuestExporterDown/warning"},
}
"""What fires, and on which VM. On all others: nothing."""

EMPTY = {
    ("Dropped statistics, library restarts", "{{instance}} restarts"): "no library in a simulated host",
    ("Failed heartbeats by kind", "{{instance}} {{kind}}"): "none fails",
}
"""Queries that no simulated host feeds, by panel and legend."""

NOT_RECORDED = {
    "vmguest:strangers:count": "no job of the laboratory has targets of others in it",
    "vmguest:ha_heartbeat_errors:per_second": "none fails",
}
"""Recorded names of which only the rules' unit tests have a series."""

EMPTY_WHEN_STEADY = {
    ("Use against limit and reservation", "limit"): "there is none",
    ("Settings that were changed in this time", "{{setting}}"): "nothing is",
    ("Use against target, limit and reservation", "limit"): "there is none",
}
"""Queries of the board of one VM that are rightly empty for a steady one."""


class Asked(NamedTuple):
    board: str
    panel: str
    legend: str
    expr: str
    over_time: bool


def queries() -> Iterator[Asked]:
    for board in BOARDS:
        for section in board.sections:
            for panel in section.panels:
                for query in panel.queries:
                    drawn = panel.shape in OVER_TIME
                    yield Asked(board.uid, panel.title, query.legend, query.expr, drawn)
        for mark in board.marks:
            yield Asked(board.uid, "mark", mark.name, mark.expr, over_time=True)


QUERIES = list(queries())


def substituted(expr: str, instance: str = ".+") -> str:
    expr = expr.replace('instance="$instance"', 'instance=~"$instance"')
    for variable, value in (
        ("$__rate_interval", "6s"),
        ("$__range", "60s"),
        ("$cluster", ".*"),
        ("$job", "vmguest"),
        ("$instance", instance),
    ):
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


def ask(lab: Any, asked: Asked, instance: str = ".+") -> list[dict[str, Any]]:
    expr = substituted(asked.expr, instance)
    result: list[dict[str, Any]] = lab.over_time(expr) if asked.over_time else lab.instant(expr)
    return result


def values(result: list[dict[str, Any]]) -> dict[str, float]:
    return {row["metric"]["instance"]: float(row["value"][1]) for row in result}


@pytest.fixture(scope="module")
def settled(lab: Any, wait: Any) -> Any:
    """The laboratory after every scenario has played its part; all queries are about one moment of it."""
    time.sleep(max(0.0, lab.started + RUN - time.time()))
    wait(
        "every trouble flagged",
        lambda: all(FIRING[name] <= fired(lab).get(name, set()) for name in FIRING),
        120,
    )
    lab.at = time.time()
    return lab


def fired(lab: Any) -> dict[str, set[str]]:
    """Every alert that has fired, by instance: ``name/severity``."""
    seen: dict[str, set[str]] = {}
    expr = 'count by (instance, alertname, severity) (count_over_time(ALERTS{alertstate="firing"}[10m]))'
    for row in lab.instant(expr):
        labels = row["metric"]
        seen.setdefault(labels["instance"], set()).add(f"{labels['alertname']}/{labels['severity']}")
    return seen


pytestmark = pytest.mark.real


def test_every_rule_is_loaded_and_evaluates(settled: Any) -> None:
    rules = [rule for group in settled.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert not [rule["lastError"] for rule in rules if rule.get("lastError")]


def test_exactly_the_troubled_vms_are_flagged(settled: Any) -> None:
    seen = fired(settled)
    different = {
        name: (seen.get(name), FIRING.get(name))
        for name in seen.keys() | FIRING.keys()
        if seen.get(name) != FIRING.get(name)
    }
    assert not different


def test_every_recorded_name_has_a_series(settled: Any) -> None:
    for group in settled.get("rules")["groups"]:
        for rule in group["rules"]:
            if rule["type"] == "recording" and group["name"] != "vmguest.compat":
                assert bool(settled.instant(rule["name"])) is (rule["name"] not in NOT_RECORDED), rule["name"]


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: f"{asked.board}: {asked.panel}: {asked.legend}")
def test_query_runs_and_has_a_result(settled: Any, asked: Asked) -> None:
    result = ask(settled, asked)
    assert bool(result) is ((asked.panel, asked.legend) not in EMPTY)


@pytest.mark.parametrize(
    "asked",
    [each for each in QUERIES if each.board == "vmguest-one-vm"],
    ids=lambda asked: f"{asked.panel}: {asked.legend}",
)
def test_board_of_one_vm_is_complete_for_a_steady_vm(settled: Any, asked: Asked) -> None:
    result = ask(settled, asked, "steady")
    expected = (asked.panel, asked.legend) not in EMPTY_WHEN_STEADY and asked.panel != "mark"
    assert bool(result) is expected
    per_series = ("{{le}}", "{{setting}}", "{{disk}}", "{{mac}}", "{{cause}}")
    assert len(result) <= 1 or any(label in asked.legend for label in per_series)


def panel(title: str) -> Asked:
    (found,) = (asked for asked in QUERIES if asked.panel == title)
    return found


def test_verdict_names_the_throttled_vms_and_no_other(settled: Any) -> None:
    state = values(ask(settled, panel("Throttled by a CPU limit?")))
    assert {name for name, value in state.items() if value == 3} == {"cpu-limit", "new-limit"}
    assert {value for name, value in state.items() if name not in ("cpu-limit", "new-limit")} == {0}
    starved = values(ask(settled, panel("Starved by neighbours?")))
    assert {name for name, value in starved.items() if value > 0.05} == {"noisy-neighbour"}
    assert "v2-host" not in starved, "a host that does not tell stolen time gets no verdict"


def test_throttled_vm_uses_its_limit(settled: Any) -> None:
    (row,) = settled.over_time('vmguest:cpu_used:hertz{instance="cpu-limit"}', seconds=20)
    assert [float(value) for _, value in row["values"]] == pytest.approx(
        [2.6e9] * len(row["values"]), rel=0.03
    )


def test_counters_stay_sane_over_session_changes(settled: Any) -> None:
    """The host has 4 vCPUs of 2.6 GHz to give, before, during and after a session change."""
    for row in settled.over_time('vmguest:cpu_used:hertz{instance=~"vmotion|churn"}'):
        assert all(0 <= float(value) <= 4 * 2.6e9 * 1.001 for _, value in row["values"])
    changes = values(
        settled.instant('increase(vmguest_session_changes_total{instance=~"vmotion|steady"}[60s])')
    )
    assert changes["vmotion"] > 0.5
    assert changes["steady"] == 0


def test_hidden_host_statistics_are_absent_and_not_zero(settled: Any) -> None:
    free = values(settled.instant("vmguest_host_memory_physical_free_bytes"))
    assert "steady" in free
    assert not {"host-stats-disabled", "v2-host"} & set(free)


def test_fleet_counts_and_sorts(settled: Any) -> None:
    (reporting,) = ask(settled, panel("VMs reporting"))
    without_statistics = {"no-host", "gone", "ha-in-trouble", "ha-not-taken", "ha-gone"}
    assert float(reporting["value"][1]) == len(set(settled.ports) - without_statistics)
    worst = [row["metric"]["instance"] for row in ask(settled, panel("Ballooned share of memory"))]
    assert worst[:2] == ["swapping", "ballooning"]
    limits = ask(settled, next(each for each in QUERIES if each.panel == "CPU limits below the host's clock"))
    assert {row["metric"]["instance"] for row in limits} == {"cpu-limit", "new-limit"}


BLAMES = {panel.title for panel in BLAME.panels}
"""Panels of what is worked out, of which hosts that tell less have fewer."""

SHEETS = (
    ("vmguest-one-vm", "steady"),
    ("vmguest-one-vm", "noisy-neighbour"),
    ("vmguest-one-vm", "cpu-limit"),
    ("vmguest-one-vm", "swapping"),
    ("vmguest-one-vm", "vmotion"),
    ("vmguest-one-vm", "v2-host"),
    ("vmguest-fleet", ".+"),
    ("vmguest-exporter", ".+"),
)


@pytest.mark.parametrize(("uid", "instance"), SHEETS, ids=[f"{uid} {instance}" for uid, instance in SHEETS])
def test_the_board_as_a_picture(settled: Any, tmp_path: Path, uid: str, instance: str) -> None:
    """Every panel shows what its queries give. ``SHEETS=folder`` keeps the pictures."""
    board = json.loads((FOLDER / f"{uid}.json").read_text(encoding="utf-8"))
    shown = Range(settled.at, length=60, step=1)
    server = Server(settled.url, shown, {"job": "vmguest", "instance": instance, "cluster": ".*"})
    figure, drawn = draw(board, server)
    name = uid if instance == ".+" else f"{uid}-{instance}"
    file = Path(os.environ.get("SHEETS") or tmp_path) / f"{name}.png"
    figure.savefig(file, dpi=70)
    assert file.stat().st_size > 10_000
    blank = {title for title, series in drawn.items() if not series}
    extended = {
        panel.title for section in BOARDS[0].sections for panel in section.panels if panel.empty == EXTENDED
    }
    host = {
        panel.title
        for section in BOARDS[0].sections
        for panel in section.panels
        if panel.empty == NOT_THE_HOST
    }
    expected = (
        extended | host | {"Starved by neighbours?", "Where the host is steering to"}
        if instance == "v2-host"
        else set()
    )
    may_be = {
        "Failed heartbeats by kind",
        "Settings that were changed in this time",
        *(title for title in blank if instance == "v2-host" and title in BLAMES),
    }
    assert blank - may_be <= expected


def test_say_what_was_run(settled: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rules = [rule for group in settled.get("rules")["groups"] for rule in group["rules"]]
    panels = {(asked.board, asked.panel) for asked in QUERIES if asked.panel != "mark"}
    with capsys.disabled():
        print(
            f"\n{len(settled.ports)} targets; {len(panels)} panels on {len(BOARDS)} boards,"
            f" {len(QUERIES)} queries; {sum(rule['type'] == 'recording' for rule in rules)} recording rules,"
            f" {sum(rule['type'] == 'alerting' for rule in rules)} alerts,"
            f" {len(set().union(*FIRING.values()))} of them seen firing on {len(FIRING)} VMs"
        )
    assert len(QUERIES) > 100
