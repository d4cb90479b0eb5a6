"""The one-file program: built, copied to a place of its own, and every part of it run from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from exporter import __version__

pytestmark = pytest.mark.complete(reason="fetches the wheels that go into the file")

ROOT = Path(__file__).parents[2]


def build(*kinds: str) -> None:
    pytest.importorskip("shtab", reason="make .venv brings it: the completions' generator")
    done = subprocess.run(
        [sys.executable, "-m", "deploy.packages", *kinds],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build("pyz")
    built = (ROOT / "dist" / "vmguest-exporter.pyz").read_bytes()
    file = tmp_path_factory.mktemp("elsewhere") / "vmguest-exporter.pyz"
    file.write_bytes(built)
    return file


def command(pyz: Path, *arguments: str) -> list[str]:
    """Isolated, so that nothing that is installed beside can help."""
    return [sys.executable, "-I", "-S", str(pyz), *arguments]


def run(pyz: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(pyz, *arguments), capture_output=True, text=True, timeout=60, check=False, cwd=pyz.parent,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


@contextmanager
def serving(pyz: Path, *arguments: str) -> Iterator[tuple[str, list[str]]]:
    """The address without a path, and the log so far."""
    argv = command(pyz, "--source=simulated", "--web.listen-address=127.0.0.1:0", *arguments)
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=pyz.parent) as process:
        assert process.stderr is not None
        log: list[str] = []
        try:
            for line in process.stderr:
                log.append(line)
                if match := re.search(r"listening on (http://[^/]+)/metrics", line):
                    break
            else:
                pytest.fail("".join(log))
            reader = threading.Thread(target=log.extend, args=(process.stderr,))
            reader.start()
            yield match[1], log
        finally:
            process.terminate()
            status = process.wait(20)
            reader.join(20)
    assert status == 0


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return bytes(response.read())


def until(url: str, wanted: bytes) -> bytes:
    deadline = time.monotonic() + 30
    while wanted not in (page := fetch(url)):
        assert time.monotonic() < deadline, page.decode()
        time.sleep(0.05)
    return page


class Sink(BaseHTTPRequestHandler):
    """Takes every export."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_it_is_small_and_pure(pyz: Path) -> None:
    assert pyz.stat().st_size <= 3_000_000
    with zipfile.ZipFile(pyz) as archive:
        names = archive.namelist()
        assert not [name for name in names if name.endswith((".so", ".pyc", ".pyd"))]
        assert not [name for name in names if name.startswith(("grpc/", "bcrypt/"))]
        assert {info.date_time for info in archive.infolist()} == {archive.infolist()[0].date_time}


def test_the_same_source_gives_the_same_bytes(pyz: Path) -> None:
    build("pyz")
    assert (ROOT / "dist" / "vmguest-exporter.pyz").read_bytes() == pyz.read_bytes()


def test_it_says_its_version(pyz: Path) -> None:
    assert run(pyz, "--version").stdout.startswith(f"vmguest-exporter {__version__} ")


def test_every_page(pyz: Path) -> None:
    with serving(pyz) as (base, _):
        until(f"{base}/metrics", b"vmguest_numa_memory_bytes")
        for path, wanted in (
            ("/", b"<!doctype html>"), ("/-/insight", b'"verdict"'), ("/-/status.css", b"{"),
            ("/-/status.js", b"fetch"), ("/-/healthy", b""), ("/-/ready", b""),
        ):  # fmt: skip
            assert wanted in fetch(base + path).lower(), path


def test_heartbeats_come_from_a_process_of_their_own(pyz: Path) -> None:
    with serving(pyz, "--ha.enabled") as (base, _):
        until(f"{base}/metrics", b"vmguest_ha_enabled 1.0")


def test_otlp_over_http(pyz: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        endpoint = f"--otlp.endpoint=http://127.0.0.1:{receiver.server_port}"
        with serving(pyz, endpoint, "--otlp.interval=100ms") as (base, _):
            until(f"{base}/metrics", b'vmguest_otlp_exports_total{outcome="success"} 1')
        receiver.shutdown()


def test_tls_settings_are_read(pyz: Path, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("http_server_config: {}\n")
    with serving(pyz, f"--web.config.file={file}") as (base, _):
        fetch(f"{base}/-/healthy")


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        (("--otlp.protocol=grpc", "--otlp.endpoint=localhost:4317"), "--otlp.protocol=http/protobuf"),
        (("--web.config.file={passwords}",), "basic_auth_users needs bcrypt: "),
    ],
)
def test_what_is_not_in_it_says_the_way_out(
    pyz: Path, tmp_path: Path, arguments: tuple[str, ...], way_out: str
) -> None:
    passwords = tmp_path / "passwords.yml"
    passwords.write_text(f"basic_auth_users:\n  x: $2b$05${'a' * 53}\n")
    done = run(pyz, "--source=simulated", *(each.format(passwords=passwords) for each in arguments))
    assert done.returncode == 2
    assert way_out in done.stderr
    assert "Traceback" not in done.stderr


def test_the_library_runs_in_a_process_of_its_own(pyz: Path, tmp_path: Path) -> None:
    """A file that is no library: the child says so, which it must have been started for."""
    library = tmp_path / "libguestlib.so.0"
    library.write_bytes(b"no library")
    done = run(
        pyz, "--source=library", f"--library.path={library}", "--no-web", "--ha.enabled", "--ha.dry-run"
    )
    assert done.returncode == 1
    assert "libguestlib.so.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_subcommand(pyz: Path, tmp_path: Path) -> None:
    assert run(pyz, "reference").returncode == 0
    assert "steady" in run(pyz, "simulate", "--list-scenarios").stdout
    assert "vsock" in run(pyz, "doctor", "--source=guestrpc").stdout
    socket = tmp_path / "host"
    with subprocess.Popen(
        command(pyz, "simulate", "--socket", str(socket)), stdout=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None
        try:
            host.stdout.readline()
            where = f"--guestrpc.socket={socket}"
            assert run(pyz, "ha", "is-enabled", where).stdout == "not enabled\n"
            recording = tmp_path / "host.rec"
            assert (
                run(pyz, "record", str(recording), "--for", "1s", where, "--poll.interval=1s").returncode == 0
            )
            assert recording.stat().st_size
        finally:
            host.terminate()


def test_an_old_python_is_told_what_is_needed(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        main = archive.read("__main__.py").decode()
    program = f"import sys; sys.version_info = (3, 9, 2); exec({main!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; this is 3.9" in done.stderr
