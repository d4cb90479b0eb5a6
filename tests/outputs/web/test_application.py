"""What each path answers, called as a WSGI server calls it."""

from __future__ import annotations

import gzip
from typing import Any
from wsgiref.validate import validator

import pytest

from exporter.metrics.published import Published
from exporter.outputs.page.landing import landing
from exporter.outputs.prometheus import OPENMETRICS, TEXT, Page
from exporter.outputs.web.application import Application, Response
from exporter.snapshot import PollState

STATE = PollState(interval=5.0)
COLLECTOR = Published(lambda: STATE, wall=lambda: 0.0, monotonic=lambda: 0.0)


CONTENT: dict[str, Any] = {"time": 0.0, "verdict": {"level": "ok", "text": "Fine."}, "answers": []}


class Client:
    """Calls an application; ``wsgiref.validate`` checks that both sides keep to PEP 3333."""

    def __init__(self, **settings: Any) -> None:
        self.ready = True
        settings.setdefault("ready", lambda: self.ready)
        settings.setdefault("views", {"/": lambda: landing("/metrics", CONTENT)})
        self.application = validator(Application(Page(COLLECTOR), **settings))

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[str, dict[str, str], bytes]:
        answer: list[Any] = []

        def start_response(status: str, fields: list[tuple[str, str]], exc_info: object = None) -> Any:
            answer.extend((status, dict(fields)))

        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "10052",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": _Input(),
            "wsgi.errors": _Errors(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        body = self.application(environ, start_response)
        data = b"".join(body)
        body.close()  # type: ignore[attr-defined]
        return answer[0], answer[1], data


class _Input:
    def read(self, *_: int) -> bytes:
        return b""

    readline = read

    def readlines(self, *_: int) -> list[bytes]:
        return []

    def __iter__(self) -> Any:
        return iter(())


class _Errors:
    def write(self, text: str) -> None:
        raise AssertionError(text)

    def flush(self) -> None:
        pass

    writelines = write


@pytest.fixture
def client() -> Client:
    return Client()


class TestMetrics:
    def test_text_by_default(self, client: Client) -> None:
        status, headers, body = client.ask("/metrics")
        assert status == "200 OK"
        assert headers["Content-Type"] == TEXT.content_type
        assert headers["Content-Length"] == str(len(body))
        assert "Content-Encoding" not in headers
        assert b"# TYPE vmguest_up gauge\nvmguest_up 0.0\n" in body

    def test_openmetrics_on_demand(self, client: Client) -> None:
        _, headers, body = client.ask("/metrics", accept="application/openmetrics-text;version=1.0.0")
        assert headers["Content-Type"] == OPENMETRICS.content_type
        assert body.endswith(b"# EOF\n")

    def test_gzip_on_demand(self, client: Client) -> None:
        _, headers, body = client.ask("/metrics", accept_encoding="gzip")
        assert headers["Content-Encoding"] == "gzip"
        assert headers["Content-Length"] == str(len(body))
        assert gzip.decompress(body) == client.ask("/metrics")[2]

    def test_caches_are_told_what_the_page_depends_on(self, client: Client) -> None:
        assert client.ask("/metrics")[1]["Vary"] == "Accept, Accept-Encoding"

    def test_head_has_the_headers_of_get_and_no_body(self, client: Client) -> None:
        get, head = client.ask("/metrics"), client.ask("/metrics", "HEAD")
        assert head == (get[0], get[1], b"")

    def test_the_path_is_a_setting(self) -> None:
        client = Client(telemetry_path="/guest/metrics")
        assert client.ask("/guest/metrics")[0] == "200 OK"
        assert client.ask("/metrics")[0] == "404 Not Found"


class TestHealth:
    def test_healthy_whatever_the_host_does(self, client: Client) -> None:
        client.ready = False
        assert client.ask("/-/healthy")[::2] == ("200 OK", b"healthy\n")

    def test_ready_once_a_poll_has_ended(self, client: Client) -> None:
        client.ready = False
        status, _, body = client.ask("/-/ready")
        assert (status, body) == ("503 Service Unavailable", b"not ready: no poll has ended yet\n")
        client.ready = True
        assert client.ask("/-/ready")[0] == "200 OK"

    def test_no_cache_keeps_either(self, client: Client) -> None:
        assert client.ask("/-/healthy")[1]["Cache-Control"] == "no-store"


class TestEverythingElse:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    @pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready"])
    def test_other_methods_are_refused_with_those_allowed(
        self, client: Client, method: str, path: str
    ) -> None:
        status, headers, _ = client.ask(path, method)
        assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")

    @pytest.mark.parametrize("path", ["/favicon.ico", "/metrics/", "/METRICS", "/-/", "/../metrics", ""])
    def test_other_paths_are_not_found(self, client: Client, path: str) -> None:
        assert client.ask(path)[0] == "404 Not Found"

    def test_the_front_page_leads_to_the_metrics(self) -> None:
        client = Client(views={"/": lambda: landing("/guest", CONTENT)})
        status, headers, body = client.ask("/")
        assert status == "200 OK"
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert b'<a href="guest">' in body

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_json_is_compressed_on_demand(self, method: str) -> None:
        client = Client(views={"/-/x": lambda: Response(b"[1, 2]", "application/json")})
        status, headers, body = client.ask("/-/x", method, accept_encoding="gzip, deflate")
        assert (status, headers["Content-Encoding"], headers["Vary"]) == ("200 OK", "gzip", "Accept-Encoding")
        assert headers["Cache-Control"] == "no-store"
        assert method == "HEAD" or gzip.decompress(body) == b"[1, 2]"
        _, headers, body = client.ask("/-/x")
        assert (headers.get("Content-Encoding"), headers["Vary"], body) == (
            None,
            "Accept-Encoding",
            b"[1, 2]",
        )

    def test_a_further_page_is_a_row(self) -> None:
        client = Client(views={"/more": lambda: Response(b"{}", "application/json")})
        assert client.ask("/more")[2] == b"{}"
