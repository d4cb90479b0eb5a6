"""What the documents say must be so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from exporter import __version__
from exporter.commands import parser, reference
from exporter.commands.ha import STATUSES
from exporter.config import OPTIONS
from exporter.config.values import Switch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

FLAGS = {row.flag for row in OPTIONS} | {row.negative for row in OPTIONS if isinstance(row.kind, Switch)}
OTHERS = {"--help", "--version", "--[no-]", "--name", "--no-name"}
"""Flags that are no settings, and words that stand for any flag."""


def outside_of_tables() -> str:
    return re.sub(r"(<!-- reference:(\w+) -->).*?(<!-- /reference:\2 -->)", "", README, flags=re.DOTALL)


def test_the_readmes_tables_are_current() -> None:
    assert reference.fill(README) == README, "run: vmguest-exporter reference --write README.md"


def test_every_setting_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"--(?:\[no-\])?[a-z][a-z0-9.-]*[a-z0-9]", outside_of_tables()))
    commands = {"--socket", "--write", "--check", "--yes"}
    # Of other programs: docker run, the OpenTelemetry Collector.
    commands |= {"--security-opt", "--config"}
    assert named - FLAGS - OTHERS - commands <= set(own_flags_of_commands())


def own_flags_of_commands() -> set[str]:
    found: set[str] = set()
    for command in parser.available():
        if command is not parser.SERVE:
            found |= set(re.findall(r"--[a-z][a-z0-9.-]*", parser.of(command).format_help()))
    return found


def test_every_metric_that_the_readme_names_exists() -> None:
    table = reference.metrics_table()
    for name in set(re.findall(r"\bvmguest_[a-z0-9_]+", outside_of_tables())):
        assert f"`{name}" in table, name


def test_every_command_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"vmguest-exporter ([a-z]+)\b", outside_of_tables()))
    assert named <= {command.name for command in parser.available()}


def test_every_file_that_the_readme_points_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"`(exporter/[\w/.]+)`", README):
        assert (ROOT / target).exists(), target


def test_the_readme_keeps_to_the_order_that_readers_need() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    order = [
        "First metrics, without VMware",
        "Metrics",
        "Settings",
        "How it works",
        "What this is not",
        "Licence",
    ]
    assert [heading for heading in headings if heading in order] == order


@pytest.mark.parametrize("word", ["coming soon", "TODO", "TBD", "not yet implemented"])
def test_the_readme_promises_nothing(word: str) -> None:
    assert word.lower() not in README.lower()


def test_the_make_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(
        re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`[^`]+`|```sh\n.*?```", README, re.DOTALL)))
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_changelog_begins_with_the_next_or_the_present_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.findall(r"^## (.+)$", text, re.MULTILINE)[0]
    assert first == "Unreleased" or first.startswith(f"{__version__} ")


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_exit_statuses_of_single_calls_are_the_programs() -> None:
    rows = [f"| {status} | {meaning} | {theirs} |" for status, meaning, theirs in STATUSES]
    assert "\n".join(rows) in README
