from __future__ import annotations

import logging
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricsData

from exporter.catalogue import UP
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp.capture import Reading
from exporter.outputs.otlp.client import Outcome, Result, connect
from exporter.outputs.otlp.http_client import HttpClient
from exporter.outputs.otlp.plain import PlainTransport
from exporter.outputs.otlp.points import Spelling
from exporter.outputs.otlp.settings import PushSettings, Temporality
from tests.outputs.otlp.receivers import HttpReceiver, Reply, values


def data(value: float = 1.0) -> MetricsData:
    reading = Reading(1000.0, (Family(UP, (Point(value),)),), {})
    return Spelling(Temporality.CUMULATIVE, 0.0).spell(reading)


def settings(url: str, **more: Any) -> PushSettings:
    return replace(PushSettings(f"{url}/v1/metrics", timeout=5.0), **more)


CARRIERS = pytest.mark.parametrize("proxied", [False, True], ids=["plain", "requests"])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@CARRIERS
def test_an_export_arrives_with_its_headers(proxied: bool) -> None:
    with HttpReceiver().running() as receiver:
        client = HttpClient(
            settings(receiver.url, proxied=proxied, headers={"authorization": "Basic x"}, gzip=True)
        )
        assert client.export(data(3.0)) == Result(Outcome.SUCCESS)
        client.close()
        (received,) = receiver.received
    assert received.path == "/v1/metrics"
    assert received.headers["authorization"] == "Basic x"
    assert received.headers["content-type"] == "application/x-protobuf"
    assert received.headers["content-encoding"] == "gzip"
    assert received.headers["user-agent"].startswith("OTel-OTLP-Exporter-Python/")
    assert values([received.request], "vmguest.up") == [3.0]


@CARRIERS
def test_a_redirect_is_not_followed_and_is_no_success(proxied: bool) -> None:
    """The SDK counts 3xx as success: everything would be lost without a word."""
    moved = Reply(302, {"Location": "http://elsewhere.invalid/"})
    with HttpReceiver(moved).running() as receiver:
        client = HttpClient(settings(receiver.url, proxied=proxied))
        result = client.export(data())
        client.close()
    assert (result.outcome, result.code) == (Outcome.FAILED, "302")
    assert "elsewhere.invalid" in result.reason


@CARRIERS
def test_the_sdk_tries_again_when_the_receiver_asks_for_it(proxied: bool) -> None:
    slow_down = Reply(429, {"Retry-After": "0"})
    with HttpReceiver(slow_down, Reply(503, {"Retry-After": "0"})).running() as receiver:
        client = HttpClient(settings(receiver.url, proxied=proxied))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        assert len(receiver.received) == 3


@CARRIERS
def test_a_receiver_that_wants_a_long_rest_is_reported_at_once(proxied: bool) -> None:
    with HttpReceiver(Reply(429, {"Retry-After": "60"})).running() as receiver:
        client = HttpClient(settings(receiver.url, proxied=proxied))
        result = client.export(data())
        client.close()
    assert (result.outcome, result.code, result.retry_after) == (Outcome.FAILED, "429", 60.0)


@CARRIERS
def test_nobody_there_is_a_failure_with_its_cause(proxied: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = HttpClient(settings(url, proxied=proxied, timeout=0.3))
    result = client.export(data())
    client.close()
    assert result.outcome is Outcome.FAILED
    assert "refused" in result.reason.lower()


def test_the_time_limit_is_in_seconds_whatever_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself the SDK would read the variable's milliseconds as seconds, and wait for hours."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "10000")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = HttpClient(settings(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2))
        begun = time.monotonic()
        result = client.export(data())
        client.close()
    assert result.outcome is Outcome.FAILED
    assert time.monotonic() - begun < 30


def test_variables_that_make_no_sense_or_were_outvoted_do_not_reach_the_sdk(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "outvoted=yes,nonsense")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(receiver.url))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        assert "outvoted" not in receiver.received[0].headers
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_proxy_is_used_where_its_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpReceiver().running() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        client = HttpClient(settings("http://collector.invalid:4318", proxied=True))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        assert proxy.received[0].path == "http://collector.invalid:4318/v1/metrics"


def test_a_netrc_does_not_replace_the_authorization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(receiver.url, proxied=True, headers={"authorization": "Basic mine"}))
        client.export(data())
        client.close()
        assert receiver.received[0].headers["authorization"] == "Basic mine"


def test_tls_with_an_authority_of_ones_own_and_a_client_certificate(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ``requests`` would rather take from the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    cert, key, ca = files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = HttpReceiver()
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    with receiver.running():
        url = f"https://127.0.0.1:{receiver.port}"
        client = HttpClient(settings(url, secure=True, ca=ca, cert=cert, key=key))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        stranger = HttpClient(settings(url, secure=True, cert=cert, key=key, timeout=0.3))
        result = stranger.export(data())
        stranger.close()
    assert result.outcome is Outcome.FAILED
    assert "certificate verify failed" in result.reason
    assert len(receiver.received) == 1


def test_an_sdk_without_a_place_for_a_carrier_goes_by_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older(OTLPMetricExporter):
        def __init__(self, endpoint: str, session: requests.Session, **more: Any) -> None:
            super().__init__(endpoint, session=session, **more)

    monkeypatch.setattr("exporter.outputs.otlp.http_client.OTLPMetricExporter", Older)
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(receiver.url))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        assert receiver.received[0].headers["connection"] == "keep-alive"


def test_connect_takes_http_for_http() -> None:
    client = connect(PushSettings("http://127.0.0.1:1/v1/metrics"))
    assert isinstance(client, HttpClient)
    assert isinstance(client._exporter._client._transport, PlainTransport)
    client.close()
