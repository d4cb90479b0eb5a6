from __future__ import annotations

import builtins
import fcntl
import http.server
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from exporter.config.places import Address
from exporter.config.settings import ConfigFile, Ha, Web
from exporter.doctor.finding import Verdict
from exporter.errors import ConfigError
from exporter.outputs.web.application import Environ, StartResponse
from exporter.outputs.web.secured import Secured
from exporter.outputs.web.server import WebServer

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

SERVE = "/usr/bin/python3\0/usr/bin/vmguest-exporter\0--poll.interval=1s\0"
HEART = "/usr/bin/vmware-appmonitor\0enable\0"


def test_settings_that_are_valid(guest: Guest) -> None:
    found = guest.finding("config-file")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence.startswith("No settings file is named")


def test_a_settings_file_is_named(guest: Guest) -> None:
    guest.settings["config"] = ConfigFile(file="/etc/vmguest.toml")
    assert guest.finding("config-file").diagnosis.sentence == "The settings file /etc/vmguest.toml is valid."


def test_settings_that_are_wrong_are_all_named(guest: Guest) -> None:
    guest.world["config_error"] = ConfigError(
        "/etc/x.toml:3: poll.interval: expected a duration", "--web: no"
    )
    found = guest.finding("config-file")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.details == ("/etc/x.toml:3: poll.interval: expected a duration", "--web: no")


def listening(guest: Guest, port: int) -> None:
    guest.settings["web"] = Web(listen=(Address("127.0.0.1", port),))


def test_a_port_that_is_free(guest: Guest) -> None:
    found = guest.finding("port-free")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts == {"listen": "127.0.0.1:0", "serving": False}


def test_a_port_that_is_taken(guest: Guest, busy_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.doctor.checks_exporter.ASK_LIMIT", 0.05)
    listening(guest, busy_port)
    found = guest.finding("port-free")
    assert found.verdict is Verdict.FAIL
    assert f"port {busy_port} is in use" in found.diagnosis.sentence
    assert found.diagnosis.advice is not None
    assert "ss -ltnp" in found.diagnosis.advice.text


def test_no_port_is_wanted(guest: Guest) -> None:
    guest.settings["web"] = Web(enabled=False)
    assert guest.finding("port-free").verdict is Verdict.SKIPPED


class NodeExporter(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


def test_another_program_at_the_port_is_a_fault(guest: Guest) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), NodeExporter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        listening(guest, server.server_port)
        found = guest.finding("port-free")
        server.shutdown()
        thread.join()
    assert found.verdict is Verdict.FAIL
    assert f"port {server.server_port} is in use" in found.diagnosis.sentence


def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


PASSWORD = "basic_auth_users: {prometheus: $2b$04$oWNA8x9OO.C5r/D4nioWsOinz1Vu/9o2tznZCJzQaXNkUgz.xwtHi}\n"
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
CLIENTS = (
    "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_ca_file: ca.pem,"
    " client_auth_type: RequireAndVerifyClientCert}\n"
)


@pytest.mark.parametrize("web_config", ["", PASSWORD, TLS, PASSWORD + TLS, CLIENTS])
def test_an_exporter_that_already_serves_is_no_fault(guest: Guest, tmp_path: Path, web_config: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    (tmp_path / "web.yml").write_text(web_config)
    secured = Secured(str(tmp_path / "web.yml"))
    server = WebServer(
        secured.with_headers(page),
        [("127.0.0.1", 0)],
        admit=secured.admit,
        listener=secured.listener,
        scheme=secured.scheme,
    )
    server.start()
    try:
        listening(guest, server.addresses[0][1])
        found = guest.finding("port-free")
    finally:
        server.close()
    assert found.verdict is Verdict.OK
    assert "An exporter serves at" in found.diagnosis.sentence


def process(guest: Guest, pid: int, command: str, parent: int = 1) -> None:
    guest.write(f"proc/{pid}/cmdline", command)
    guest.write(f"proc/{pid}/stat", f"{pid} (a ) b) S {parent} 0 0")


def test_nobody_else(guest: Guest) -> None:
    process(guest, 20, "/usr/bin/python3\0other\0")
    process(guest, 21, "")
    process(guest, 22, "vmguest-exporter\0simulate\0--socket\0/tmp/x\0")
    process(guest, 23, "vmguest-exporter\0--source=simulated\0")
    found = guest.finding("other-exporter")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence == "No other exporter runs."


def test_the_doctor_and_its_parents_are_not_others(guest: Guest) -> None:
    guest.world["pid"] = 30
    process(guest, 30, "vmguest-exporter\0--log.level=debug\0", parent=29)
    process(guest, 29, "/bin/sh\0-c\0vmguest-exporter\0", parent=28)
    process(guest, 28, SERVE, parent=28)
    assert guest.finding("other-exporter").diagnosis.facts["exporters"] == []


def test_one_exporter_is_as_it_should_be(guest: Guest) -> None:
    process(guest, 20, SERVE)
    process(guest, 21, "/usr/bin/python3\0-m\0exporter\0", parent=20)
    found = guest.finding("other-exporter")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence == "One exporter runs (pid 20)."


def test_two_exporters(guest: Guest) -> None:
    process(guest, 20, SERVE)
    process(guest, 21, "/usr/bin/python3\0-m\0exporter\0")
    found = guest.finding("other-exporter")
    assert found.verdict is Verdict.WARN
    assert "2 exporters run (pids 20, 21)" in found.diagnosis.sentence


def test_of_many_exporters_a_few_are_named(guest: Guest) -> None:
    for pid in range(20, 27):
        process(guest, pid, SERVE)
    found = guest.finding("other-exporter")
    assert "7 exporters run (pids 20, 21, 22, 23, 24, …)" in found.diagnosis.sentence
    assert len(found.diagnosis.facts["exporters"]) == 7  # type: ignore[arg-type]


def test_another_heartbeater_beside_ours(guest: Guest) -> None:
    process(guest, 40, HEART)
    guest.settings["ha"] = Ha(enabled=True, lock_file="/run/ha.lock")
    found = guest.finding("other-exporter")
    assert found.verdict is Verdict.FAIL
    assert "vmware-appmonitor (40)" in found.diagnosis.sentence
    assert found.diagnosis.advice is not None


def test_another_heartbeater_alone_is_theirs(guest: Guest) -> None:
    process(guest, 40, HEART)
    found = guest.finding("other-exporter")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["heartbeaters"] == ["vmware-appmonitor (40)"]


def test_the_holder_of_the_heartbeats_lock_is_named(guest: Guest) -> None:
    path = guest.write("run/ha.lock", f"{os.getpid()}\n-\non\n")
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = guest.finding("other-exporter")
        assert found.diagnosis.sentence == f"No other exporter runs. Heartbeats are process {os.getpid()}'s."
        process(guest, 40, HEART)
        assert guest.finding("other-exporter").verdict is Verdict.FAIL
    assert guest.finding("other-exporter").diagnosis.facts["lock_holder"] is None


def test_a_system_without_such_locks(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "exporter.ha.lock", raising=False)
    monkeypatch.delattr("exporter.ha.lock", raising=False)
    real = builtins.__import__

    def without(name: str, *arguments: object, **more: object) -> object:
        if name == "fcntl":
            raise ImportError(name)
        return real(name, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert guest.finding("other-exporter").diagnosis.facts["lock_holder"] is None
