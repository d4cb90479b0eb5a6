from __future__ import annotations

from exporter.commands import usage
from exporter.config import OPTIONS
from exporter.config.values import Switch

COMMANDS = [("serve", "Read the host."), ("doctor", "Find out.")]


def test_the_help_names_every_setting_with_what_holds_without_it() -> None:
    text = " ".join(usage.text(COMMANDS, 100).split())
    for row in OPTIONS:
        assert f" {usage.spelling(row)} {row.help} [{row.default}]" in text


def test_switches_and_repeatable_settings_are_spelt_so() -> None:
    by_name = {row.name: usage.spelling(row) for row in OPTIONS}
    assert by_name["web.enabled"] == "--[no-]web"
    assert by_name["web.listen-address"] == "--web.listen-address=HOST:PORT ..."
    assert by_name["log.format"] == "--log.format=logfmt|json"
    assert all(
        text.startswith("--[no-]") == isinstance(row.kind, Switch)
        for row in OPTIONS
        for text in [usage.spelling(row)]
    )


def test_the_help_lists_the_commands() -> None:
    lines = usage.text(COMMANDS, 100).splitlines()
    assert "  serve       Read the host." in lines
    assert "  doctor      Find out." in lines


def test_lines_fit_the_width() -> None:
    for width in (60, 80, 110):
        lines = usage.text(COMMANDS, width).splitlines()[4:]
        assert max(len(line) for line in lines if "OTEL_" not in line) <= width
