"""OTLP over gRPC: the SDK's encoding, sent by the protocol's own stub on a channel of ours.

Sources: OTLP specification ``protocol/otlp.md``, "OTLP/gRPC response" and "throttling"; googleapis
``google/rpc/error_details.proto`` (RetryInfo). Why not the SDK's exporter: ``docs/decisions.md``.
"""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.sdk.metrics.export import MetricsData

from exporter import __version__
from exporter.outputs.otlp.answers import partial
from exporter.outputs.otlp.certificates import contents, system_certificates
from exporter.outputs.otlp.client import MAX_ANSWER, MISADDRESSED_LIMIT, ExportResult, Outcome
from exporter.outputs.otlp.settings import PushSettings

_DETAILS = "grpc-status-details-bin"
"""Where a server puts a ``google.rpc.Status``, and RetryInfo in it."""

_S = grpc.StatusCode
RETRYABLE = frozenset({_S.CANCELLED, _S.DEADLINE_EXCEEDED, _S.ABORTED, _S.UNAVAILABLE, _S.DATA_LOSS})
"""The specification's, but for OUT_OF_RANGE: what is too old or too new now stays so."""
MISADDRESSED = frozenset({_S.UNAUTHENTICATED, _S.PERMISSION_DENIED, _S.UNIMPLEMENTED})
"""What speaks of address or credentials; see :data:`MISADDRESSED_LIMIT`. A proxy's 404 arrives as UNIMPLEMENTED."""
DATA_REFUSED = frozenset({_S.INVALID_ARGUMENT, _S.OUT_OF_RANGE})
"""What blames the export's data."""


class GrpcClient:
    """See :class:`exporter.outputs.otlp.client.Client`. The time limit holds for the whole call, in gRPC's core."""

    def __init__(self, settings: PushSettings) -> None:
        self._timeout = settings.timeout
        self._metadata = tuple(settings.headers.items())
        self._compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        self._channel = channel(settings)
        self._stub = MetricsServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def export(self, data: MetricsData) -> ExportResult:
        try:
            response = self._stub.Export(
                encode_metrics(data),
                timeout=self._timeout,
                metadata=self._metadata,
                compression=self._compression,
            )
        except grpc.RpcError as error:
            return failure(error)
        return partial(response)

    def close(self) -> None:
        self._channel.close()


def channel(settings: PushSettings) -> grpc.Channel:
    options = (
        ("grpc.primary_user_agent", f"vmguest-exporter/{__version__} (Python)"),
        ("grpc.max_receive_message_length", MAX_ANSWER),
    )
    if not settings.secure:
        return grpc.insecure_channel(settings.endpoint, options)
    # Without a list of trusted authorities gRPC takes its own, so it is given the system's.
    credentials = grpc.ssl_channel_credentials(
        root_certificates=contents(settings.ca or system_certificates()),
        private_key=contents(settings.key),
        certificate_chain=contents(settings.cert),
    )
    return grpc.secure_channel(settings.endpoint, credentials, options)


def failure(error: Any) -> ExportResult:
    """Judge a call that ended in a status other than OK."""
    code: grpc.StatusCode = error.code()
    reason = f"{code.name}: {cause(error.details() or '')}"
    wish = retry_after(error.trailing_metadata() or ())
    if code in RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and wish is not None):
        return ExportResult(Outcome.FAILED, code.name, reason, wish)
    if code in MISADDRESSED:
        return ExportResult(Outcome.FAILED, code.name, reason, give_up_after=MISADDRESSED_LIMIT)
    return ExportResult(Outcome.REJECTED, code.name, reason, data_refused=code in DATA_REFUSED)


def retry_after(trailing: Any) -> float | None:
    """Seconds that the server wants to be left alone; None where it does not say."""
    for each in trailing:
        if each.key != _DETAILS:
            continue
        try:
            for detail in Status.FromString(each.value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
        except DecodeError:
            continue
    return None


_CAUSES = (
    # The words of gRPC's core and of the OpenSSL in it, about a connection that came to nothing.
    (r"CERTIFICATE_VERIFY_FAILED: ([^:\]]+)", r"the receiver's certificate is not accepted: \1"),
    (
        r"Hostname Verification Check failed|is not in peer certificate",
        "the receiver's certificate is for another name",
    ),
    (r"WRONG_VERSION_NUMBER", "the receiver does not speak TLS"),
    (r"last error: (?:[A-Z_]+: )?(.+)", r"\1"),
)


def cause(details: str) -> str:
    """What a tired operator has to know of a long chain of wrapped errors."""
    for pattern, words in _CAUSES:
        if match := re.search(pattern, details):
            return match.expand(words)[:200]
    return details[:200]
