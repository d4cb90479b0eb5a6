"""Receivers on the loopback that answer as they are told and keep what they were sent."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)

from exporter.clock import Instant
from exporter.metrics.families import Family

PROTOBUF = "application/x-protobuf"


@dataclass
class Reply:
    """One HTTP answer. ``hold`` is waited for first; ``hang_up`` closes instead of answering."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": PROTOBUF})
    body: bytes = b""
    hold: threading.Event | None = None
    hang_up: bool = False


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    request: ExportMetricsServiceRequest
    reply: Any


class HttpReceiver:
    """Gives ``replies`` in turn, then 200 for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.received: list[Received] = []
        self.connections = 0
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportMetricsServiceRequest.FromString(body)
                with receiver.arrived:
                    reply = receiver.replies.pop(0) if receiver.replies else Reply()
                    receiver.received.append(Received(self.path, headers, request, reply))
                    receiver.arrived.notify_all()
                if reply.hold is not None:
                    reply.hold.wait(20)
                if reply.hang_up:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def accepted(self) -> list[ExportMetricsServiceRequest]:
        """What was answered with 200."""
        return [each.request for each in self.received if each.reply.status == 200 and not each.reply.hang_up]

    def wait_for(self, done: Callable[[], bool], timeout: float = 20) -> None:
        with self.arrived:
            assert self.arrived.wait_for(done, timeout), f"{len(self.received)} exports came"

    @contextmanager
    def running(self) -> Iterator[HttpReceiver]:
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


@dataclass
class Refusal:
    code: grpc.StatusCode
    details: str = "no"
    trailing: tuple[tuple[str, bytes], ...] = ()


class GrpcReceiver(MetricsServiceServicer):
    """Gives ``replies`` in turn, then an empty response for ever."""

    def __init__(self, *replies: Refusal | ExportMetricsServiceResponse) -> None:
        self.replies: list[Refusal | ExportMetricsServiceResponse] = list(replies)
        self.received: list[ExportMetricsServiceRequest] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.accepted: list[ExportMetricsServiceRequest] = []
        self.port = 0

    def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:
        self.received.append(request)
        self.metadata.append({each.key: each.value for each in context.invocation_metadata()})
        reply = self.replies.pop(0) if self.replies else ExportMetricsServiceResponse()
        if isinstance(reply, Refusal):
            context.set_trailing_metadata(reply.trailing)
            context.abort(reply.code, reply.details)
            assert False, "abort raises"  # noqa: B011, PT015
        self.accepted.append(request)
        return reply

    @contextmanager
    def running(
        self,
        credentials: grpc.ServerCredentials | None = None,
        port: int = 0,
        compression: grpc.Compression | None = None,
    ) -> Iterator[GrpcReceiver]:
        with ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool, compression=compression)
            add_MetricsServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]
            if credentials is None:
                self.port = server.add_insecure_port(f"127.0.0.1:{port}")
            else:
                self.port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
            server.start()
            try:
                yield self
            finally:
                server.stop(0).wait()


@dataclass
class Gathered:
    """Stands for what is published."""

    gather: Callable[[], list[Family]]
    begun: float = 0.0
    wall: Callable[[], float] = time.time

    def now(self) -> Instant:
        return Instant(self.wall(), time.monotonic())

    def started(self, _now: Instant) -> float:
        return 1000.0

    def collect(self, _now: Instant) -> list[Family]:
        return self.gather()


def points(request: ExportMetricsServiceRequest) -> dict[str, list[Any]]:
    """Data points by metric name."""
    found: dict[str, list[Any]] = {}
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = list(getattr(metric, str(metric.WhichOneof("data"))).data_points)
    return found


def values(requests: Sequence[ExportMetricsServiceRequest], name: str) -> list[float]:
    """The first point of one metric in each export that has it."""
    return [points(each)[name][0].as_double for each in requests if name in points(each)]
