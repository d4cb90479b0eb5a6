"""A signal in the first moments of the process: it is held until somebody can stop in order, and is never lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE = 60.0

PROGRAM = """\
import os, signal, sys, types
cli = types.ModuleType("cli")
def entry():
    os.kill(os.getpid(), {number})
    {then}
cli.entry = entry
sys.modules["exporter.commands.cli"] = cli
from exporter.__main__ import entry
entry()
"""
"""``exporter.commands.cli`` is what takes long to import: here the signal comes when it has been."""

SERVES = """\
from exporter.machine.signals import Signals
    with Signals() as signals:
        print(*(int(number) for number in signals.wait(0)))
    return 0
"""
OTHER = """\
from exporter.machine import signals
    signals.unmask()
    return 0
"""


def run(number: int, then: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(number=int(number), then=then)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_serves_is_told_of_a_signal_that_came_before_its_handlers(number: signal.Signals) -> None:
    done = run(number, SERVES)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{int(number)}\n", "")


@pytest.mark.parametrize("then", [OTHER, "return 2"])
def test_where_nobody_handles_it_the_process_ends_by_it(then: str) -> None:
    """Not with a status of its own: systemd tells a stop from a failure by that."""
    assert run(signal.SIGTERM, then).returncode == -signal.SIGTERM
    done = run(signal.SIGINT, then)
    assert (done.returncode, done.stderr) == (130, "")


def blocked(pid: int | str) -> int:
    """The signals that are masked, as /proc shows them (proc(5)): bit 0 is signal 1. 0 for what has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:"))


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_what_was_half_made_at_a_shortage_does_not_complain() -> None:
    program = """
from errno import EMFILE
from exporter import __main__
from exporter.commands import cli

class Half:
    def __del__(self):
        raise AttributeError("fd")

def short():
    half = Half()
    raise OSError(EMFILE, "Too many open files")

cli.entry = short
__main__.entry()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert done.stderr == "vmguest-exporter: Too many open files: raise LimitNOFILE=, or ulimit -n\n"


def test_nothing_is_masked_in_what_serves_nor_in_its_children(tmp_path: Path) -> None:
    settings, seen = tmp_path / "settings.toml", tmp_path / "seen"
    settings.write_text(
        f"""\
        source = "simulated"
        [web]
        listen-address = ["127.0.0.1:0"]
        [ha]
        enabled = true
        [[ha.check]]
        name = "mask"
        type = "command"
        arguments = ["/bin/sh", "-c", "grep SigBlk /proc/self/status > {seen}.new; mv {seen}.new {seen}"]
        """
    )
    command = [sys.executable, "-m", "exporter", f"--config.file={settings}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(process, seen.exists)
            assert int(seen.read_text().split()[1], 16) == 0
            wait_until(process, lambda: not blocked(process.pid))
            wait_until(process, lambda: len(children(process.pid)) > 0)
            # The heart takes it off when its handlers stand.
            wait_until(process, lambda: not any(blocked(each) for each in children(process.pid)))
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def wait_until(process: subprocess.Popen[str], true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
