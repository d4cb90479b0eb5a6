"""The sentences that an operator reads first, one scenario a line.

After a wanted change: ``UPDATE_GOLDEN=1 make test ARGS=tests/insight/test_scenarios.py``, and read the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from exporter.insight.verdict import summary
from exporter.simulator.scenarios import SCENARIOS
from tests.insight.simulated import Simulated

DOCUMENT = Path(__file__).parents[2] / "docs" / "insight.md"
SECONDS = 600


def verdict(name: str, interval: float = 5.0) -> tuple[str, str]:
    simulated = Simulated(name, interval).run(SECONDS)
    level, text = summary(tuple(simulated.answers().values()))
    simulated.close()
    return level.name.lower(), text


@pytest.fixture(scope="module")
def verdicts() -> dict[str, tuple[str, str]]:
    return {name: verdict(name) for name in SCENARIOS}


def test_each_scenarios_verdict_is_the_one_that_was_approved(verdicts: dict[str, tuple[str, str]]) -> None:
    lines = "\n".join(f"| `{name}` | {level} | {text} |" for name, (level, text) in verdicts.items())
    generated = f"| Scenario | Level | Verdict |\n| --- | --- | --- |\n{lines}"
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- verdicts -->\n).*?(\n<!-- /verdicts -->)", re.DOTALL)
    assert pattern.search(text)
    if os.environ.get("UPDATE_GOLDEN"):
        text = pattern.sub(lambda match: match[1] + generated + match[2], text)
        DOCUMENT.write_text(text, encoding="utf-8")
    for line in generated.splitlines():
        assert line in text.splitlines()
