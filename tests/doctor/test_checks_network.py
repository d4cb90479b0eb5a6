from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import trustme

from exporter.config.settings import Otlp, Web
from exporter.doctor import checks_network
from exporter.doctor.finding import Finding, Verdict
from exporter.doctor.world import Ran

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest


class Files(NamedTuple):
    ca: str
    cert: str
    key: str
    other: str
    """A key of another certificate."""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued, other = authority.issue_cert("localhost", "127.0.0.1"), authority.issue_cert("other")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    other.private_key_pem.write_to_path(str(folder / "other.pem"))
    return Files(*(str(folder / f"{name}.pem") for name in ("ca", "cert", "key", "other")))


def advice(finding: Finding) -> str:
    assert finding.diagnosis.advice is not None
    assert finding.diagnosis.advice.code == finding.code
    return finding.diagnosis.advice.sentence


def web(guest: Guest, tmp_path: Path, text: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    guest.settings["web"] = Web(config_file=str(file))


def ends(guest: Guest, when: str) -> None:
    guest.programs["openssl x509 -noout -enddate"] = Ran(0, f"notAfter={when}")


def test_without_certificates_there_is_nothing_to_check(guest: Guest) -> None:
    assert guest.finding("tls-files").verdict is Verdict.SKIPPED


def test_a_web_configuration_without_tls_has_no_certificates(guest: Guest, tmp_path: Path) -> None:
    web(guest, tmp_path, "basic_auth_users: {}\n")
    assert guest.finding("tls-files").verdict is Verdict.SKIPPED


def test_certificates_of_the_web_server(guest: Guest, tmp_path: Path, files: Files) -> None:
    web(guest, tmp_path, f"tls_server_config: {{cert_file: {files.cert}, key_file: {files.key}}}\n")
    ends(guest, "Jan  1 00:00:00 2030 GMT")
    found = guest.finding("tls-files")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["ends"] == {files.cert: "2030-01-01"}


def test_certificates_inside_the_web_configuration_have_no_file(
    guest: Guest, tmp_path: Path, files: Files
) -> None:
    inline = "\n".join(
        f"  {name}: |\n" + "".join(f"    {line}\n" for line in Path(file).read_text().splitlines())
        for name, file in (("cert", files.cert), ("key", files.key))
    )
    web(guest, tmp_path, f"tls_server_config:\n{inline}")
    assert guest.finding("tls-files").verdict is Verdict.SKIPPED


@pytest.mark.parametrize("key", ["other", "missing"])
def test_certificates_of_the_web_server_that_can_not_be_used(
    guest: Guest, tmp_path: Path, files: Files, key: str
) -> None:
    path = files.other if key == "other" else str(tmp_path / "missing.pem")
    web(guest, tmp_path, f"tls_server_config: {{cert_file: {files.cert}, key_file: {path}}}\n")
    found = guest.finding("tls-files")
    assert found.verdict is Verdict.FAIL
    assert "--web.config.file" in found.diagnosis.details[0]


def test_a_certificate_that_ends_soon(guest: Guest, tmp_path: Path, files: Files) -> None:
    web(guest, tmp_path, f"tls_server_config: {{cert_file: {files.cert}, key_file: {files.key}}}\n")
    ends(guest, "Nov 20 00:00:00 2026 GMT")
    found = guest.finding("tls-files")
    assert found.verdict is Verdict.WARN
    assert f"{files.cert} ends on 2026-11-20" in found.diagnosis.sentence


def test_without_openssl_the_end_is_not_told(guest: Guest, tmp_path: Path, files: Files) -> None:
    web(guest, tmp_path, f"tls_server_config: {{cert_file: {files.cert}, key_file: {files.key}}}\n")
    found = guest.finding("tls-files")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["ends"] == {}


def test_certificates_of_the_push(guest: Guest, files: Files) -> None:
    guest.settings["otlp"] = Otlp(endpoint="https://localhost:1", ca=files.ca, cert=files.cert, key=files.key)
    found = guest.finding("tls-files")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["files"] == [files.ca, files.cert]


def test_certificates_of_the_push_that_do_not_match(guest: Guest, files: Files) -> None:
    guest.settings["otlp"] = Otlp(endpoint="https://localhost:1", cert=files.cert, key=files.other)
    found = guest.finding("tls-files")
    assert found.verdict is Verdict.FAIL
    assert "--otlp.cert" in found.diagnosis.details[0]


def test_certificates_by_variable_without_a_push(guest: Guest) -> None:
    guest.world["environ"] = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere.pem"}
    assert guest.finding("tls-files").verdict is Verdict.SKIPPED


class Receiver(http.server.BaseHTTPRequestHandler):
    status = 200
    seen: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012  shared on purpose, emptied by the fixture

    def do_POST(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        # As a receiver may: RFC 9110, 15.2.
        self.send_response_only(103)
        self.end_headers()
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


Serve = Callable[..., Any]


@pytest.fixture
def receiver(files: Files, monkeypatch: pytest.MonkeyPatch) -> Serve:
    monkeypatch.setattr(Receiver, "seen", [])

    @contextmanager
    def serve(status: int = 200, *, tls: bool = False) -> Iterator[int]:
        monkeypatch.setattr(Receiver, "status", status)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(files.cert, files.key)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            yield server.server_port
            server.shutdown()
            thread.join()

    return serve


def test_without_a_receiver_there_is_nothing_to_check(guest: Guest) -> None:
    assert guest.finding("otlp-endpoint").verdict is Verdict.SKIPPED


def test_a_receiver_over_http_gets_an_export_of_nothing(guest: Guest, receiver: Serve) -> None:
    with receiver() as port:
        guest.settings["otlp"] = Otlp(endpoint=f"http://127.0.0.1:{port}", headers=(("x-key", "secret"),))
        found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["http_status"] == 200
    ((path, headers),) = Receiver.seen
    assert path == "/v1/metrics"
    assert headers["x-key"] == "secret"
    assert "secret" not in str(found.diagnosis)


def test_a_receiver_by_variable(guest: Guest, receiver: Serve) -> None:
    with receiver() as port:
        guest.world["environ"] = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        assert guest.finding("otlp-endpoint").verdict is Verdict.OK


def test_a_receiver_over_grpc_gets_a_connection(guest: Guest, receiver: Serve) -> None:
    with receiver() as port:
        guest.settings["otlp"] = Otlp(endpoint=f"127.0.0.1:{port}", protocol="grpc", insecure=True)
        found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence.endswith("takes connections.")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_receiver_with_tls(guest: Guest, receiver: Serve, files: Files, protocol: str) -> None:
    with receiver(tls=True) as port:
        guest.settings["otlp"] = Otlp(
            endpoint=f"https://localhost:{port}",
            protocol=protocol,
            ca=files.ca,
            cert=files.cert,
            key=files.key,
        )
        found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["tls"] is True


def test_a_receiver_whose_certificate_nobody_knows(guest: Guest, receiver: Serve) -> None:
    with receiver(tls=True) as port:
        guest.settings["otlp"] = Otlp(endpoint=f"https://localhost:{port}")
        found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.FAIL
    assert "--otlp.ca" in advice(found)


def test_a_receiver_without_tls_where_tls_is_wanted(guest: Guest, receiver: Serve) -> None:
    with receiver() as port:
        guest.settings["otlp"] = Otlp(endpoint=f"https://localhost:{port}")
        found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.FAIL
    assert "http://" in advice(found)


@pytest.mark.parametrize(
    ("status", "verdict", "word"),
    [
        (401, Verdict.FAIL, "--otlp.headers"),
        (403, Verdict.FAIL, "--otlp.headers"),
        (404, Verdict.FAIL, "path"),
        (503, Verdict.WARN, "receiver's log"),
    ],
)
def test_a_receiver_that_refuses(
    guest: Guest, receiver: Serve, status: int, verdict: Verdict, word: str
) -> None:
    with receiver(status) as port:
        guest.settings["otlp"] = Otlp(endpoint=f"http://127.0.0.1:{port}")
        found = guest.finding("otlp-endpoint")
    assert found.verdict is verdict
    assert word in advice(found)


def test_nobody_listens(guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    guest.settings["otlp"] = Otlp(endpoint=f"http://127.0.0.1:{port}")
    found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.FAIL
    assert "start the receiver" in advice(found)


def test_a_receiver_that_says_nothing(guest: Guest, busy_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_network, "CONNECT_LIMIT", 0.05)
    guest.settings["otlp"] = Otlp(endpoint=f"http://127.0.0.1:{busy_port}")
    found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.FAIL
    assert "firewall" in advice(found)


def test_a_receiver_that_speaks_something_else(guest: Guest) -> None:
    def speak(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"\0\0\x12\x04\0\0\0\0\0")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak, args=(listener,), daemon=True)
        thread.start()
        guest.settings["otlp"] = Otlp(endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}")
        found = guest.finding("otlp-endpoint")
        thread.join()
    assert found.verdict is Verdict.FAIL
    assert "--otlp.protocol=grpc" in advice(found)


def test_a_name_that_nobody_knows(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    guest.settings["otlp"] = Otlp(endpoint="http://collector.invalid:4318")
    found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.FAIL
    assert "can't be resolved" in found.diagnosis.sentence


def test_an_endpoint_that_can_not_be_one(guest: Guest) -> None:
    guest.settings["otlp"] = Otlp(endpoint="localhost:4317/path", protocol="grpc")
    found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.FAIL
    assert "gRPC knows no path" in found.diagnosis.details[0]


def test_what_a_proxy_or_grpc_finds_is_not_tried(guest: Guest) -> None:
    guest.world["environ"] = {"http_proxy": "http://proxy:3128"}
    guest.settings["otlp"] = Otlp(endpoint="http://collector.invalid:4318")
    assert "a proxy may stand between" in guest.finding("otlp-endpoint").diagnosis.sentence
    guest.world["environ"] = {}
    guest.settings["otlp"] = Otlp(endpoint="dns:collector.invalid:4317", protocol="grpc")
    found = guest.finding("otlp-endpoint")
    assert found.verdict is Verdict.SKIPPED
    assert "gRPC resolves" in found.diagnosis.sentence
