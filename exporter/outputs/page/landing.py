"""The page at ``/``: a status page for this one machine, that needs nothing from anywhere else.

Its three files stand in ``page/`` as they are sent. The script asks :mod:`exporter.outputs.page.status` for what to
show. They are files of their own, so that a strict ``Content-Security-Policy`` of the operator holds too.
"""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files

from exporter import __version__
from exporter.outputs.web.application import Response, View

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


def landing(telemetry_path: str) -> Response:
    """``telemetry_path`` holds no character that means anything to HTML; the settings see to that."""
    page = _file("index.html").replace(b"@METRICS@", telemetry_path.encode())
    return Response(
        page.replace(b"@VERSION@", __version__.encode()), "text/html; charset=utf-8", headers=_HEADERS
    )


def views(telemetry_path: str, status: View) -> dict[str, View]:
    """The page and what it is made of, by path; ``status`` answers with what it shows."""
    return {
        "/": partial(landing, telemetry_path),
        "/-/status": status,
        "/-/status.css": lambda: Response(_file("status.css"), "text/css; charset=utf-8", headers=_HEADERS),
        "/-/status.js": lambda: Response(
            _file("status.js"), "text/javascript; charset=utf-8", headers=_HEADERS
        ),
    }


@cache
def _file(name: str) -> bytes:
    # Through the import system: the program may be one file, a zip.
    return files("exporter.outputs.page").joinpath(name).read_bytes()
