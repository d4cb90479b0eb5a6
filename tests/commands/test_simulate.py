"""``simulate`` as a user runs it."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.commands import cli
from exporter.commands import simulate as command
from exporter.config import Settings, load
from exporter.config.flags import read
from exporter.errors import ConfigError, RpcError
from exporter.machine.system import WINDOWS
from exporter.protocol.appmonitor import Verb
from exporter.protocol.appmonitor import command as beat
from exporter.session.wire import Channel, WireSource
from exporter.simulator import scenario_file
from exporter.simulator.faults import KINDS
from exporter.simulator.scenarios import SCENARIOS
from exporter.transport.unix import UnixConnector


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


@contextmanager
def running(*words: str) -> Iterator[list[int]]:
    """The command in a thread while the block runs; the list then holds its exit status."""
    stop, status = threading.Event(), list[int]()
    thread = threading.Thread(
        target=lambda: status.append(command.run(arguments(*words), Settings, stop=stop)), daemon=True
    )
    thread.start()
    try:
        yield status
    finally:
        stop.set()
        thread.join(10)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--list-scenarios"], [*SCENARIOS]),
        (["--list-faults"], [*KINDS]),
        (["--list-scenarios", "--list-faults"], [*SCENARIOS, *KINDS]),
    ],
)
def test_scenarios_and_faults_are_listed(
    words: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(arguments(*words), Settings) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 3 for line in lines)


def test_it_serves_and_tells_how_to_use_it_and_what_happens(
    short_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = short_path / "host"
    scenario = short_path / "moves.toml"
    scenario.write_text('summary = "It moves."\n[session]\nat = [0.3]\n')
    printed = ""

    def seen(text: str) -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return text in printed

    fault = "error:times=1:on=GuestAppMonitor.Cmd.IsEnabled"
    with running(
        "--socket", str(path), "--scenario", str(scenario), "--fault", fault, "--seed", "5"
    ) as status:
        eventually(lambda: seen(f"vmguest-exporter --source=guestrpc --guestrpc.socket={path}\n"))
        source = WireSource(UnixConnector(path), 5)
        assert source.read().protocol == 3
        source.close()
        guest = Channel(UnixConnector(path), 5)
        with pytest.raises(RpcError, match="disabled"):
            guest.call(beat(Verb.IS_ENABLED))
        guest.call(beat(Verb.POST_APP_STATE, "appStateNeedReset"))
        guest.close()
        eventually(lambda: seen("session change (vMotion): "))
        eventually(lambda: seen("HA: RESET of the VM (number 1): the guest asked for it"))
    assert status == [0]
    seen("")
    assert "moves. It moves." in printed
    assert "seed 5" in printed
    assert printed.splitlines()[-1].startswith("stopped: ")
    assert "1 session changes, 0 heartbeats, 1 resets, error 1 times" in printed.splitlines()[-1]
    assert not path.exists()


def test_every_wrong_argument_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        command.run(arguments("--scenario=stedy", "--fault=x", "--fault=delay:p=2", "--speed=0"), Settings)
    assert [problem[:20] for problem in raised.value.problems] == [
        "--socket is missing:",
        "--speed=0: expected ",
        "fault 'x': no such k",
        "fault delay: p = 2: ",
        "scenario 'stedy': no",
    ]


@pytest.mark.parametrize(("words", "said"), [(["--socket=/x"], "--socket"), ([], "simulate without --fleet")])
def test_where_there_are_no_unix_sockets_a_host_can_not_be_played(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "HERE", WINDOWS)
    sentence = (
        f"{said}: Python has no unix sockets on Windows; use --fleet N, or --source=simulated for one host"
    )
    with pytest.raises(ConfigError) as raised:
        command.run(arguments(*words), Settings)
    assert raised.value.problems == (sentence,)
    assert command.run(arguments("--list-scenarios"), Settings) == 0


@pytest.mark.parametrize("speed", ["-1", "1e9", "nan"])
def test_speed_has_bounds(speed: str) -> None:
    with pytest.raises(ConfigError, match="expected more than 0 and at most 1000"):
        command.run(arguments("--socket=/x", f"--speed={speed}"), Settings)


def test_a_path_that_can_not_be_used_is_told(short_path: Path) -> None:
    file = short_path / "file"
    file.write_text("precious")
    with pytest.raises(ConfigError, match="is no socket"):
        command.run(arguments(f"--socket={file}"), Settings, stop=threading.Event())


def test_the_example_of_the_help_is_a_scenario(short_path: Path) -> None:
    file = short_path / "example.toml"
    parser = ArgumentParser()
    command.add_arguments(parser)
    assert parser.epilog is not None
    file.write_text(inspect.cleandoc(parser.epilog.partition("\n")[2].partition("\n\n")[0]))
    scenario = scenario_file.load(str(file))
    assert set(scenario.set) == {12, 2, 25}
    assert "scenario file, for example:\n  base" in parser.format_help()


def test_each_start_is_another_session_unless_a_seed_is_given(short_path: Path) -> None:
    def session(*words: str) -> int:
        host, _ = command._prepare(arguments("--socket=/x", *words))
        return host.session_id

    assert session() != session()
    assert session("--seed=1") == session("--seed=1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(short_path: Path, number: signal.Signals) -> None:
    path = short_path / "host"
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "simulate", f"--socket={path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        while "--guestrpc.socket" not in process.stdout.readline():
            assert process.poll() is None
        source = WireSource(UnixConnector(path), 5)
        source.read()
        process.send_signal(number)
        out, errors = process.communicate(timeout=10)
        source.close()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert errors == ""
    assert out.startswith("stopped: 1 requests on 1 connections")
    assert not path.exists()


def test_signal_handlers_are_put_back(short_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        assert command.run(arguments(f"--socket={short_path / 'host'}"), Settings) == 0
    finally:
        timer.cancel()
        timer.join()
    assert signal.getsignal(signal.SIGTERM) is before


def settings(*words: str) -> Settings:
    return load(read(words).given, {})


def test_a_fleet_is_served_where_the_settings_say(capsys: pytest.CaptureFixture[str]) -> None:
    stop, status = threading.Event(), list[int]()

    def load_them() -> Settings:
        return settings("--web.listen-address=127.0.0.1:0")

    words = arguments("--fleet=2", "--mix=steady=1", "--seed=7", "--calm")
    thread = threading.Thread(
        target=lambda: status.append(command.run(words, load_them, stop=stop)), daemon=True
    )
    thread.start()
    printed = ""

    def said() -> re.Match[str] | None:
        nonlocal printed
        printed += capsys.readouterr().out
        return re.search(
            r"listening on (\S+): service discovery at (\S+)sd, the truth at (\S+)truth\n", printed
        )

    try:
        eventually(lambda: said() is not None)
        found = said()
        assert found is not None
        assert printed.startswith("2 VMs, simulated, seed 7\n")
        with urllib.request.urlopen(f"{found[1]}sd", timeout=10) as answer:
            targets = json.load(answer)
        assert [each["labels"]["instance"] for each in targets] == ["web-00001", "app-00002"]
    finally:
        stop.set()
        thread.join(20)
    assert status == [0]


@pytest.mark.parametrize(
    ("words", "given", "problems"),
    [
        *(
            ([f"--fleet={count}"], [], [f"--fleet={count}: expected a number of VMs from 1 to 100000"])
            for count in ("0", "-1", "100001", "many", "1_0", "")
        ),
        (
            ["--fleet=5", "--socket=/x", "--speed=2", "--fault=refuse", "--scenario=steady"],
            [],
            [f"--{name} has no effect with --fleet; leave it out" for name in ("socket", "scenario", "fault", "speed")],
        ),
        (
            ["--fleet=5", "--mix=stedy=1,noisy,hungry=-1,steady=1,steady=2"],
            [],
            [
                "--mix: no scenario 'stedy'; did you mean steady? (a file's name ends in .toml)",
                "--mix: 'noisy': expected SCENARIO=WEIGHT, such as steady=90",
                "--mix: 'hungry=-1': expected SCENARIO=WEIGHT, such as steady=90",
                "--mix: steady is named twice",
            ],
        ),
        (
            ["--fleet=5", "--mix=steady=1e308,noisy=1e308"],
            [],
            ["--mix=steady=1e308,noisy=1e308: expected weights that sum up to more than 0 and at most 1e+09"],
        ),
        (["--fleet=5", "--mix=steady=0"], [], ["--mix=steady=0: expected weights that sum up to more than 0 and at most 1e+09"]),
        (
            ["--fleet=5", "--push-share=0.5"],
            [],
            ["--push-share has no effect without --otlp.endpoint; add it, or leave it out"],
        ),
        (
            ["--fleet=5", "--push-share=2"],
            ["--otlp.endpoint=http://127.0.0.1:9"],
            ["--push-share=2: expected a number from 0 to 1"],
        ),
        (
            ["--fleet=5"],
            ["--poll.interval=1s", "--source=simulated", "--web.telemetry-path=/m"],
            [
                "--source has no effect on simulate --fleet; leave it out",
                "--poll.interval has no effect on simulate --fleet; leave it out",
                "--web.telemetry-path has no effect on simulate --fleet; leave it out",
            ],
        ),
        # Its default, given all the same: the fleet does not go by it.
        (["--fleet=5"], ["--poll.interval=5s"], ["--poll.interval has no effect on simulate --fleet; leave it out"]),
        (["--fleet=5"], ["--ha.enabled"], ["--ha.enabled has no effect on simulate --fleet; leave it out"]),
        (
            ["--socket=/x", "--mix=steady=1", "--calm", "--push-share=1"],
            [],
            [f"{name} has no effect without --fleet; add it, or leave {name} out" for name in ("--mix", "--calm", "--push-share")],
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_for_a_fleet_is_told_at_once(
    words: list[str], given: list[str], problems: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        command.run(arguments(*words), lambda: settings(*given))
    assert sorted(raised.value.problems) == sorted(problems)


def test_settings_that_can_not_be_used_are_told_beside(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "--fleet=0", "--log.level=loud", "--source=simulated"]) == 2
    problems = [line.split()[1].partition("=")[0] for line in capsys.readouterr().err.splitlines()]
    assert problems == ["--fleet", "--log.level", "--source", "try"]


@pytest.mark.parametrize(("more", "status"), [("", 1), ("--speed=0", 2)])
def test_a_scenario_that_is_not_there_yet_may_come(more: str, status: int, short_path: Path) -> None:
    words = ["simulate", "--socket=/x", f"--scenario={short_path / 'late.toml'}", *more.split()]
    assert cli.main(words) == status


def test_settings_have_no_effect_on_a_single_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "--socket=/tmp/x", "--web.listen-address=:1"]) == 2
    said = capsys.readouterr().err
    assert "--web.listen-address has no effect on simulate without --fleet" in said


def test_scenarios_of_a_fleet_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(arguments("--fleet=1", "--list-scenarios"), Settings) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [*SCENARIOS, "noisy", "hungry"]
