from __future__ import annotations

import pytest

from exporter.config import flags


def test_a_value_stands_behind_an_equals_sign_or_in_the_next_word() -> None:
    line = flags.read(["--poll.interval=1s", "--log.level", "debug"])
    assert [(each.option.name, each.raw, each.where) for each in line.given] == [
        ("poll.interval", "1s", "--poll.interval"),
        ("log.level", "debug", "--log.level"),
    ]
    assert (line.command, line.rest, line.problems) == ("", [], [])


def test_a_switch_is_on_alone_and_off_by_its_no_form_or_a_word() -> None:
    line = flags.read(["--ha.enabled", "--no-web", "--extended.unknown=off", "simulate"])
    assert [(each.option.name, each.raw) for each in line.given] == [
        ("ha.enabled", "true"),
        ("web.enabled", "false"),
        ("extended.unknown", "off"),
    ]
    assert line.command == "simulate"


def test_every_mistake_is_reported() -> None:
    line = flags.read(["--no-web=1", "--poll.intervl=1s", "--log.level", "debug", "-x", "--ha.intervl", "1s"])
    assert line.problems == [
        "--no-web takes no value; write --web=1 or --no-web",
        "--poll.intervl: no such flag; did you mean --poll.interval?",
        "-x: no such flag",
        "--ha.intervl: no such flag; did you mean --ha.interval?",
    ]
    assert [each.option.name for each in line.given] == ["log.level"]
    assert line.command == ""


def test_two_dashes_are_no_value_and_what_stands_behind_them_is_none_either() -> None:
    line = flags.read(["--source", "--", "simulated"])
    assert (line.broken, line.given) == (True, [])


@pytest.mark.parametrize("argv", [["--source", "--log.level", "debug"], ["--source"]])
def test_a_missing_value_is_named_with_what_was_expected(argv: list[str]) -> None:
    assert flags.read(argv).problems == [
        "--source: a value is missing; expected one of auto, guestrpc, library, simulated, replay"
    ]


def test_a_word_after_an_unknown_flag_may_still_be_a_command() -> None:
    assert flags.read(["--verbose", "doctor"], ["doctor"]).command == "doctor"
    line = flags.read(["--verbose=1", "dokter"], ["doctor"])
    assert line.command == ""  # and not repeated: it may be the rest of a secret
    assert line.problems[1:] == [
        "--verbose: a word that is no command stands after it; put its value in quotes"
    ]


def test_no_abbreviations() -> None:
    assert flags.read(["--poll.int=1s"]).problems


def test_dots_dashes_and_underscores_are_mixed_up_often() -> None:
    assert flags.read(["--web-listen_address=:1"]).problems == [
        "--web-listen_address: no such flag; did you mean --web.listen-address?"
    ]


def test_words_after_a_command_are_its_own_but_for_settings() -> None:
    line = flags.read(["doctor", "--json", "--library.path=/x", "--bundle", "b.tgz", "--help", "--unknown"])
    assert line.command == "doctor"
    assert line.rest == ["--json", "--bundle", "b.tgz", "--unknown"]
    assert [each.raw for each in line.given] == ["/x"]
    assert line.help
    assert line.problems == []


def test_help_and_version() -> None:
    assert flags.read(["-h"]).help
    assert flags.read(["--poll.interval=1s", "--help"]).help
    assert flags.read(["--version"]).version
    assert flags.read([]) == flags.CommandLine()
