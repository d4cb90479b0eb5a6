from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from exporter.config import CHAPTERS, OPTIONS, Settings, chapter, shown
from exporter.config.places import Address
from exporter.config.settings import Ha, Otlp, Poll, RawTable, Web
from exporter.config.values import Switch


def test_every_name_that_follows_from_a_row_is_its_own() -> None:
    names = [row.flag for row in OPTIONS] + [row.negative for row in OPTIONS if isinstance(row.kind, Switch)]
    assert len(names) == len(set(names))
    assert len({row.variable for row in OPTIONS}) == len(OPTIONS) == len({row.name for row in OPTIONS})


def test_flag_variable_and_key_follow_from_the_dotted_name() -> None:
    row = next(row for row in OPTIONS if row.name == "ha.max-poll-age")
    assert (row.flag, row.variable, row.field) == (
        "--ha.max-poll-age",
        "VMGUEST_HA_MAX_POLL_AGE",
        "max_poll_age",
    )
    row = next(row for row in OPTIONS if row.name == "web.config.file")
    assert (row.flag, row.variable, row.group, row.field) == (
        "--web.config.file",
        "VMGUEST_WEB_CONFIG_FILE",
        "web",
        "config_file",
    )


def test_the_switches_with_a_short_form_have_it() -> None:
    assert {row.name: row.negative for row in OPTIONS if row.word != row.name} == {
        "web.enabled": "--no-web",
        "api.enabled": "--no-api",
        "extended.enabled": "--no-extended",
    }


def test_every_option_stands_in_exactly_one_chapter() -> None:
    listed = [row for _, groups in CHAPTERS for row in chapter(groups)]
    assert sorted(row.name for row in listed) == sorted(row.name for row in OPTIONS)


def test_every_option_says_what_it_does_and_what_holds_without_it() -> None:
    for row in OPTIONS:
        assert row.help.endswith("."), row.name
        assert row.default, row.name


def test_the_defaults() -> None:
    settings = Settings()
    assert settings.poll.interval == 5.0
    assert settings.web.listen == (Address("", 10052),)
    assert settings.extended.interval == 15.0
    assert settings.otlp.queue == 900.0
    assert (settings.ha.enabled, settings.ha.interval, settings.ha.grace, settings.ha.max_poll_age) == (
        False,
        10.0,
        30.0,
        30.0,
    )


def test_settings_are_frozen_values() -> None:
    settings = Settings(poll=Poll(interval=1.0))
    assert settings == Settings(poll=Poll(interval=1.0)) != Settings()
    with pytest.raises(FrozenInstanceError):
        settings.source = "library"  # type: ignore[misc]


def test_secrets_are_not_in_any_text_of_the_settings() -> None:
    settings = Settings(
        otlp=Otlp(endpoint="localhost:1/?key=hush", headers=(("authorization", "hush"), ("x", "hush2")))
    )
    assert "hush" not in repr(settings)
    assert "hush" not in str(shown(settings))
    assert shown(settings)["otlp.headers"] == "authorization=<hidden>,x=<hidden>"


def test_shown_gives_every_setting_as_one_would_write_it() -> None:
    everything = shown(Settings(web=Web(listen=(Address("::1", 1), Address("", 2)))))
    assert set(everything) == {row.name for row in OPTIONS}
    assert everything["web.listen-address"] == "[::1]:1,:2"
    assert everything["poll.interval"] == "5s"
    assert everything["otlp.endpoint"] == ""
    assert everything["ha.enabled"] == "false"


def test_a_raw_table_names_its_lines() -> None:
    table = RawTable({"type": "http", "url": 3}, "vmguest.toml", 4, {"type": 5, "url": 6})
    assert table.where() == "vmguest.toml:4"
    assert table.where("url") == "vmguest.toml:6"
    assert repr(Ha(checks=(table,))).count("vmguest.toml") == 1
