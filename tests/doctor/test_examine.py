from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.advice import NOT_VMWARE
from exporter.doctor.examine import LIMIT, examine, weigh
from exporter.doctor.finding import Check, Diagnosis, Finding, Verdict, fail, ok, skip, warn
from exporter.doctor.world import World

Run = Callable[[World], Diagnosis]


def check(
    code: str,
    run: Run,
    *,
    needs: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
    limit: float = 20.0,
    source: str = "",
) -> Check:
    return Check(code, code, code, run, needs, after, source, limit=limit)


def fine(world: World) -> Diagnosis:
    return ok("fine")


def broken(world: World) -> Diagnosis:
    return fail("broken", None)


@pytest.fixture
def hang() -> Iterator[Run]:
    """A check that ends when the test does."""
    end = threading.Event()

    def run(world: World) -> Diagnosis:
        end.wait(60)
        return ok("late")

    yield run
    end.set()


def verdicts(findings: list[Finding]) -> dict[str, tuple[Verdict, str]]:
    return {each.code: (each.verdict, each.because) for each in findings}


def test_findings_come_in_the_order_of_the_rows() -> None:
    second = threading.Event()

    def waits(world: World) -> Diagnosis:
        second.wait(20)
        return ok("first")

    def lets(world: World) -> Diagnosis:
        second.set()
        return ok("second")

    found = examine([check("a", waits), check("b", lets)], World())
    assert [each.code for each in found] == ["a", "b"]


def test_what_needs_a_failed_check_is_skipped_for_the_first_cause() -> None:
    rows = [
        check("c", fine, needs=("b",)),
        check("a", broken),
        check("b", fine, needs=("a",)),
        check("d", fine),
        check("e", fine, after=("a",)),
    ]
    assert verdicts(examine(rows, World())) == {
        "a": (Verdict.FAIL, ""),
        "b": (Verdict.SKIPPED, "a"),
        "c": (Verdict.SKIPPED, "a"),
        "d": (Verdict.OK, ""),
        "e": (Verdict.OK, ""),
    }


def test_a_warning_stops_nothing_and_nothing_to_check_does() -> None:
    rows = [
        check("a", lambda world: warn("so so", None)),
        check("b", fine, needs=("a",)),
        check("c", lambda world: skip("nothing to check")),
        check("d", fine, needs=("c",)),
    ]
    assert verdicts(examine(rows, World())) == {
        "a": (Verdict.WARN, ""),
        "b": (Verdict.OK, ""),
        "c": (Verdict.SKIPPED, ""),
        "d": (Verdict.SKIPPED, "c"),
    }


def test_rows_that_are_not_examined_are_not_waited_for() -> None:
    assert verdicts(examine([check("a", fine, needs=("x",), after=("y",))], World())) == {
        "a": (Verdict.OK, "")
    }


def test_a_check_sees_what_those_before_it_have_found_out() -> None:
    def learns(world: World) -> Diagnosis:
        world.library_file = "x"
        return ok("")

    rows = [check("a", learns), check("b", lambda world: ok(world.library_file), needs=("a",))]
    assert examine(rows, World())[1].diagnosis.sentence == "x"


def test_a_check_that_hangs_fails_and_holds_up_none(hang: Run) -> None:
    rows = [check("a", hang, limit=0.05), check("b", fine, needs=("a",)), check("c", fine)]
    found = examine(rows, World())
    assert verdicts(found) == {"a": (Verdict.FAIL, ""), "b": (Verdict.SKIPPED, "a"), "c": (Verdict.OK, "")}
    assert found[0].diagnosis.sentence.startswith("No result within ")


def test_everything_may_hang_and_the_whole_ends_at_its_limit(hang: Run) -> None:
    rows = [check("a", hang), check("b", hang), check("c", hang, needs=("a",))]
    assert verdicts(examine(rows, World(), limit=0.1)) == {
        "a": (Verdict.FAIL, ""),
        "b": (Verdict.FAIL, ""),
        "c": (Verdict.SKIPPED, "a"),
    }


def test_a_check_that_ends_after_it_was_given_up_changes_nothing() -> None:
    late, given_up = threading.Event(), threading.Event()

    def hangs(world: World) -> Diagnosis:
        late.wait(20)
        return ok("late")

    def ends_it(world: World) -> Diagnosis:
        late.set()
        given_up.wait(0.2)
        return ok("last")

    rows = [check("a", hangs, limit=0.05), check("b", ends_it, after=("a",))]
    assert verdicts(examine(rows, World())) == {"a": (Verdict.FAIL, ""), "b": (Verdict.OK, "")}


def test_a_mistake_in_a_check_costs_none_of_the_others() -> None:
    def mistaken(world: World) -> Diagnosis:
        raise ValueError("oops")

    found = examine([check("a", mistaken), check("b", fine)], World())
    assert found[0].verdict is Verdict.FAIL
    assert "ValueError: oops" in found[0].diagnosis.sentence
    assert found[1].verdict is Verdict.OK


def test_the_limit_leaves_time_for_start_and_report() -> None:
    assert LIMIT <= 4.0


def found(code: str, verdict: Verdict, source: str = "") -> Finding:
    return Finding(check(code, fine, source=source), Diagnosis(verdict, ""))


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("auto", Verdict.FAIL, (Verdict.FAIL, Verdict.FAIL, Verdict.WARN, Verdict.WARN)),
        ("auto", Verdict.OK, (Verdict.FAIL, Verdict.WARN, Verdict.WARN, Verdict.OK)),
        ("guestrpc", Verdict.OK, (Verdict.FAIL, Verdict.FAIL, Verdict.FAIL, Verdict.OK)),
        ("library", Verdict.FAIL, (Verdict.FAIL, Verdict.FAIL, Verdict.FAIL, Verdict.FAIL)),
    ],
)
def test_with_auto_one_source_is_enough(source: str, answer: Verdict, expected: tuple[Verdict, ...]) -> None:
    findings = [
        found("port-free", Verdict.FAIL),
        found("guestrpc-answer", Verdict.FAIL, "guestrpc"),
        found("library-symbols", Verdict.FAIL, "library"),
        found("library-answer", answer, "library"),
    ]
    assert tuple(each.verdict for each in weigh(findings, source)) == expected


@pytest.mark.parametrize("answer", [Verdict.OK, Verdict.FAIL])
@pytest.mark.parametrize("source", ["auto", "guestrpc", "library"])
def test_a_library_that_is_forced_and_answers_has_found_vmware(source: str, answer: Verdict) -> None:
    advised = Finding(check("hypervisor", fine), Diagnosis(Verdict.FAIL, "", NOT_VMWARE))
    weighed = weigh([advised, found("library-answer", answer, "library")], source)[0]
    expected = (
        (Verdict.WARN, None) if (source, answer) == ("library", Verdict.OK) else (Verdict.FAIL, NOT_VMWARE)
    )
    assert (weighed.verdict, weighed.diagnosis.advice) == expected


def test_where_nothing_else_can_be_asked_the_library_is_no_substitute() -> None:
    """As on Windows, which has no row for GuestRPC."""
    findings = [found("port-free", Verdict.OK), found("library-present", Verdict.FAIL, "library")]
    assert weigh(findings, "auto") == findings
