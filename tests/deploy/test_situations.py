"""Every alert in every situation: what fires, and that nothing else does. The table is deploy/prometheus/SITUATIONS.md.

After a wanted change: ``UPDATE_GOLDEN=1 make test ARGS=tests/deploy/test_situations.py``, and read the diff.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.deploy.situations import (
    DAY_TO_DAY,
    HEARTBEATS,
    INSIGHT,
    PUSHED,
    SITUATIONS,
    TROUBLE,
    Situation,
    series,
)

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
TABLE = FOLDER / "SITUATIONS.md"
pytestmark = pytest.mark.real


Fired = dict[str, set[str]]
"""Alert -> the severities with which it fired."""


def fired(promtool: str, folder: Path, situation: Situation) -> Fired:
    """Alerts that fired at any time, by promtool: it is told to expect none and prints those it got."""
    file = folder / "situation.test.yml"
    asked = {
        "expr": f'count by (alertname, severity) (max_over_time(ALERTS{{alertstate="firing"}}[{int(situation.hours * 60)}m]))',
        "eval_time": f"{int(situation.hours * 60)}m",
        "exp_samples": [{"labels": '{alertname="nothing"}', "value": 1}],
    }
    test = {
        "interval": f"{situation.scrape}s",
        "input_series": series(situation),
        "promql_expr_test": [asked],
    }
    rules = [str(path) for path in sorted((FOLDER / "rules").glob("*.yml"))]
    # As often as the group of heartbeats asks for; promtool has one interval for all groups.
    every = "15s" if situation.heartbeats else "1m"
    document = {"rule_files": rules, "evaluation_interval": every, "tests": [test]}
    file.write_text(json.dumps(document))
    command = [promtool, "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    output = done.stdout + done.stderr
    assert "FAILED" in output, output
    _, _, got = output.partition("got:")
    assert got, output
    found: Fired = {}
    for alert, severity in re.findall(r'alertname="(\w+)", severity="(\w+)"', got):
        found.setdefault(alert, set()).add(severity)
    return found


@pytest.fixture(scope="module")
def found(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[Situation, Fired]:
    """What fired in each situation."""
    promtool = require_program("promtool", "apt-get install prometheus")
    folders = [tmp_path_factory.mktemp("situation") for _ in SITUATIONS]
    # promtool is on one processor, and all of it takes minutes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(SITUATIONS, pool.map(partial(fired, promtool), folders, SITUATIONS), strict=True))


def cell(severities: set[str]) -> str:
    if "critical" in severities:
        return "**P**"
    return "**F**" if severities else "·"


def table(found: dict[Situation, Fired]) -> str:
    rules = (yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "rules").glob("*.yml")))
    alerts = [
        rule["alert"]
        for file in rules
        for group in file["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    lines = [
        "# Which alert fires when",
        "",
        "Made by `tests/deploy/test_situations.py`: hours of a VM on a simulated host, and every rule of this folder run over",
        "them by promtool. **F** fires, **P** fires as critical and pages; a dot is silence. In the situations of the first table",
        "nothing may fire. What each alert fires at is in `tests/`; alerts that no situation here raises are shown there.",
    ]
    for title, situations in (
        ("Day to day", DAY_TO_DAY),
        ("In trouble", TROUBLE),
        ("With heartbeats for vSphere HA, scraped", HEARTBEATS),
        ("With heartbeats for vSphere HA, pushed every 60 s", PUSHED),
        ("What is worked out", INSIGHT),
    ):
        names = [situation.name for situation in situations]
        lines += [
            "",
            f"## {title}",
            "",
            f"| Alert | {' | '.join(names)} |",
            f"| --- |{' :-: |' * len(names)}",
        ]
        lines += [
            f"| {alert} | {' | '.join(cell(found[each].get(alert, set())) for each in situations)} |"
            for alert in dict.fromkeys(alerts)
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_what_fires_is_what_should(found: dict[Situation, Fired], situation: Situation) -> None:
    got = found[situation]
    assert set(got) == situation.fires
    assert {alert for alert, severities in got.items() if "critical" in severities} == situation.pages


def test_the_table_is_up_to_date(found: dict[Situation, Fired]) -> None:
    made = table(found)
    if os.environ.get("UPDATE_GOLDEN"):
        TABLE.write_text(made, encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == made
