from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import MetricsData

from exporter.catalogue import UP
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp.capture import Reading
from exporter.outputs.otlp.client import Outcome, Result, connect
from exporter.outputs.otlp.grpc_client import GrpcClient, Told
from exporter.outputs.otlp.points import Spelling
from exporter.outputs.otlp.settings import GRPC, PushSettings, Temporality
from tests.outputs.otlp.receivers import GrpcReceiver, Refusal, values


def data(value: float = 1.0) -> MetricsData:
    reading = Reading(1000.0, (Family(UP, (Point(value),)),), {})
    return Spelling(Temporality.CUMULATIVE, 0.0).spell(reading)


def settings(port: int, **more: Any) -> PushSettings:
    return replace(PushSettings(f"127.0.0.1:{port}", GRPC, timeout=5.0), **more)


def retry_info(seconds: int, nanos: int = 0) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos))


def details(*messages: Any) -> tuple[tuple[str, bytes], ...]:
    """As servers send it: a Status with the details packed in."""
    status = Status(code=8, message="slow down")
    for message in messages:
        packed = Packed()
        packed.Pack(message)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def export(*replies: Refusal | ExportMetricsServiceResponse, **more: Any) -> tuple[Result, GrpcReceiver]:
    with GrpcReceiver(*replies).running() as receiver:
        client = GrpcClient(settings(receiver.port, **more))
        result = client.export(data(3.0))
        client.close()
    return result, receiver


def test_an_export_arrives_with_its_headers() -> None:
    result, receiver = export(headers={"authorization": "Basic x"}, gzip=True)
    assert result == Result(Outcome.SUCCESS)
    assert values(receiver.accepted, "vmguest.up") == [3.0]
    assert receiver.metadata[0]["authorization"] == "Basic x"
    assert "OTel-OTLP-Exporter-Python/" in str(receiver.metadata[0]["user-agent"])


def test_a_partial_success_tells_how_many_points_were_refused() -> None:
    told = ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
    result, _ = export(ExportMetricsServiceResponse(partial_success=told))
    assert result == Result(Outcome.PARTIAL, "partial", "too old", refused_points=3)


def test_retry_info_where_servers_put_it_is_heeded_by_the_sdk() -> None:
    """By itself the SDK looks for it in another place, and would wait a second here."""
    slow_down = Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", details(ErrorInfo(), retry_info(0, 1000))
    )
    result, receiver = export(slow_down, timeout=0.7)
    assert result.outcome is Outcome.SUCCESS
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    "trailing",
    [
        details(retry_info(60, 500_000_000)),
        (("google.rpc.retryinfo-bin", retry_info(60, 500_000_000).SerializeToString()),),
        (("grpc-status-details-bin", b"\xff\xff"), ("x", b"y"), *details(retry_info(60, 500_000_000))),
    ],
)
def test_a_receiver_that_wants_a_long_rest_is_reported_at_once(
    trailing: tuple[tuple[str, bytes], ...],
) -> None:
    # gRPC wants text where a name does not end in -bin.
    sent: Any = tuple((name, value if name.endswith("-bin") else value.decode()) for name, value in trailing)
    result, receiver = export(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", sent))
    assert result == Result(Outcome.FAILED, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED: slow down", 60.5)
    assert len(receiver.received) == 1


def test_bad_data_is_rejected_for_good() -> None:
    result, receiver = export(Refusal(grpc.StatusCode.INVALID_ARGUMENT, "what is this"))
    assert result == Result(Outcome.REJECTED, "INVALID_ARGUMENT", "INVALID_ARGUMENT: what is this")
    assert len(receiver.received) == 1


def test_whatever_else_is_refused_may_be_taken_later() -> None:
    result, _ = export(Refusal(grpc.StatusCode.UNAUTHENTICATED, "no token"))
    assert result == Result(Outcome.FAILED, "UNAUTHENTICATED", "UNAUTHENTICATED: no token")


def test_nobody_there_is_a_failure_with_its_cause() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = GrpcClient(settings(port, timeout=0.3))
    result = client.export(data())
    client.close()
    assert (result.outcome, result.code) == (Outcome.FAILED, "UNAVAILABLE")


def test_an_outage_leaves_no_line_on_standard_error_and_no_word_of_the_variables_counts() -> None:
    """gRPC's core writes there by itself; in a process of its own, since it reads its settings once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code = f"""
import os
from exporter.outputs.otlp.client import connect
from exporter.outputs.otlp.settings import PushSettings
from exporter.outputs.otlp.quiet import turned_down
from opentelemetry.sdk.metrics.export import MetricsData
with turned_down():
    for secure in (False, True):
        client = connect(PushSettings("127.0.0.1:{port}", "grpc", secure=secure, timeout=0.3))
        print(client.export(MetricsData([])).code)
        client.close()
"""
    environ = {
        "PATH": "",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "10s",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environ
    )
    assert done.stdout.split() == ["UNAVAILABLE"] * 2
    assert done.stderr == ""


def test_tls_with_an_authority_of_ones_own_and_a_client_certificate(files: Any) -> None:
    cert, key, ca = files
    credentials = grpc.ssl_server_credentials(
        [(Path(key).read_bytes(), Path(cert).read_bytes())], Path(ca).read_bytes(), require_client_auth=True
    )
    with GrpcReceiver().running(credentials) as receiver:
        client = GrpcClient(settings(receiver.port, secure=True, ca=ca, cert=cert, key=key))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        stranger = GrpcClient(settings(receiver.port, secure=True, timeout=0.5))
        assert stranger.export(data()).outcome is Outcome.FAILED
        stranger.close()
    assert len(receiver.received) == 1


def test_closing_cuts_short_the_sdks_wait_for_its_next_try() -> None:
    refused = Refusal(grpc.StatusCode.UNAVAILABLE, "", details(retry_info(20)))
    results: list[Result] = []
    with GrpcReceiver(refused, refused).running() as receiver:
        client = GrpcClient(settings(receiver.port, timeout=60.0))
        thread = threading.Thread(target=lambda: results.append(client.export(data())))
        thread.start()
        while not receiver.received:
            time.sleep(0.005)
        client.close()
        thread.join(15)
        assert not thread.is_alive()
    assert [each.outcome for each in results] == [Outcome.FAILED]


def test_a_later_sdk_that_makes_its_stub_elsewhere_is_believed_on_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain: Callable[[Any], None] = OTLPMetricExporter._initialize_channel_and_stub
    monkeypatch.setattr("exporter.outputs.otlp.grpc_client.Exporter._initialize_channel_and_stub", plain)
    assert export()[0] == Result(Outcome.SUCCESS)
    assert export(Refusal(grpc.StatusCode.PERMISSION_DENIED))[0] == Result(Outcome.FAILED, "unknown")


def test_an_error_without_a_word_on_retrying() -> None:
    class Bare(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> Any:
            return None

        def trailing_metadata(self) -> Any:
            return None

    told = Told(Bare())
    assert (told.code(), told.details(), told.trailing_metadata(), told.retry_after) == (
        grpc.StatusCode.UNKNOWN,
        "",
        (),
        0.0,
    )


def test_connect_takes_grpc_for_grpc(caplog: pytest.LogCaptureFixture) -> None:
    client = connect(PushSettings("127.0.0.1:1", GRPC))
    assert isinstance(client, GrpcClient)
    client.close()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
