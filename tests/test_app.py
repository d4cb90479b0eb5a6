from __future__ import annotations

import errno
import http.server
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waitress import wasyncore

from exporter import app
from exporter.config import Address, RawTable, Settings
from exporter.config.settings import Extended, GuestRpc, Ha, Library, Otlp, Poll, Replay, Simulated, Web
from exporter.errors import (
    ConfigError,
    LibraryCrashed,
    LibraryNotFound,
    NotVMwareError,
    RpcError,
    TimeoutExpired,
    VMGuestError,
)
from exporter.ha import lock
from exporter.ha.stop_note import StopNote
from exporter.machine import guest
from exporter.machine.process import own
from exporter.machine.signals import Signals
from exporter.machine.systemd import Notifier
from exporter.poller import Poller
from exporter.session import hosts
from exporter.session.record import FORMAT, VERSION
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix
from exporter.snapshot import PollState, Snapshot, SourceInfo

LOCAL = (Address("127.0.0.1", 0),)
SIMULATED = Settings(source="simulated", web=Web(listen=LOCAL), simulated=Simulated(seed=1))


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter")


def address(caplog: pytest.LogCaptureFixture) -> str:
    """Where the app says that it listens, as soon as it does."""
    for _ in range(1000):
        for record in list(caplog.records):
            if match := re.search(r"listening on (http://\S+)", record.getMessage()):
                return match[1]
        threading.Event().wait(0.01)
    raise AssertionError("it never listened")


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Run ``work`` in a thread beside the block, and raise what it raised."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    if failures:
        raise failures[0]


def test_serve_publishes_the_simulated_host_until_a_signal_comes(caplog: pytest.LogCaptureFixture) -> None:
    pages: list[str] = []

    def scrape() -> None:
        url = address(caplog)
        pages.append(get(url))
        while "\nvmguest_up 1.0" not in pages[-1]:
            pages.append(get(url))
        os.kill(os.getpid(), signal.SIGHUP)
        root = url.removesuffix("/metrics")
        assert get(f"{root}/-/healthy") == "healthy\n"
        assert get(f"{root}/-/ready") == "ready\n"
        assert 'href="metrics"' in get(f"{root}/")

    with beside(scrape):
        assert app.serve(SIMULATED, {}) == 0
    assert 'vmguest_source_info{protocol="3",source="simulated",transport="memory"} 1' in pages[-1]
    assert "process_cpu_seconds_total" in pages[-1]
    messages = [record.getMessage() for record in caplog.records]
    assert [text for text in messages if "SIGHUP" in text]
    assert messages[-1] == "stopped"


def test_an_address_that_the_whole_network_reaches_is_said_to_be_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "exporter")
    web = Web(listen=(Address("", 0), Address("127.0.0.1", 0)))
    with ExitStack() as parts:
        app.start(Settings(source="simulated", web=web), {}, Notifier({}), parts, pytest.fail)
    everywhere, here = (one.getMessage() for one in caplog.records if "listening" in one.getMessage())
    found = re.fullmatch(
        r"listening on http://localhost:(\d+)/metrics and on port (\d+) of every other address of this machine",
        everywhere,
    )
    assert found is not None
    assert found[1] == found[2]
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+/metrics", here)


def test_the_settings_reach_the_page(caplog: pytest.LogCaptureFixture) -> None:
    page: list[str] = []
    settings = Settings(
        source="simulated",
        expose_identity=True,
        web=Web(listen=LOCAL, telemetry_path="/vm", disable_exporter_metrics=True),
        extended=Extended(enabled=False),
        simulated=Simulated(scenario="cpu-limit"),
    )

    def scrape() -> None:
        url = address(caplog)
        assert url.endswith("/vm")
        while "\nvmguest_up 1.0" not in "".join(page):
            page.append(get(url))

    with beside(scrape):
        assert app.serve(settings, {}) == 0
    assert "vmguest_resource_pool_info" in page[-1]
    assert "process_cpu_seconds_total" not in page[-1]
    assert "vmguest_numa_memory_bytes" not in page[-1]


def test_the_web_configuration_is_in_force(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("http_server_config:\n  headers:\n    X-Frame-Options: deny\n")
    settings = Settings(source="simulated", web=Web(listen=LOCAL, config_file=str(file)))
    seen: list[str | None] = []

    def scrape() -> None:
        with urllib.request.urlopen(address(caplog), timeout=10) as response:
            seen.append(response.headers["X-Frame-Options"])

    with beside(scrape):
        assert app.serve(settings, {}) == 0
    assert seen == ["deny"]


def test_a_web_configuration_that_can_not_be_used_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("tls_server_confg: {}\n")
    settings = Settings(source="simulated", web=Web(listen=LOCAL, config_file=str(file)))
    with ExitStack() as parts, pytest.raises(ConfigError, match=r"web\.yml:1: unknown key"):
        app.start(settings, {}, Notifier({}), parts, pytest.fail)


def test_the_push_sends_what_the_page_shows(caplog: pytest.LogCaptureFixture) -> None:
    received = threading.Event()
    bodies: list[bytes] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            received.set()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{receiver.server_port}"
        settings = replace_web(*LOCAL, otlp=Otlp(endpoint=url, interval=0.1), poll=Poll(interval=0.1))
        page: list[str] = []

        def push() -> None:
            assert received.wait(20)
            while 'outcome="success"} 0.0' in (page[-1] if page else 'outcome="success"} 0.0'):
                page.append(get(address(caplog)))

        with beside(push):
            assert app.serve(settings, {}) == 0
        receiver.shutdown()
    assert b"vmguest.cpu.stolen" in b"".join(bodies)
    assert b"vmguest.otlp.exports" in b"".join(bodies)


def test_a_push_that_can_not_be_ends_the_start() -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}
    settings = replace_web(*LOCAL, otlp=Otlp(endpoint="localhost:4317"))
    with ExitStack() as parts, pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        app.start(settings, environ, Notifier({}), parts, pytest.fail)


def test_a_standard_variable_can_switch_the_push_off(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}
    with ExitStack() as parts:
        app.start(replace_web(*LOCAL), environ, Notifier({}), parts, pytest.fail)
        assert "vmguest_otlp" not in get(address(caplog))


def test_systemd_hears_of_the_first_poll_and_of_the_end(
    caplog: pytest.LogCaptureFixture, short_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short_path / "notify"))
        manager.settimeout(10)
        heard: list[bytes] = []

        def listen() -> None:
            # In either order: the first poll is another thread's.
            while not all(any(word in each for each in heard) for word in (b"READY", b"WATCHDOG")):
                heard.append(manager.recv(200))

        with beside(listen):
            environ = {"NOTIFY_SOCKET": str(short_path / "notify"), "WATCHDOG_USEC": "20000"}
            assert app.serve(SIMULATED, environ) == 0
        while not any(b"STOPPING" in each for each in heard):
            heard.append(manager.recv(200))
    assert b"READY=1\nSTATUS=polling every 5 s" in heard
    assert heard[-1] == b"STOPPING=1"


def test_a_port_in_use_is_an_error_of_that_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Address(*other.getsockname())
        with ExitStack() as parts, pytest.raises(ConfigError, match=f"--web.listen-address={taken}"):
            app.start(replace_web(taken), {}, Notifier({}), parts, pytest.fail)


def replace_web(*listen: Address, otlp: Otlp = Otlp(), poll: Poll = Poll()) -> Settings:  # noqa: B008  frozen
    return Settings(source="simulated", web=Web(listen=listen), otlp=otlp, poll=poll)


def test_what_only_the_parts_can_check_is_told_at_once_too(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text("nonsense: 1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(
            source="simulated",
            simulated=Simulated(scenario="noisy"),
            web=Web(listen=(Address("127.0.0.1", port),), config_file=str(web)),
            otlp=Otlp(endpoint="localhost:4317"),
            ha=Ha(enabled=True, checks=(RawTable({"name": "db"}, "x.toml", 3, {}),)),
        )
        with pytest.raises(ConfigError) as caught:
            app.serve(settings, {"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"})
    found = caught.value.problems
    for part in ("--simulated.scenario", "carrier-pigeon", f"port {port} is in use", "nonsense", "x.toml:3"):
        assert sum(part in problem for problem in found) == 1, (part, found)


def test_a_scenario_that_is_not_there_names_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"^--simulated\.scenario: "):
        hosts.find_host(Settings(source="simulated", simulated=Simulated(scenario="stormy")))


def test_each_start_of_the_simulated_host_is_another_session_unless_its_seed_is_given() -> None:
    def session(settings: Settings) -> int:
        source = hosts.find_host(settings).source
        try:
            return source.read().session_id
        finally:
            source.close()

    free = Settings(source="simulated")
    assert session(free) != session(free)
    assert session(SIMULATED) == session(SIMULATED)


def test_the_guest_of_a_simulated_host_is_simulated_too() -> None:
    """Else ratios to vCPUs and memory would speak of this machine."""
    host = hosts.find_host(SIMULATED)
    host.source.close()
    guest = host.guest()
    assert (guest.vcpus, guest.memory_bytes) == (4, 8192 << 20)
    assert host.serve_at is not None


def test_the_guest_of_a_real_host_is_this_machine(short_path: Path) -> None:
    host = hosts.find_host(Settings(guestrpc=GuestRpc(socket=str(short_path / "host"))))
    host.source.close()
    found, again = host.guest(), guest.read()
    assert (found.vcpus, found.memory_bytes, found.boot_id) == (
        again.vcpus,
        again.memory_bytes,
        again.boot_id,
    )
    assert host.serve_at is None


def test_a_real_hosts_session_outlives_the_process_where_the_unit_has_a_folder(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    real = Settings(guestrpc=GuestRpc(socket=str(tmp_path / "host")))
    assert hosts.memory(real, environ) is not None
    assert hosts.memory(real, {}) is None
    assert hosts.memory(Settings(source="simulated"), environ) is None


def test_what_was_seen_last_is_kept_at_the_end_and_after_the_last_poll(
    short_path: Path, tmp_path: Path
) -> None:
    settings = Settings(
        guestrpc=GuestRpc(socket=str(short_path / "host")),
        poll=Poll(interval=0.2),
        extended=Extended(enabled=False),
        web=Web(enabled=False),
    )
    enough = threading.Event()
    host = SimulatedHost("steady", seed=1)
    with serve_unix(short_path / "host", Server(host)), ExitStack() as parts:
        poller = app.start(settings, {"STATE_DIRECTORY": str(tmp_path)}, Notifier({}), parts, pytest.fail)
        while poller.state.polls < 3:
            enough.wait(0.01)
        parts.close()
        kept = json.loads((tmp_path / "last-seen.json").read_text())
    assert kept["session"]["seen"] == poller.state.read_time


def test_a_socket_is_guestrpc_without_looking_at_the_machine(short_path: Path) -> None:
    source = hosts.source(Settings(guestrpc=GuestRpc(socket=str(short_path / "host"))))
    assert (source.info.source, source.info.transport) == ("guestrpc", "unix")
    source.close()


def test_a_recording_is_a_source(tmp_path: Path) -> None:
    file = tmp_path / "host.rec"
    file.write_text("not a recording\n")
    settings = Settings(source="replay", replay=Replay(file=str(file)))
    with pytest.raises(ConfigError, match=r"host\.rec:1: no recording"):
        hosts.find_host(settings)
    file.write_text(json.dumps({"format": FORMAT, "version": VERSION}) + "\n")
    assert hosts.find_host(settings).source.info.source == "replay"


def test_a_forced_library_that_can_not_be_loaded_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "libguestlib.so.0"
    file.write_bytes(b"not a library")
    with pytest.raises(LibraryNotFound, match="libguestlib"):
        hosts.source(Settings(source="library", library=Library(path=str(file))))


class FailingSource:
    """A source whose first answer is an error."""

    info = SourceInfo("library", "library")
    restarts = 0

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.closed = False

    def read(self) -> Snapshot:
        raise self._error

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        raise self._error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("error", [TimeoutExpired("slow"), LibraryCrashed("died"), RpcError("disabled")])
def test_what_may_pass_does_not_end_the_start(error: Exception) -> None:
    source = FailingSource(error)
    hosts._leads_somewhere(source)
    assert not source.closed


def test_a_forced_library_away_from_vmware_ends_the_start() -> None:
    source = FailingSource(NotVMwareError("not a VM"))
    with pytest.raises(NotVMwareError):
        hosts._leads_somewhere(source)
    assert source.closed


def test_without_web_nothing_listens(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(source="simulated", web=Web(enabled=False, listen=LOCAL))
    with ExitStack() as parts:
        poller = app.start(settings, {}, Notifier({}), parts, pytest.fail)
        while not poller.state.polls:
            threading.Event().wait(0.01)
    assert not any("listening" in record.getMessage() for record in caplog.records)


class FakeSignals(Signals):
    """Gives what it was told to, and lets ``between`` happen before each."""

    def __init__(self, turns: Sequence[tuple[int, ...]], between: Callable[[], None]) -> None:
        self._turns = list(turns)
        self._between = between

    def wait(self, timeout: float | None = None) -> tuple[int, ...]:
        self._between()
        return self._turns.pop(0)


class FakePoller(Poller):
    def __init__(self) -> None:
        self._state = PollState(interval=5.0)


class FakeNotifier(Notifier):
    def __init__(self) -> None:
        super().__init__({})
        self.said: list[str] = []

    def alive(self) -> None:
        self.said.append("alive")

    def stopping(self) -> None:
        self.said.append("stopping")


def test_the_watchdog_is_fed_only_while_polls_go_on() -> None:
    poller, notifier, time = FakePoller(), FakeNotifier(), [0.0]

    def between() -> None:
        time[0] += 10.0
        if time[0] <= 30.0:
            poller._state = replace(poller._state, polls=poller._state.polls + 1)

    # Polls stop after 30 s; 5 s and ten times 2 s later, patience ends.
    turns: list[tuple[int, ...]] = [()] * 8
    app.supervise(
        poller,
        Settings(poll=Poll(interval=5.0)),
        FakeSignals([*turns, (signal.SIGTERM,)], between),
        notifier,
        lambda: time[0],
    )
    assert notifier.said == ["alive"] * 5 + ["stopping"]


def test_a_reload_is_said_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    signals = FakeSignals([(signal.SIGHUP,), (signal.SIGINT, signal.SIGHUP)], lambda: None)
    app.supervise(FakePoller(), Settings(), signals, FakeNotifier())
    assert [record.getMessage().split()[0].rstrip(":") for record in caplog.records] == [
        "SIGHUP",
        "SIGHUP",
        "stopping",
    ]


def test_a_part_that_fails_ends_the_process_in_order_and_with_1(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather a process that its service manager starts anew than one that lives and answers nobody."""
    caplog.set_level(logging.INFO, "exporter")
    real, scraped = wasyncore.loop, threading.Event()

    def loop(**settings: Any) -> None:
        if scraped.is_set():
            raise ValueError("too many file descriptors in select()")
        real(**settings)

    monkeypatch.setattr(wasyncore, "loop", loop)

    def scrape() -> None:
        url = address(caplog)
        get(url)
        scraped.set()
        with suppress(OSError):
            get(url)

    thread = threading.Thread(target=scrape)
    thread.start()
    assert app.serve(SIMULATED, {}) == 1
    thread.join()
    assert "too many file descriptors" in caplog.text
    assert caplog.records[-1].getMessage() == "stopped"


@pytest.mark.parametrize(
    ("signalled", "held", "noted"),
    [
        (True, None, ""),
        (False, None, None),
        (True, "", None),
        # By a heart whose exporter is there, and by one that is about to end: its exporter crashed.
        (True, "own", None),
        (True, "1:1", "1:1"),
    ],
)
def test_a_stop_during_a_start_that_fails_is_noted_for_the_end_of_the_unit(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    signalled: bool,
    held: str | None,
    noted: str | None,
) -> None:
    """One that crashed before it may have left monitoring on; what another exporter does is its own."""
    noted_after(
        VMGuestError("the port is taken"), monkeypatch, tmp_path, signalled=signalled, held=held, noted=noted
    )


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread"), MemoryError()],
)
def test_so_is_one_during_a_start_that_fails_for_a_shortage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    """Found by a stranger: the stop was lost, exit 1 and no note. The files that the start took are given back first."""
    noted_after(error, monkeypatch, tmp_path)


def noted_after(
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    signalled: bool = True,
    held: str | None = None,
    noted: str | None = "",
) -> None:
    path = str(tmp_path / "ha.lock")

    given_back: list[bool] = []

    def fails(_s: object, _e: object, _n: object, parts: ExitStack, _f: object) -> Poller:
        parts.callback(given_back.append, True)
        if signalled:
            os.kill(os.getpid(), signal.SIGTERM)
        raise error

    write = StopNote.write

    def write_later(note: StopNote, exporter: str = "") -> bool:
        assert given_back
        return write(note, exporter)

    monkeypatch.setattr(app, "start", fails)
    monkeypatch.setattr(StopNote, "write", write_later)
    other = None if held is None else lock.acquire(path, exporter=own() if held == "own" else held)
    with pytest.raises(type(error)):
        app.serve(replace(SIMULATED, ha=Ha(enabled=True, lock_file=path)), {})
    if other:
        other.release()
    assert StopNote(path).exporter() == noted


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_ends_in_order_by_a_signal(ending: signal.Signals) -> None:
    argv = [sys.executable, "-m", "exporter", "--source=simulated", "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            url = next(
                match[0] for line in process.stderr if (match := re.search(r"http://\S+/metrics", line))
            )
            assert "vmguest_polls_total" in get(url)
            process.send_signal(signal.SIGHUP)
            assert "vmguest_polls_total" in get(url)
            process.send_signal(ending)
            rest = process.stderr.read()
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert rest.splitlines()[-1].endswith("msg=stopped")
    assert "Traceback" not in rest
