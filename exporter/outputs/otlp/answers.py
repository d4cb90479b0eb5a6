"""HTTP answers, judged.

Sources: OTLP specification ``protocol/otlp.md``, "OTLP/HTTP response" (partial success, failures, throttling);
RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.outputs.otlp.client import MISADDRESSED_LIMIT, ExportResult, Outcome
from exporter.urls import without_secrets

RETRYABLE = frozenset({429, 502, 503, 504})
"""The specification's."""
MISADDRESSED = frozenset({401, 403, 404, 405, 407, 408})
"""What speaks of address or credentials, and every redirect; see :data:`MISADDRESSED_LIMIT`."""
DATA_REFUSED = frozenset({400, 413, 422})
"""What blames the export's data."""
_PROTOBUF = ("application/x-protobuf", "application/protobuf", "application/octet-stream", "")

_ERRORS = frozenset({"error", "errors"})
"""Members of an object that is no OTLP answer, though fields that nobody knows must be ignored (OTLP, "JSON Protobuf
Encoding")."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``headers``: names in lower case. ``body``: as it was before compression."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def is_of_type(self, *types: str) -> bool:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() in types


def judge(answer: HttpAnswer, now: float | None = None) -> ExportResult:
    """What became of the export. ``now``: wall time in seconds."""
    status = answer.status
    if 200 <= status < 300:
        return _success(answer)
    reason = f"HTTP {status} {answer.reason}".strip()
    if 300 <= status < 400:
        reason += (
            f", a redirect to {without_secrets(answer.headers.get('location', 'nowhere'))}:"
            " an endpoint must be the final URL"
        )
    elif message := _message(answer):
        reason += f": {message}"
    code = str(status)
    if status in RETRYABLE:
        return ExportResult(
            Outcome.FAILED, code, reason, _retry_after(answer, time.time() if now is None else now)
        )
    if status in MISADDRESSED or 300 <= status < 400:
        return ExportResult(Outcome.FAILED, code, reason, give_up_after=MISADDRESSED_LIMIT)
    return ExportResult(Outcome.REJECTED, code, reason, data_refused=status in DATA_REFUSED)


def _success(answer: HttpAnswer) -> ExportResult:
    """With status 200 the receiver may still have refused some points, which nobody may send again."""
    if not answer.body:
        return partial(ExportMetricsServiceResponse())
    try:
        if answer.is_of_type(*_PROTOBUF):
            return partial(ExportMetricsServiceResponse.FromString(answer.body))
        if answer.is_of_type("application/json"):
            found = json.loads(answer.body)
            if isinstance(found, dict) and not _ERRORS & found.keys():
                response = ExportMetricsServiceResponse()
                return partial(json_format.ParseDict(found, response, ignore_unknown_fields=True))
    except (DecodeError, json_format.ParseError, ValueError, RecursionError, SystemError):
        pass  # The last is protobuf's for a name with half a surrogate in it.
    # A wrong path often ends at a page that answers 200 to everything.
    kind = answer.headers.get("content-type", "of no type")[:80]
    return ExportResult(
        Outcome.FAILED,
        "no_otlp",
        f"HTTP {answer.status} with a body that is no OTLP answer ({kind}): is this an OTLP receiver?",
        give_up_after=MISADDRESSED_LIMIT,
    )


def _message(answer: HttpAnswer) -> str:
    """Of a failure: a ``google.rpc.Status``, or the beginning of a text."""
    if answer.is_of_type(*_PROTOBUF[:2]):
        try:
            return str(Status.FromString(answer.body).message)[:200]
        except DecodeError:
            return ""
    text = answer.body[:200].decode("utf-8", "replace")
    return "" if answer.is_of_type("text/html") else " ".join(text.split())


def _retry_after(answer: HttpAnswer, now: float) -> float | None:
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError, OSError):  # The last two for years that no clock has.
        return None


def partial(response: ExportMetricsServiceResponse) -> ExportResult:
    """Judge the message of a success; both protocols have the same."""
    told = response.partial_success
    if told.rejected_data_points > 0:
        return ExportResult(
            Outcome.PARTIAL,
            "partial",
            told.error_message[:200],
            refused_points=told.rejected_data_points,
        )
    return ExportResult(Outcome.SUCCESS, reason=told.error_message[:200])
