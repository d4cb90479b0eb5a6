from __future__ import annotations

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
    line = flags.read(
        ["--poll.intervl=1s", "--no-web=1", "--source", "--log.level", "debug", "-x", "--poll.interval"]
    )
    assert line.problems == [
        "--poll.intervl: no such flag; did you mean --poll.interval?",
        "--no-web takes no value; write --web=1 or --no-web",
        "--source: a value is missing; expected one of auto, guestrpc, library, simulated, replay",
        "-x: no such flag",
        "--poll.interval: a value is missing; expected a duration between 100ms and 1h",
    ]
    assert [each.option.name for each in line.given] == ["log.level"]


def test_no_abbreviations() -> None:
    assert flags.read(["--poll.int=1s"]).problems


def test_dots_dashes_and_underscores_are_mixed_up_often() -> None:
    assert flags.read(["--web-listen_address=:1"]).problems == [
        "--web-listen_address: no such flag; did you mean --web.listen-address?"
    ]


def test_words_after_a_command_are_its_own_but_for_settings() -> None:
    line = flags.read(["doctor", "--json", "--library.path=/x", "--bundle", "b.tgz", "--help", "--unknown"])
    assert line.command == "doctor"
    assert line.rest == ["--json", "--bundle", "b.tgz", "--help", "--unknown"]
    assert [each.raw for each in line.given] == ["/x"]
    assert not line.help
    assert line.problems == []


def test_help_and_version() -> None:
    assert flags.read(["-h"]).help
    assert flags.read(["--poll.interval=1s", "--help"]).help
    assert flags.read(["--version"]).version
    assert flags.read([]) == flags.CommandLine([], "", [], [], help=False, version=False)
