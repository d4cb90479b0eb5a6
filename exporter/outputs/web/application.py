"""What the web server answers, as a WSGI application (PEP 3333): metrics, health, status page.

No request reaches the host, waits for a poll or changes anything. The metrics are bytes that stand ready; the
application may be called from any thread, and in the server's own loop, since it never blocks.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from exporter.outputs.prometheus import GZIP_LEVEL, Page
from exporter.outputs.web.negotiation import accepts_gzip, choose

Headers = list[tuple[str, str]]
Environ = dict[str, Any]
StartResponse = Callable[[str, Headers], object]
"""The two arguments of PEP 3333's ``start_response`` that are used."""
WSGI = Callable[[Environ, StartResponse], Iterable[bytes]]


class Response(NamedTuple):
    """A whole answer. ``Content-Length`` is added when it is sent."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-store"),)


View = Callable[[], Response]


def answer(response: Response, method: str, start_response: StartResponse) -> Iterable[bytes]:
    """Send ``response``; to HEAD without its body."""
    length = ("Content-Length", str(len(response.body)))
    start_response(response.status, [("Content-Type", response.content_type), length, *response.headers])
    return (response.body,) if method != "HEAD" else ()


def responding(response: Response) -> WSGI:
    """An application that knows one answer."""
    return lambda environ, start_response: answer(response, environ["REQUEST_METHOD"], start_response)


class Application:
    """Routes by path. ``ready`` tells whether a first poll has ended, well or badly.

    ``views`` are further pages by path; ``/-/healthy`` says only that this process answers, since a liveness
    probe that depended on the hypervisor would restart what a restart can't help.
    """

    def __init__(
        self,
        page: Page,
        ready: Callable[[], bool],
        telemetry_path: str = "/metrics",
        views: Mapping[str, View] | None = None,
    ) -> None:
        self._page = page
        self._ready = ready
        self._telemetry_path = telemetry_path
        self._views: dict[str, View] = {
            "/-/healthy": lambda: Response(b"healthy\n"),
            "/-/ready": self._readiness,
        }
        self._views.update(views or {})

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == self._telemetry_path:
            view: View | None = lambda: self._metrics(environ)  # noqa: E731
        else:
            view = self._views.get(path)
        if view is None:
            response = Response(b"Not found; see /\n", status="404 Not Found")
        elif method not in ("GET", "HEAD"):
            response = Response(
                b"Only GET and HEAD\n", status="405 Method Not Allowed", headers=(("Allow", "GET, HEAD"),)
            )
        else:
            response = _compressed(view(), environ)
        return answer(response, method, start_response)

    def _metrics(self, environ: Environ) -> Response:
        form, content_type = choose(environ.get("HTTP_ACCEPT", ""))
        compressed = accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", ""))
        return Response(
            self._page.body(form, compressed=compressed),
            content_type,
            headers=_GZIPPED if compressed else _PLAIN,
        )

    def _readiness(self) -> Response:
        if self._ready():
            return Response(b"ready\n")
        return Response(b"not ready: no poll has ended yet\n", status="503 Service Unavailable")


def _compressed(response: Response, environ: Environ) -> Response:
    """JSON for whoever takes gzip: a seventh. Metrics are compressed already; the page's files are small."""
    if response.content_type != "application/json":
        return response
    if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
        return response._replace(headers=(*response.headers, _VARY))
    body = gzip.compress(response.body, GZIP_LEVEL, mtime=0)
    return response._replace(body=body, headers=(*response.headers, ("Content-Encoding", "gzip"), _VARY))


_VARY = ("Vary", "Accept-Encoding")
_PLAIN = (("Vary", "Accept, Accept-Encoding"),)
_GZIPPED = (("Content-Encoding", "gzip"), *_PLAIN)
