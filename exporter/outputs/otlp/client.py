"""What became of an export, in this program's words.

The SDK's exporters say SUCCESS or FAILURE and write the rest to a log. Some of what they call success is none:
a redirect, a web page, a partial refusal. So each client watches the answers on their way, and judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from exporter.outputs.otlp.environment import hush_grpc
from exporter.outputs.otlp.settings import GRPC, PushSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData


class Outcome(Enum):
    """The ``outcome`` label of ``vmguest_otlp_exports_total``."""

    SUCCESS = "success"
    PARTIAL = "partial_success"
    """The receiver took the export but for some points, which the protocol forbids to send again."""
    FAILED = "failed"
    """An attempt came to nothing; the export waits for the next."""
    REJECTED = "rejected"
    """The receiver will never take this export: its data is bad, it says. Dropped."""
    DROPPED = "dropped"
    """There was no place left in the queue, or the process ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """``code`` is a short stable word for the kind of failure: an HTTP status, a gRPC code, an exception's name."""

    outcome: Outcome
    code: str = ""
    reason: str = ""
    retry_after: float = 0.0
    """Seconds that the receiver wants to be left alone."""
    refused_points: int = 0


class Client(Protocol):
    """Sends one export at a time. Owned by one thread, but :meth:`close` may come from another."""

    def export(self, data: MetricsData) -> Result:
        """Try, within the time limit, the SDK's retries included."""

    def close(self) -> None:
        """Let go of connections and cut short what :meth:`export` is waiting for."""


def connect(settings: PushSettings) -> Client:
    """The client for the protocol. Only here is the SDK imported, and only the protocol's half of it."""
    if settings.protocol == GRPC:
        hush_grpc()
        from exporter.outputs.otlp.grpc_client import GrpcClient

        return GrpcClient(settings)
    from exporter.outputs.otlp.http_client import HttpClient

    return HttpClient(settings)
