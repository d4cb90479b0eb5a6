"""The report of each kind of trouble: what is asked for, the worst windows, both formats, and what is masked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from exporter.insight.verdict import QUESTIONS
from exporter.masking import Masker
from exporter.outputs.api import Document, document
from exporter.report import html, markdown
from exporter.report.asks import ASKS
from exporter.report.content import build, windows
from exporter.report.model import Chart, Report, Table
from tests.insight.simulated import Simulated

TITLES = (
    "What to ask the vSphere administrator for", "What was found", "Worst windows", "The last hour", "Events",
    "Settings and facts", "Findings of doctor",
)  # fmt: skip


def after(scenario: str, seconds: float = 900) -> Document:
    world = Simulated(scenario).run(seconds)
    try:
        return document(world.published)
    finally:
        world.close()


@pytest.fixture(scope="module")
def troubled() -> Report:
    return build(
        after("changed-limit"), "here", host="vm-7", findings=[("fail", "X-1", "It is <bad>.", "Mend & go.")]
    )


def section(report: Report, title: str) -> tuple[Any, ...]:
    return next(each.blocks for each in report.sections if each.title == title)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("cpu-limit", "CPU Limit to Unlimited"),
        ("noisy-neighbour", "Move the VM to a host with room"),
        ("ballooning", "Reserve all guest memory"),
        ("swapping", "Reserve all guest memory"),
        ("dead-balloon", "sched.mem.maxmemctl"),
        ("vmotion", "Say why the VM was moved"),
        ("changed-limit", "Say who changed these settings"),
        ("remote-memory", "fit one NUMA node"),
    ],
)
def test_each_trouble_has_its_ask_and_its_place(scenario: str, words: str) -> None:
    (table,) = section(build(after(scenario, 600), "here", host="x"), TITLES[0])
    row = next(row for row in table.rows if words in row[0])
    assert row[1], "and where it is set"
    assert row[2].endswith("?"), "and which question it answers"


def requests(found: Document) -> str:
    (table,) = section(build(found, "here", host="x"), TITLES[0])
    return "\n".join(f"{what} {where}" for what, where, _ in table.rows)


def but(found: Document, **numbers: Any) -> Document:
    return {**found, "numbers": {**found["numbers"], **numbers}}


def test_nothing_is_asked_for_that_is_so_already() -> None:
    found = after("swapping", 600)
    asked = requests(found)
    assert "Limit to Unlimited" not in asked, "the host tells that there is none"
    assert "parent resource pool has a memory limit" in asked
    assert "Reserve all guest memory" in asked
    assert "memory Limit to Unlimited" in requests(but(found, memory_limit=2**30))
    assert "memory Limit to Unlimited" in requests(but(found, memory_limit=None)), "it may have one"
    full = but(found, memory_reservation=float(found["guest"]["memory_bytes"]))
    assert "Reserve all guest memory" not in requests(full)

    starved = after("noisy-neighbour", 600)
    assert "CPU Reservation" in requests(starved)
    assert "CPU Reservation" not in requests(but(starved, cpu_reservation=starved["numbers"]["capacity"]))


def test_a_balloon_that_holds_memory_is_not_asked_to_be_switched_on() -> None:
    found = after("reclaim", 900)
    assert "short of its target" in str(found["answers"])
    assert "sched.mem.maxmemctl" not in requests(found)


def test_a_vm_that_is_well_asks_for_nothing() -> None:
    (text,) = section(build(after("steady"), "here", host="x"), TITLES[0])
    assert text.words.startswith("Nothing:")


def test_asks_are_of_questions_that_there_are() -> None:
    assert ASKS.keys() <= {row.key for row in QUESTIONS}


def test_the_worst_windows_are_the_worst_and_do_not_overlap() -> None:
    times = [10.0 * step - 3600 for step in range(361)]
    values: list[float | None] = [0.01] * 361
    values[100:131] = [0.5] * 31
    values[200:231] = [0.3] * 31
    values[0] = None
    (first, second, third) = windows(times, values)
    assert first[:2] == (times[100], times[130])
    assert second[:2] == (times[200], times[230])
    assert (first[2], second[2]) == pytest.approx((0.5, 0.3))
    assert third[2] < 0.3
    assert windows([], []) == []
    assert windows([-1.0, 0.0], [None, None]) == []


class Reader(HTMLParser):
    """What a browser would load, and the text that it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [name for name, _ in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_html_loads_nothing_and_shows_every_section(troubled: Report) -> None:
    written = html.write(troubled)
    reader = Reader()
    reader.feed(written)
    assert not reader.loads
    assert not {"script", "link", "img", "iframe"} & {*reader.tags}
    assert "url(" not in written
    assert "@import" not in written
    assert reader.tags.count("svg") >= 5
    shown = "".join(reader.text)
    assert all(title in shown for title in TITLES)
    assert "It is <bad>." in shown
    assert "<bad>" not in written
    assert troubled.summary.words in shown


def test_markdown_shows_every_section(troubled: Report) -> None:
    written = markdown.write(troubled)
    assert all(f"\n## {title}\n" in written for title in TITLES)
    assert re.search("CPU stolen.*`[▁-█ ]{60}`", written)
    assert "| fail | X-1 | It is <bad>. | Mend & go. |" in written


def test_every_word_is_masked() -> None:
    names = Masker(["vm-7"])
    found = build(
        after("vmotion", 300),
        "vm-7",
        host="vm-7.example",
        findings=[("warn", "X", "vm-7 at 10.1.2.3", "00:50:56:aa:bb:cc")],
        mask=names.text,
    )
    for written in (html.write(found), markdown.write(found)):
        assert "vm-7" not in written
        assert "10.1.2.3" not in written
        assert "00:50:56:aa:bb:cc" not in written


def test_a_chart_breaks_where_values_are_missing_for_long() -> None:
    times = (-50.0, -40.0, -30.0, -10.0, 0.0)
    chart = Chart("A", "", "ratio", times, (0.1, 0.2, None, 0.3, 0.4), None, 25.0)
    assert [len(each) for each in html.stretches(chart)] == [2, 2]
    assert html.chart(chart).count("<polyline") == 2
    # A quarter of the largest is the third of eight blocks.
    assert markdown.spark(chart).strip(" ").startswith("▃")


def test_a_host_that_never_answered_makes_a_report_too() -> None:
    world = Simulated("steady")
    found = build(document(world.published), "here", host="x")
    world.close()
    assert html.write(found)
    assert not any(isinstance(block, Chart) for block in section(found, "The last hour"))
    assert any(isinstance(block, Table) for block in section(found, "What was found"))


@pytest.mark.real
def test_a_browser_opens_and_prints_it_without_a_complaint(
    troubled: Report, tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "apt-get install chromium")
    page, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(html.write(troubled), encoding="utf-8")
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--print-to-pdf={pdf}", page.as_uri(),
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert pdf.read_bytes().startswith(b"%PDF"), done.stderr
    assert "CONSOLE" not in done.stderr
    assert pdf.read_bytes().count(b"/Type /Page\n") >= 2 or b"/Count" in pdf.read_bytes()
