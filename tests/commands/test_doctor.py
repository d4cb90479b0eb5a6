from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from exporter.commands import cli
from exporter.commands import doctor as command
from exporter.config import Settings, load
from exporter.config.settings import GuestRpc, Otlp
from exporter.doctor.finding import Verdict
from exporter.errors import ConfigError
from exporter.simulator.faults import Fault
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def run(guest: Guest, *words: str, **settings: Any) -> int:
    world = guest.build()
    given = Settings(**{**guest.settings, **settings}) if settings else world.settings
    return command.run(arguments(*words), lambda: given, environ={}, world=world)


def codes(text: str) -> list[str]:
    return [each["code"] for each in json.loads(text)["findings"]]


def test_where_nothing_is_wrong_the_status_is_0(guest: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(guest) == 0
    said = capsys.readouterr()
    assert said.out.startswith("ok    hypervisor            This is a VMware guest")
    assert "\x1b" not in said.out
    assert guest.library.closed


def test_what_fails_makes_it_1(guest: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    guest.faults = (Fault("no-status"),)
    guest.library.reads = guest.library.loads = None
    assert run(guest, source="guestrpc") == 1
    assert "Repair first: guestrpc-answer." in capsys.readouterr().out


def test_with_auto_the_library_stands_in(guest: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    guest.faults = (Fault("no-status"),)
    assert run(guest) == 0
    assert "warn  guestrpc-answer" in capsys.readouterr().out


def test_json(guest: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(guest, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "auto"
    assert document["time"] == "2026-11-18T11:06:40Z"
    assert document["findings"][0]["verdict"] == Verdict.OK.value


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({"source": "library"}, "library"),
        ({"source": "guestrpc"}, "guestrpc"),
        ({"source": "simulated"}, "auto"),
        ({"guestrpc": GuestRpc(socket="/tmp/x")}, "guestrpc"),
    ],
)
def test_the_source_is_that_of_the_settings(
    guest: Guest, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], source: str
) -> None:
    run(guest, "--json", **settings)
    out = capsys.readouterr().out
    assert json.loads(out)["source"] == source
    assert ("library-present" in codes(out)) is (source != "guestrpc")
    assert ("guestrpc-answer" in codes(out)) is (source != "library")


def test_settings_that_can_not_be_used_are_a_finding(
    guest: Guest, capsys: pytest.CaptureFixture[str]
) -> None:
    def bad() -> Settings:
        raise ConfigError("/etc/x.toml:3: poll.interval: expected a duration")

    assert command.run(arguments(), bad, environ={}, world=guest.build()) == 1
    out = capsys.readouterr().out
    assert "FAIL  config-file" in out
    assert "/etc/x.toml:3: poll.interval: expected a duration" in out


def test_colour_on_a_terminal_alone() -> None:
    assert command.colour({}, Terminal())
    assert not command.colour({"NO_COLOR": "1"}, Terminal())
    assert not command.colour({"TERM": "dumb"}, Terminal())
    assert not command.colour({}, io.StringIO())
    assert not command.colour({})


def test_the_report_is_coloured_on_a_terminal(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    run(guest)
    assert "\x1b[32mok" in terminal.getvalue()


def test_a_bundle(guest: Guest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.tar.gz"
    assert run(guest, "--json", f"--bundle={path}") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)
    assert f"{path} will hold:" in said.err
    with tarfile.open(path) as archive:
        file = archive.extractfile("vmguest-exporter-doctor/README.txt")
        assert file is not None
        assert b" masked: " in file.read()


def test_an_unmasked_bundle(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    run(guest, f"--bundle={path}", "--unmasked")
    with tarfile.open(path) as archive:
        file = archive.extractfile("vmguest-exporter-doctor/README.txt")
        assert file is not None
        assert b"not masked" in file.read()


def test_unmasked_makes_no_sense_alone(guest: Guest) -> None:
    with pytest.raises(ConfigError, match="--unmasked has no effect without --bundle"):
        run(guest, "--unmasked")


@pytest.mark.parametrize(("answer", "written"), [("\n", True), ("y\n", True), ("n\n", False), ("", False)])
def test_a_person_is_asked(monkeypatch: pytest.MonkeyPatch, answer: str, written: bool) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    asked = Terminal()
    monkeypatch.setattr(sys, "stderr", asked)
    assert command.confirm("Write x?") is written
    assert asked.getvalue() == "Write x? [Y/n] "


def test_without_a_person_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert command.confirm("Write x?")


@pytest.mark.parametrize("words", [["doctor", "--rod=library"], ["doctor", "x"]])
def test_bad_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert "usage: vmguest-exporter doctor" in capsys.readouterr().err


def test_the_command_on_a_simulated_host(short_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = short_path / "host"
    with serve_unix(path, Server(SimulatedHost())):
        cli.main(["doctor", "--json", f"--guestrpc.socket={path}", "--web.listen-address=127.0.0.1:0"])
    document = json.loads(capsys.readouterr().out)
    verdicts = {each["code"]: each["verdict"] for each in document["findings"]}
    assert document["source"] == "guestrpc"
    assert (
        verdicts["guestrpc-answer"] == verdicts["statistics-given"] == verdicts["extended-statistics"] == "ok"
    )
    assert "vsock-module" not in verdicts


def test_what_the_exporter_would_log_of_the_host_is_not_logged_beside_the_report(
    short_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = short_path / "host"
    closes = Fault("disconnect", on="guestlib.stat.get xml vscsi")
    with serve_unix(path, Server(SimulatedHost(), (closes,))):
        cli.main(["doctor", f"--guestrpc.socket={path}", "--web.listen-address=127.0.0.1:0"])
    assert "another encoding" not in capfd.readouterr().err


def test_a_real_run_without_a_world_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """On this machine, whatever it is: nothing ends by a mistake, and nothing is asked where it is not VMware."""
    settings = load(environ={"VMGUEST_SOURCE": "guestrpc"})
    assert command.run(arguments("--json"), lambda: settings) in {0, 1}
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert not [each for each in findings if "mistake in this program" in each["sentence"]]
    by_code = {each["code"]: each for each in findings}
    if by_code["hypervisor"]["verdict"] == "fail":
        assert by_code["guestrpc-answer"]["because"] == "hypervisor"


def test_everything_may_hang_and_it_ends_within_five_seconds(tmp_path: Path, short_path: Path) -> None:
    """A host, a receiver and programs that never answer."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (
        "dpkg-query",
        "rpm",
        "ldd",
        "timedatectl",
        "openssl",
        "systemd-detect-virt",
        "dmesg",
        "journalctl",
    ):
        (programs / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (programs / name).chmod(0o755)
    path = short_path / "host"
    with socket.socket(socket.AF_UNIX) as host, socket.create_server(("127.0.0.1", 0)) as receiver:
        host.bind(str(path))
        host.listen(50)
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "doctor", "--json",
             f"--guestrpc.socket={path}", "--guestrpc.timeout=30s", "--source=guestrpc",
             f"--otlp.endpoint=http://127.0.0.1:{receiver.getsockname()[1]}"],
            capture_output=True, timeout=60, check=False,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        )  # fmt: skip
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["seconds"] < 5
    verdicts = {each["code"]: each["verdict"] for each in document["findings"]}
    assert verdicts["guestrpc-answer"] == "fail"
    assert verdicts["otlp-endpoint"] == "fail"
    assert verdicts["statistics-enabled"] == "skipped"


def test_secrets_are_not_in_the_report(guest: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    run(guest, "--json", otlp=Otlp(endpoint="http://127.0.0.1:1", headers=(("x-key", "geheim"),)))
    assert "geheim" not in capsys.readouterr().out
