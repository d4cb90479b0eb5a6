"""Which format and encoding a client gets, from the headers that real clients send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from exporter.outputs.prometheus import OPENMETRICS, TEXT
from exporter.outputs.web.negotiation import accepts_gzip, choose

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    f"{PROMETHEUS_2.replace('1.0.0', '1.0.0;q=0.8')}"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        PROTOBUF,
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0",
        'application/openmetrics-text; version="1.0.0"; charset=utf-8',
        "Application/OpenMetrics-Text;Version=1.0.0",
        "text/plain, application/openmetrics-text",
        "text/plain;q=0.5, application/openmetrics-text;q=0.5",
        "*/*;q=0.9, text/plain;q=0.2, application/openmetrics-text;q=0.3",
        "text/plain;q=nonsense, application/openmetrics-text",
    ],
)
def test_openmetrics_where_it_is_named_with_no_less_weight(accept: str) -> None:
    assert choose(accept)[0] is OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        BROWSER,
        "text/plain",
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=0, text/plain;q=0.1",
        "application/openmetrics-text;q=0.2, text/plain;q=0.3",
        "application/openmetrics-text;q=0.2, text/*;q=0.3",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=-1",
        "application/json",
        "text/plain;version=1.0.0",
        ";;;,,,q=1",
    ],
)
def test_text_for_everybody_else(accept: str) -> None:
    assert choose(accept) == (TEXT, "text/plain; version=0.0.4; charset=utf-8")


def test_a_version_of_text_that_is_not_ours_outweighs_nothing() -> None:
    assert choose("text/plain;version=1.0.0, application/openmetrics-text;q=0.5")[0] is OPENMETRICS
    assert choose("text/plain;version=0.0.4, application/openmetrics-text;q=0.5")[0] is TEXT


def test_content_types_are_exact() -> None:
    assert choose(PROMETHEUS_2)[1] == "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_an_escaping_scheme_is_answered_with_underscores() -> None:
    assert (
        choose(PROMETHEUS_3)[1]
        == "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    )


def test_of_several_wishes_for_openmetrics_the_one_with_most_weight_counts() -> None:
    openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    more, less = (
        "application/openmetrics-text;q=0.6",
        "application/openmetrics-text;escaping=underscores;q=0.2",
    )
    for accept in (f"{more},{less},text/plain;q=0.4", f"{less},{more},text/plain;q=0.4"):
        assert choose(accept) == (OPENMETRICS, openmetrics)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("identity", False),
        ("*", False),
        ("gzipped", False),
        ("gzip;q=no", False),
    ],
)
def test_gzip_only_where_it_is_asked_for(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


@given(st.text())
def test_no_header_can_break_it(header: str) -> None:
    assert choose(header)[0] in (TEXT, OPENMETRICS)
    assert accepts_gzip(header) in (True, False)


VICTORIAMETRICS = "text/plain;version=0.0.4;q=1,*/*;q=0.1"


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3, VICTORIAMETRICS, ""])
def test_real_scrapers_get_what_prometheus_client_would_give_them(accept: str) -> None:
    """The Collector's receiver scrapes with the code of Prometheus 3."""
    registry = CollectorRegistry()
    Counter("polls", "Polls begun.", registry=registry).inc()
    encoder, content_type = choose_encoder(accept)
    form, ours = choose(accept)
    assert form.page(registry) == encoder(registry)
    # Its names of escaping schemes are the client's; ours says which one was used.
    assert ours.partition("; escaping=")[0] == content_type.partition("; escaping=")[0]
