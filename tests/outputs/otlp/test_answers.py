from __future__ import annotations

from email.utils import formatdate

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.outputs.otlp.answers import Answer, judge
from exporter.outputs.otlp.client import Outcome, Result

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def judged(status: int, headers: dict[str, str] | None = None, body: bytes = b"", reason: str = "") -> Result:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return judge(Answer(status, reason, lower, body), now=1000.0)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_taken(status: int) -> None:
    assert judged(status) == Result(Outcome.SUCCESS)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_no_success(status: int) -> None:
    result = judged(status, {"Location": "https://c/v1/metrics"}, reason="Moved")
    assert result == Result(
        Outcome.FAILED,
        str(status),
        f"HTTP {status} Moved, a redirect to https://c/v1/metrics: an endpoint must be the final URL",
    )


def test_a_web_page_is_no_success() -> None:
    """A wrong path often ends at a page that answers 200 to everything."""
    result = judged(200, {"content-type": "text/html; charset=utf-8"}, b"<html>", "OK")
    assert result.outcome is Outcome.FAILED
    assert result.reason == "HTTP 200 OK, a web page: this is no OTLP receiver"


def partial(points: int, message: str) -> bytes:
    return ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=points, error_message=message)
    ).SerializeToString()


def test_a_partial_success_tells_how_many_points_were_refused() -> None:
    assert judged(200, PROTOBUF, partial(3, "too old")) == Result(
        Outcome.PARTIAL, "partial", "too old", refused_points=3
    )


def test_a_success_may_come_with_a_remark() -> None:
    assert judged(200, PROTOBUF, partial(0, "deprecated")) == Result(Outcome.SUCCESS, reason="deprecated")


@pytest.mark.parametrize("headers", [PROTOBUF, {"Content-Type": "application/json"}, {}])
def test_a_success_with_another_body_is_one(headers: dict[str, str]) -> None:
    assert judged(200, headers, b'{"partialSuccess":{}}') == Result(Outcome.SUCCESS)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_bad_data_is_rejected_for_good(status: int) -> None:
    assert judged(status).outcome is Outcome.REJECTED


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
def test_whatever_else_is_refused_may_be_taken_later(status: int) -> None:
    assert judged(status) == Result(Outcome.FAILED, str(status), f"HTTP {status}")


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        (PROTOBUF, Status(code=16, message="no token").SerializeToString(), ": no token"),
        (PROTOBUF, b"\xff\xff\xff", ""),
        ({"Content-Type": "text/plain"}, b"  no\n token  " + b"x" * 300, f": no token {'x' * 187}"),
        ({"Content-Type": "text/html"}, b"<html>", ""),
    ],
)
def test_the_receivers_own_words(headers: dict[str, str], body: bytes, message: str) -> None:
    assert judged(401, headers, body, "Unauthorized").reason == f"HTTP 401 Unauthorized{message}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), (formatdate(1030, usegmt=True), 30), (formatdate(900, usegmt=True), 0), ("soon", 0), ("-3", 0), ("", 0)],
)  # fmt: skip
def test_when_to_come_again(text: str, seconds: float) -> None:
    assert judged(429, {"Retry-After": text}).retry_after == seconds
