from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import MetricsData

from exporter.catalogue import UP
from exporter.clock import Instant
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp.client import MAX_ANSWER, ExportResult, Outcome
from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.grpc_client import GrpcClient, cause, failure
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Batch
from exporter.outputs.otlp.settings import PushSettings, Temporality
from tests.outputs.otlp.hostile import WAYS, accepting, drip, read_head, relay
from tests.outputs.otlp.receivers import GrpcReceiver, Refusal, values


def data(value: float = 1.0) -> MetricsData:
    batch = Batch(Instant(1000.0, 0.0), (Family(UP, (Point(value),)),))
    return Converter(Temporality.CUMULATIVE, {}).convert(batch)


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


def export(
    *replies: Refusal | ExportMetricsServiceResponse, **more: Any
) -> tuple[ExportResult, GrpcReceiver]:
    with GrpcReceiver(*replies).running() as receiver:
        client = GrpcClient(settings(receiver.port, **more))
        result = client.export(data(3.0))
        client.close()
    return result, receiver


def test_an_export_arrives_with_its_headers() -> None:
    result, receiver = export(headers={"authorization": "Basic x"}, gzip=True)
    assert result == ExportResult(Outcome.SUCCESS)
    assert values(receiver.accepted, "vmguest.up") == [3.0]
    assert receiver.metadata[0]["authorization"] == "Basic x"
    assert str(receiver.metadata[0]["user-agent"]).startswith("vmguest-exporter/")


@pytest.mark.parametrize("packed", [True, False])
def test_an_export_is_compressed_where_that_is_wanted(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC's server hides how a message came, so that it is looked at on its way."""
    passed: list[bytes] = []
    labels = (("setting", "x" * 100_000),)
    batch = Batch(Instant(1000.0, 0.0), (Family(UP, (Point(3.0, labels),)),))
    with GrpcReceiver().running() as receiver, relay(receiver.port, passed) as proxy:
        monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{proxy}")
        client = GrpcClient(settings(0, endpoint=f"localhost:{receiver.port}", gzip=packed, timeout=20.0))
        result = client.export(Converter(Temporality.CUMULATIVE, {}).convert(batch))
        client.close()
    assert result == ExportResult(Outcome.SUCCESS)
    assert values(receiver.accepted, "vmguest.up") == [3.0]
    assert (sum(map(len, passed)) < 50_000) is packed


def test_a_partial_success_tells_how_many_points_were_refused() -> None:
    told = ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
    result, _ = export(ExportMetricsServiceResponse(partial_success=told))
    assert result == ExportResult(Outcome.PARTIAL, "partial", "too old", refused_points=3)


@pytest.mark.parametrize(
    "trailing",
    [
        details(retry_info(60, 500_000_000)),
        details(ErrorInfo(), retry_info(60, 500_000_000)),
        (("grpc-status-details-bin", b"\xff\xff"), ("x", b"y"), *details(retry_info(60, 500_000_000))),
    ],
)
def test_one_export_is_one_try_and_says_when_to_come_again(
    trailing: tuple[tuple[str, bytes], ...],
) -> None:
    # gRPC wants text where a name does not end in -bin.
    sent: Any = tuple((name, value if name.endswith("-bin") else value.decode()) for name, value in trailing)
    result, receiver = export(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", sent))
    assert result == ExportResult(Outcome.FAILED, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED: slow down", 60.5)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("code", "outcome", "give_up_after", "data"),
    [
        ("CANCELLED", Outcome.FAILED, None, False),
        ("DEADLINE_EXCEEDED", Outcome.FAILED, None, False),
        ("ABORTED", Outcome.FAILED, None, False),
        ("UNAVAILABLE", Outcome.FAILED, None, False),
        ("DATA_LOSS", Outcome.FAILED, None, False),
        ("UNAUTHENTICATED", Outcome.FAILED, 900.0, False),
        ("PERMISSION_DENIED", Outcome.FAILED, 900.0, False),
        ("UNIMPLEMENTED", Outcome.FAILED, 900.0, False),
        ("INVALID_ARGUMENT", Outcome.REJECTED, None, True),
        ("OUT_OF_RANGE", Outcome.REJECTED, None, True),
        ("RESOURCE_EXHAUSTED", Outcome.REJECTED, None, False),
        ("INTERNAL", Outcome.REJECTED, None, False),
        ("UNKNOWN", Outcome.REJECTED, None, False),
        ("NOT_FOUND", Outcome.REJECTED, None, False),
        ("ALREADY_EXISTS", Outcome.REJECTED, None, False),
        ("FAILED_PRECONDITION", Outcome.REJECTED, None, False),
    ],
)
def test_which_status_waits_and_which_is_dropped(
    code: str, outcome: Outcome, give_up_after: float | None, data: bool
) -> None:
    result, receiver = export(Refusal(grpc.StatusCode[code], "what is this"))
    expected = ExportResult(
        outcome, code, f"{code}: what is this", give_up_after=give_up_after, data_refused=data
    )
    assert result == expected
    assert len(receiver.received) == 1


def test_nobody_there_is_a_failure_with_its_cause() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = GrpcClient(settings(port, timeout=0.3))
    result = client.export(data())
    client.close()
    assert (result.outcome, result.code) == (Outcome.FAILED, "UNAVAILABLE")
    assert result.reason.endswith("Connection refused")


def test_an_outage_leaves_no_line_on_standard_error_and_no_word_of_the_variables_counts() -> None:
    """gRPC's core writes there by itself; in a process of its own, since it reads its settings once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code = f"""
import os
from exporter.outputs.otlp.connect import connect
from exporter.outputs.otlp.settings import PushSettings
from opentelemetry.sdk.metrics.export import MetricsData
for secure in (False, True):
    client = connect(PushSettings("127.0.0.1:{port}", "grpc", secure=secure, timeout=5))
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


NOW = datetime.now(UTC)


def presenting(issued: trustme.LeafCert) -> grpc.ServerCredentials:
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    return grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("expired", "the receiver's certificate is not accepted: certificate has expired"),
        ("unknown", "the receiver's certificate is not accepted: unable to get local issuer certificate"),
        ("name", "the receiver's certificate is for another name"),
        ("plain", "the receiver does not speak TLS"),
    ],
)
def test_what_is_wrong_with_tls_is_said(
    what: str, words: str, files: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    credentials = {
        "expired": presenting(
            authority.issue_cert(
                "localhost", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1)
            )
        ),
        "unknown": presenting(trustme.CA().issue_cert("localhost")),
        "name": presenting(authority.issue_cert("elsewhere.example")),
        "plain": None,
    }[what]
    with GrpcReceiver().running(credentials) as receiver:
        client = GrpcClient(settings(0, endpoint=f"localhost:{receiver.port}", secure=True, ca=files.ca))
        result = client.export(data())
        client.close()
    assert (result.code, result.reason) == ("UNAVAILABLE", f"UNAVAILABLE: {words}")


def test_closing_cuts_short_a_call_of_another_thread_and_closing_twice_is_fine() -> None:
    results: list[ExportResult] = []
    over, asked = threading.Event(), threading.Event()

    def silent(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            asked.set()
            over.wait(20)

    with accepting(silent) as port:
        client = GrpcClient(settings(port, timeout=60.0))
        thread = threading.Thread(target=lambda: results.append(client.export(data())))
        thread.start()
        assert asked.wait(20)
        client.close()
        thread.join(20)
        assert not thread.is_alive()
        client.close()
        over.set()
    assert [each.outcome for each in results] == [Outcome.FAILED]


def export_by(
    way: str, receiver: GrpcReceiver, files: Any, monkeypatch: pytest.MonkeyPatch, timeout: float
) -> ExportResult:
    """Over TLS where ``way`` says so, and through a proxy."""
    secure = {"secure": True, "ca": files.ca} if way.startswith("tls") else {}
    with ExitStack() as stack:
        endpoint = f"127.0.0.1:{receiver.port}"
        if way.endswith("proxy"):
            proxy = stack.enter_context(relay(receiver.port))
            monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{proxy}")
            endpoint = f"localhost:{receiver.port}"
        client = GrpcClient(settings(0, endpoint=endpoint, timeout=timeout, **secure))
        result = client.export(data())
        client.close()
    return result


def credentials_for(way: str, files: Any) -> grpc.ServerCredentials | None:
    pair = (Path(files.key).read_bytes(), Path(files.cert).read_bytes())
    return grpc.ssl_server_credentials([pair]) if way.startswith("tls") else None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "size",
    [
        MAX_ANSWER - 100,
        MAX_ANSWER + 1,
        pytest.param(64 * 2**20, marks=pytest.mark.complete(reason="seconds to make so many bytes")),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_no_answer_is_read_beyond_a_limit(
    way: str, size: int, packed: bool, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressed or not; 64 MiB are 64 kB when packed, fewer bytes on the wire than the limit."""
    told = ExportMetricsServiceResponse(partial_success=ExportMetricsPartialSuccess(error_message="x" * size))
    compression = grpc.Compression.Gzip if packed else None
    with GrpcReceiver(told).running(credentials_for(way, files), compression=compression) as receiver:
        result = export_by(way, receiver, files, monkeypatch, timeout=30.0)
    assert len(receiver.received) == 1
    if size < MAX_ANSWER:
        assert result.outcome is Outcome.SUCCESS
    else:
        assert (result.outcome, result.code) == (Outcome.REJECTED, "RESOURCE_EXHAUSTED")


class EndlessReceiver(GrpcReceiver):
    """One message after the other, where the protocol has one."""

    def Export(self, request: Any, context: Any) -> Any:
        self.received.append(request)
        while context.is_active():
            yield ExportMetricsServiceResponse()

    @contextmanager
    def running(self, credentials: grpc.ServerCredentials | None = None, *_: Any, **__: Any) -> Iterator[Any]:
        handler = grpc.unary_stream_rpc_method_handler(
            self.Export,
            request_deserializer=ExportMetricsServiceRequest.FromString,
            response_serializer=ExportMetricsServiceResponse.SerializeToString,
        )
        service = "opentelemetry.proto.collector.metrics.v1.MetricsService"
        with ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool)
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, {"Export": handler}),)
            )
            add = server.add_insecure_port
            self.port = (
                add("127.0.0.1:0")
                if credentials is None
                else server.add_secure_port("127.0.0.1:0", credentials)
            )
            server.start()
            try:
                yield self
            finally:
                server.stop(0).wait()


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_without_end_is_a_failure(way: str, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with EndlessReceiver().running(credentials_for(way, files)) as receiver:
        result = export_by(way, receiver, files, monkeypatch, timeout=1.0)
    assert len(receiver.received) == 1
    assert result.outcome in {Outcome.FAILED, Outcome.REJECTED}


def test_without_certificates_given_those_of_the_system_are_trusted(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC brings its own, in which a company's authority is missing."""
    monkeypatch.setenv("SSL_CERT_FILE", files.ca)
    with GrpcReceiver().running(credentials_for("tls", files)) as receiver:
        client = GrpcClient(settings(0, endpoint=f"localhost:{receiver.port}", secure=True, timeout=20.0))
        assert client.export(data()) == ExportResult(Outcome.SUCCESS)
        client.close()


@pytest.mark.parametrize("way", ["plain", "tls", "proxy"])
@pytest.mark.parametrize("what", ["silence", "drip", "nonsense"])
def test_the_time_limit_holds_for_the_whole(
    way: str, what: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection:
            if way == "proxy":
                read_head(connection)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            if what == "nonsense":
                connection.sendall(b"220 mail ESMTP\r\n" * 1000)
            elif what == "drip":
                # The beginning of an HTTP/2 SETTINGS frame of 16 kB, a byte at a time.
                connection.sendall(b"\x00\x40\x00\x04\x00\x00\x00\x00\x00")
                drip(connection, over, b"\x00")
            ended.append(over.wait(20))

    ended: list[bool] = []
    with accepting(handle) as port:
        if way == "proxy":
            monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{port}")
        secure = {"secure": True, "ca": files.ca} if way == "tls" else {}
        target = {"endpoint": f"collector.invalid:{port}"} if way == "proxy" else {}
        client = GrpcClient(settings(port, timeout=0.5, **secure, **target))
        result = client.export(data())
        client.close()
        over.set()
    assert result.outcome is Outcome.FAILED
    assert result.code in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
    assert all(ended), "it was the peer that ended it"


def test_an_error_without_a_word_on_retrying() -> None:
    class Bare(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> Any:
            return None

        def trailing_metadata(self) -> Any:
            return None

    assert failure(Bare()) == ExportResult(Outcome.REJECTED, "UNKNOWN", "UNKNOWN: ")


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ("y" * 300, "y" * 200),
        (f"failed to connect; last error: UNKNOWN: {'y' * 300}", "y" * 200),
        (
            f"SSL: CERTIFICATE_VERIFY_FAILED: {'y' * 300}",
            f"the receiver's certificate is not accepted: {'y' * 156}",
        ),
    ],
)
def test_of_a_long_cause_the_beginning_is_enough(details: str, told: str) -> None:
    assert cause(details) == told
