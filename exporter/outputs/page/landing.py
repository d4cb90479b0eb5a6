"""The page at ``/``: a status page for this one machine, that needs nothing from anywhere else.

Its three files stand beside this module. The verdict and the answers are written into it here, so that they are there
without JavaScript; the script asks ``/-/insight`` (:mod:`exporter.outputs.api`) for all the rest. They are files of their own,
so that a strict ``Content-Security-Policy`` of the operator holds too. Links are relative: the page works below
any path of a proxy.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from importlib.resources import files
from typing import Any

from exporter import __version__
from exporter.outputs.web.application import Response, View

WORDS = {
    "ok": "✓ fine",
    "info": "i worth knowing",
    "warning": "! a problem",
    "critical": "✕ a serious problem",
    "unknown": "? not known",
}
"""Mark and word of each level, as the script writes them: never a colour alone."""
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


def landing(telemetry_path: str, content: dict[str, Any]) -> Response:
    """``content``: of :func:`exporter.outputs.api.document`."""
    verdict = content["verdict"]
    values = {
        "METRICS": html.escape(telemetry_path.lstrip("/")),
        "VERSION": __version__,
        "TIME": datetime.fromtimestamp(content["time"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "LEVEL": verdict["level"],
        "WORD": WORDS[verdict["level"]],
        "SUMMARY": html.escape(verdict["text"]),
        "ANSWERS": "".join(map(_answer, content["answers"])),
    }
    page = re.sub("@([A-Z]+)@", lambda mark: values[mark[1]], _file("index.html").decode())
    return Response(page.encode(), "text/html; charset=utf-8", headers=_HEADERS)


def _answer(answer: dict[str, str]) -> str:
    text = {key: html.escape(value) for key, value in answer.items()}
    return (
        f'<li class="{text["level"]}"><h3>{text["question"]}<span>{WORDS[answer["level"]]}</span></h3>'
        f"<p>{text['text']}</p><details><summary>What this rests on</summary><p>{text['threshold']}</p></details></li>"
    )


def views(telemetry_path: str, content: Callable[[], dict[str, Any]]) -> dict[str, View]:
    """The page and what it is made of, by path; ``content`` gives what it shows."""
    return {
        "/": lambda: landing(telemetry_path, content()),
        "/-/status.css": partial(_static, "status.css", "text/css"),
        "/-/status.js": partial(_static, "status.js", "text/javascript"),
    }


def _static(name: str, content_type: str) -> Response:
    return Response(_file(name), f"{content_type}; charset=utf-8", headers=_HEADERS)


@cache
def _file(name: str) -> bytes:
    # Through the import system: the program may be one file, a zip.
    return files("exporter.outputs.page").joinpath(name).read_bytes()
