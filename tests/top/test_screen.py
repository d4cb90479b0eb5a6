"""The views as lines: nothing is wider than the terminal, every level has its mark, gaps are gaps."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from exporter.top.frame import Frame
from exporter.top.screen import VIEWS, body, figure, head, plain, spark
from tests.top.worlds import documents, frame

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scenario", ["steady", "swapping", "old-host", "vmotion"])
def test_nothing_is_lost_at_the_right_edge(view: str, width: int, scenario: str) -> None:
    found = frame(scenario)
    assert all(len(line) <= width for line in plain(head(found, width)).splitlines())
    if view != "?":
        lines = plain(body(view, found, width)).splitlines()
        assert lines
        assert view == "e" or all(len(line) <= width for line in lines)


@pytest.mark.parametrize("scenario", ["steady", "noisy-neighbour", "swapping"])
def test_the_first_screens_are_those_that_were_approved(scenario: str) -> None:
    found = frame(scenario)
    text = plain(
        [*head(found, 80), [], *body("c", found, 80), [], *body("m", found, 80), [], *body("d", found, 80)]
    )
    file = GOLDEN / f"top-{scenario}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(f"{text}\n", encoding="utf-8")
    assert text.splitlines() == file.read_text(encoding="utf-8").splitlines()


def test_a_level_has_a_mark_beside_its_colour() -> None:
    (row,) = [
        line for line in body("c", frame("noisy-neighbour"), 80) if len(line) == 5 and "by host" in line[1][0]
    ]
    assert row[0] == ("✕", "critical")
    assert row[2][1] == "critical"


def test_a_verdict_of_many_words_ends_in_three_lines() -> None:
    assert len(head(frame("swapping"), 60)) == 3
    assert plain(head(frame("swapping"), 60)).endswith("…")


def test_a_host_that_is_silent_says_why() -> None:
    found = frame("steady")
    silent = found.after(
        {**found.now, "up": False, "problem": {"text": "no answer", "advice": "Look there."}}
    )
    assert plain(body("c", silent, 80)) == "no answer. Look there."


def test_until_there_are_two_samples_a_rate_is_being_read() -> None:
    _, after = documents("swapping")
    nothing = {"poll": {"extended_read_monotonic": None}, "metrics": []}
    alone = Frame.first({**after, "before": nothing})
    assert re.search(r"%USED +reading … %", plain(body("c", alone, 80)))
    assert re.search(r"SWR/s +reading … MB/s", plain(body("m", alone, 80)))
    assert re.search(r"scsi0:0 +reading … +reading …", plain(body("d", alone, 80)))
    assert "reading" not in "".join(plain(body(view, Frame.first(after), 80)) for view in "cmdn")


def test_sparks() -> None:
    assert spark([0.0, 0.5, None, 1.0], 10) == "▁▅ █"
    assert spark([0.0, 1.0, 0.0, 0.0], 2) == "█▁", "the largest of each piece"
    assert spark([0.5], 5, full=1.0) == "▅"
    assert spark([], 5) == spark([1.0], 0) == ""
    assert spark([None, None], 5) == "  "


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "%", "-"),
        (float("inf"), "MB", "unlimited"),
        (1.25, "%", "1.2"),
        (3.7, "MB", "4"),
        (4.0, "", "4"),
    ],
)
def test_figures(value: float | None, unit: str, words: str) -> None:
    assert figure(value, unit) == words
