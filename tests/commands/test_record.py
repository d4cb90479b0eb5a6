from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.commands import cli
from exporter.commands import record as record_command
from exporter.config import Settings
from exporter.config.settings import Extended, GuestRpc, Poll
from exporter.errors import ConfigError, RefusedError
from exporter.session.recording import read
from exporter.session.replay import ReplaySource
from exporter.simulator.faults import Fault
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import InProcess
from exporter.simulator.server import Server, serve_unix
from exporter.transport.base import Connector


class Time:
    """A clock that sleeping moves on; ``interrupt`` is when Ctrl-C comes."""

    def __init__(self, interrupt: float = float("inf")) -> None:
        self.now = 0.0
        self.interrupt = interrupt

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.interrupt:
            raise KeyboardInterrupt


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    record_command.add_arguments(parser)
    return parser.parse_args(words)


def record(
    path: Path,
    *words: str,
    scenario: str = "steady",
    faults: Sequence[Fault] = (),
    time: Time | None = None,
    connect: Callable[[str], Connector] | None = None,
    **settings: Any,
) -> int:
    time = time or Time()
    host = InProcess(Server(SimulatedHost(scenario, time.clock), faults))
    return record_command.run(
        arguments(str(path), *words),
        lambda: Settings(**settings),
        connect=connect or (lambda socket: host),
        clock=time.clock,
        sleep=time.sleep,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host.rec"


def test_ten_minutes_are_a_hundred_and_twenty_polls(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record(path) == 0
    recording = read(str(path))
    assert recording.duration == 600.0
    assert not recording.cut
    assert len(recording.exchanges["guestlib.info.get 3"]) == 120
    said = capsys.readouterr()
    assert said.out.startswith(f"{path}: 120 polls, 0 of them failed, ")
    assert f"--replay.file={path}" in said.out
    assert "Ctrl-C" in said.err


def test_every_group_is_asked_for_in_every_encoding_once(path: Path) -> None:
    record(path, "--for=10s")
    asked = read(str(path)).exchanges
    assert {len(asked[f"guestlib.stat.get {each} vscsi scsi0:0"]) for each in ("json", "yaml", "text")} == {1}
    assert len(asked["guestlib.stat.get xml resources"]) == 2


def test_without_extended_statistics_the_rounds_are_left_out(path: Path) -> None:
    record(path, "--for=30s", extended=Extended(enabled=False))
    assert len(read(str(path)).exchanges["guestlib.stat.get xml resources"]) == 1


def test_ctrl_c_ends_a_recording_and_does_not_cut_it_off(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(path, time=Time(interrupt=20.0)) == 0
    assert not read(str(path)).cut
    assert "ended by Ctrl-C" in capsys.readouterr().err


def test_failures_are_recorded_too(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = (Fault("error", text="disabled", on="guestlib.info.get", times=4, skip=2),)
    assert record(path, "--for=30s", faults=faults) == 0
    assert "6 polls, 2 of them failed" in capsys.readouterr().out


def test_groups_that_all_close_the_connection_fail_no_poll(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The look at everything is taken a few times; the rounds of the exporter are recorded beside it."""
    encodings = ("xml", "json", "yaml", "text")
    faults = tuple(Fault("disconnect", on=f"guestlib.stat.get {each}") for each in encodings)
    assert record(path, "--for=60s", faults=faults) == 0
    assert "12 polls, 0 of them failed" in capsys.readouterr().out
    recording = read(str(path))
    assert len(recording.exchanges["guestlib.info.get 3"]) == 12
    # Without a list the look is at this group alone; at the others are the exporter's own rounds.
    assert len(recording.exchanges["guestlib.stat.get json resources"]) >= 3
    assert "guestlib.stat.get json session" in recording.exchanges


def test_a_host_that_goes_away_is_recorded_as_such(path: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.rec"
    assert record(whole, "--for=10s", extended=Extended(enabled=False)) == 0
    # Each question about extended statistics has a connection of its own, beside the one of all polls.
    exchanges = read(str(whole)).exchanges
    asked = sum(len(found) for ask, found in exchanges.items() if ask.startswith("guestlib.stat.get"))
    assert asked > 10
    faults = (Fault("refuse", skip=1 + asked), Fault("disconnect", skip=2, on="guestlib.info.get"))
    assert record(path, "--for=30s", faults=faults, extended=Extended(enabled=False)) == 0
    recording = read(str(path))
    assert recording.exchanges[""][0].error == "refused"
    assert recording.exchanges["guestlib.info.get 3"][-1].error == "lost"


def test_a_host_that_never_gives_statistics_is_status_1(path: Path) -> None:
    assert record(path, "--for=10s", faults=(Fault("error", text="disabled", on="guestlib.info"),)) == 1
    assert not read(str(path)).cut


def test_without_a_host_there_is_no_file(path: Path) -> None:
    with pytest.raises(RefusedError):
        record(path, faults=(Fault("refuse"),))
    assert not path.exists()


def test_a_masked_recording_names_nothing(path: Path) -> None:
    record(path, "--for=10s", "--masked")
    recording = read(str(path))
    assert json.loads(path.read_text().splitlines()[0])["masked"] is True
    assert not [ask for ask in recording.exchanges if "00:50:56" in ask]
    assert "guestlib.stat.get xml vnet 02:00:00:00:00:01" in recording.exchanges
    source = ReplaySource(str(path), clock=lambda: 0.0)
    assert source.read().values["resource_pool_path"] == "/xxxx/xxxx/xxxxxxxx"


def test_a_file_is_never_replaced(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        record(path)
    assert path.read_text() == "precious"


def test_a_file_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        record(tmp_path / "missing" / "host.rec")


@pytest.mark.parametrize("source", ["library", "simulated"])
def test_sources_without_raw_replies(path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match=f"--source={source} has no raw replies"):
        record(path, source=source)


@pytest.mark.parametrize("text", ["10", "0s", "forever"])
def test_a_duration_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        arguments("x", f"--for={text}")
    assert end.value.code == 2
    assert "a duration between 1s and 7d" in capsys.readouterr().err


def test_the_command_itself(path: Path, short_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    socket = short_path / "host"
    with serve_unix(socket, Server(SimulatedHost())):
        status = cli.main(
            ["record", str(path), "--for=1s", f"--guestrpc.socket={socket}", "--poll.interval=300ms"]
        )
    assert status == 0
    assert capsys.readouterr().out.startswith(f"{path}: 4 polls")


def test_settings_reach_the_connection(path: Path) -> None:
    seen: list[str] = []

    def connect(socket: str) -> Connector:
        seen.append(socket)
        return InProcess(Server(SimulatedHost()))

    record(path, "--for=1s", connect=connect, guestrpc=GuestRpc(socket="/run/host"), poll=Poll(interval=1.0))
    assert seen == ["/run/host"]
