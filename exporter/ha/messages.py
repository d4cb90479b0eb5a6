"""What the exporter and its heart tell each other: one JSON object a line, over two pipes.

To the heart: :class:`HealthUpdate` on health. From the heart: :class:`HeartReport` for /metrics, :class:`LogLine` for the log, and once
:class:`Refusal` where it can't work at all. A stop is a signal: it needs no room in a pipe. A line is at most 4096 bytes, so that a pipe takes it whole or
not at all (PIPE_BUF), and a reader that is stuck costs its writer a line and nothing else.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from exporter.errors import Passing
from exporter.ha.rules import Health, Leftover

STOPPED = 0
"""Exit status of the heart: stopped in an orderly way, Disable confirmed."""
UNCONFIRMED = 3
"""Stopped, but Disable could not be confirmed."""
ORPHANED = 4
"""The exporter is gone: ended without Disable, by design."""

REFUSED = 5
"""Never began: another heartbeater, or settings that can't be used. A :class:`Refusal` says why."""
BROKEN = 70
"""An error of this program."""

STOPS = (signal.SIGTERM, signal.SIGINT)
"""Ask the heart for an orderly stop."""
MASKED = (*STOPS, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""Masked over the heart's start: until its handlers stand, each of them would be its end."""

NOT_CONFIRMED = "the end of monitoring is NOT confirmed: unless it is switched off now (vmguest-exporter ha disable), vSphere HA resets this VM"
"""For the log, at a stop whose time is up."""

LIMIT = 4096
_TEXT = 600
"""Characters of a text that is cut; JSON in UTF-8 needs six bytes for one at worst, and no message has two long texts."""


@dataclass(frozen=True, slots=True)
class HealthUpdate:
    """The exporter's verdict on health. ``at``: monotonic time of the verdict, which all processes share."""

    health: Health
    reason: str
    at: float
    session_changes: int = 0
    """Changes of the host's session id that the poller has seen."""
    bad_for: float = float("inf")
    unsure: float = 0.0
    bad_now: float = float("inf")
    fault: bool = False
    known_bad: bool | None = None
    found_again: float = 0.0
    first_look_by: float = float("-inf")
    """All seven as in a summary of health."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The heart ends at once: ``reason`` says why. ``passing``: another start may find it otherwise."""

    reason: str
    passing: bool = False

    @property
    def problem(self) -> str:
        """For a ConfigError."""
        return Passing(self.reason) if self.passing else self.reason


@dataclass(frozen=True, slots=True)
class LogLine:
    """For the exporter's log."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class HeartReport:
    """Where the heartbeats stand."""

    phase: str = ""
    armed: bool = False
    settled: bool = False
    """The host has answered once, or could not be asked."""
    problem: str = ""
    """Why there are no heartbeats, or nobody acts on them."""
    hopeless: bool = False
    """That has been so since the start, and trying again will not help."""
    enabled: bool = False
    app_status: str = ""
    """green, red, gray, or empty where it is not known."""
    requested_reset: bool = False
    heartbeats: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    withheld: int = 0
    reenables: int = 0
    last_beat: float | None = None
    """Monotonic clock, which both processes share, at the last heartbeat that the host took; None before the first."""
    dry_run_resets: int = 0
    bad_for: float = 0.0
    """Seconds of bad health so far, for the next heart."""
    fault_for: float = 0.0
    """Seconds for which the exporter itself has not been well, for the next heart."""
    leftover: str = Leftover.NOTHING.value
    """What may be left at the host if this heart dies now, for the next one: a word of :class:`Leftover`."""
    maintenance_end: float = 0.0
    """Wall clock, seconds since the epoch; 0 outside of maintenance, infinite where it has no end."""
    maintained: float = 0.0
    """When the last maintenance began that this heart knows of, as :meth:`Maintenance.begun`."""

    @property
    def taking_over(self) -> bool:
        """What may be on is not taken over yet, for an error that may pass."""
        return bool(self.problem) and not self.armed and self.leftover != Leftover.NOTHING.value


Message = HealthUpdate | Refusal | LogLine | HeartReport

_KINDS: dict[str, type[Message]] = {
    "health": HealthUpdate,
    "refusal": Refusal,
    "line": LogLine,
    "report": HeartReport,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(message: Message) -> bytes:
    """``message`` as a line. Texts that make it too long are cut."""
    fields = asdict(message)
    line = _dump(message, fields)
    if len(line) > LIMIT:
        cut = {name: value[:_TEXT] if isinstance(value, str) else value for name, value in fields.items()}
        line = _dump(message, cut)
    return line


def _dump(message: Message, fields: dict[str, Any]) -> bytes:
    kind = _NAMES[type(message)]
    text = json.dumps(
        {kind: fields}, separators=(",", ":"), default=lambda health: health.value, ensure_ascii=False
    )
    # Half of a surrogate pair, as a path may have it, is no text.
    return text.encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Message:
    """The message on a line, or the line itself as one for the log: a traceback, say."""
    try:
        ((kind, fields),) = json.loads(line).items()
        return _build(kind, fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return LogLine("error", line.decode("utf-8", "replace").rstrip())


def _build(kind: str, fields: dict[str, Any]) -> Message:
    if kind == "health":
        fields = {**fields, "health": Health(fields["health"])}
    return _KINDS[kind](**fields)


class LineReader:
    """Cuts what a pipe gives into lines, however it is split."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take ``data``; return the lines that are complete, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line for line in lines if line]
