"""OTLP over gRPC: the SDK's exporter, watched.

Sources: OTLP specification ``protocol/otlp.md``, "OTLP/gRPC response" and "throttling"; googleapis
``google/rpc/error_details.proto`` (RetryInfo).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

from exporter.outputs.otlp.client import Outcome, Result
from exporter.outputs.otlp.environment import system_certificates, unread
from exporter.outputs.otlp.settings import PushSettings
from exporter.outputs.otlp.watch import partial

_DETAILS = "grpc-status-details-bin"
"""Where a server puts a ``google.rpc.Status``, and RetryInfo in it."""
_RETRY_INFO = "google.rpc.retryinfo-bin"
"""Where the SDK looks for RetryInfo, and no server puts it."""


class Told(grpc.RpcError):
    """A failed call as the SDK reads it, with RetryInfo where the SDK looks for it."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__(str(error))
        self._error = error
        self._retry = retry_info(error)

    def code(self) -> grpc.StatusCode:
        return self._error.code()

    def details(self) -> str:
        return self._error.details() or ""

    def trailing_metadata(self) -> Any:
        found = tuple(self._error.trailing_metadata() or ())
        if self._retry is None or any(each.key == _RETRY_INFO for each in found):
            return found
        return (*found, (_RETRY_INFO, self._retry.SerializeToString()))

    @property
    def retry_after(self) -> float:
        """Seconds."""
        delay = self._retry.retry_delay if self._retry is not None else None
        return delay.seconds + delay.nanos / 1e9 if delay is not None else 0.0


def retry_info(error: grpc.RpcError) -> RetryInfo | None:
    """The server's word on when to come again, if it gave one."""
    for each in error.trailing_metadata() or ():
        try:
            if each.key == _RETRY_INFO:
                return RetryInfo.FromString(each.value)
            if each.key == _DETAILS:
                for detail in Status.FromString(each.value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return info
        except DecodeError:
            continue
    return None


class WatchedStub:
    """Stands before the SDK's stub and remembers how the last call ended."""

    def __init__(self, stub: Any, ended: list[Any]) -> None:
        self._stub = stub
        self._ended = ended

    def Export(self, **call: Any) -> Any:  # noqa: N802  the service's name
        try:
            response = self._stub.Export(**call)
        except grpc.RpcError as error:
            told = Told(error)
            self._ended[:] = [told]
            raise told from error
        self._ended[:] = [response]
        return response


class Exporter(OTLPMetricExporter):
    """The SDK's exporter, whose stub is watched each time that it makes one.

    The method is not public. Where a later SDK does not call it, nothing is seen but what ``export`` returns.
    """

    def __init__(self, ended: list[Any], **arguments: Any) -> None:
        self._ended = ended
        super().__init__(**arguments)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]
        self._client: Any = WatchedStub(self._client, self._ended)


class GrpcClient:
    """See :class:`exporter.outputs.otlp.client.Client`."""

    def __init__(self, settings: PushSettings) -> None:
        self._ended: list[Any] = []
        with unread("OTEL_EXPORTER_OTLP_"):
            self._exporter = Exporter(
                self._ended,
                endpoint=settings.endpoint,
                insecure=not settings.secure,
                credentials=credentials(settings) if settings.secure else None,
                headers=tuple(settings.headers.items()),
                timeout=settings.timeout,
                compression=grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression,
            )

    def export(self, data: MetricsData) -> Result:
        self._ended.clear()
        taken = self._exporter.export(data) is MetricExportResult.SUCCESS
        ended = self._ended[0] if self._ended else None
        if taken:
            return partial(ended) if ended is not None else Result(Outcome.SUCCESS)
        if not isinstance(ended, Told):
            return Result(Outcome.FAILED, "unknown")
        bad = ended.code() is grpc.StatusCode.INVALID_ARGUMENT
        return Result(
            Outcome.REJECTED if bad else Outcome.FAILED,
            ended.code().name,
            f"{ended.code().name}: {ended.details()[:200]}",
            ended.retry_after,
        )

    def close(self) -> None:
        self._exporter.shutdown()


def credentials(settings: PushSettings) -> grpc.ChannelCredentials:
    """Of TLS. Without a list of trusted authorities gRPC takes its own, so it is given the system's."""

    def contents(path: str | None) -> bytes | None:
        return Path(path).read_bytes() if path else None

    return grpc.ssl_channel_credentials(
        root_certificates=contents(settings.ca or system_certificates()),
        private_key=contents(settings.key),
        certificate_chain=contents(settings.cert),
    )
