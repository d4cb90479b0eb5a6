from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import log


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


@pytest.fixture
def clean_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("exporter")
    before = root.level, ours.level, list(root.handlers)
    yield
    root.setLevel(before[0])
    ours.setLevel(before[1])
    root.handlers[:] = before[2]


def record(message: str, *args: object, name: str = "exporter.poller", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "", 0, message, args, None)
    made.created, made.msecs = 1_790_000_000.123, 123.0
    vars(made).update(extra)
    return made


def parse_logfmt(line: str) -> dict[str, str]:
    fields, rest = {}, line
    while rest:
        name, _, rest = rest.partition("=")
        if rest.startswith('"'):
            end = 1
            while rest[end] != '"':
                end += 2 if rest[end] == "\\" else 1
            value, rest = rest[1:end], rest[end + 1 :].removeprefix(" ")
            value = value.encode("latin-1", "backslashreplace").decode("unicode-escape")
        else:
            value, _, rest = rest.partition(" ")
        fields[name] = value
    return fields


def test_a_line_says_when_how_bad_where_and_what() -> None:
    line = log.logfmt_line(
        record("no statistics from %s", "the host", kind="timeout", tries=3, ratio=0.5, ok=True)
    )
    assert line == (
        'time=2026-09-21T14:13:20.123Z level=warn component=poller msg="no statistics from the host" '
        "kind=timeout tries=3 ratio=0.5 ok=true"
    )


def test_json_keeps_numbers_and_is_one_line() -> None:
    line = log.json_line(record("a\nb", lines=3, ok=False, none=None, inf=float("inf"), path=("x", "y")))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-09-21T14:13:20.123Z",
        "level": "warn",
        "component": "poller",
        "msg": "a\nb",
        "lines": 3,
        "ok": False,
        "none": None,
        "inf": "inf",
        "path": "('x', 'y')",
    }


@given(st.text())
def test_any_text_stays_on_one_line_and_reads_back(text: str) -> None:
    made = record("%s", text, extra=text)
    logfmt = log.logfmt_line(made)
    assert logfmt.isprintable()
    assert json.loads(log.json_line(made))["msg"] == text
    assert parse_logfmt(logfmt)["extra"] == text


def test_what_a_host_sends_can_not_make_a_line_long() -> None:
    for line in (log.logfmt_line, log.json_line):
        assert len(line(record("x", text="y" * 1_000_000))) < 3000


def test_an_extra_can_not_hide_the_level() -> None:
    assert "level_=9" in log.logfmt_line(record("x", level=9))


def test_an_exception_is_named_with_the_end_of_its_traceback() -> None:
    try:
        int("broken\nhere")
    except ValueError:
        made = record("a mistake")
        made.exc_info = sys.exc_info()
    line = log.logfmt_line(made)
    assert 'error="ValueError: invalid literal' in line
    assert "trace=" in line
    assert line.isprintable()


def test_only_our_loggers_go_below_warning(clean_logging: None, pipe: tuple[int, int]) -> None:
    log.set_up("debug", "json", descriptor=pipe[1])
    logging.getLogger("exporter.x").debug("ours")
    logging.getLogger("other").info("not wanted")
    logging.getLogger("other").warning("wanted")
    lines = [json.loads(line) for line in os.read(pipe[0], 10_000).splitlines()]
    assert [(line["component"], line["msg"]) for line in lines] == [("x", "ours"), ("other", "wanted")]


def test_the_level_holds_and_setting_up_again_replaces(clean_logging: None, pipe: tuple[int, int]) -> None:
    log.set_up("info", descriptor=pipe[1])
    log.set_up("error", descriptor=pipe[1])
    logging.getLogger("exporter.x").warning("no")
    logging.getLogger("exporter.x").error("yes")
    assert os.read(pipe[0], 10_000).count(b"\n") == 1


def test_without_a_standard_error_nothing_is_written_to_descriptor_2(
    clean_logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log.set_up()
    assert not any(isinstance(each, log.LineHandler) for each in logging.getLogger().handlers)


def test_a_full_pipe_drops_lines_and_says_so_later(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = log.LineHandler(writer, log.logfmt_line)
    sent = 2000
    for number in range(sent):
        handler.emit(record("line", number=number))
    seen = b""
    while handler._dropped or not seen:
        seen += os.read(reader, 1_000_000)
        handler.emit(record("after the jam"))
    seen += os.read(reader, 1_000_000)
    lines = [parse_logfmt(line) for line in seen.decode().splitlines()]
    numbers = [int(line["number"]) for line in lines if line["msg"] == "line"]
    (notice,) = [line for line in lines if line["component"] == "log"]
    assert numbers == list(range(len(numbers)))
    assert int(notice["lines"]) == sent - len(numbers) > 0
    assert lines[-1]["msg"] == "after the jam"


def test_where_a_pipe_does_not_tell_a_thread_waits_for_it(pipe: tuple[int, int]) -> None:
    """As on Windows: whoever logs goes on, what finds the queue full is dropped, and that is said."""
    reader, writer = pipe
    handler = log.QueuedHandler(writer, log.logfmt_line)
    sent = 10_000
    for number in range(sent):
        handler.emit(record("line", number=number))
    assert handler._dropped
    seen = b""
    while b"after the jam" not in seen:
        seen += os.read(reader, 1_000_000)
        if handler._dropped:
            handler.emit(record("not full any more"))
        else:
            handler.emit(record("after the jam"))
    lines = [parse_logfmt(line) for line in seen.decode().splitlines()]
    numbers = [int(line["number"]) for line in lines if line["msg"] == "line"]
    dropped = sum(int(line["lines"]) for line in lines if line["component"] == "log")
    assert numbers == sorted(numbers)
    assert len(numbers) < sent
    assert dropped >= sent - len(numbers)
    handler.close()
    handler._thread.join()


def test_what_is_queued_is_written_before_the_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = log.QueuedHandler(writer, lambda made: made.getMessage())
    for number in range(100):
        handler.emit(record(str(number)))
    handler.flush()
    assert os.read(reader, 1_000_000).decode().split() == [str(number) for number in range(100)]
    handler.close()
    handler._thread.join()


def test_a_pipe_that_is_full_for_good_does_not_hold_up_the_end(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "FLUSH_LIMIT", 0.01)
    handler = log.QueuedHandler(pipe[1], log.logfmt_line)
    for _ in range(10_000):
        handler.emit(record("line"))
    handler.flush()
    os.close(pipe[0])
    handler._lines.put(None)
    handler._thread.join()


def test_a_line_cut_by_a_full_pipe_does_not_swallow_the_next(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = log.LineHandler(writer, lambda made: made.getMessage())
    handler.emit(record("x" * 200_000))
    assert handler._torn
    first = os.read(reader, 200_000)
    handler.emit(record("next"))
    rest = os.read(reader, 200_000).decode()
    assert set(first) == {ord("x")}
    assert rest.startswith("\n")
    assert rest.endswith("\nnext\n")


def test_a_closed_descriptor_is_no_error(pipe: tuple[int, int]) -> None:
    handler = log.LineHandler(pipe[1], log.logfmt_line)
    os.close(pipe[0])
    handler.emit(record("nobody reads"))
    os.close(pipe[1])
    handler.emit(record("nobody can"))


def test_a_slip_in_a_log_call_is_reported_not_raised(pipe: tuple[int, int]) -> None:
    log.LineHandler(pipe[1], log.logfmt_line).emit(record("%d", "no number"))
    assert b"can't be formatted: %d" in os.read(pipe[0], 10_000)
