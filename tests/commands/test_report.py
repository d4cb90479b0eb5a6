"""``report`` as a user runs it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from exporter.commands import cli, record, report
from exporter.config import Settings
from exporter.outputs.api import Document
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import InProcess
from exporter.simulator.server import Server
from exporter.snapshot import Guest
from tests.top.worlds import documents

HOST = ("--source=simulated", "--simulated.scenario=noisy-neighbour", "--for=0.5s")


def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vm.html"
    assert cli.main(["report", f"--output={file}", *HOST]) == 0
    assert file.read_text().startswith("<!doctype html>")
    said = capsys.readouterr()
    assert not said.out
    assert "names and addresses masked" in said.err


def test_markdown_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--format=markdown", *HOST]) == 0
    assert "## What to ask the vSphere administrator for" in capsys.readouterr().out


def test_a_recording_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "host.rec"
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    host = InProcess(Server(SimulatedHost("cpu-limit", lambda: now[0]), ()))
    record.run(
        Namespace(file=file, seconds=900.0, masked=False),
        Settings,
        connect=lambda _: host,
        clock=lambda: now[0],
        sleep=sleep,
        read_guest=lambda: Guest(4, 8 * 2**30, 8 * 2**30),
    )
    capsys.readouterr()
    assert cli.main(["report", str(file), "--format=markdown"]) == 0
    said = capsys.readouterr().out
    assert f"- Read from: {file}" in said
    assert "This VM: vCPUs | 4 |" in said
    assert "Set the CPU Limit to Unlimited" in said
    assert "Doctor was not asked" in said
    assert cli.main(["report", str(file), "--vcpus=2", "--format=markdown"]) == 0
    assert "This VM: vCPUs | 2 |" in capsys.readouterr().out


def test_a_host_that_is_silent_is_reported_with_doctors_findings(
    short_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", "--format=markdown", f"--guestrpc.socket={short_path / 'none'}"]) == 1
    said = capsys.readouterr().out
    assert "The last poll failed" in said
    assert "| Verdict | Code | Finding | What to do |" in said


@pytest.mark.parametrize("words", [("--vcpus=4",), ("--vcpus=0",), ("-o", "/nonexistent/x")])
def test_what_can_not_be(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *words, *HOST]) == 2
    assert capsys.readouterr().err


class Elsewhere:
    """An exporter that was read over the network."""

    name = "the exporter at https://vm17.corp.example:10052"

    def document(self) -> Document:
        return documents("swapping")[0]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("flags", [(), ("--unmasked",)])
def test_the_name_of_an_exporter_elsewhere_is_masked(
    flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "open_reading", lambda *_, **__: Elsewhere())
    words = ["report", "--format=markdown", "--url=https://vm17.corp.example:10052", *flags]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert ("vm17" in said) is bool(flags)
    assert ("https://xxxx.xxxx.xxxxxxx:10052" in said) is not bool(flags)
