"""Which format and encoding a client gets: RFC 9110 section 12.5, as far as two formats and gzip need it.

Sources: Prometheus docs ``instrumenting/content_negotiation``. Prometheus 3 asks for OpenMetrics first, for text
with less weight, and names an escaping scheme for names; ours need none, so any scheme gives the same page and
``underscores`` is said back. A client is never refused: what can't be read or met gets text 0.0.4.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from exporter.outputs.prometheus import OPENMETRICS, TEXT, Format


class AcceptElement(NamedTuple):
    """One element of an ``Accept`` or ``Accept-Encoding`` header."""

    value: str
    parameters: dict[str, str]
    quality: float


def ranges(header: str) -> list[AcceptElement]:
    """The elements of a header in their order; one with a quality that is no number is left out."""
    found = []
    for element in header.split(","):
        value, *rest = (part.strip().lower() for part in element.split(";"))
        parameters = {
            name.strip(): text.strip(' "') for name, _, text in (part.partition("=") for part in rest)
        }
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if value and 0 <= quality <= 1:
            found.append(AcceptElement(value, parameters, quality))
    return found


@lru_cache(maxsize=64)
def choose(accept: str) -> tuple[Format, str]:
    """The format for an ``Accept`` header, and the content type to answer with.

    OpenMetrics only where it is named, in version 1.0.0 or without one, with no less weight than text: a
    browser's ``*/*`` is no wish for it.
    """
    openmetrics, escaping = 0.0, False
    text: tuple[int, float] = (0, 0.0)
    for value, parameters, quality in ranges(accept):
        version = parameters.get("version")
        if value == "application/openmetrics-text" and version in (None, "1.0.0") and quality > openmetrics:
            openmetrics, escaping = quality, "escaping" in parameters
        elif value in _TEXT_RANGES and version in (None, "0.0.4"):
            # The most exact range counts, not the one with most weight.
            text = max(text, (_TEXT_RANGES[value], quality))
    form = OPENMETRICS if openmetrics and openmetrics >= text[1] else TEXT
    return (
        form,
        f"{form.content_type}; escaping=underscores"
        if escaping and form is OPENMETRICS
        else form.content_type,
    )


_TEXT_RANGES = {"*/*": 1, "text/*": 2, "text/plain": 3}
"""Media ranges that cover text 0.0.4, by how exactly they name it."""


@lru_cache(maxsize=64)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header asks for gzip by name; ``*`` alone is left uncompressed."""
    return any(value in ("gzip", "x-gzip") and quality > 0 for value, _, quality in ranges(accept_encoding))
