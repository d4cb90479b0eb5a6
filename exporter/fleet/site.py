"""What a fleet serves, as a WSGI application: every VM's metrics page, service discovery, and the truth.

``/sd`` is Prometheus's HTTP service discovery (docs ``http_sd``): a list of target groups, here of one target each, as
their labels differ.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from exporter.fleet.fleet import Fleet
from exporter.outputs.web.application import Environ, Response, StartResponse, answer

PREFIX, SUFFIX = "/vm/", "/metrics"
_JSON = "application/json; charset=utf-8"

_INDEX = """\
A simulated fleet of {count} VMs.
  /sd                 service discovery for Prometheus: http_sd_configs
  /vm/NAME/metrics    the page of one VM, such as {first}
  /truth              what really happened: who lost what to whom
  /-/healthy
"""


class Site:
    """``pushing``: VMs that push over OTLP and are therefore not to be discovered."""

    def __init__(self, fleet: Fleet, pushing: Collection[str] = ()) -> None:
        self._fleet = fleet
        self._pushing = frozenset(pushing)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith(PREFIX) and path.endswith(SUFFIX):
            return self._vm(path.removeprefix(PREFIX).removesuffix(SUFFIX), environ, start_response)
        if method not in ("GET", "HEAD"):
            response = Response(
                b"Only GET and HEAD\n", status="405 Method Not Allowed", headers=(("Allow", "GET, HEAD"),)
            )
        elif path == "/sd":
            response = _json(self.targets(_reached_at(environ)))
        elif path == "/truth":
            response = _json(self._fleet.truth())
        elif path == "/-/healthy":
            response = Response(b"healthy\n")
        elif path == "/":
            names = [*self._fleet.vms]
            index = _INDEX.format(count=len(names), first=f"{PREFIX}{names[0]}{SUFFIX}")
            response = Response(index.encode())
        else:
            response = Response(b"Not found; see /\n", status="404 Not Found")
        return answer(response, method, start_response)

    def _vm(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        exporter = self._fleet.exporter(name)
        if exporter is None:
            known = name in self._fleet.vms
            response = (
                Response(b"this VM is off\n", status="503 Service Unavailable")
                if known
                else Response(b"no such VM; see /sd\n", status="404 Not Found")
            )
            return answer(response, environ["REQUEST_METHOD"], start_response)
        body = exporter.application({**environ, "PATH_INFO": SUFFIX}, start_response)
        if environ["REQUEST_METHOD"] == "GET":
            self._fleet.served(name)
        return body

    def targets(self, address: str) -> list[dict[str, object]]:
        """The VMs that are to be scraped, at ``address``: host and port by which this server was reached."""
        return [
            {
                "targets": [address],
                "labels": {**vm.labels, "__metrics_path__": f"{PREFIX}{name}{SUFFIX}"},
            }
            for name, vm in self._fleet.vms.items()
            if name not in self._pushing
        ]


def _reached_at(environ: Environ) -> str:
    """Host and port as the client names them; where it does not (HTTP/1.0, an empty Host), those listened at."""
    return environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"


def _json(document: object) -> Response:
    return Response(json.dumps(document).encode(), _JSON)
