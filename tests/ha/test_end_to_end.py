"""Heartbeats in processes and real time: what the table in docs/heartbeats.md promises, by the simulated host's record of resets.

Each row twenty times: ``for round in $(seq 20); do pytest tests/ha/test_end_to_end.py || break; done``.

The host's limit is scaled down from 30 s to 6 (25 where the exporter has to start again within it), the interval from 10 s to
1, the grace period from 30 s to 2. Every case has a host and an exporter of its own, and all run side by side: they mostly wait.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.ha import lock
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote

pytestmark = pytest.mark.complete(reason="real time: all cases together take a minute")

ROOT = Path(__file__).parents[2]
WINDOW = 6.0
RESTART_WINDOW = 25.0
"""Where an exporter has to start again within it: on a machine that is busy with tests that takes longer than anywhere else."""
SCENARIO = """\
base = "steady"
[ha]
window = {window}
"""
SETTINGS = (
    "--ha.enabled",
    "--ha.interval=1s",
    "--ha.grace=2s",
    "--ha.max-poll-age=2s",
    "--poll.interval=500ms",
)
PATIENCE = 60.0
LATE = 10.0
"""Seconds after which a late call is carried out."""

WEDGED_WEB = """\
import pathlib, sys, time
from exporter.outputs.web.application import Application
serve = Application.__call__
def wedged(self, *args):
    while pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.05)
    return serve(self, *args)
Application.__call__ = wedged
from exporter.commands.cli import main
sys.exit(main(sys.argv[2:]))
"""
"""An exporter whose web server stops answering, in its only thread, while a file is there."""


@dataclass
class Case:
    """One host, and the exporters that it sees."""

    folder: Path
    exporters: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    @property
    def place(self) -> tuple[str, str]:
        """The host and the lock, as settings."""
        return f"--guestrpc.socket={self.folder / 'host'}", f"--ha.lock-file={self.lock_file}"

    @property
    def leftover(self) -> Leftover:
        """What the host may expect by the lock's file."""
        return lock.record(str(self.lock_file)).leftover

    @property
    def wedge(self) -> Path:
        return self.folder / "wedge"

    def start(
        self, *, program: tuple[str, ...] = ("-m", "exporter"), stderr: int | None = None
    ) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            *program,
            *self.place,
            "--web.listen-address=127.0.0.1:0",
            "--log.level=debug",
            *SETTINGS,
        ]
        with (self.folder / "log").open("ab") as log:
            target = log if stderr is None else stderr
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=target, stderr=target, start_new_session=True
            )
        self.exporters.append(process)
        return process

    def ask(self, call: str, environ: Mapping[str, str] = os.environ) -> int:
        """The exit status of ``vmguest-exporter ha``."""
        command = [sys.executable, "-m", "exporter", "ha", call, *self.place]
        with (self.folder / "log").open("ab") as log:
            environ = {**os.environ, **environ}
            return subprocess.run(
                command, cwd=ROOT, env=environ, stdout=log, stderr=log, timeout=PATIENCE, check=False
            ).returncode

    def beating(self) -> None:
        """Wait until monitoring is on and the first heartbeat is taken: the host is asked for its status after it."""
        wait_until(lambda: b"vSphere HA sees this application as Green" in self.log(), self)

    def log(self) -> bytes:
        return (self.folder / "log").read_bytes()

    @property
    def heart(self) -> int:
        pid = lock.holder(str(self.lock_file))
        assert pid
        return pid


def wait_until(true: Callable[[], bool], case: Case) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, case.log().decode(errors="replace")
        time.sleep(0.05)


def paused(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def stopped_in_order(case: Case) -> None:
    exporter = case.start()
    case.beating()
    exporter.terminate()
    assert exporter.wait(PATIENCE) == 0
    time.sleep(WINDOW + 3)


def heart_killed_during_the_stop(case: Case) -> None:
    """As by the kernel for want of memory: another one finishes it."""
    exporter = case.start()
    case.beating()
    heart = case.heart
    os.kill(heart, signal.SIGSTOP)
    exporter.terminate()
    time.sleep(0.3)
    os.kill(heart, signal.SIGKILL)
    assert exporter.wait(PATIENCE) == 0
    time.sleep(WINDOW + 3)


def stopped_while_the_heart_starts(case: Case) -> None:
    """A signal to the whole group, before the new heart's handlers stand."""
    exporter = case.start()
    case.beating()
    os.kill(case.heart, signal.SIGKILL)
    time.sleep(0.03)
    os.killpg(exporter.pid, signal.SIGTERM)
    assert exporter.wait(PATIENCE) == 0
    time.sleep(WINDOW + 3)


def stopped_while_it_starts_again(case: Case) -> None:
    """At many moments after a crash: monitoring is on, and the exporter has no handlers, no heart and no note yet."""
    for moment in (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5):
        crashed = case.start()
        wait_until(lambda: case.leftover is Leftover.MONITORING, case)
        crashed.kill()
        crashed.wait(PATIENCE)
        exporter = case.start()
        time.sleep(moment)
        exporter.terminate()
        end_of_the_unit(case, exporter)
        assert case.leftover is Leftover.NOTHING, (moment, exporter.returncode)
        assert case.ask("is-enabled") == 1, (moment, exporter.returncode)


def end_of_the_unit(case: Case, exporter: subprocess.Popen[bytes]) -> None:
    """What systemd does when the main process of ``KillMode=mixed`` has ended: all others go, then ``ExecStopPost=``."""
    status = exporter.wait(PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(exporter.pid, signal.SIGKILL)
    ended = {
        "SERVICE_RESULT": "success" if status in {0, -signal.SIGTERM} else "exit-code",
        "EXIT_CODE": "exited" if status >= 0 else "killed",
        "EXIT_STATUS": str(status) if status >= 0 else signal.Signals(-status).name.removeprefix("SIG"),
    }
    assert case.ask("finish-stop", ended) == 0


def watchdog(case: Case) -> None:
    """What the unit does when the main process stands still: it alone is ended, and started again."""
    exporter = case.start()
    case.beating()
    os.kill(exporter.pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(exporter.pid, signal.SIGKILL)
    exporter.wait(PATIENCE)
    time.sleep(0.2)
    case.start()
    time.sleep(RESTART_WINDOW + 3)


def killed(case: Case) -> None:
    exporter = case.start()
    case.beating()
    exporter.kill()
    exporter.wait(PATIENCE)
    time.sleep(WINDOW + 3)


def killed_and_restarted(case: Case) -> None:
    exporter = case.start()
    case.beating()
    exporter.kill()
    exporter.wait(PATIENCE)
    case.start()
    time.sleep(RESTART_WINDOW + 3)


def main_paused_briefly(case: Case) -> None:
    exporter = case.start()
    case.beating()
    paused(exporter.pid, 2)
    time.sleep(WINDOW + 2)


def main_paused_for_long(case: Case) -> None:
    """Old news are bad health: an interval until they are old, the grace period, then silence."""
    exporter = case.start()
    case.beating()
    paused(exporter.pid, 1 + 2 + WINDOW + 4)


def heart_paused_briefly(case: Case) -> None:
    case.start()
    case.beating()
    paused(case.heart, 2)
    time.sleep(WINDOW + 2)


def heart_paused_for_long(case: Case) -> None:
    case.start()
    case.beating()
    paused(case.heart, WINDOW + 6)


def poller_wedged(case: Case) -> None:
    """By the host, which answers statistics no more: see :data:`FAULTS`."""
    case.start()
    case.beating()
    time.sleep(2 + 2 + WINDOW + 5)


def web_server_wedged(case: Case) -> None:
    case.start(program=("-c", WEDGED_WEB, str(case.wedge)))
    case.beating()
    case.wedge.touch()
    found = re.search(rb"http://127\.0\.0\.1:(\d+)/metrics", case.log())
    assert found
    with socket.create_connection(("127.0.0.1", int(found[1])), PATIENCE) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        time.sleep(1)
    # Its own probe: every 5 s, given up after 5, bad at the second time.
    time.sleep(5 + 2 * 5 + 5 + 2 + WINDOW + 3)


def nobody_reads_the_log(case: Case) -> None:
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
        case.start(stderr=writer)
        time.sleep(WINDOW + 6)
    finally:
        os.close(writer)
        os.close(reader)


def killed_in_the_middle_of_a_stop(case: Case) -> None:
    """The heart stands still, so that only ``ExecStopPost=`` can finish it."""
    exporter = case.start()
    case.beating()
    os.kill(case.heart, signal.SIGSTOP)
    exporter.terminate()
    wait_until(StopNote(str(case.lock_file)).stands, case)
    exporter.kill()
    exporter.wait(PATIENCE)
    assert case.ask("finish-stop") == 0
    assert case.ask("is-enabled") == 1
    time.sleep(RESTART_WINDOW + 3)


def killed_beside_a_heart_that_stands_still(case: Case) -> None:
    """It holds the lock: no wrong setting, so that systemd goes on starting the exporter, until the heart is gone."""
    exporter = case.start()
    case.beating()
    heart = case.heart
    os.kill(heart, signal.SIGSTOP)
    exporter.kill()
    exporter.wait(PATIENCE)
    assert case.start().wait(PATIENCE) == 1
    os.kill(heart, signal.SIGKILL)
    case.start()
    time.sleep(RESTART_WINDOW + 3)


def two_exporters(case: Case) -> None:
    """The second refuses to start, and says who beats."""
    case.start()
    case.beating()
    second = case.start()
    assert second.wait(PATIENCE) == 2
    assert f"pid {case.heart}".encode() in case.log()
    time.sleep(WINDOW)


def stopped_while_enable_is_on_its_way(case: Case) -> None:
    """The host carries it out when the stop has heard that monitoring is off: see :data:`FAULTS`."""
    exporter = case.start()
    wait_until(lambda: case.leftover is Leftover.MONITORING, case)
    begun = time.monotonic()
    exporter.terminate()
    assert exporter.wait(PATIENCE) == 0
    time.sleep(max(0.0, begun + LATE + 2 - time.monotonic()))
    assert case.ask("is-enabled") == 1
    exporter = case.start()
    wait_until(lambda: b"Green" in case.log(), case)
    exporter.terminate()
    assert exporter.wait(PATIENCE) == 0


def maintenance_while_enable_is_on_its_way(case: Case) -> None:
    case.start()
    wait_until(lambda: case.leftover is Leftover.MONITORING, case)
    begun = time.monotonic()
    assert case.ask("disable") == 0
    time.sleep(max(0.0, begun + LATE + WINDOW + 3 - time.monotonic()))
    assert case.ask("is-enabled") == 1
    assert case.ask("enable") == 0


CASES: dict[str, tuple[Callable[[Case], None], int]] = {
    "SIGTERM": (stopped_in_order, 0),
    "the heart is killed during the stop": (heart_killed_during_the_stop, 0),
    "SIGTERM to the group while a heart starts": (stopped_while_the_heart_starts, 0),
    "SIGTERM while it starts again after a crash": (stopped_while_it_starts_again, 0),
    "kill -9 in the middle of a stop, the heart stands still": (killed_in_the_middle_of_a_stop, 0),
    "the watchdog ends the main process": (watchdog, 0),
    "kill -9 and no restart": (killed, 1),
    "kill -9, restarted at once": (killed_and_restarted, 0),
    "kill -9 beside a heart that stands still, restarted": (killed_beside_a_heart_that_stands_still, 0),
    "main process paused for less than the window": (main_paused_briefly, 0),
    "main process paused for long": (main_paused_for_long, 1),
    "heart paused for less than the window": (heart_paused_briefly, 0),
    "heart paused for longer than the window": (heart_paused_for_long, 1),
    "poller wedged": (poller_wedged, 1),
    "web server wedged": (web_server_wedged, 1),
    "stderr is a full pipe": (nobody_reads_the_log, 0),
    "a second exporter": (two_exporters, 0),
    "SIGTERM while an Enable that comes late is on its way": (stopped_while_enable_is_on_its_way, 0),
    "ha disable while an Enable that comes late is on its way": (maintenance_while_enable_is_on_its_way, 0),
}
"""What is done, and whether the host resets the machine."""

RESTARTS = {
    "kill -9 in the middle of a stop, the heart stands still",
    "kill -9 beside a heart that stands still, restarted",
    "SIGTERM while it starts again after a crash",
    "the watchdog ends the main process",
    "kill -9, restarted at once",
}

LATE_ENABLE = ("--fault", f"delay:seconds={LATE:g}:times=1:on=GuestAppMonitor.Cmd.Enable")
FAULTS = {
    "poller wedged": ("--fault", "delay:seconds=600:on=guestlib.info.get:skip=4"),
    "SIGTERM while an Enable that comes late is on its way": LATE_ENABLE,
    "ha disable while an Enable that comes late is on its way": LATE_ENABLE,
}


def resets_of(name: str, folder: Path) -> tuple[int, int]:
    """Play one case: resets and heartbeats by the host's own record."""
    folder.mkdir()
    window = RESTART_WINDOW if name in RESTARTS else WINDOW
    (folder / "scenario.toml").write_text(SCENARIO.format(window=window))
    command = [sys.executable, "-m", "exporter", "simulate", "--socket", str(folder / "host")]
    command += ["--scenario", str(folder / "scenario.toml"), *FAULTS.get(name, ())]
    host = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    case = Case(folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (folder / "host").exists():
            assert host.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        CASES[name][0](case)
    finally:
        # The host first: its record is of the case, not of how the case is cleared away.
        host.terminate()
        said, _ = host.communicate(timeout=PATIENCE)
        for exporter in case.exporters:
            exporter.kill()
            exporter.wait(PATIENCE)
    found = re.search(r"(\d+) heartbeats, (\d+) resets", said)
    assert found, said
    return int(found[2]), int(found[1])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int] | BaseException]:
    base = Path(os.path.realpath(tmp_path_factory.mktemp("e2e")))
    found: dict[str, tuple[int, int] | BaseException] = {}
    with ThreadPoolExecutor(len(CASES)) as pool:
        futures = {
            name: pool.submit(resets_of, name, base / str(number)) for number, name in enumerate(CASES)
        }
        for name, future in futures.items():
            error = future.exception()
            found[name] = future.result() if error is None else error
    return found


@pytest.mark.parametrize("name", CASES)
def test_resets_are_those_that_the_readme_promises(
    played: dict[str, tuple[int, int] | BaseException], name: str
) -> None:
    outcome = played[name]
    if isinstance(outcome, BaseException):
        raise outcome
    resets, heartbeats = outcome
    assert heartbeats > 0
    # A real reset would have ended the exporter: it can't do so here, and bad health goes on.
    assert min(resets, 1) == CASES[name][1]
