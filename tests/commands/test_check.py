"""``check`` as a monitoring system runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.check.measures import BY_KEY
from exporter.commands import cli
from tests.check.guidelines import status

HOST = ("--source=simulated", "--simulated.scenario=noisy-neighbour", "--for=0.5s")


def test_one_line_and_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["check", "-w", "stolen=1%", "-c", "stolen=2%", *HOST])
    said = capsys.readouterr()
    word, data = status(said.out.rstrip("\n"))
    assert (code, word) == (2, "CRITICAL")
    assert data["stolen"].value > 5
    assert not said.err


def test_a_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--profile=voip", "--format=json", *HOST]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["results"][0]["title"] == "CPU is given within the time of a packet"


def test_formats_that_carry_states_exit_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--format=influx", "-c", "stolen=0:0", *HOST]) == 0
    assert "vmguest_check,key=all state=2i" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("--poll.interval=zz",),
        ("--profile=nonesuch", "--source=simulated"),
        ("--only=nonesuch", "--source=simulated", "--for=0.1s"),
        ("--from=exporter", "--api.socket=/nonexistent/x"),
        ("--url=ftp://x",),
    ],
)
def test_whatever_goes_wrong_is_unknown_on_standard_output(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", *words]) == 3
    assert status(capsys.readouterr().out.rstrip("\n"))[0] == "UNKNOWN"


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "foo=1"),
        ("-c", "stolen"),
        ("-c", "stolen=x"),
        ("-c", "balloon=nan"),
        ("-c",),
        ("--nonesuch",),
        ("--for=0s",),
        ("--format=xml",),
        ("--poll.interval",),
        ("--only=nonesuch",),
        ("stray",),
    ],
)
def test_a_command_line_that_can_not_be_read_is_unknown_too(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", *words]) == 3
    said = capsys.readouterr()
    assert status(said.out.rstrip("\n"))[0] == "UNKNOWN"
    assert said.err


def test_a_command_line_that_can_not_be_read_is_unknown_in_the_format_that_it_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["check", "--format", "checkmk", "-c", "nosuch=3"]) == 3
    assert capsys.readouterr().out.startswith("3 \"VM verdict\" - argument -c: 'nosuch': expected one of")


@pytest.mark.parametrize("words", [("--profile=sap", "--only=stolen"), ("--only=stolen", "-c", "balloon=1")])
def test_what_can_not_go_together_is_said_with_what_to_do(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", *words]) == 3
    assert re.search(r"has no effect.*: (leave it out|add --only=balloon)", capsys.readouterr().out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_what_can_not_be_written_is_unknown() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "exporter", "check", "--source=simulated", "--for=0.1s"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (
        3,
        "vmguest-exporter: standard output: No space left on device\n",
    )


@pytest.mark.parametrize("key", BY_KEY)
def test_every_key_can_be_asked_for_alone_and_have_a_threshold(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(
        ["check", "--format=json", f"--only={key}", "-c", f"{key}=~:", "--source=simulated", "--for=0.1s"]
    )
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert found["key"] == key
    assert status == (0 if found["given"] else 3)
    # No heartbeats are sent, pauses are not looked for, and nothing was stolen that the kernel could show.
    assert found["given"] is (key not in {"heartbeat", "pauses", "steal"})


def test_an_exporter_that_is_set_up_and_silent_is_unknown(
    short_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", f"--api.socket={short_path / 'api.sock'}"]) == 3
    assert "does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["--api.socket=", "--guestrpc.socket="])
@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("checkmk", '3 "VM verdict" - '),
        ("zabbix", "- vmguest.check 3"),
        ("influx", "vmguest_check,key=all state=3i,text="),
    ],
)
def test_formats_of_lines_say_unknown_and_why_and_are_not_dropped(
    where: str, form: str, line: str, short_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--format={form}", f"{where}{short_path / 'none.sock'}", "--for=0.1s"]
    if where == "--guestrpc.socket=":
        words.append("--source=guestrpc")
    assert cli.main(["check", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(line)
    assert "No such file" in "".join(lines[:2])
    assert (len(lines) > 2) is (where == "--guestrpc.socket="), "a host has a line for each question"


def test_the_line_for_the_whole_names_the_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--profile=voip", "--format=checkmk", *HOST]) == 0
    assert capsys.readouterr().out.startswith('2 "VM profile voip" - ')


def test_only_some_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--only=balloon", "--only=swap", *HOST]) == 0
    assert status(capsys.readouterr().out.rstrip("\n"))[1].keys() == {"balloon", "swap"}
