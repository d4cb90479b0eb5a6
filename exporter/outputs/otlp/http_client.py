"""OTLP over HTTP: the SDK's encoding, sent by ``requests``, within one time limit as a whole.

Why not the SDK's exporter, and why a thread for each export: ``docs/decisions.md``.
"""

from __future__ import annotations

import gzip
import queue
import threading
import time
import zlib
from contextlib import suppress

import requests
import urllib3
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import MetricsData
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from exporter import __version__
from exporter.outputs.otlp.answers import HttpAnswer, judge
from exporter.outputs.otlp.bounded import AnswerTooLarge, BoundedAdapter, CorruptAnswer, CutAnswer
from exporter.outputs.otlp.certificates import system_certificates
from exporter.outputs.otlp.client import MAX_ANSWER, ExportResult, Outcome
from exporter.outputs.otlp.settings import PushSettings

USER_AGENT = f"vmguest-exporter/{__version__} (Python)"


class HttpClient:
    """See :class:`exporter.outputs.otlp.client.Client`.

    Each export runs in a thread of its own, and is waited for no longer than its time limit; then its connection is
    cut. Only the look-up of a name can't be cut short: its thread is left behind, one at most.
    """

    def __init__(self, settings: PushSettings) -> None:
        self._settings = settings
        self._adapter = BoundedAdapter(pool_connections=1, pool_maxsize=1)
        self._session = session(settings, self._adapter)
        self._thread: threading.Thread | None = None
        self._ended: queue.SimpleQueue[ExportResult] = queue.SimpleQueue()
        self._closed = False

    def export(self, data: MetricsData) -> ExportResult:
        deadline = time.monotonic() + self._settings.timeout
        if self._thread is not None:
            if self._thread.is_alive():
                self._adapter.cut()  # It may have had no connection yet when it was given up.
            self._thread.join(self._settings.timeout)
            if self._thread.is_alive():
                return ExportResult(
                    Outcome.FAILED, "timeout", "an earlier export still waits for its connection"
                )
        ended: queue.SimpleQueue[ExportResult] = queue.SimpleQueue()
        self._ended = ended
        if self._closed:
            return _CLOSED
        body = encode_metrics(data).SerializeToString()
        self._thread = threading.Thread(
            target=lambda: ended.put(self._attempt(body, deadline)), name="otlp-export", daemon=True
        )
        self._thread.start()
        try:
            return ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            self._adapter.cut()
            return self._late()

    def _late(self) -> ExportResult:
        return ExportResult(Outcome.FAILED, "timeout", f"no whole answer within {self._settings.timeout:g} s")

    def close(self) -> None:
        self._closed = True
        self._ended.put(_CLOSED)
        self._session.close()

    def _attempt(self, body: bytes, deadline: float) -> ExportResult:
        try:
            return judge(self._post(body, deadline))
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            return self._late()
        except Exception as error:  # noqa: BLE001  whatever it was, the one who waits has to hear of it
            return ExportResult(Outcome.FAILED, type(error).__name__, cause(error))

    def _post(self, body: bytes, deadline: float) -> HttpAnswer:
        headers = {**self._settings.headers, "content-type": "application/x-protobuf"}
        if self._settings.gzip:
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body)
        with self._session.post(
            self._settings.endpoint,
            body,
            headers=headers,
            timeout=max(0.001, deadline - time.monotonic()),
            # A redirected POST becomes a GET, and whatever that answers would look like a success.
            allow_redirects=False,
            stream=True,
        ) as response:
            names = {name.lower(): value for name, value in response.headers.items()}
            # Of an error the beginning will do: its status is what counts.
            body = read_body(response.raw) if response.ok else beginning(response.raw)
            return HttpAnswer(response.status_code, response.reason or "", names, body)


_ERROR = 4096
"""Bytes that are read of an error's body, and that it may become when decompressed."""
_CLOSED = ExportResult(Outcome.FAILED, "closed", "the push has ended")


def session(settings: PushSettings, adapter: BoundedAdapter) -> requests.Session:
    """A session that takes nothing from its surroundings but the proxy.

    An entry in ~/.netrc would replace the Authorization header that was set here, and REQUESTS_CA_BUNDLE the
    certificates.
    """
    made = requests.Session()
    made.trust_env = False
    made.proxies = get_environ_proxies(settings.endpoint)
    made.verify = settings.ca or system_certificates() or True
    made.cert = (settings.cert, settings.key) if settings.cert and settings.key else settings.cert
    # Nothing of an answer is worth compressing, and a compressed one may be a bomb.
    made.headers = CaseInsensitiveDict({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    for scheme in ("http://", "https://"):
        made.mount(scheme, adapter)
    return made


def read_body(raw: urllib3.BaseHTTPResponse) -> bytes:
    """All of an answer, as it was before compression.

    Raises:
        AnswerTooLarge: it does not end within :data:`MAX_ANSWER`. What is beyond is not read.
        CutAnswer: what was compressed is not whole.
        CorruptAnswer: it is not compressed as it says.
    """
    body = b""
    # Until there is nothing more: only then does urllib3 say that something is missing.
    while piece := raw.read(MAX_ANSWER + 1 - len(body), decode_content=False):
        body += piece
        if len(body) > MAX_ANSWER:
            raise AnswerTooLarge
    if not body or _encoding(raw) != "gzip":  # Nothing at all is often said to be gzip.
        return body
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = unzip.decompress(body, MAX_ANSWER)
    except zlib.error:
        raise CorruptAnswer from None
    if not unzip.eof:
        raise AnswerTooLarge if unzip.unconsumed_tail else CutAnswer
    return body


def beginning(raw: urllib3.BaseHTTPResponse) -> bytes:
    """The first bytes of an error's body, as it was before compression; nothing where that can't be undone, or is cut.

    Raises:
        urllib3.exceptions.TimeoutError, TimeoutError: the time is over.
    """
    body = b""
    try:
        body = raw.read(_ERROR, decode_content=False)
    except (urllib3.exceptions.TimeoutError, TimeoutError):
        raise
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    match _encoding(raw):
        case "" | "identity":
            return body
        case "gzip":
            with suppress(zlib.error):
                return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, _ERROR)
    return b""


def _encoding(raw: urllib3.BaseHTTPResponse) -> str:
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    return "gzip" if encoding == "x-gzip" else encoding  # RFC 9110, 8.4.1.3


def cause(error: BaseException) -> str:
    """The error at the bottom: ``requests`` and ``urllib3`` wrap it twice, with addresses of objects."""
    while isinstance(inner := error.__cause__ or error.__context__, Exception) and (
        error.__cause__ or not error.__suppress_context__
    ):
        error = inner
    return getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
