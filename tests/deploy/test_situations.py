"""Every alert in every situation: what fires, and that nothing else does. The table is deploy/prometheus/SITUATIONS.md.

After a wanted change: ``UPDATE_GOLDEN=1 make test ARGS=tests/deploy/test_situations.py``, and read the diff.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deploy.situations import DAY_TO_DAY, INSIGHT, SITUATIONS, TROUBLE, Situation, series

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
TABLE = FOLDER / "SITUATIONS.md"
pytestmark = pytest.mark.real


def fired(promtool: str, folder: Path, situation: Situation) -> set[str]:
    """Alerts that fired at any time, by promtool: it is told to expect none and prints those it got."""
    file = folder / "situation.test.yml"
    asked = {
        "expr": f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{int(situation.hours * 60)}m]))',
        "eval_time": f"{int(situation.hours * 60)}m",
        "exp_samples": [{"labels": '{alertname="nothing"}', "value": 1}],
    }
    test = {
        "interval": f"{situation.scrape}s",
        "input_series": series(situation),
        "promql_expr_test": [asked],
    }
    rules = [str(path) for path in sorted((FOLDER / "rules").glob("*.yml"))]
    document = {"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}
    file.write_text(json.dumps(document))
    command = ["nice", promtool, "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    output = done.stdout + done.stderr
    assert "FAILED" in output, output
    _, _, got = output.partition("got:")
    assert got, output
    return set(re.findall(r'alertname="(\w+)"', got))


@pytest.fixture(scope="module")
def found(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[str]]:
    """What fired in each situation."""
    promtool = require_program("promtool", "apt-get install prometheus")
    return {
        situation.name: fired(promtool, tmp_path_factory.mktemp("situation"), situation)
        for situation in SITUATIONS
    }


def table(found: dict[str, set[str]]) -> str:
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
        "them by promtool. **F** fires; a dot is silence. In the situations of the first table nothing may fire. What each alert",
        "fires at is in `tests/`; alerts that no situation here raises are shown there.",
    ]
    for title, situations in (
        ("Day to day", DAY_TO_DAY),
        ("In trouble", TROUBLE),
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
            f"| {alert} | {' | '.join('**F**' if alert in found[name] else '·' for name in names)} |"
            for alert in dict.fromkeys(alerts)
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_what_fires_is_what_should(found: dict[str, set[str]], situation: Situation) -> None:
    assert found[situation.name] == situation.fires


def test_the_table_is_up_to_date(found: dict[str, set[str]]) -> None:
    made = table(found)
    if os.environ.get("UPDATE_GOLDEN"):
        TABLE.write_text(made, encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == made
