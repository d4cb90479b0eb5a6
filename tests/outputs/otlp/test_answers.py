from __future__ import annotations

from email.utils import formatdate

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.outputs.otlp.answers import HttpAnswer, judge
from exporter.outputs.otlp.client import ExportResult, Outcome

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def judged(
    status: int, headers: dict[str, str] | None = None, body: bytes = b"", reason: str = ""
) -> ExportResult:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return judge(HttpAnswer(status, reason, lower, body), now=1000.0)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_taken(status: int) -> None:
    assert judged(status) == ExportResult(Outcome.SUCCESS)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_no_success(status: int) -> None:
    result = judged(status, {"Location": "https://c/v1/metrics"}, reason="Moved")
    assert result == ExportResult(
        Outcome.FAILED,
        str(status),
        f"HTTP {status} Moved, a redirect to https://c/v1/metrics: an endpoint must be the final URL",
        give_up_after=900.0,
    )


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"<html>"),
        ("text/plain", b"ok"),
        ("application/json", b"[]"),
        ("application/json", b'{"error":"no token"}'),
        ("application/json", b'{"a":' * 50_000),
        ("application/json", b"[" * 50_000),
        ("application/json", b"{\xff"),
        ("application/json", b'{"\\ud800":1}'),
        ("application/x-protobuf", b"\xff\xff\xff"),
        ("image/png", b"x"),
    ],
)
def test_a_200_that_is_no_otlp_answer_is_no_success(kind: str, body: bytes) -> None:
    """A wrong path often ends at a page that answers 200 to everything."""
    result = judged(200, {"content-type": kind}, body, "OK")
    assert (result.outcome, result.code, result.give_up_after) == (Outcome.FAILED, "no_otlp", 900.0)
    assert kind in result.reason


def partial(points: int, message: str) -> bytes:
    return ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=points, error_message=message)
    ).SerializeToString()


def test_a_partial_success_tells_how_many_points_were_refused() -> None:
    assert judged(200, PROTOBUF, partial(3, "too old")) == ExportResult(
        Outcome.PARTIAL, "partial", "too old", refused_points=3
    )


def test_of_a_receivers_words_the_beginning_is_enough() -> None:
    long = "x" * 300
    assert judged(200, PROTOBUF, partial(3, long)).reason == "x" * 200
    assert judged(200, PROTOBUF, partial(0, long)).reason == "x" * 200
    body = Status(code=16, message=long).SerializeToString()
    assert judged(401, PROTOBUF, body).reason == f"HTTP 401: {'x' * 200}"
    page = judged(200, {"Content-Type": f"text/{long}"}, b"<html>")
    assert f"({f'text/{long}'[:80]})" in page.reason


def test_a_success_may_come_with_a_remark() -> None:
    assert judged(200, PROTOBUF, partial(0, "deprecated")) == ExportResult(
        Outcome.SUCCESS, reason="deprecated"
    )


def test_fewer_points_than_none_are_no_partial_success() -> None:
    """The field is an int64."""
    assert judged(200, PROTOBUF, partial(-1, "odd")) == ExportResult(Outcome.SUCCESS, reason="odd")


@pytest.mark.parametrize(
    ("body", "points"),
    [
        (b"{}", 0),
        (b'{"partialSuccess":{}}', 0),
        (b'{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}', 3),
        (b'{"partialSuccess":{"rejectedDataPoints":3}}', 3),
        (b'{"partialSuccess":{"rejectedDataPoints":3,"later":[1]},"new":{}}', 3),
        (b'{"requestId":"a"}', 0),
    ],
)
def test_an_answer_in_json_is_one(body: bytes, points: int) -> None:
    result = judged(200, {"Content-Type": "application/json; charset=utf-8"}, body)
    assert (result.outcome, result.refused_points) == (Outcome.PARTIAL if points else Outcome.SUCCESS, points)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/octet-stream"}])
def test_an_answer_of_no_type_is_tried_as_protobuf(headers: dict[str, str]) -> None:
    assert judged(200, headers, partial(3, "")).refused_points == 3


@pytest.mark.parametrize("kind", ["application/x-protobuf", "text/html", ""])
def test_an_empty_answer_is_a_success_of_whatever_type(kind: str) -> None:
    assert judged(200, {"Content-Type": kind}) == ExportResult(Outcome.SUCCESS)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_the_specification_calls_retryable_waits_as_long_as_the_queue_keeps_it(status: int) -> None:
    assert judged(status) == ExportResult(Outcome.FAILED, str(status), f"HTTP {status}")


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 408])
def test_what_speaks_of_address_or_credentials_waits_for_a_quarter_of_an_hour(status: int) -> None:
    expected = ExportResult(Outcome.FAILED, str(status), f"HTTP {status}", give_up_after=900.0)
    assert judged(status) == expected


@pytest.mark.parametrize(
    ("status", "data"),
    [(400, True), (413, True), (422, True), (415, False), (500, False), (501, False), (505, False), (402, False), (418, False)],
)  # fmt: skip
def test_whatever_else_is_refused_is_dropped_or_it_would_block_the_queue(status: int, data: bool) -> None:
    assert judged(status) == ExportResult(Outcome.REJECTED, str(status), f"HTTP {status}", data_refused=data)


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
    [("7", 7), ("0", 0), (formatdate(1030, usegmt=True), 30), (formatdate(900, usegmt=True), 0), ("soon", None), ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None), ("Thu, 01 Jan 1970 00:00:00 +99999999999999999999", None), ("9" * 5000, None), ("-3", None), ("", None)],
)  # fmt: skip
def test_when_to_come_again(text: str, seconds: float | None) -> None:
    assert judged(429, {"Retry-After": text}).retry_after == seconds
