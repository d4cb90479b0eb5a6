"""What benchmarks/fleet.py works out of its measurements."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fleet, fleet_answers, fleet_site, fleet_tables
from benchmarks.fleet_tables import Growth, Outcome


def grown(vms: int, **others: float) -> Growth:
    base: dict[str, Any] = dict.fromkeys(Growth._fields, 0.0)
    return Growth(**{**base, "vms": vms, "skipped": 0, **others})


LINE = [
    grown(vms, samples=12.0 * vms, store=100 + 0.5 * vms, store_cpu=0.0001 * vms, agents=200 + 0.25 * vms, agents_cpu=0.0002 * vms)
    for vms in (100, 300, 1000)
]  # fmt: skip


def test_the_line_goes_through_the_measurements() -> None:
    assert fleet_tables.fitted(LINE, "store") == pytest.approx((100, 0.5))
    table = fleet_tables.drawn_out(LINE)
    assert "| samples a second | 120,000 | 1,200,000 |" in table
    # 100 + 5,000 MiB, and 100 + 50,000.
    assert "| memory of the store, GiB | 5.0 | 48.9 |" in table


def test_a_node_ends_at_what_is_used_up_first() -> None:
    # Store: 16 GiB less 100 MiB at half a MiB each, or 4 cores at a ten-thousandth each.
    assert fleet_tables.full(LINE, "store", 32 * 1024) == pytest.approx((16384 - 100) / 0.5)
    assert fleet_tables.full(LINE, "store_cpu", 8) == pytest.approx(40_000)
    # Two agents: half of 8 GiB together less 200 MiB, or 2 cores.
    assert "is full at 32,568 VMs" in fleet_tables.ends(LINE)
    assert "GiB at 5,000:" in fleet_tables.ends(LINE)


def test_what_does_not_grow_never_ends() -> None:
    assert fleet_tables.full([grown(1, store=5), grown(2, store=5)], "store", 100) == float("inf")


def test_losses_are_counted_vm_by_vm() -> None:
    given = {"a": 10, "b": 10, "c": 10, "d": 10}
    found = fleet_answers.loss(given, {"a": 10, "b": 12, "c": 7}, {"c": 1}, {"a": 3, "b": 0, "c": 5})
    # b's surplus hides nothing: two of c, and all of d. Of c's five gaps two are those that were lost.
    assert found == fleet_answers.Loss(handed_over=40, given_up=1, stored=29, lost=12, missed=6)


def test_gaps_are_scrapes_of_which_nothing_is_known() -> None:
    times: dict[str, list[float]] = {"a": [0, 15.2, 29.9, 45], "b": [3, 18, 63.1], "c": [7], "d": [0, 14, 47]}
    assert fleet_answers.gaps(times, 15) == {"a": 0, "b": 2, "c": 0, "d": 1}


def truth(**vms: Any) -> dict[str, Any]:
    return {"vms": vms}


def vm(
    seconds: float, lost: float = 0.0, limit: float = 0.0, both: float = 0.0, **others: Any
) -> dict[str, Any]:
    cpu = {
        "seconds": seconds, "lost_to_vms": {"x": lost}, "lost_to_limit": limit, "lost_to_both": both,
        "limited": bool(others.pop("limited", False)),
    }  # fmt: skip
    return {
        "host": "h",
        "boots": 1,
        "session_changes": 0,
        "vcpus": 2,
        "cpu": cpu,
        "memory": {"balloon": 0.0},
    } | others


class Lists:
    """A store that has these VMs on its lists, and scrapes of ``scraped``."""

    def __init__(self, scraped: set[str], failed: set[str] = frozenset(), **causes: str) -> None:  # type: ignore[assignment]
        self.scraped = scraped
        self.failed = failed
        self.causes = {cause: set(names.split()) for cause, names in causes.items()}

    def by_vm(self, query: str, at: float | None = None) -> dict[str, float]:
        if query.startswith("count_over_time(up"):
            names = self.scraped
        elif query.startswith("min_over_time(up"):
            names = self.failed
        elif "cpu_lost" in query:
            (asked,) = re.findall(r'cause=~"([a-z|]+)"', query)
            names = set().union(*(self.causes.get(cause, set()) for cause in asked.split("|")))
        else:
            names = set()
        return dict.fromkeys(names, 20.0)


def windows(*, shift: float = 30, **ends: Any) -> list[dict[str, Any]]:
    """Truths of two windows, the second ``shift`` later, in which everything goes on as in the first."""
    vms = {name: made(0) for name, made in ends.items()}
    return [truth(**{name: ends[name](at) for name in vms}) for at in (0, shift, 300, 300 + shift)]


def steadily(lost: float = 0, limit: float = 0, both: float = 0, **others: Any) -> Any:
    """Shares of each vCPU's time."""
    return lambda at: vm(
        100 + at, 2 * lost * at, 2 * limit * at, 2 * both * at, limited=bool(limit or both), **others
    )


@pytest.mark.parametrize(
    ("host", "found", "accused", "right"),
    [("robbed", 1, 0, True), ("", 0, 0, False), ("robbed quiet", 1, 1, False)],
)
def test_lists_are_held_against_the_truth(host: str, found: int, accused: int, right: bool) -> None:
    """20 % lost, nothing, and 5.5 %; one moved, one has a failed scrape, one has scrapes missing."""
    truths = windows(
        robbed=steadily(0.2), quiet=steadily(), near=steadily(0.055), late=steadily(0.2), young=steadily(0.2),
        moved=lambda at: vm(at, 90, session_changes=at > 100),
    )  # fmt: skip
    store = Lists({"robbed", "quiet", "near", "moved", "late"}, {"late"}, host=host)
    first, *others = fleet_answers.verdicts(store, truths, 0.0)  # type: ignore[arg-type]
    assert (first.robbed, first.found, first.spared, first.accused, first.near, first.apart) == (
        1, found, 1, accused, 1, 3,
    )  # fmt: skip
    assert first.right is right
    assert all(each.right and each.robbed == 0 for each in others)


def test_who_was_robbed_only_at_the_edge_of_a_window_may_be_on_the_list_or_not() -> None:
    """All of it in the last 30 seconds: the rule's last evaluation has not seen it."""
    truths = windows(late=lambda at: vm(100 + at, 2 * max(at - 300, 0)))
    (first, *_) = fleet_answers.verdicts(Lists({"late"}), truths, 0.0)  # type: ignore[arg-type]
    assert (first.robbed, first.near, first.right) == (0, 1, True)


def test_a_limited_vm_on_a_full_host_may_be_called_undetermined() -> None:
    """It never reached its limit: no guest can tell. One whose host has room was held back by the limit, and nothing else."""
    truths = windows(free=steadily(limit=0.3), torn=steadily(lost=0.02, both=0.3), quiet=steadily())
    everyone = {"free", "torn", "quiet"}
    right = fleet_answers.verdicts(Lists(everyone, limit="free", undetermined="torn"), truths, 0.0)  # type: ignore[arg-type]
    host, limit, either, _ = right
    assert (host.robbed, host.spared) == (0, 1)
    assert (limit.robbed, limit.found, limit.spared) == (1, 1, 1)
    assert (either.robbed, either.found, either.spared) == (2, 2, 1)
    assert all(each.right for each in right)
    wrong = fleet_answers.verdicts(Lists(everyone, limit="quiet", undetermined="free"), truths, 0.0)  # type: ignore[arg-type]
    assert [each.right for each in wrong] == [True, False, False, True]
    assert wrong[1].names == ("free", "quiet")
    assert wrong[2].names == ("torn", "quiet")


def test_every_query_of_board_and_rules_is_asked() -> None:
    asked = fleet_answers.questions()
    assert not [expression for _, expression, _ in asked if re.search(r"\$[_a-z]", expression)]
    assert sum(name.startswith("rule ") for name, _, _ in asked) > 40
    assert sum(over_time for _, _, over_time in asked) > 5


def test_rules_that_build_on_others_are_known() -> None:
    found = fleet_answers.building()
    assert {
        "VMGuestCPUStarved",
        "VMGuestMemoryContention",
        "VMGuestCPUBursts",
        "vmguest:cpu_at_limit:bool",
    } <= found
    # On what is scraped; on heartbeats; on the number of a job's targets.
    assert not found & {
        "VMGuestStatisticsDown",
        "vmguest:cpu_used:ratio",
        "VMGuestHAReset",
        "VMGuestExporterDown",
    }


def measured(outcome: Outcome) -> None:
    with fleet.step(outcome, "growth"):
        outcome.growth = grown(7)
    with fleet.step(outcome, "lists"):
        raise KeyError("vms")
    outcome.losses = [fleet_answers.Loss(5, 0, 5, 0, 1), fleet_answers.Loss(3, 0, 2, 1, 0)]
    outcome.notes.append("a note")


def bad(outcome: Outcome) -> None:
    outcome.losses = [fleet_answers.Loss(9, 0, 9, 0, 0)]
    raise TimeoutError("waited 600 s for store to answer /health")


def test_a_run_keeps_what_it_has_when_a_part_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tables.md"
    output.write_text("of the last run")
    run = fleet.Run(output)
    run.parts((Outcome("good", grows=True), measured), (Outcome("bad"), bad))
    text = (tmp_path / "tables.md.partial").read_text()
    assert output.read_text() == "of the last run"
    assert "| good | 8 | 0 | 7 | **1** | 1 |" in text
    assert "| bad | 9 | 0 | 9 | **0** | 0 |" in text
    assert "- good: a note." in text
    assert (
        "- good: lists: KeyError: 'vms'\n- bad: TimeoutError: waited 600 s for store to answer /health\n"
        in text
    )
    assert "| | 7 VMs |" in text
    assert run.failed
    said = capsys.readouterr().err
    assert "bad: TimeoutError: waited 600 s for store to answer /health\n" in said
    assert run.finish()
    assert output.read_text().startswith("# What a fleet took\n")
    assert [*tmp_path.iterdir()] == [output]


def test_a_run_without_its_growth_takes_the_place_of_none(tmp_path: Path) -> None:
    output = tmp_path / "tables.md"
    output.write_text("of the last run")
    run = fleet.Run(output)
    run.parts((Outcome("good", grows=True), measured), (Outcome("bad", grows=True), bad))
    assert not run.finish()
    assert output.read_text() == "of the last run"
    assert "- bad: TimeoutError" in (tmp_path / "tables.md.partial").read_text()


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    event = threading.Event()
    for module in (fleet, fleet_site):
        monkeypatch.setattr(module, "OVER", event)
    return event


def test_a_run_that_has_to_end_ends_and_says_what_it_has(over: threading.Event) -> None:
    def endless(outcome: Outcome) -> None:
        outcome.notes.append("begun")
        with fleet.step(outcome, "everything"):
            over.set()
            fleet_site.wait("what never comes", lambda: False)

    run = fleet.Run(None)
    run.parts((Outcome("endless"), endless))
    run.parts((Outcome("next"), measured))
    assert "- endless: begun." in run.text()
    assert "- endless: OverError: the run has to end\n- next: OverError: the run has to end\n" in run.text()


def test_what_is_waited_for_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"^waited 0 s for a first scrape$"):
        fleet_site.wait("a first scrape", lambda: False, 0)

    def refused() -> bool:
        raise OSError("http://127.0.0.1:9/, within 180 s: refused")

    with pytest.raises(
        TimeoutError, match=r"^waited 0 s for a page \(http://127.0.0.1:9/, within 180 s: refused\)$"
    ):
        fleet_site.wait("a page", refused, 0)


def test_ports_are_given_out_once_and_below_those_of_connections() -> None:
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = [fleet_site.free_port() for _ in range(50)]
    assert len(set(found)) == 50
    assert all(port < max(least, 12_000) for port in found)


def test_a_part_that_is_too_short_for_two_scrapes_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fleet", "--large", "--part", "20"])
    with pytest.raises(SystemExit):
        fleet.main()
    assert "--seconds, --part: expected 30 or more" in capsys.readouterr().err
