"""Whether heartbeats belong in a thread or in a process: what a stall of the exporter does to each.

The same loop (policy, GuestRPC, simulated host in a process of its own) beats ten times a second, once in a thread of
this process and once as the heart's own process, while this process stalls in ways that an exporter may: a call that
holds the interpreter's lock (a regular expression in a check), a garbage collection over many objects, threads that
compute (many scrapes), and a log that can't be written to. Prints the longest silence that the host saw; judges
nothing. With beats every 10 s a silence of 20 s more is a reset.

    python -m benchmarks.heartbeat [--seconds 2]
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.host import ROOT
from exporter.ha.health import HealthSummary
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.heartbeat import Heartbeat
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.messages import HealthUpdate
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Rules
from exporter.ha.wire import WireAppMonitor
from exporter.session.wire import Channel
from exporter.transport.unix import UnixConnector

INTERVAL = 0.1
GOOD = HealthSummary(Health.GOOD, "", {})

HOST = """
import json, signal, sys, time
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix
beats = []
host = SimulatedHost("steady")
answer = host.ha.answer
def noted(command):
    if command.endswith(b"MarkActive"):
        beats.append(time.monotonic())
    return answer(command)
host.ha.answer = noted
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
with serve_unix(sys.argv[1], Server(host)):
    signal.sigwait([signal.SIGTERM])
print(json.dumps(beats))
"""


@dataclass(frozen=True)
class Stall:
    name: str
    cause: Callable[[float], None]
    """Stalls this process for so many seconds, about."""


def _idle(seconds: float) -> None:
    time.sleep(seconds)


def _hold_the_lock(seconds: float) -> None:
    """A pattern whose matching takes twice as long for each letter more, and lets no other thread run."""
    pattern, length, end = re.compile(r"(a+)+$"), 18, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        pattern.match("a" * length + "b")
        took = time.monotonic() - begun
        length += took < seconds / 3


def _collect_garbage(seconds: float) -> None:
    heap = [[number] for number in range(2_000_000)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gc.collect()
    del heap


def _compute_in_threads(seconds: float) -> None:
    end = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < end:
            sum(range(10_000))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _block_the_log(seconds: float) -> None:
    """One thread is stuck in a write with the handler's lock, as on a disk that hangs; who logs waits for it."""
    log, reader, writer = logging.getLogger("exporter.ha"), *os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(65536))
    except BlockingIOError:
        os.set_blocking(writer, True)
    with os.fdopen(writer, "w") as stream:
        handler = logging.StreamHandler(stream)
        log.addHandler(handler)
        stuck = threading.Thread(target=log.warning, args=("one line more",))
        stuck.start()
        time.sleep(seconds)
        log.removeHandler(handler)
        os.set_blocking(reader, False)
        while stuck.is_alive():
            try:
                os.read(reader, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
    os.close(reader)


STALLS = (
    Stall("nothing", _idle),
    Stall("a call that holds the interpreter's lock", _hold_the_lock),
    Stall("garbage collection over 2 million objects", _collect_garbage),
    Stall("16 threads that compute", _compute_in_threads),
    Stall("a log that can't be written to", _block_the_log),
)


class Sink(Link):
    """In the place of pipes: news are always good, and lines are logged by the thread that beats."""

    def __init__(self) -> None:
        self.closed = False

    def receive(self) -> list[object]:  # type: ignore[override]
        return [HealthUpdate(Health.GOOD, "", time.monotonic())]

    def send(self, message: object) -> None:
        logging.getLogger("exporter.ha").debug("%s", message)


@contextmanager
def in_a_thread(path: Path) -> Iterator[None]:
    stop = threading.Event()
    heart = Heart(
        WireAppMonitor(Channel(UnixConnector(path))),
        Policy(Rules(interval=INTERVAL), time.monotonic()),
        Sink(),
        stop=stop.is_set,
    )

    def work() -> None:
        while heart.turn() is None:
            time.sleep(heart.pause)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def in_a_process(path: Path) -> Iterator[None]:
    settings = HeartSettings(
        interval=INTERVAL,
        grace=60.0,
        on_unhealthy="withhold",
        source="guestrpc",
        socket=str(path),
        library=None,
        lock_file=f"{path}.lock",
        dry_run=False,
    )
    beat = Heartbeat(settings, lambda: GOOD)
    beat.start()
    try:
        yield
    finally:
        beat.stop()


def silences(ways: Callable[[Path], object], folder: Path, seconds: float) -> list[float]:
    """The longest silence during each stall, seconds."""
    path = folder / ways.__name__
    host = subprocess.Popen([sys.executable, "-c", HOST, path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    while not path.exists():
        time.sleep(0.01)
    spans = []
    with ways(path):  # type: ignore[attr-defined]
        time.sleep(1.0)
        for stall in STALLS:
            begun = time.monotonic()
            stall.cause(seconds)
            spans.append((begun, time.monotonic()))
            time.sleep(0.5)
    host.send_signal(signal.SIGTERM)
    beats = json.loads(host.communicate(timeout=60)[0])
    return [
        max((later - at for at, later in pairwise(beats) if later > begun and at < ended), default=0.0)
        for begun, ended in spans
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each stall")
    seconds = parser.parse_args().seconds
    logging.getLogger("exporter").setLevel(logging.DEBUG)
    logging.getLogger("exporter").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory(prefix="vmg") as folder:
        found = [silences(way, Path(folder), seconds) for way in (in_a_thread, in_a_process)]
    print(f"Longest silence, seconds; a heartbeat is due every {INTERVAL:g} s, stalls of {seconds:g} s")
    print(f"{'while':45}{'thread':>10}{'process':>10}")
    for stall, thread, process in zip(STALLS, *found, strict=True):
        print(f"{stall.name:45}{thread:10.2f}{process:10.2f}")


if __name__ == "__main__":
    main()
