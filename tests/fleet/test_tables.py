"""What benchmarks/fleet.py works out of its measurements."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmarks import fleet, fleet_answers
from benchmarks.fleet import Growth


def grown(vms: int, **others: float) -> Growth:
    base: dict[str, Any] = dict.fromkeys(Growth._fields, 0.0)
    return Growth(**{**base, "vms": vms, "skipped": 0, **others})


LINE = [
    grown(vms, samples=12.0 * vms, store=100 + 0.5 * vms, store_cpu=0.0001 * vms, agents=200 + 0.25 * vms, agents_cpu=0.0002 * vms)
    for vms in (100, 300, 1000)
]  # fmt: skip


def test_the_line_goes_through_the_measurements() -> None:
    assert fleet.fitted(LINE, "store") == pytest.approx((100, 0.5))
    table = fleet.drawn_out(LINE)
    assert "| samples a second | 120,000 | 1,200,000 |" in table
    # 100 + 5,000 MiB, and 100 + 50,000.
    assert "| memory of the store, GiB | 5.0 | 48.9 |" in table


def test_a_node_ends_at_what_is_used_up_first() -> None:
    # Store: 16 GiB less 100 MiB at half a MiB each, or 4 cores at a ten-thousandth each.
    assert fleet.full(LINE, "store", 32 * 1024) == pytest.approx((16384 - 100) / 0.5)
    assert fleet.full(LINE, "store_cpu", 8) == pytest.approx(40_000)
    # Two agents: half of 8 GiB together less 200 MiB, or 2 cores.
    assert "is full at 32,568 VMs" in fleet.ends(LINE)
    assert "GiB at 5,000:" in fleet.ends(LINE)


def test_what_does_not_grow_never_ends() -> None:
    assert fleet.full([grown(1, store=5), grown(2, store=5)], "store", 100) == float("inf")


def test_losses_are_counted_vm_by_vm() -> None:
    given = {"a": 10, "b": 10, "c": 10, "d": 10}
    found = fleet_answers.loss(given, {"a": 10, "b": 12, "c": 7}, {"c": 1})
    # b's surplus hides nothing: two of c, and all of d.
    assert found == fleet_answers.Loss(40, 29, 1, 12)


def truth(**vms: Any) -> dict[str, Any]:
    return {"vms": vms}


def vm(seconds: float, lost: float, **others: Any) -> dict[str, Any]:
    cpu = {"seconds": seconds, "lost_to_vms": {"x": lost}, "lost_to_limit": 0.0}
    return {
        "host": "h",
        "boots": 1,
        "session_changes": 0,
        "vcpus": 2,
        "cpu": cpu,
        "memory": {"balloon": 0.0},
    } | others


class Lists:
    """A store that has these VMs on its first list and none on the others."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def by_vm(self, query: str, at: float | None = None) -> dict[str, float]:
        return dict.fromkeys(self.names, 1.0) if 'cause="host"' in query else {}


@pytest.mark.parametrize(
    ("listed", "found", "accused", "right"),
    [(("robbed",), 1, 0, True), ((), 0, 0, False), (("robbed", "quiet"), 1, 1, False)],
)
def test_lists_are_held_against_the_truth(
    listed: tuple[str, ...], found: int, accused: int, right: bool
) -> None:
    # In 100 s of 2 vCPUs: 20 % lost, nothing lost, 5.5 % lost, and one that moved.
    before = truth(robbed=vm(50, 0), quiet=vm(50, 0), near=vm(50, 0), moved=vm(50, 0))
    after = truth(
        robbed=vm(150, 40), quiet=vm(150, 0), near=vm(150, 11), moved=vm(150, 90, session_changes=1)
    )
    first, *others = fleet_answers.verdicts(Lists(*listed), before, after, 0.0)  # type: ignore[arg-type]
    assert first == fleet_answers.Verdict("robbed of CPU by other VMs", 1, found, 1, accused, 1, 1)
    assert first.right is right
    assert all(each.right and each.robbed == 0 for each in others)


def test_every_query_of_board_and_rules_is_asked() -> None:
    asked = fleet_answers.questions()
    assert not [expression for _, expression, _ in asked if re.search(r"\$[_a-z]", expression)]
    assert sum(name.startswith("rule ") for name, _, _ in asked) > 40
    assert sum(over_time for _, _, over_time in asked) > 5


def test_a_run_keeps_what_it_has_when_a_part_fails(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "tables.md"
    run = fleet.Run(tmp_path, output)
    loss = fleet_answers.Loss(5, 5, 0, 0)
    run.part("good", lambda: fleet.Outcome(grown(7), {"agent 0": loss}, 6, 0, [], [], ["a note"]), grows=True)

    def bad() -> fleet.Outcome:
        raise TimeoutError("too slow")

    run.part("bad", bad)
    text = output.read_text()
    assert "| good, agent 0 | 5 | 5 | 0 | 0 | |" in text
    assert "- good: a note." in text
    assert "- This failed: bad: too slow" in text
    assert run.failed
    assert capsys.readouterr().err == "bad: too slow\n"
