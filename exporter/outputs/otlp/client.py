"""What sends an export, and what became of it, in this program's words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

MAX_ANSWER = 256 * 1024
"""Bytes that are read of an answer, after decompression. A real one has some tens, an error page a few thousand."""


MISADDRESSED_LIMIT = 900.0
"""Seconds that exports wait where the receiver speaks of address or credentials. A departure from the specification,
which has them dropped at once: a collector's rollout or a secret's rotation answers so for minutes."""


class Outcome(Enum):
    """The ``outcome`` label of ``vmguest_otlp_exports_total``."""

    SUCCESS = "success"
    PARTIAL = "partial_success"
    """The receiver took the export but for some points, which the protocol forbids to send again."""
    FAILED = "failed"
    """An attempt came to nothing; the export waits for the next."""
    REJECTED = "rejected"
    """The receiver will never take this export, it says. Dropped, or it would block all behind it."""
    DROPPED = "dropped"
    """It had waited too long, there was no place left in the queue, or the process ended."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """``code`` is a short stable word for the kind of failure: an HTTP status, a gRPC code, an exception's name."""

    outcome: Outcome
    code: str = ""
    reason: str = ""
    retry_after: float | None = None
    """Seconds that the receiver wants to be left alone; None where it does not say."""
    give_up_after: float | None = None
    """Seconds that a failed export may wait altogether; None: as long as the queue keeps it."""
    refused_points: int = 0
    data_refused: bool = False
    """Rejected for what is in it: differences must not bring it again."""


class Client(Protocol):
    """Sends one export at a time. Owned by one thread, but :meth:`close` may come from another."""

    def export(self, data: MetricsData) -> ExportResult:
        """Try once, within the time limit as a whole. Trying again is the push's business."""

    def close(self) -> None:
        """Let go of connections and cut short what :meth:`export` is waiting for."""
