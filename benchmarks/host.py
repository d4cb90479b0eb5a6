"""The simulated host that the benchmarks measure against, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def simulated_host(path: Path) -> Iterator[None]:
    """A simulated host in a process of its own, listening at ``path``."""
    command = [sys.executable, "-m", "exporter", "simulate", "--socket", str(path)]
    host = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            if host.poll() is not None or time.monotonic() > deadline:
                sys.exit("the simulated host did not start")
            time.sleep(0.02)
        yield
    finally:
        host.terminate()
        host.wait(10)
