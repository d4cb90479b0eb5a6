"""Lines between the exporter and its heart: whole or not at all, and never fatal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.ha import messages
from exporter.ha.messages import HealthUpdate, HeartReport, LineReader, LogLine, Message, Refusal
from exporter.ha.rules import Health

REPORT = HeartReport(
    phase="beating",
    armed=True,
    settled=True,
    enabled=True,
    app_status="green",
    heartbeats=7,
    errors={"timeout": 2},
    withheld=1,
    last_beat=1.5e3,
)

EXAMPLES: list[Message] = [
    HealthUpdate(Health.FAULT, "check web: no answer", 12.5, 3),
    Refusal("another process, pid 7"),
    LogLine("critical", "Red \u2013 at once\nor so"),
    HeartReport(),
    REPORT,
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    line = messages.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert messages.decode(line) == message


@given(st.text(max_size=9000), st.text(max_size=9000))
@example("\U0001f600" * 2000, "\0" * 9000)
@example("\ud83d" * 2000, "\udc80" * 9000)
def test_no_text_makes_a_line_that_a_pipe_would_cut(problem: str, text: str) -> None:
    for message in (
        replace(REPORT, problem=problem),
        LogLine("info", text),
        HealthUpdate(Health.BAD, text, 1e9),
    ):
        line = messages.encode(message)
        assert len(line) <= messages.LIMIT
        assert type(messages.decode(line)) is type(message)


def test_only_what_does_not_fit_is_cut() -> None:
    long = "x" * 3000
    assert messages.decode(messages.encode(LogLine("info", long))) == LogLine("info", long)
    cut = messages.decode(messages.encode(LogLine("info", 2 * long)))
    assert isinstance(cut, LogLine)
    assert 2 * long != cut.text
    assert long.startswith(cut.text)


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b"",
        b"[]",
        b"{}",
        b"7",
        b'{"report": {"surprise": 1}}',
        b'{"report": 1}',
        b'{"news": {"health": "odd", "reason": "", "at": 1}}',
        b'{"news": {}}',
        b'{"unknown": {}}',
        b'{"line": {}, "report": {}}',
        b"\xff\xfe",
        pytest.param(b"[" * 100_000, id="lists in lists"),
    ],
)
def test_what_is_no_message_is_a_line_for_the_log(line: bytes) -> None:
    assert messages.decode(line) == LogLine("error", line.decode("utf-8", "replace"))


@given(st.binary())
def test_any_bytes_are_a_message(line: bytes) -> None:
    messages.decode(line)


@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_are_found_however_the_pipe_cuts_them(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines) + b"rest"
    reader, found, at = LineReader(), list[bytes](), 0
    while at < len(whole):
        size = data.draw(st.integers(1, len(whole) - at))
        found += reader.feed(whole[at : at + size])
        at += size
    assert found == lines
    assert reader.feed(b"\n") == [b"rest"]


def test_empty_lines_are_nothing() -> None:
    assert LineReader().feed(b"\n\na\n\n") == [b"a"]
