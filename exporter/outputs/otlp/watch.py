"""HTTP answers on their way to the SDK, remembered and judged.

Sources: OTLP specification ``protocol/otlp.md``, "OTLP/HTTP response" (partial success, failures, throttling);
RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.outputs.otlp.client import Outcome, Result

BAD_DATA = frozenset({400, 413, 422})
"""Statuses that blame the export itself: sent again, it would block everything behind it for ever."""
_PROTOBUF = ("application/x-protobuf", "application/protobuf")


class Watch:
    """The last answer, or the error that came instead of one. Header names in any case."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._status = 0
        self._reason = ""
        self._headers: Mapping[str, str] = {}
        self._body = b""
        self._error: Exception | None = None

    def answered(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> None:
        self._status, self._reason, self._body, self._error = status, reason, body, None
        self._headers = {name.lower(): value for name, value in headers.items()}

    def failed(self, error: Exception) -> None:
        self.forget()
        self._error = error

    def result(self, *, taken: bool, now: float | None = None) -> Result:
        """What became of the export that the SDK calls ``taken`` or not."""
        status = self._status
        if not status:
            # Nothing was seen; then the SDK's word is all there is.
            error = self._error
            code = type(error).__name__ if error is not None else "" if taken else "unknown"
            return Result(Outcome.SUCCESS if taken else Outcome.FAILED, code, _words(error) if error else "")
        if 200 <= status < 300 and not self._is("text/html"):
            return self._success()
        reason = f"HTTP {status} {self._reason}".strip()
        if 300 <= status < 400:
            reason += f", a redirect to {self._headers.get('location', 'nowhere')}: an endpoint must be the final URL"
        elif status < 300:
            reason += ", a web page: this is no OTLP receiver"
        elif message := self._message():
            reason += f": {message}"
        outcome = Outcome.REJECTED if status in BAD_DATA else Outcome.FAILED
        return Result(outcome, str(status), reason, self._retry_after(time.time() if now is None else now))

    def _is(self, *types: str) -> bool:
        return self._headers.get("content-type", "").partition(";")[0].strip().lower() in types

    def _success(self) -> Result:
        """With status 200 the receiver may still have refused some points, which nobody may send again."""
        if not self._body or not self._is(*_PROTOBUF):
            return Result(Outcome.SUCCESS)
        try:
            response = ExportMetricsServiceResponse.FromString(self._body)
        except DecodeError:
            return Result(Outcome.SUCCESS)
        return partial(response)

    def _message(self) -> str:
        """Of a failure: a ``google.rpc.Status``, or the beginning of a text."""
        if self._is(*_PROTOBUF):
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

            try:
                return str(Status.FromString(self._body).message)[:200]
            except DecodeError:
                return ""
        text = self._body[:200].decode("utf-8", "replace")
        return "" if self._is("text/html") else " ".join(text.split())

    def _retry_after(self, now: float) -> float:
        text = self._headers.get("retry-after", "").strip()
        if re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (TypeError, ValueError):
            return 0.0


def partial(response: ExportMetricsServiceResponse) -> Result:
    """Judge the message of a success; both protocols have the same."""
    told = response.partial_success
    if told.rejected_data_points > 0:
        return Result(
            Outcome.PARTIAL,
            "partial",
            told.error_message[:200],
            refused_points=told.rejected_data_points,
        )
    return Result(Outcome.SUCCESS, reason=told.error_message[:200])


def _words(error: Exception) -> str:
    """The cause at the bottom: ``requests`` and ``urllib3`` wrap it twice, with addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
