"""What passed between two snapshots, and the rule of blame, case by case."""

from __future__ import annotations

import pytest

from exporter.insight.interval import Cause, LimitState, between
from exporter.snapshot import Snapshot

NONE = 0xFFFFFFFF


def snapshot(
    elapsed: int | None, used: int | None = 0, stolen: int | None = 0, session: int = 1, **more: int
) -> Snapshot:
    values = {
        "elapsed": elapsed,
        "cpu_used": used,
        "cpu_stolen": stolen,
        "host_cpu_frequency": 2000,
        "cpu_limit": NONE,
    }
    return Snapshot(session, 3, {key: value for key, value in (values | more).items() if value is not None})


def test_numbers_are_those_of_the_host() -> None:
    found = between(snapshot(1000, 100, 10), snapshot(3000, 600, 410), 2)
    assert found is not None
    assert (found.elapsed, found.used, found.stolen) == (2000, 500, 400)
    assert found.stolen_share == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (snapshot(1000), snapshot(2000, session=2)),
        (snapshot(1000), snapshot(1000)),
        (snapshot(1000), snapshot(900)),
        (snapshot(None), snapshot(1000)),
        (snapshot(1000), snapshot(None)),
    ],
    ids=["another session", "a repeated sample", "a clock that went back", "no time before", "no time after"],
)
def test_no_interval(before: Snapshot, after: Snapshot) -> None:
    assert between(before, after) is None


def test_a_counter_that_fell_is_not_negative() -> None:
    found = between(snapshot(1000, 100, 50), snapshot(2000, 50, 20), 2)
    assert found is not None
    assert (found.used, found.stolen, found.stolen_share) == (None, None, None)


# Two vCPUs of 2 GHz: 4 GHz in all. One second; used in ms of both.
RULE = (
    ("no limit", NONE, 1000, Cause.HOST, LimitState.NONE),
    ("a limit that scales with the VM", 3920, 2000, Cause.HOST, LimitState.NOT_BINDING),
    ("just binding, used up", 3919, 1862, Cause.LIMIT, LimitState.THROTTLING),
    ("used at 95 %", 2000, 950, Cause.LIMIT, LimitState.THROTTLING),
    ("used below 95 %", 2000, 949, Cause.UNDETERMINED, LimitState.BINDING),
    ("a limit of nothing", 0, 0, Cause.LIMIT, LimitState.THROTTLING),
    ("use not told", 2000, None, Cause.UNDETERMINED, LimitState.BINDING),
)


@pytest.mark.parametrize(
    ("limit", "used", "cause", "state"), [row[1:] for row in RULE], ids=[row[0] for row in RULE]
)
def test_the_rule(limit: int, used: int | None, cause: Cause, state: LimitState) -> None:
    before = snapshot(0, 0 if used is not None else None, 0, cpu_limit=limit)
    found = between(before, snapshot(1000, used, 100, cpu_limit=limit), 2)
    assert found is not None
    assert (found.cause, found.limit_state) == (cause, state)


@pytest.mark.parametrize("missing", ["cpu_limit", "host_cpu_frequency"])
def test_what_is_not_known_blames_nobody(missing: str) -> None:
    values = dict(snapshot(1000, 1000, 100, cpu_limit=2000).values)
    del values[missing]
    found = between(snapshot(0), Snapshot(1, 3, values), 2)
    assert found is not None
    assert (found.cause, found.limit_state) == (Cause.UNDETERMINED, None)


def test_without_vcpus_a_limit_blames_nobody_and_no_limit_still_clears_itself() -> None:
    limited = between(snapshot(0, cpu_limit=2000), snapshot(1000, 1000, 100, cpu_limit=2000), None)
    free = between(snapshot(0), snapshot(1000, 1000, 100), None)
    assert limited is not None
    assert free is not None
    assert (limited.cause, free.cause) == (Cause.UNDETERMINED, Cause.HOST)
    assert free.stolen_share is None


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (NONE, 2000, Cause.UNDETERMINED),
        (2000, NONE, Cause.UNDETERMINED),
        (1900, 2000, Cause.LIMIT),
        (NONE, 4000, Cause.HOST),
    ],
)
def test_a_limit_that_changed_meanwhile_must_lead_to_one_answer(
    before: int, after: int, cause: Cause
) -> None:
    found = between(snapshot(0, cpu_limit=before), snapshot(1000, 1000, 100, cpu_limit=after), 2)
    assert found is not None
    assert found.cause is cause


def test_a_limit_that_is_used_up_throttles_only_where_time_is_stolen() -> None:
    found = between(snapshot(0, cpu_limit=2000), snapshot(1000, 1000, 20, cpu_limit=2000), 2)
    assert found is not None
    assert found.limit_state is LimitState.BINDING
