"""Which place is read: the exporter where one is set up, the host where it is named or nothing else is there."""

from __future__ import annotations

import errno
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.commands import record
from exporter.config import Settings
from exporter.config.settings import Api, Replay, Simulated
from exporter.errors import ConfigError, RpcError
from exporter.outputs.api import Api as Insight
from exporter.outputs.web.application import View
from exporter.outputs.web.application import answer as send
from exporter.outputs.web.unix import UnixServer
from exporter.reading.base import NoAnswer
from exporter.reading.host import HostReading, measured, recorded
from exporter.reading.where import add_arguments, open_reading
from exporter.session.base import Host
from exporter.session.wire import GuestRpcSource
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import InProcess
from exporter.simulator.server import Server, answer
from exporter.snapshot import Guest, SourceInfo

SIMULATED = Settings(source="simulated", simulated=Simulated(scenario="noisy-neighbour", seed=1))
NONE = Path("/nonexistent")


def given(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*words, "--for=0.3s"])


def test_who_names_a_source_means_the_host() -> None:
    reading = open_reading(given(), SIMULATED, unit=NONE)
    try:
        found = reading.document()
    finally:
        reading.close()
    assert reading.name == "the host (simulated over memory)"
    assert found["numbers"]["stolen"] > 0.05
    assert found["numbers"]["memory_contention"] is not None, "the extended statistics are read at both ends"


def test_auto_asks_the_exporter_that_answers(short_path: Path) -> None:
    reading = measured(SIMULATED, 0.2)
    view: View = Insight(reading.published).view
    path = short_path / "api.sock"
    server = UnixServer(lambda environ, start: send(view(), "GET", start), path)
    server.start()
    try:
        found = open_reading(given(), Settings(api=Api(socket=str(path))), unit=NONE)
        assert found.name == f"the exporter at {path}"
        assert found.document()["source"]["source"] == "simulated"
    finally:
        server.close()
        reading.close()


def test_an_exporter_that_is_set_up_and_silent_is_never_replaced_where_that_matters(short_path: Path) -> None:
    settings = Settings(api=Api(socket=str(short_path / "api.sock")))
    with pytest.raises(NoAnswer):
        open_reading(given(), settings, strict=True, unit=NONE).document()
    with pytest.raises(NoAnswer):
        open_reading(given("--from=exporter"), settings, unit=NONE).document()


def test_a_unit_that_is_enabled_is_an_exporter_that_is_set_up(short_path: Path) -> None:
    unit = short_path / "vmguest-exporter.service"
    unit.symlink_to("/dev/null")
    assert open_reading(given(), Settings(), strict=True, unit=unit).name.startswith("the exporter at /run")


def test_a_folder_that_is_closed_to_this_user_holds_an_exporter_that_is_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/run/private of systemd: root's alone."""

    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", closed)
    monkeypatch.setattr(Path, "stat", lambda path, **_: closed(path))
    assert open_reading(given(), Settings(), strict=True, unit=NONE).name.startswith("the exporter at /run")


@pytest.mark.parametrize("words", [("--url=http://x", "--from=host"), ("--user=me",), ("--ca=/x",)])
def test_contradictions(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="has no effect"):
        open_reading(given(*words), SIMULATED, unit=NONE)


def test_one_reading_takes_no_time() -> None:
    reading = measured(SIMULATED, 0.0)
    try:
        found = reading.document()
    finally:
        reading.close()
    assert found["up"]
    assert found["numbers"]["stolen"] is None
    assert found["raw"]["groups"]


class SpeaksOnly:
    """A host whose extended statistics come in one encoding alone."""

    def __init__(self, encoding: str, now: Callable[[], float]) -> None:
        self.host = SimulatedHost("noisy-neighbour", now)
        self.encoding = encoding
        self.asked = 0
        self.source = GuestRpcSource(self, SourceInfo("guestrpc", "memory"))

    def call(self, command: bytes, timeout: float | None = None) -> bytes:
        word, encoding, group = (*command.decode().split(" ", 2), "", "")[:3]
        if word == "guestlib.stat.get" and group:
            self.asked += encoding == self.encoding
            if encoding != self.encoding:
                raise RpcError("Unsupported encoding")
        return answer(self.host, command)

    def close(self) -> None: ...


@pytest.mark.parametrize("seconds", [0.0, 8.0])
@pytest.mark.parametrize("encoding", ["xml", "json", "yaml", "text"])
def test_a_reading_ends_with_its_last_round_shown(encoding: str, seconds: float) -> None:
    """One that does not say of which session it is waits for a basic poll, which has to come."""
    now = [100.0]

    def tick() -> float:
        now[0] += 0.001
        return now[0]

    def sleep(span: float) -> None:
        now[0] += span

    spoken = SpeaksOnly(encoding, lambda: now[0])
    host = Host(spoken.source, lambda: Guest(vcpus=2))
    reading = HostReading(
        Settings(),
        host,
        1.0,
        clock=tick,
        wall=lambda: 1.7e9 + now[0],
        sleep=sleep,
        rounds=max(seconds / 2, 0.1),
    )
    try:
        reading.measure(seconds)
        state, found = reading.published.state, reading.document()
    finally:
        reading.close()
    assert state.extended is not None
    assert now[0] - state.extended.read_monotonic < 0.5, "the last round"
    assert found["raw"]["groups"]
    groups = len(state.extended.groups)
    assert spoken.asked == (2 if seconds else 1) * groups, "no further round"
    if seconds:
        assert state.extended_before is not None
        assert state.extended.read_monotonic - state.extended_before.read_monotonic == pytest.approx(
            seconds, abs=0.5
        )
        assert found["numbers"]["memory_contention"] is not None


def test_a_recording_is_read_whole_at_once(tmp_path: Path) -> None:
    file = tmp_path / "host.rec"
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    host = InProcess(Server(SimulatedHost("noisy-neighbour", lambda: now[0]), ()))
    record.run(
        Namespace(file=file, seconds=600.0, masked=False),
        Settings,
        connect=lambda _: host,
        clock=lambda: now[0],
        sleep=sleep,
    )
    reading = recorded(Settings(source="replay", replay=Replay(file=str(file))), str(file), Guest(vcpus=4))
    try:
        found = reading.document()
    finally:
        reading.close()
    assert found["times"][0] == pytest.approx(-600.0, abs=20)
    assert found["numbers"]["stolen"] > 0.05
    assert found["up"]
