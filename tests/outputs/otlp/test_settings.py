from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.config.settings import Otlp
from exporter.errors import ConfigError
from exporter.machine.system import LINUX, WINDOWS, System
from exporter.outputs.otlp.endpoint import target
from exporter.outputs.otlp.settings import MAX_QUEUE, PushSettings, Temporality, resolve
from exporter.outputs.otlp.variables import NamedValue


def settings(environ: Mapping[str, str] | None = None, **given: Any) -> PushSettings:
    found = resolve(Otlp(**given), environ or {})
    assert found is not None
    return found


def problems(environ: Mapping[str, str] | None = None, **given: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        resolve(Otlp(**given), environ or {})
    return caught.value.problems


BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
METRICS = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


def test_nothing_is_pushed_without_an_endpoint() -> None:
    assert resolve(Otlp(protocol="grpc"), {"OTEL_EXPORTER_OTLP_HEADERS": "a=b", BASE: " "}) is None


def test_the_defaults_are_the_specifications() -> None:
    found = settings(endpoint="http://collector:4318")
    assert found == PushSettings("http://collector:4318/v1/metrics", capacity=15)
    assert (found.protocol, found.interval, found.timeout, found.gzip) == ("http/protobuf", 60, 10, False)
    assert found.temporality is Temporality.CUMULATIVE


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
        ("http://collector", "http://collector/v1/metrics"),
        ("https://collector/", "https://collector/v1/metrics"),
        ("HTTPS://collector/otlp/", "https://collector/otlp/v1/metrics"),
        ("https://collector/otlp/v1/metrics", "https://collector/otlp/v1/metrics"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/metrics"),
        # Without a scheme: in the clear to this machine alone.
        ("localhost:4318", "http://localhost:4318/v1/metrics"),
        ("127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
        ("[::1]:4318", "http://[::1]:4318/v1/metrics"),
        ("collector:4318", "https://collector:4318/v1/metrics"),
        ("http://h:4318/v1/metrics/", "http://h:4318/v1/metrics"),
        ("http://h:4318/a/v1/metrics//", "http://h:4318/a/v1/metrics"),
    ],
)
def test_the_endpoint_setting_over_http(given: str, url: str) -> None:
    found = settings(endpoint=given)
    assert found.endpoint == url
    assert found.secure is url.startswith("https")


@pytest.mark.parametrize(
    ("given", "target", "secure"),
    [
        ("http://collector:4317", "collector:4317", False),
        ("https://collector:4317/", "collector:4317", True),
        ("https://collector", "collector:443", True),
        ("http://collector", "collector:80", False),
        ("localhost:4317", "localhost:4317", False),
        ("collector:4317", "collector:4317", True),
        ("[2001:db8::1]:4317", "[2001:db8::1]:4317", True),
    ],
)
def test_the_endpoint_setting_over_grpc(given: str, target: str, secure: bool) -> None:
    found = settings(endpoint=given, protocol="grpc")
    assert (found.endpoint, found.secure) == (target, secure)


@pytest.mark.parametrize(
    "url", ["https://vendor/ingest?key=1", "https://vendor/v1/metrics/", "http://c:4318/"]
)
def test_a_whole_url_is_taken_as_it_is_by_flag_as_by_variable(url: str) -> None:
    assert settings(metrics_endpoint=url, endpoint="http://other").endpoint == url
    assert settings({METRICS: url}).endpoint == url
    # The flag is given to this program alone.
    assert settings({METRICS: "http://other"}, metrics_endpoint=url).endpoint == url


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize(
    "target",
    ["dns:///collector:4317", "unix:/run/collector.sock", "ipv4:10.0.0.1:4317", "c:4317", "https://c:4317"],
)
def test_flag_and_variable_take_the_same_forms_for_grpc(target: str, flag: bool) -> None:
    found = settings(
        {} if flag else {BASE: target}, protocol="grpc", **({"endpoint": target} if flag else {})
    )
    assert found.endpoint == target.removeprefix("https://")
    # A socket of this machine is in the clear, as its loopback is, where it is given to this program alone.
    assert found.secure is not (flag and target.startswith("unix"))


@pytest.mark.parametrize("text", ["unix:/run/collector.sock", "unix:///run/x", "unix-abstract:x"])
def test_a_unix_socket_is_refused_where_there_are_none(text: str) -> None:
    refused, taken = list[str](), list[str]()
    endpoint = NamedValue(text, BASE)
    target(endpoint, "grpc", None, tls=False, problems=refused, system=WINDOWS)
    target(endpoint, "grpc", None, tls=False, problems=taken, system=LINUX)
    assert refused == [f"{BASE}={text}: gRPC has no unix sockets on Windows; name the receiver by HOST:PORT"]
    assert taken == []


@pytest.mark.parametrize("system", [LINUX, WINDOWS])
def test_forms_that_a_system_has_not_are_not_expected(system: System) -> None:
    problems = list[str]()
    target(NamedValue("ftp://c", BASE), "grpc", None, tls=False, problems=problems, system=system)
    (problem,) = problems
    assert "dns:///HOST:PORT" in problem
    assert ("unix:PATH" in problem) is (system is LINUX)


def test_flag_and_variable_take_the_same_forms_for_http() -> None:
    for form in ("http://c:4318/x", "https://c", "c:4318"):
        assert settings({BASE: form}).endpoint == settings(endpoint=form).endpoint


def test_insecure_decides_where_there_is_no_scheme_and_only_there() -> None:
    assert settings(endpoint="collector:4318", insecure=True).endpoint == "http://collector:4318/v1/metrics"
    assert settings(endpoint="localhost:4318", insecure=False).endpoint == "https://localhost:4318/v1/metrics"
    for endpoint in ("https://collector", "HTTP://collector"):
        assert problems(endpoint=endpoint, insecure=True) == (
            "--otlp.insecure has no effect beside the scheme in --otlp.endpoint; leave one of them out",
        )
    assert settings({"OTEL_EXPORTER_OTLP_INSECURE": "true"}, endpoint="https://collector").secure
    assert not settings(endpoint="dns:///c:4317", protocol="grpc", insecure=True).secure
    assert not settings({"OTEL_EXPORTER_OTLP_INSECURE": "TRUE"}, endpoint="c:4317", protocol="grpc").secure
    both = {"OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_METRICS_INSECURE": "false"}
    assert settings(both, endpoint="localhost:4317", protocol="grpc").secure
    assert not settings(both, endpoint="c:4317", protocol="grpc", insecure=True).secure


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({BASE: "http://c:4318"}, "http://c:4318/v1/metrics"),
        ({BASE: "http://c:4318/base/"}, "http://c:4318/base/v1/metrics"),
        # The one for metrics is used as it is, and wins.
        ({METRICS: "http://c:4318/own?key=1", BASE: "http://other"}, "http://c:4318/own?key=1"),
        ({METRICS: "http://c:4318"}, "http://c:4318/"),
    ],
)
def test_the_endpoint_variables_mean_what_the_specification_says(environ: dict[str, str], url: str) -> None:
    assert settings(environ).endpoint == url
    assert settings(environ, endpoint="http://flag").endpoint == "http://flag/v1/metrics"


@pytest.mark.parametrize(
    ("target", "secure"),
    [("localhost:4317", True), ("dns:///collector:4317", True), ("http://localhost:4317", False)],
)
def test_grpc_by_variable_is_secure_unless_it_says_otherwise(target: str, secure: bool) -> None:
    environ = {BASE: target, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert settings(environ).secure is secure
    if secure:
        assert not settings({**environ, "OTEL_EXPORTER_OTLP_INSECURE": "true"}).secure


@pytest.mark.parametrize(
    ("environ", "given", "expected"),
    [
        ({}, {"endpoint": "collector"}, "--otlp.endpoint=collector: expected http://HOST:PORT"),
        ({}, {"endpoint": "collector:4318/v1"}, "--otlp.endpoint=collector:4318/v1: expected"),
        ({}, {"endpoint": "http://x:y"}, "--otlp.endpoint=http://x:y: expected"),
        ({}, {"endpoint": "unix:/run/x"}, "--otlp.endpoint=unix:/run/x: expected"),
        ({}, {"endpoint": "ftp://c:1", "protocol": "grpc"}, "--otlp.endpoint=ftp://c:1: expected http://HOST:PORT, https://HOST:PORT or HOST:PORT, or a target"),
        ({}, {"endpoint": "http://c", "headers": (("Content-Length", "secret"),)}, "--otlp.headers: the header content-length can't be set"),
        ({}, {"endpoint": "c:1", "protocol": "grpc", "headers": (("x!y", "secret"),)}, "--otlp.headers: the header x!y can't be sent over gRPC"),
        ({}, {"endpoint": "c:1", "protocol": "grpc", "headers": (("x-bin", "secret"),)}, "--otlp.headers: the header x-bin can't be sent over gRPC"),
        ({}, {"endpoint": "c:1", "protocol": "grpc", "headers": (("grpc-timeout", "secret"),)}, "--otlp.headers: the header grpc-timeout can't"),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "te=secret"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: the header te can't be set"),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=secret%E9"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: the value of a"),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=secret\udce9"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: the value of a"),
        ({BASE: "http://c:99999"}, {}, f"{BASE}=http://c:99999: expected http://HOST:PORT"),
        ({METRICS: "ftp://c"}, {}, f"{METRICS}=ftp://c: expected http://HOST:PORT"),
        ({BASE: "http://me:secret@c"}, {}, f"{BASE}=http://<hidden>@c: expected"),
        ({BASE: "http://me:se/secret@c"}, {}, f"{BASE}=http://<hidden>@c: expected"),
        ({BASE: "http://c/?key=secret"}, {}, f"{BASE}=http://c/?<hidden>: a base URL has no query"),
        ({}, {"endpoint": "http://c:0"}, "--otlp.endpoint=http://c:0: expected"),
        ({}, {"endpoint": "http://c/p", "protocol": "grpc"}, "--otlp.endpoint=http://c/p: gRPC knows no path"),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, {}, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json"),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=b,secret"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: expected NAME="),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a b=secret"}, {}, "OTEL_EXPORTER_OTLP_METRICS_HEADERS: a"),
        ({BASE: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=secret%0ax"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: the value of a"),
        ({}, {"endpoint": "http://c", "ca": "/x"}, "--otlp.ca has no effect without TLS: write https:// in --otlp.endpoint"),
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_refused_by_name(
    environ: dict[str, str], given: dict[str, Any], expected: str
) -> None:
    (problem,) = problems(environ, **given)
    assert problem.startswith(expected)
    assert "secret" not in problem


def test_every_problem_is_told_at_once() -> None:
    assert (
        len(problems({"OTEL_EXPORTER_OTLP_HEADERS": "x"}, endpoint="http://c:0", protocol="http/json")) == 3
    )


def test_headers_of_a_setting_win_over_the_variables_name_by_name() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "never=seen",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": " Authorization = Basic%20abc , tenant=a=b,,",
    }
    found = settings(environ, endpoint="http://c", headers=(("Tenant", "c"), ("x", "y")))
    assert found.headers == {"authorization": "Basic abc", "tenant": "c", "x": "y"}
    assert "abc" not in repr(found)


def test_a_percent_sign_that_encodes_nothing_stays_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    found = settings({"OTEL_EXPORTER_OTLP_HEADERS": "key=100%25%"}, endpoint="http://c")
    assert found.headers == {"key": "100%%"}
    assert caplog.messages == [
        "OTEL_EXPORTER_OTLP_HEADERS: a % without two hexadecimal digits after it is taken literally"
    ]


def test_times_are_milliseconds_in_the_variables() -> None:
    """The SDK reads OTEL_EXPORTER_OTLP_TIMEOUT as seconds: 10000 would be almost three hours."""
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2500", "OTEL_METRIC_EXPORT_INTERVAL": "15000"}
    found = settings(environ, endpoint="http://c")
    assert (found.timeout, found.interval) == (2.5, 15.0)
    assert (
        settings({**environ, "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "500"}, endpoint="http://c").timeout == 0.5
    )
    assert settings({**environ, "OTEL_METRIC_EXPORT_TIMEOUT": "1000"}, endpoint="http://c").timeout == 1.0
    assert settings({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, endpoint="http://c").timeout == 300
    by_flag = settings(environ, endpoint="http://c", timeout=4.0, interval=2.0)
    assert (by_flag.timeout, by_flag.interval) == (4.0, 2.0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "exponential"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=b"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c=100%"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c=caf%E9"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=caf\udce9"),
        ("OTEL_SERVICE_NAME", "caf\udce9"),
    ],
)
def test_other_words_that_make_no_sense_are_ignored_with_a_warning(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They belong to every program of the machine; the specification says warn and go on."""
    assert settings({name: text}, endpoint="http://c") == settings(endpoint="http://c")
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert [f"{name}={shown}: expected" in record.getMessage() for record in caplog.records] == [True]


def test_compression_and_temporality_by_setting_or_variable() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_COMPRESSION": "GZIP",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "LowMemory",
    }
    found = settings(environ, endpoint="http://c")
    assert found.gzip
    assert found.temporality is Temporality.LOWMEMORY
    assert (found.temporality.delta_sums, found.temporality.delta_histograms) == (False, True)
    over = settings(environ, endpoint="http://c", compression="none", temporality="delta")
    assert not over.gzip
    assert (over.temporality.delta_sums, over.temporality.delta_histograms) == (True, True)


@pytest.mark.parametrize(
    ("given", "variable", "exponential"),
    [
        (None, "", False),
        ("exponential", "", True),
        (None, "base2_exponential_bucket_histogram", True),
        (None, "Explicit_Bucket_Histogram", False),
        ("explicit", "base2_exponential_bucket_histogram", False),
    ],
)
def test_buckets_of_histograms_by_setting_or_variable(
    given: str | None, variable: str, *, exponential: bool
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": variable}
    assert settings(environ, endpoint="http://c", histograms=given).exponential is exponential


def test_the_queue_holds_its_time_worth_of_exports_up_to_a_limit() -> None:
    assert settings(endpoint="http://c", interval=7.0, queue=60.0).capacity == 9
    assert settings(endpoint="http://c", queue=0.0).capacity == 0
    assert settings(endpoint="http://c", interval=0.1, queue=86400.0).capacity == MAX_QUEUE


def test_resource_attributes_and_the_name_of_the_service() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb, service.name=x ,", "OTEL_SERVICE_NAME": "mine"}
    assert settings(environ, endpoint="http://c").attributes == {"team": "a,b", "service.name": "mine"}


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
        ({"OTEL_METRICS_EXPORTER": "none"}, "OTEL_METRICS_EXPORTER=none"),
        ({"OTEL_METRICS_EXPORTER": "prometheus, console"}, "OTEL_METRICS_EXPORTER=prometheus, console"),
    ],
)
def test_the_variables_that_switch_metrics_off(
    environ: dict[str, str], word: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert resolve(Otlp(), {BASE: "http://c", **environ}) is None
    assert caplog.messages == [f"nothing is pushed to {BASE}: {word}"]
    # An endpoint given to this program alone is the stronger word.
    assert settings(environ, endpoint="http://c").endpoint == "http://c/v1/metrics"
    assert caplog.messages[1:] == [f"{word} is set, and --otlp.endpoint wins over it"]


def test_metrics_by_otlp_among_others_stay_on(caplog: pytest.LogCaptureFixture) -> None:
    environ = {BASE: "http://c", "OTEL_METRICS_EXPORTER": "console, OTLP", "OTEL_SDK_DISABLED": "false"}
    assert settings(environ).protocol == "http/protobuf"
    assert not caplog.records


def test_grpcs_port_with_http_earns_a_hint(caplog: pytest.LogCaptureFixture) -> None:
    settings(endpoint="http://c:4317")
    assert "--otlp.protocol=grpc" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("name", "endpoint", "proxied"),
    [("http_proxy", "http://c", True), ("HTTPS_PROXY", "http://c", False), ("ALL_PROXY", "https://c", True)],
)
def test_a_proxy_that_is_set_is_noticed(name: str, endpoint: str, proxied: bool) -> None:
    assert settings({name: "http://proxy:3128"}, endpoint=endpoint).proxied is proxied


def test_certificates_are_loaded_at_the_start(files: Any, tmp_path: Path) -> None:
    cert, key, ca = files
    found = settings(endpoint="c:4318", ca=ca, cert=cert, key=key)
    assert (found.ca, found.cert, found.key, found.secure) == (ca, cert, key, True)
    by_variable = settings(
        {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": ca,
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": cert,
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
        },
        endpoint="https://c",
    )
    assert (by_variable.ca, by_variable.cert, by_variable.key) == (ca, cert, key)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(cert).read_bytes() + Path(key).read_bytes())
    in_one = settings({"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(both)}, endpoint="https://c")
    assert (in_one.cert, in_one.key) == (str(both), str(both))


def test_certificates_by_variable_are_ignored_without_tls() -> None:
    """They are shared; the specification wants them used on secure connections only."""
    found = settings({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere"}, endpoint="http://c")
    assert found.ca is None


def test_certificates_that_can_not_be_used_are_refused_by_name(files: Any, tmp_path: Path) -> None:
    cert, key, _ = files
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        load_pem_private_key(Path(key).read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
    )
    at: dict[str, Any] = {"endpoint": "https://c"}
    assert problems(**at, ca=str(empty))[0].startswith(f"--otlp.ca={empty}: expected certificates in PEM; ")
    assert problems({"OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE": "/nowhere"}, **at) == (
        "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=/nowhere: expected certificates in PEM; No such file or directory",
    )
    for wrong in (empty, encrypted):
        (problem,) = problems(**at, cert=cert, key=str(wrong))
        assert problem.startswith(
            f"--otlp.cert={cert}, --otlp.key={wrong}: expected a certificate in PEM and its key"
        )
    assert "expected a certificate" in problems(**at, cert=cert)[0]
    assert problems({"OTEL_EXPORTER_OTLP_CLIENT_KEY": key}, **at) == (
        "OTEL_EXPORTER_OTLP_CLIENT_KEY needs the certificate that it is the key of: --otlp.cert",
    )
