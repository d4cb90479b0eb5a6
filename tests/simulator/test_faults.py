"""Fault rules: how they are written, when they fire, and that they are counted."""

import pytest

from exporter.errors import ConfigError
from exporter.simulator.faults import KINDS, Fault, FaultRules, Stage, near


def fires(rules: FaultRules, command: str = "guestlib.info.get 3", times: int = 1) -> list[bool]:
    return [bool(rules.fire(command)) for _ in range(times)]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("disconnect", Fault("disconnect")),
        ("disconnect:p=0.1", Fault("disconnect", p=0.1)),
        ("error:text=disabled:times=3", Fault("error", text="disabled", times=3)),
        ("error:text=a\\:b=c", Fault("error", text="a:b=c")),
        ("error:text=", Fault("error", text="")),
        (
            "delay:seconds=5:skip=10:on=GuestAppMonitor",
            Fault("delay", seconds=5, skip=10, on="GuestAppMonitor"),
        ),
        (" corrupt : bytes = 3", Fault("corrupt", bytes=3)),
    ],
)
def test_a_rule_of_the_command_line_is_a_row(rule: str, fault: Fault) -> None:
    assert Fault.parse(rule) == fault


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", "fault '': no such kind; expected one of refuse, disconnect"),
        ("disconect", "fault 'disconect': no such kind; did you mean disconnect"),
        ("unknown_command", "did you mean unknown-command"),
        ("delay:5", "'5' stands where NAME=VALUE is expected"),
        ("delay:second=5", "fault delay: 'second': no such name; did you mean seconds"),
        ("delay:seconds=soon", "fault delay: seconds = 'soon': expected a number"),
        ("delay:times=1.5", "fault delay: times = '1.5': expected a whole number"),
        ("delay:seconds=-1", "fault delay: seconds = -1: expected 0 or more"),
        ("delay:times=-1", "times = -1: expected 0 or more"),
        ("disconnect:p=2", "p = 2: expected a probability from 0 to 1"),
        ("disconnect:p=nan", "p = nan: expected a probability from 0 to 1"),
        ("disconnect:text=x", "fault disconnect: text means nothing to this kind"),
        ("error:bytes=1", "bytes means nothing to this kind"),
        ("error:seconds=1", "seconds means nothing to this kind"),
    ],
)
def test_a_wrong_rule_is_met_with_what_was_expected(rule: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Fault.parse(rule)


def test_every_problem_of_a_rule_is_told() -> None:
    with pytest.raises(ConfigError) as raised:
        Fault.of("delay", {"times": "x", "p": True, "seconds": [], "what": 1})
    assert len(raised.value.problems) == 4


@pytest.mark.parametrize("raw", [3, "3", 3.0])
def test_numbers_may_be_numbers_or_text(raw: object) -> None:
    assert Fault.of("corrupt", {"bytes": raw}).bytes == 3


def test_half_a_call_is_no_number_of_calls() -> None:
    with pytest.raises(ConfigError, match="expected a whole number"):
        Fault.of("corrupt", {"times": 2.5})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_stands_by_itself_with_the_defaults_of_its_row(kind: str) -> None:
    fault, row = Fault(kind), KINDS[kind]
    assert (fault.stage, fault.on, fault.text) == (row.stage, row.on, row.text)
    assert row.summary


def test_without_limits_a_rule_always_fires() -> None:
    assert all(fires(FaultRules.of([Fault("disconnect")]), times=50))


def test_a_number_of_times_is_kept() -> None:
    assert fires(FaultRules.of([Fault("disconnect", times=2)]), times=5) == [True, True, False, False, False]


def test_the_first_calls_can_be_spared() -> None:
    assert fires(FaultRules.of([Fault("disconnect", skip=2, times=1)]), times=5) == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_rule_is_about_the_commands_that_it_names() -> None:
    rules = FaultRules.of([Fault("disconnect", on="GuestAppMonitor")])
    assert fires(rules) == [False]
    assert fires(rules, "GuestAppMonitor.Cmd.Enable") == [True]
    assert (rules.rules[0].seen, rules.rules[0].fired) == (1, 1)


def test_a_probability_is_kept_and_the_same_for_the_same_seed() -> None:
    fault = Fault("disconnect", p=0.3)
    one = fires(FaultRules.of([fault], seed=7), times=1000)
    assert one == fires(FaultRules.of([fault], seed=7), times=1000)
    assert one != fires(FaultRules.of([fault], seed=8), times=1000)
    assert 250 < sum(one) < 350


def test_never_and_nothing_fire_nothing() -> None:
    assert fires(FaultRules.of([Fault("disconnect", p=0)]), times=20) == [False] * 20
    assert FaultRules.of([]).fire("anything") == []


def test_connections_are_refused_apart_from_calls() -> None:
    rules = FaultRules.of([Fault("refuse", times=1), Fault("disconnect", times=1)])
    assert [rule.fault.kind for rule in rules.fire(connecting=True)] == ["refuse"]
    assert rules.fire(connecting=True) == []
    assert [rule.fault.kind for rule in rules.fire("x")] == ["disconnect"]


def test_several_rules_fire_together_in_their_order_and_are_counted() -> None:
    rules = FaultRules.of([Fault("delay"), Fault("error"), Fault("delay", times=0)])
    assert [rule.fault.kind for rule in rules.fire("x")] == ["delay", "error"]
    assert rules.fired() == {"delay": 1, "error": 1}


def test_near_words_are_named_and_all_words_where_none_is_near() -> None:
    assert near("dely", ["delay", "error"]) == "did you mean delay?"
    assert near("xyzzy", ["delay", "error"]) == "expected one of delay, error"


def test_every_stage_has_kinds() -> None:
    assert {row.stage for row in KINDS.values()} == set(Stage)
