"""What others read, on Windows: pages, TLS, passwords, OTLP, the log, the command line."""

from __future__ import annotations

import base64
import http.server
import json
import re
import signal
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from typing import ClassVar
from urllib.parse import urlsplit

import bcrypt
import pytest
import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporter.session.record import Recorder, TapConnector
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from tests.windows.conftest import LIMIT, Windows, get, samples

SIMULATED = ("--source=simulated", "--simulated.seed=1")


def test_600_connections_are_outlived(windows: Windows) -> None:
    """Windows' select takes 512 sockets."""
    program = windows.serve(*SIMULATED)
    url = program.url()
    get(url)
    address = (urlsplit(url).hostname, urlsplit(url).port)
    held = []
    for _ in range(600):
        held.append(socket.create_connection(address, LIMIT))
        held[-1].send(b"GET /")
    assert samples(get(url))["vmguest_up"] == 1
    for each in held:
        each.close()
    assert samples(get(url))["vmguest_up"] == 1
    assert "Traceback" not in program.log


def test_tls_and_passwords(windows: Windows) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(windows.folder / "server.pem")
    known = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    text = (
        "\ufefftls_server_config: {cert_file: server.pem, key_file: server.pem}\n"
        f"basic_auth_users: {{prometheus: '{known}'}}\n"
    )
    (windows.folder / "web.yml").write_text(text, encoding="utf-8")
    program = windows.serve(*SIMULATED, f"--web.config.file={windows.path(windows.folder / 'web.yml')}")
    url = program.url()
    assert url.startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    request = urllib.request.Request(url)
    login = base64.b64encode(b"prometheus:secret").decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=LIMIT, context=context) as response:
        assert b"vmguest_" in response.read()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=LIMIT, context=context)


class Receiver(http.server.BaseHTTPRequestHandler):
    received: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_otlp(windows: Windows) -> None:
    Receiver.received.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = windows.serve(
        *SIMULATED,
        f"--otlp.endpoint=http://127.0.0.1:{server.server_port}",
        "--otlp.protocol=http/protobuf",
        "--otlp.compression=none",
        "--otlp.interval=1s",
    )
    end = time.monotonic() + LIMIT
    while not Receiver.received and time.monotonic() < end:
        time.sleep(0.05)
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.log
    server.shutdown()
    server.server_close()
    request = ExportMetricsServiceRequest.FromString(Receiver.received[0])
    (metrics,) = request.resource_metrics
    attributes = {each.key: each.value.string_value for each in metrics.resource.attributes}
    assert attributes["os.type"] == "windows"
    assert attributes["host.arch"] == "amd64"
    assert attributes["host.name"]
    assert re.fullmatch(r"[0-9a-f-]{36}", attributes["host.id"])
    names = {metric.name for scope in metrics.scope_metrics for metric in scope.metrics}
    assert any(name.startswith("vmguest.") for name in names)
    assert "WMI" not in program.log


def test_a_recording_of_linux_is_replayed(windows: Windows) -> None:
    file = windows.folder / "host.rec"
    with file.open("wb") as opened:
        recorder = Recorder(opened, 1.0)
        source = WireSource(TapConnector(in_process("steady", seed=3), recorder), LIMIT)
        read = source.read()
        source.close()
        recorder.end()
    program = windows.serve("--source=replay", f"--replay.file={windows.path(file)}")
    found = samples(get(program.url()))
    assert found["vmguest_host_cpu_frequency_hertz"] == int(read.values["host_cpu_frequency"]) * 1e6


REFUSALS = {
    "--guestrpc.socket=x": "--guestrpc.socket: Python has no unix sockets on Windows; leave it out",
    "--source=guestrpc": "--source=guestrpc: Python has no vsock on Windows",
    "--api.socket=x": "--api.socket: Python has no unix sockets on Windows; leave it out",
    "--ha.enabled": "--ha.enabled: heartbeats for vSphere HA are sent from Linux guests only",
    "ha status": "ha: heartbeats for vSphere HA are sent from Linux guests only",
    "--api": "--api: Python has no unix sockets on Windows; leave it out",
    "--ha.lock-file=C:/x": "--ha.lock-file: heartbeats for vSphere HA are sent from Linux guests only",
    "simulate --socket=x": "--socket: Python has no unix sockets on Windows; use --fleet N, or",
    "simulate": "simulate without --fleet: Python has no unix sockets on Windows; use --fleet N, or",
    "record x.rec": "record: Python has no vsock on Windows",
    "show --from=exporter": "--from=exporter: Python has no unix sockets on Windows; name it",
    "--web.listen-address=unix:x": (
        "--web.listen-address=unix:x: expected HOST:PORT, :PORT or [IPV6]:PORT; Python has no unix sockets on Windows"
    ),
}
HELPS = {
    "--help": "--ha.lock-file PATH Lock that keeps a second heartbeater out. Refused: heartbeats for vSphere HA",
    "ha --help": "Refused: heartbeats for vSphere HA are sent from Linux guests only.",
    "record --help": "Refused: Python has no vsock on Windows",
    "simulate --help": "such as /tmp/host.sock. Refused: Python has no unix sockets on Windows.",
    "show --help": "exporter is refused: Python has no unix sockets on Windows.",
}
EACH = """
import contextlib, io, json, sys
from exporter.commands import cli
done = []
for line in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
        status = cli.main(line.split())
    done.append([status, out.getvalue()])
print(json.dumps(done))
"""
"""Command lines that end at once, one after the other in one process."""


def test_what_windows_lacks_is_refused_in_one_sentence(windows: Windows) -> None:
    done = windows.python(EACH, json.dumps([*REFUSALS]), environ={"WMI": "absent"})
    assert done.process.returncode == 0, done.log
    for said, (status, text) in zip(REFUSALS.values(), json.loads(done.text), strict=True):
        first, *rest = text.splitlines()
        assert first.startswith(f"vmguest-exporter: {said}"), text
        assert rest == ["vmguest-exporter: try vmguest-exporter --help"]
        assert status == 2, text


def test_the_help_says_what_is_refused(windows: Windows) -> None:
    done = windows.python(EACH, json.dumps([*HELPS]), environ={"WMI": "absent"})
    assert done.process.returncode == 0, done.log
    for said, (status, text) in zip(HELPS.values(), json.loads(done.text), strict=True):
        assert said in " ".join(text.split())
        assert status == 0


def test_a_simulated_fleet_ends_by_ctrl_c(windows: Windows) -> None:
    program = windows.exporter("simulate", "--fleet=2", "--web.listen-address=127.0.0.1:0")
    end = time.monotonic() + LIMIT
    while "listening on" not in program.text and program.process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.log
    assert program.text.endswith("stopped\n")


def test_a_running_exporter_is_shown(windows: Windows) -> None:
    program = windows.serve(*SIMULATED)
    get(program.url())
    show = ("show", f"--url={program.url().removesuffix('/metrics')}")
    done, end = windows.command(*show), time.monotonic() + LIMIT
    # On a busy machine it may give up before it is answered.
    while "timed out" in done.log + done.text and time.monotonic() < end:
        done = windows.command(*show)
    assert done.process.returncode == 0, done.log
    assert "CPU" in done.text


def test_a_port_is_the_exporters_own(windows: Windows) -> None:
    program = windows.serve(*SIMULATED)
    port = urlsplit(program.url()).port
    thief = windows.python(
        "import socket, sys\n"
        "taken = socket.socket()\n"
        "taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        f"taken.bind(('127.0.0.1', {port}))\n"
    )
    assert thief.process.returncode != 0
    second = windows.command(*SIMULATED, f"--web.listen-address=127.0.0.1:{port}")
    assert second.process.returncode == 1
    said = f"port {port} is in use; choose another, or stop the program that `netstat -abno` shows there"
    assert said in second.log


def test_a_reader_that_has_had_enough_is_no_traceback(windows: Windows) -> None:
    done = windows.python(
        "import subprocess, sys\n"
        "program = [sys.executable, '-m', 'exporter', 'reference']\n"
        "process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n"
        "process.stdout.read(10)\n"
        "process.stdout.close()\n"
        "sys.stdout.write(process.stderr.read().decode())\n"
        "process.stderr.close()\n"
        "sys.exit(process.wait())\n"
    )
    assert done.text == ""
    assert done.process.returncode == 1, done.log


BLOCKED = """
import logging, os
from exporter import log
reader, writer = os.pipe()
log.set_up(descriptor=writer)
for number in range(20_000):
    logging.getLogger("exporter.test").warning("line %d", number)
print("went on")
"""


def test_a_standard_error_that_nobody_reads_holds_nobody_up(windows: Windows) -> None:
    done = windows.python(BLOCKED)
    assert done.process.returncode == 0, done.log
    assert done.text == "went on\n"


def test_a_settings_file_as_editors_on_windows_write_it(windows: Windows) -> None:
    good, bad = windows.folder / "good.toml", windows.folder / "bad.toml"
    recording = windows.path(windows.folder / "none.rec")
    good.write_text(f"\ufeff[replay]\r\nfile = '{recording}'\r\n", encoding="utf-8", newline="")
    bad.write_text(f'[replay]\nfile = "{recording}"\n', encoding="utf-8")
    lines = [f"--config.file={windows.path(file)} --source=replay" for file in (good, bad)]
    done = windows.python(EACH, json.dumps(lines), environ={"WMI": "absent"})
    assert done.process.returncode == 0, done.log
    (_, read), (status, refused) = json.loads(done.text)
    assert f'{recording}": expected a readable file' in read
    assert "in single quotes" in refused
    assert status == 2
