"""Log lines: one per record, logfmt or JSON, to standard error.

A full pipe or a stopped terminal must not stop the exporter, and least of all a heartbeat: before each write
the descriptor is asked whether it takes bytes now, and a line that it does not take is dropped and counted.
The first line after a jam says how many. The alternatives are worse: a queue costs a thread and only moves
the jam; a non-blocking descriptor would be one for the shell and every other process that shares it. What
this can't help against is a regular file on a disk that hangs: such a file always says that it is ready.

Windows can't tell whether a pipe takes bytes. There a thread writes, and the queue before it is bounded.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import queue
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_WORDS = {number: word for word, number in LEVELS.items()}
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest came by ``extra=``."""

MAX_VALUE = 2000
"""Characters of one value; a line is a line, also where a host sends a megabyte."""
_DROPPED = "log lines were dropped: standard error took none for a while"
QUEUED = 1000
"""Lines that wait for a thread to write them, at most."""
FLUSH_LIMIT = 1.0
"""Seconds, twice at most, for them to be written at the end."""
_PIPE_BUF = 4096
"""Bytes that a pipe which says it is ready takes at once (pipe(7))."""


def set_up(level: str = "info", shape: str = "logfmt", *, descriptor: int = 2) -> None:
    """Send the records of this package's loggers to ``descriptor`` in ``shape`` (``logfmt`` or ``json``).

    Other libraries' records come along from warning up. Called again, it replaces what it set up before.
    """
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, LineHandler)]:
        root.removeHandler(handler)
        handler.close()
    # Without a standard error, descriptor 2 may by now be somebody's socket.
    if descriptor != 2 or sys.stderr is not None:
        line = json_line if shape == "json" else logfmt_line
        root.addHandler(
            LineHandler(descriptor, line) if hasattr(select, "poll") else QueuedHandler(descriptor, line)
        )
    logging.getLogger("exporter").setLevel(LEVELS[level])
    root.setLevel(max(LEVELS[level], logging.WARNING))


class LineHandler(logging.Handler):
    """Writes whole lines to a descriptor, without ever waiting for it."""

    def __init__(self, descriptor: int, line: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._line = line
        self._dropped = 0
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception as error:  # noqa: BLE001  a slip in a log call must cost neither the work nor the news
            line = self._line(
                _notice(record.name, f"a log line can't be formatted: {record.msg}", reason=repr(error))
            )
        with contextlib.suppress(OSError):
            if self._dropped and self._write(self._line(_notice("log", _DROPPED, lines=self._dropped))):
                self._dropped = 0
            self._dropped += not self._write(line)

    def _write(self, line: str) -> bool:
        """Whether the whole line went out."""
        data = (("\n" if self._torn else "") + line + "\n").encode("utf-8", "backslashreplace")
        whole = len(data)
        while data and _ready(self._descriptor):
            data = data[os.write(self._descriptor, data[:_PIPE_BUF]) :]
        # A line may be cut only where another process fills the same pipe, or where it is longer than a page.
        self._torn = 0 < len(data) < whole or (self._torn and len(data) == whole)
        return not data


class QueuedHandler(LineHandler):
    """The same by a thread that may wait for the descriptor; a line that finds the queue full is dropped."""

    def __init__(self, descriptor: int, line: Callable[[logging.LogRecord], str]) -> None:
        super().__init__(descriptor, line)
        self._lines: queue.Queue[bytes | threading.Event | None] = queue.Queue(QUEUED)
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def _write(self, line: str) -> bool:
        try:
            self._lines.put_nowait((line + "\n").encode("utf-8", "backslashreplace"))
        except queue.Full:
            return False
        return True

    def flush(self) -> None:
        """Wait until what is queued is written, but not for long. Called at the end of the process too."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._lines.put(written, timeout=FLUSH_LIMIT)
            written.wait(FLUSH_LIMIT)

    def close(self) -> None:
        self.flush()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        super().close()

    def _work(self) -> None:
        while (data := self._lines.get()) is not None:
            if isinstance(data, threading.Event):
                data.set()
                continue
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(self._descriptor, data) :]


def flush() -> None:
    """Have everything written that was logged: before something else is printed to the same place."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _ready(descriptor: int) -> bool:
    if sys.platform == "win32":
        raise NotImplementedError  # QueuedHandler writes there
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _notice(name: str, text: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": name, "levelno": logging.WARNING, "msg": text, **extra})


def fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """What a line says, in order: time, level, component, message, extras, error."""
    yield (
        "time",
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
    )
    yield "level", _WORDS.get(record.levelno, record.levelname.lower())
    yield "component", record.name.removeprefix("exporter.")
    yield "msg", record.getMessage()
    for name, value in vars(record).items():
        if name not in _OWN:
            yield f"{name}_" if name in {"time", "level", "component"} else name, value
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        yield "error", f"{type(error).__name__}: {error}"
        # The end of a traceback is where the fault is.
        yield "trace", "".join(traceback.format_exception(error))[-MAX_VALUE:]


def logfmt_line(record: logging.LogRecord) -> str:
    """``time=… level=… component=… msg="…" key=value``."""
    return " ".join(f"{name}={_logfmt_value(value)}" for name, value in fields(record))


def json_line(record: logging.LogRecord) -> str:
    """One JSON object; numbers, booleans and null stay what they are."""

    def plain(value: object) -> object:
        keep = isinstance(value, bool | int | None) or (isinstance(value, float) and math.isfinite(value))
        return value if keep else _cut(str(value))

    return json.dumps({name: plain(value) for name, value in fields(record)}, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _logfmt_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    text = _cut(str(value))
    if text and text.isprintable() and not any(mark in text for mark in ' "=\\'):
        return text
    return '"' + "".join(_ESCAPES.get(mark) or _escaped(mark) for mark in text) + '"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(mark: str) -> str:
    return (
        mark
        if mark.isprintable()
        else f"\\u{ord(mark):04x}"
        if ord(mark) < 0x10000
        else f"\\U{ord(mark):08x}"
    )
