"""The table of the states: the picture is drawn from it, the policy keeps to it, and each object writes itself alone."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

import exporter.ha
from exporter.errors import RpcError, TimeoutExpired
from exporter.ha.actions import Call, End, Wait
from exporter.ha.host_state import CallResult
from exporter.ha.messages import HealthUpdate
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Leftover, OnUnhealthy, Phase, Rules
from exporter.ha.transitions import AIM, TRANSITIONS, PhaseCause, picture
from exporter.protocol.appmonitor import AppStatus, Code, Verb

HA = Path(exporter.ha.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs" / "heartbeats.md"


def walk(seed: int) -> set[tuple[Phase, Phase]]:
    """The transitions of one history with a host that answers anything."""
    chance = random.Random(seed)
    rules = Rules(10.0, chance.choice([0.0, 5.0, 30.0]), chance.choice(list(OnUnhealthy)))
    policy = Policy(rules, 0.0, chance.choice(list(Leftover)), chance.choice([0.0, 40.0]))
    now, health, maintenance = 0.0, Health.UNKNOWN, False
    seen = set[tuple[Phase, Phase]]()
    for _ in range(300):
        if chance.random() < 0.1:
            health = chance.choice(list(Health))
        if chance.random() < 0.02:
            maintenance = not maintenance
        if chance.random() < 0.006:
            before = policy.phase
            policy.stop(now)
            if before is not Phase.STOPPING:
                seen.add((before, policy.phase))
        before = policy.phase
        action = policy.next(now, HealthUpdate(health, "a check fails", now), maintenance=maintenance)
        if policy.phase is not before:
            seen.add((before, policy.phase))
        match action:
            case End():
                break
            case Call():
                policy.done(now, action, answer(chance, action.verb))
            case Wait():
                now = max(now + 0.1, min(action.until, now + 1))
    return seen


def answer(chance: random.Random, verb: Verb) -> CallResult:
    if chance.random() < 0.2:
        return chance.choice([TimeoutExpired("no answer"), RpcError("busy")])
    if verb is Verb.IS_ENABLED:
        return chance.random() < 0.7
    if verb is Verb.GET_APP_STATUS:
        return chance.choice(list(AppStatus))
    return chance.choice([Code.OK, Code.OK, Code.OK, Code.NOT_ENABLED])


def test_the_policy_takes_every_way_of_the_table_and_no_other() -> None:
    taken = set[tuple[Phase, Phase]]().union(*(walk(seed) for seed in range(2000)))
    table = {(before, after) for before, followers in TRANSITIONS.items() for after in followers}
    assert sorted((a.name, b.name) for a, b in taken - table) == []
    assert sorted((a.name, b.name) for a, b in table - taken) == []


def test_every_cause_has_a_phase() -> None:
    assert AIM.keys() == set(PhaseCause)
    assert set(AIM.values()) == set(Phase) - {Phase.STOPPED}


def test_the_picture_in_the_documents_is_the_tables() -> None:
    assert f"```mermaid\n{picture()}```" in DOCUMENT.read_text(encoding="utf-8")


ALONE = (
    "policy",
    "conversation",
    "host_state",
    "heard",
    "schedule",
    "reporter",
    "bad_time",
    "loop",
)


def test_no_object_of_the_judgement_holds_more_than_a_reader_can() -> None:
    policy = Policy(Rules(10.0, 30.0, OnUnhealthy.WITHHOLD), 0.0)
    conversation, host = policy.conversation, policy.conversation.host
    objects = (policy, conversation, host, host.heard, host.shown, conversation.schedule, policy.bad_time)
    assert [type(each).__name__ for each in objects if len(vars(each)) > 12] == []


@pytest.mark.parametrize("module", ALONE)
def test_every_object_is_written_by_its_own_methods_alone(module: str) -> None:
    """No ``other.attribute = …``: who decides what stands in one file."""
    for node in ast.walk(ast.parse((HA / f"{module}.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
                    owner = ast.unparse(each.value)
                    assert owner in {"self", "self.tally"}, f"{module}.py:{node.lineno}: {ast.unparse(each)}"


@pytest.mark.parametrize(
    "module", ["policy", "conversation", "host_state", "heard", "schedule", "bad_time", "reporter"]
)
def test_the_judgement_knows_no_clock_and_no_io(module: str) -> None:
    tree = ast.parse((HA / f"{module}.py").read_text(encoding="utf-8"))
    names = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & {
        "time",
        "os",
        "socket",
        "threading",
        "subprocess",
        "logging",
        "select",
        "pathlib",
        "random",
    }
