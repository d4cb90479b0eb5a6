"""Whom stolen time is laid to, against the simulator's physics, which know nothing of the rule.

The table in docs/insight.md is this one, errors included: what errs is shown, not tuned away. After a wanted change:
``UPDATE_GOLDEN=1 make test ARGS=tests/insight/test_blame.py``, and read the difference.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.simulator.curves import constant, steps
from exporter.simulator.scenario import Drive, Machine, Scenario
from exporter.simulator.scenarios import SCENARIOS
from tests.insight.simulated import Simulated

DOCUMENT = Path(__file__).parents[2] / "docs" / "insight.md"
SECONDS = 600

_LOAD = Drive(neighbours=constant(0.0))
CASES = (
    Scenario("neighbours alone", "", drive=_LOAD._replace(demand=constant(0.7), neighbours=constant(0.3))),
    Scenario("a limit, always reached", "", Machine(cpu_limit=2600), _LOAD._replace(demand=constant(0.5))),
    Scenario(
        "a limit, a load of 2 s in every 10",
        "",
        Machine(cpu_limit=2600),
        _LOAD._replace(demand=steps((0, 0.05), (4, 0.9), (6, 0.05), every=10)),
    ),
    Scenario(
        "a limit, a load of 5 s in every 30",
        "",
        Machine(cpu_limit=2600),
        _LOAD._replace(demand=steps((0, 0.05), (12, 0.9), (17, 0.05), every=30)),
    ),
    Scenario(
        "a limit of 90 % beside neighbours of 12 %",
        "",
        Machine(cpu_limit=9360),
        _LOAD._replace(demand=constant(1.0), neighbours=constant(0.12)),
    ),
    Scenario(
        "a limit of 50 % beside neighbours of 25 %",
        "",
        Machine(cpu_limit=5200),
        _LOAD._replace(demand=constant(0.9), neighbours=constant(0.25)),
    ),
    Scenario(
        "a limit never reached beside neighbours of 25 %",
        "",
        Machine(cpu_limit=7800),
        _LOAD._replace(demand=constant(0.4), neighbours=constant(0.25)),
    ),
    Scenario("a limit that scales with the VM", "", Machine(cpu_limit=10400), _LOAD._replace(demand=constant(1.0), neighbours=constant(0.2))),
    SCENARIOS["noisy-neighbour"],
    SCENARIOS["cpu-limit"],
    SCENARIOS["burst"],
    SCENARIOS["changed-limit"],
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Seconds of vCPU time in ten minutes."""

    case: str
    interval: float
    limit: float
    """True, as the next one."""
    host: float
    laid_to_limit: float
    laid_to_host: float
    undetermined: float

    @property
    def wrong(self) -> float:
        """Seconds that were laid to the wrong side; undetermined ones were laid to nobody."""
        return max(self.laid_to_limit - self.limit, 0.0) + max(self.laid_to_host - self.host, 0.0)

    @property
    def line(self) -> str:
        numbers = (
            self.limit,
            self.host,
            self.laid_to_limit,
            self.laid_to_host,
            self.undetermined,
            self.wrong,
        )
        return (
            f"| {self.case} | {self.interval:g} s | "
            + " | ".join(f"{abs(round(number, 1)):g}" for number in numbers)
            + " |"
        )


def row(case: Scenario, interval: float) -> Row:
    simulated = Simulated(case, interval)
    simulated.poll()
    before = simulated.truth()
    simulated.run(SECONDS)
    limit, host = (now - then for now, then in zip(simulated.truth(), before, strict=True))
    ledger = simulated.insight.ledger
    simulated.close()
    return Row(
        case.name, interval, limit, host, ledger.limit / 1000, ledger.host / 1000, ledger.undetermined / 1000
    )


@pytest.fixture(scope="module")
def rows() -> tuple[Row, ...]:
    return tuple(row(case, interval) for case in CASES for interval in (1.0, 5.0))


def test_the_sum_is_what_was_stolen(rows: tuple[Row, ...]) -> None:
    for each in rows:
        laid = each.laid_to_limit + each.laid_to_host + each.undetermined
        # The physics count in fractions of a millisecond, the host in whole ones.
        assert laid == pytest.approx(each.limit + each.host, abs=0.002), each.case


def test_without_a_limit_all_is_laid_to_the_host(rows: tuple[Row, ...]) -> None:
    for each in rows:
        if each.case in {"neighbours alone", "noisy-neighbour", "burst", "a limit that scales with the VM"}:
            assert each.laid_to_limit == each.undetermined == 0, each.case
            assert each.laid_to_host > 1


def test_the_host_is_never_accused_of_what_a_limit_did(rows: tuple[Row, ...]) -> None:
    for each in rows:
        assert each.laid_to_host <= each.host + 0.002, each.case


def test_short_loads_into_a_limit_are_undetermined_by_slow_polls_and_right_by_quick_ones(
    rows: tuple[Row, ...],
) -> None:
    found = {each.interval: each for each in rows if each.case == "a limit, a load of 2 s in every 10"}
    assert found[5.0].undetermined == pytest.approx(found[5.0].limit, abs=0.01)
    assert found[1.0].laid_to_limit == pytest.approx(found[1.0].limit, abs=0.01)


def test_the_documents_table_is_this_one(rows: tuple[Row, ...]) -> None:
    table = "\n".join(
        (
            "| Case | Polls | Truth: limit | Truth: host | Laid to limit | Laid to host | Undetermined | Wrong |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *(each.line for each in rows),
        )
    )
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- blame -->\n).*?(\n<!-- /blame -->)", re.DOTALL)
    assert pattern.search(text)
    if os.environ.get("UPDATE_GOLDEN"):
        text = pattern.sub(lambda match: match[1] + table + match[2], text)
        DOCUMENT.write_text(text, encoding="utf-8")
    assert table in text
