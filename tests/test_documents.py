"""What the documents say must be so."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from exporter import __version__
from exporter.commands import parser, reference
from exporter.commands.ha import STATUSES
from exporter.config import OPTIONS
from exporter.config.values import Switch
from exporter.simulator.faults import KINDS
from exporter.simulator.scenarios import SCENARIOS

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.md", "docs/*.md", "deploy/**/*.md", "dashboards/*.md", "benchmarks/*.md")
    for path in sorted(ROOT.glob(pattern))
}
README = PAGES["README.md"]
TOLD = {
    name: re.sub(r"(<!-- reference:(\w+) -->).*?(<!-- /reference:\2 -->)", "", text, flags=re.DOTALL)
    for name, text in PAGES.items()
    if name in {"README.md", "CONTRIBUTING.md", "SECURITY.md"} or name.startswith("docs/")
}
"""The pages about the program itself, without generated tables."""

FLAGS = {row.flag for row in OPTIONS} | {row.negative for row in OPTIONS if isinstance(row.kind, Switch)}
OTHERS = {"--help", "--version", "--[no-]", "--name", "--no-name"}
"""Flags that are no settings, and words that stand for any flag."""
FOREIGN = {
    "--unix-socket",  # curl
    *("--web.enable-otlp-receiver", "--enable-feature"),  # Prometheus
    "--security-opt",  # docker run
    *("--numprocesses", "--randomly-seed"),  # pytest
    "--config",  # the OpenTelemetry Collector
    *("--now", "--unit"),  # systemctl, systemd-run
}
"""Flags of other programs."""

READS = {"nox": "noxfile.py", "pre-commit": ".pre-commit-config.yaml"}
"""The file of its own that a program of the contributors' reads."""

each_page = pytest.mark.parametrize(("name", "text"), TOLD.items(), ids=[*TOLD])


def own_flags_of_commands() -> set[str]:
    found = {"--socket", "--write", "--check", "--yes"}
    for command in parser.available():
        if command is not parser.SERVE:
            found |= set(re.findall(r"--[a-z][a-z0-9.-]*", parser.of(command).format_help()))
    return found


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        for heading in headings
    }


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(README.splitlines()) < 150


def test_every_table_stands_in_one_page_and_is_current() -> None:
    stale = [name for name, text in PAGES.items() if "reference:" in text and reference.fill(text) != text]
    assert not stale, f"run: vmguest-exporter reference --write {' '.join(stale)}"
    count = Counter(re.findall(r"<!-- reference:(\w+) -->", "".join(PAGES.values())))
    assert count == dict.fromkeys(reference.TABLES, 1)


@pytest.mark.parametrize(("name", "text"), PAGES.items(), ids=[*PAGES])
def test_every_link_leads_somewhere(name: str, text: str) -> None:
    """To a file of this repository, and to a heading in it. Addresses of others are only looked at for their form."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)):
        if re.match(r"https?://[\w.-]+(/\S*)?$", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


@each_page
def test_every_file_that_is_named_exists(name: str, text: str) -> None:
    for target in re.findall(r"`((?:exporter|deploy|dashboards|docs|tests)/[\w/.-]+)`", text):
        assert (ROOT / target).exists(), target


def test_every_file_that_contributors_need_is_in_the_source_distribution() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "Makefile")]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / ".ci").rglob("*") if path.is_file()]
    paths = [path.split("/") for text in texts for path in re.findall(r"[\w.-][\w./-]*", text)]
    words = {path[0] for path in paths}
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    named = {word for word in words - ignored if (ROOT / word).exists()} - {".", "..", ".git"}
    named |= {file for program, file in READS.items() if any(program in path for path in paths)}
    # Always there: packaging.python.org, Source distribution format.
    named -= {"pyproject.toml", "PKG-INFO"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert named >= {"tests", "exporter", "noxfile.py"}
    assert not [name for name in sorted(named) if not any(fnmatch(name, each) for each in included)]


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), ["README.md"]
    while todo:
        name = todo.pop()
        if name in reached or name not in PAGES:
            continue
        reached.add(name)
        for target in re.findall(r"\]\(([^)#\s]+)", PAGES[name]):
            path = ((ROOT / name).parent / target).resolve()
            if path.is_relative_to(ROOT):
                todo.append(path.relative_to(ROOT).as_posix())
    assert {name for name in PAGES if name.startswith("docs/")} <= reached


@each_page
def test_every_setting_that_is_named_exists(name: str, text: str) -> None:
    named = set(re.findall(r"(?<![\w-])--(?:\[no-\])?[a-z][a-z0-9.-]*[a-z0-9]", text))
    assert named - FLAGS - OTHERS - FOREIGN <= own_flags_of_commands()


@each_page
def test_every_metric_that_is_named_exists(name: str, text: str) -> None:
    table = reference.metrics_table()
    for metric in set(re.findall(r"\bvmguest_[a-z0-9_]+[a-z0-9]\b(?!_?…)", text)):
        # Of a histogram PromQL asks for the parts.
        whole = re.sub(r"_(bucket|sum|count)$", "", metric)
        assert f"`{metric}" in table or f"`{whole}" in table, metric


@each_page
def test_every_command_that_is_named_exists(name: str, text: str) -> None:
    named = set(re.findall(r"vmguest-exporter ([a-z]+)\b", text))
    assert named <= {command.name for command in parser.available()}


@each_page
def test_every_scenario_that_is_named_exists(name: str, text: str) -> None:
    assert set(re.findall(r"--(?:simulated\.)?scenario[= ]([a-z][a-z0-9-]+)", text)) <= set(SCENARIOS)
    assert set(re.findall(r"--fault ([a-z][a-z-]+)", text)) <= set(KINDS)


@each_page
def test_every_make_target_that_is_named_exists(name: str, text: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"`[^`\n]+`|```\w*\n.*?```", text, re.DOTALL))
    for target in set(re.findall(r"\bmake ([a-z-]+)\b", code)):
        assert re.search(rf"^([\w -]+ )?{target}( [\w -]+)?:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("word", ["coming soon", "TODO", "TBD", "not yet implemented", "pip install vmguest"])
@each_page
def test_nothing_is_promised(name: str, text: str, word: str) -> None:
    assert word.lower() not in text.lower()


@each_page
def test_a_page_has_one_title_and_its_subjects_below(name: str, text: str) -> None:
    headings = re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    assert headings[0] == "#"
    assert headings.count("#") == 1


def test_the_changelog_begins_with_the_next_or_the_present_version() -> None:
    first = re.findall(r"^## (.+)$", PAGES["CHANGELOG.md"], re.MULTILINE)[0]
    assert first == "Unreleased" or first.startswith(f"{__version__} ")


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_exit_statuses_of_single_calls_are_the_programs() -> None:
    rows = [f"| {status} | {meaning} | {theirs} |" for status, meaning, theirs in STATUSES]
    assert "\n".join(rows) in PAGES["docs/heartbeats.md"]
