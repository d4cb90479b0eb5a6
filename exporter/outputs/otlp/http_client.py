"""OTLP over HTTP: the SDK's exporter, watched."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

from exporter.outputs.otlp.client import Result
from exporter.outputs.otlp.environment import system_certificates, unread
from exporter.outputs.otlp.settings import PushSettings
from exporter.outputs.otlp.watch import Watch

if TYPE_CHECKING:
    import requests


class HttpClient:
    """See :class:`exporter.outputs.otlp.client.Client`."""

    def __init__(self, settings: PushSettings) -> None:
        self._watch = Watch()
        with unread("OTEL_EXPORTER_OTLP_"):
            self._exporter = OTLPMetricExporter(
                endpoint=settings.endpoint,
                headers=dict(settings.headers),
                timeout=settings.timeout,
                compression=Compression.Gzip if settings.gzip else Compression.NoCompression,
                certificate_file=settings.ca or (system_certificates() if settings.secure else None),
                client_certificate_file=settings.cert,
                client_key_file=settings.key,
                **carrier(settings, self._watch),
            )

    def export(self, data: MetricsData) -> Result:
        self._watch.forget()
        taken = self._exporter.export(data) is MetricExportResult.SUCCESS
        return self._watch.result(taken=taken)

    def close(self) -> None:
        self._exporter.shutdown()


def carrier(settings: PushSettings, watch: Watch) -> dict[str, Any]:
    """The argument of the SDK's exporter that says by what it sends.

    ``session`` is public, and brings TLS and proxies. ``_transport`` is not: where this SDK has none, everything
    goes by session.
    """
    if (
        not settings.secure
        and not settings.proxied
        and "_transport" in signature(OTLPMetricExporter).parameters
    ):
        from exporter.outputs.otlp.plain import PlainTransport

        return {"_transport": PlainTransport(watch)}
    return {"session": watched_session(watch)}


def watched_session(watch: Watch) -> requests.Session:
    """A ``requests`` session that tells ``watch`` what it sees."""
    import requests

    class Session(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> requests.Response:
            # Said with the request, or REQUESTS_CA_BUNDLE of the environment would win over our certificates.
            kwargs.setdefault("verify", self.verify)
            # A redirected POST becomes a GET, and whatever that answers would look like a success.
            kwargs["allow_redirects"] = False
            try:
                response = super().request(*args, **kwargs)
            except Exception as error:
                watch.failed(error)
                raise
            watch.answered(response.status_code, response.reason, response.headers, response.content)
            return response

    session = Session()
    # Without this, an entry for the host in ~/.netrc would replace the Authorization header that was set here.
    session.auth = lambda request: request
    return session
