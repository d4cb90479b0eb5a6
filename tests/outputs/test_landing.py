"""The page at ``/``."""

from __future__ import annotations

from exporter import __version__
from exporter.outputs.landing import landing


def test_it_says_what_this_is_and_leads_to_the_metrics() -> None:
    response = landing("/guest/metrics")
    assert response.content_type == "text/html; charset=utf-8"
    assert f"vmguest-exporter {__version__}".encode() in response.body
    assert b'<a href="/guest/metrics">' in response.body
