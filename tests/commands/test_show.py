"""``show`` as a user runs it, on the simulated host."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.commands import cli, show
from exporter.errors import NotVMwareError
from exporter.outputs.api import Document
from exporter.reading.base import NoAnswer

HOST = ("--source=simulated", "--simulated.scenario=noisy-neighbour", "--for=0.3s")


def test_the_table_has_verdict_place_and_areas(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", *HOST]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("✕ Each vCPU lost")
    for words in ("From the host (simulated over memory)", "\nCPU\n", "\nMemory\n", "scsi0:0", "unlimited"):
        assert words in said.out
    assert "\x1b" not in said.out, "no colour into a pipe"
    assert not said.err


def test_json_is_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "--format=json", *HOST]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["level"] == "critical"


def test_raw_is_as_the_host_said_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "--raw", *HOST]) == 0
    said = capsys.readouterr().out
    assert "\ncpu_limit 4294967295\n" in said
    assert "[vscsi scsi0:0]" in said


@pytest.mark.parametrize("form", ["prometheus", "openmetrics"])
def test_the_text_formats(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", f"--format={form}", *HOST]) == 0
    said = capsys.readouterr().out
    assert said.endswith("# EOF\n") is (form == "openmetrics")
    assert "vmguest_cpu_lost_seconds_total{" in said


def test_a_textfile_holds_what_host_and_guest_gave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vmguest.prom"
    file.write_text("before")
    assert cli.main(["show", "metrics", f"--output={file}", *HOST[:2]]) == 0
    assert not capsys.readouterr().out
    names = {family.name for family in text_string_to_metric_families(file.read_text())}
    assert {"vmguest_up", "vmguest_memory_ballooned_bytes", "vmguest_cpu_stolen_seconds"} <= names
    assert {"vmguest_vcpus", "vmguest_disk_num_reads", "vmguest_session_info"} <= names
    own = {"vmguest_polls", "vmguest_poll_errors", "vmguest_cpu_lost_seconds", "vmguest_session_changes"}
    assert not {name for name in names if name in own or not name.startswith("vmguest_")}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == [file.name], "nothing is left beside it"


def test_a_host_that_gives_nothing_is_vmguest_up_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vmguest.prom"
    assert cli.main(["show", "metrics", f"--output={file}", f"--guestrpc.socket={tmp_path / 'none'}"]) == 1
    assert "\nvmguest_up 0.0\n" in file.read_text()
    assert "vmguest_memory" not in file.read_text()


def test_a_machine_that_is_no_guest_is_vmguest_up_0_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise NotVMwareError("this machine runs on kvm")

    monkeypatch.setattr("exporter.session.hosts.choose", nobody)
    file = tmp_path / "vmguest.prom"
    file.write_text("vmguest_up 1.0\n")
    assert cli.main(["show", "metrics", "--from=host", f"--output={file}"]) == 1
    assert "this machine runs on kvm" in capsys.readouterr().err
    families = {each.name: each for each in text_string_to_metric_families(file.read_text())}
    assert [sample.value for sample in families["vmguest_up"].samples] == [0.0]
    assert not [name for name in families if name.startswith(("vmguest_memory_", "vmguest_cpu_used"))]


def test_an_exporter_that_is_gone_is_vmguest_up_0_too(tmp_path: Path) -> None:
    file = tmp_path / "vmguest.prom"
    file.write_text("vmguest_up 1.0\n")
    gone = f"--api.socket={tmp_path / 'none'}"
    assert cli.main(["show", "metrics", "--from=exporter", f"--output={file}", gone]) == 1
    assert "\nvmguest_up 0.0\n" in file.read_text()


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "real.prom"
    target.parent.mkdir()
    link = tmp_path / "vmguest.prom"
    link.symlink_to("elsewhere/real.prom")
    for before in (None, "before"):
        if before is not None:
            target.write_text(before)
        assert cli.main(["show", "metrics", f"--output={link}", *HOST[:2]]) == 0
        assert link.is_symlink()
        assert "\nvmguest_up 1.0\n" in target.read_text()
        assert [each.name for each in target.parent.iterdir()] == ["real.prom"], "nothing is left beside it"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert cli.main(["show", "metrics", f"--output={pipe}", *HOST[:2]]) == 0
        assert b"\nvmguest_up 1.0\n" in os.read(reader, 1 << 20)
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_a_file_that_can_not_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "metrics", "--output=/nonexistent/x.prom", *HOST[:2]]) == 2
    assert "--output=/nonexistent/x.prom: there is no folder /nonexistent" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--output=/tmp/x",),
        ("metrics", "--format=table"),
        ("metrics", "--raw"),
        ("--raw", "--format=prometheus"),
        ("metrics", "--watch=1s", "--output=/tmp/x"),
    ],
)
def test_contradictions(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", *words, *HOST[:2]]) == 2
    assert capsys.readouterr().err


def test_a_host_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", f"--guestrpc.socket={tmp_path / 'none'}"]) == 1
    assert "The last poll failed" in capsys.readouterr().out


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert show.colour({})
    assert not show.colour({"NO_COLOR": "1"})
    assert not show.colour({"TERM": "dumb"})


@pytest.mark.parametrize("columns", ["1", "5", "500"])
def test_any_width(columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.main(["show", "--source=simulated", "--for=0.1s"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 110


def test_watch_goes_on_while_the_exporter_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gone:
        name = "the exporter at /x"
        asked = 0

        def document(self) -> Document:
            self.asked += 1
            if self.asked == 3:
                raise KeyboardInterrupt
            raise NoAnswer("the exporter at /x does not answer")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(show, "open_reading", lambda *_, **__: Gone())
    assert cli.main(["show", "--watch=0.1s", "--from=exporter"]) == cli.INTERRUPTED
    assert capsys.readouterr().err.count("does not answer; trying again") == 2
