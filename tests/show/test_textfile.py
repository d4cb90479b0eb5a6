"""The file in a real node_exporter: taken whole, and nothing in its log."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.commands import cli
from exporter.show.textfile import select

PAGE = b"""# HELP vmguest_up x
# TYPE vmguest_up gauge
vmguest_up 1.0
# HELP vmguest_polls_total x
# TYPE vmguest_polls_total counter
vmguest_polls_total 3.0
# HELP vmguest_polls_created x
# TYPE vmguest_polls_created gauge
vmguest_polls_created 1.0
# HELP process_cpu_seconds_total x
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.0
# HELP vmguest_session_info x
# TYPE vmguest_session_info gauge
vmguest_session_info{session_id="0x1"} 1.0
"""


def test_families_are_kept_or_left_out_whole() -> None:
    kept = select(PAGE).decode()
    assert [line for line in kept.splitlines() if not line.startswith("#")] == [
        "vmguest_up 1.0",
        'vmguest_session_info{session_id="0x1"} 1.0',
    ]
    assert kept.count("# HELP") == 2
    assert select(b"# EOF\n") == b"# EOF\n"


@pytest.mark.real
def test_node_exporter_serves_it_without_a_word(
    tmp_path: Path, require_program: Callable[[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    node_exporter = require_program("prometheus-node-exporter", "apt-get install prometheus-node-exporter")
    folder = tmp_path / "textfile"
    folder.mkdir()
    file = folder / "vmguest.prom"
    assert cli.main(["show", "metrics", f"--output={file}", "--source=simulated"]) == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = tmp_path / "log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [
                node_exporter, "--collector.disable-defaults", "--collector.textfile",
                f"--collector.textfile.directory={folder}", f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            page = fetch(f"http://127.0.0.1:{port}/metrics")
        finally:
            process.terminate()
            process.wait(10)
    # Who runs these tests as root hears of that.
    assert [line for line in said.read_text().splitlines() if "running as root user" not in line] == []
    assert "node_textfile_scrape_error 0" in page
    written = {line.split("{")[0].split(" ")[0] for line in file.read_text().splitlines() if line[0] != "#"}
    served = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if line.startswith("vmguest_")}
    assert served == written


def fetch(url: str) -> str:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError("node_exporter never answered")
