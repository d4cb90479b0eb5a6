"""What people at a terminal wait for and pay: ``show`` about 0.5 s, the first screen of ``top`` about 1 s, ``top`` at one
reading a second at most 10 % of a core.

An exporter on a simulated host, each in a process of its own, is asked over its unix socket; ``top`` has a terminal of
80 by 24 that takes everything and answers nothing. Medians of some runs; CPU time is the process's own. Prints; judges nothing.

    python -m benchmarks.terminal [--runs 5] [--seconds 30]
"""

from __future__ import annotations

import argparse
import os
import pty
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.host import ROOT, simulated_host
from benchmarks.programs import cpu_seconds, exporter_command, free_port, running

BAR_SHOW, BAR_SCREEN, BAR_CPU = 0.5, 1.0, 0.10
PROGRAM = str(Path(sys.executable).with_name("vmguest-exporter"))
KNOWN = b"%USED"
"""On the first screen, once there is something to show."""
SETTLE = 5.0
"""Seconds from the first screen until CPU time is taken."""


def show(api: Path) -> float:
    """Seconds that one ``show`` takes."""
    command = [PROGRAM, "show", "--from=exporter", f"--api.socket={api}"]
    begun = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


@contextmanager
def top(api: Path) -> Iterator[tuple[int, float]]:
    """A running ``top``: its pid, and the seconds until its first screen was there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [PROGRAM, "top", "--interval=1s", "--from=exporter", f"--api.socket={api}"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    seen, there = bytearray(), threading.Event()
    taken: list[float] = []

    def drain() -> None:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # The other end is closed.
                return
            if not taken:
                seen.extend(data)
                if KNOWN in seen:
                    taken.append(time.perf_counter() - begun)
                    there.set()

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        if not there.wait(20):
            sys.exit("top showed nothing")
        yield process.pid, taken[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        reader.join(5)
        os.close(ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5, help="of each start (default 5)")
    parser.add_argument("--seconds", type=float, default=30, help="of top's CPU time (default 30)")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmg")))
        stack.enter_context(simulated_host(folder / "host"))
        port, api = free_port(), folder / "api"
        stack.enter_context(running(exporter_command(port, folder / "host", f"--api.socket={api}"), port))
        shown = statistics.median(show(api) for _ in range(args.runs))
        screens = []
        for run in range(args.runs):
            with top(api) as (pid, seconds):
                screens.append(seconds)
                if run == args.runs - 1:
                    time.sleep(SETTLE)
                    used, begun = cpu_seconds(pid), time.monotonic()
                    time.sleep(args.seconds)
                    share = (cpu_seconds(pid) - used) / (time.monotonic() - begun)
    screen = statistics.median(screens)
    print(f"show                     {shown:5.2f} s  (bar {BAR_SHOW:g})")
    print(f"first screen of top      {screen:5.2f} s  (bar {BAR_SCREEN:g})")
    print(f"top at 1 s, of a core    {share:5.1%}  (bar {BAR_CPU:.0%})")


if __name__ == "__main__":
    main()
