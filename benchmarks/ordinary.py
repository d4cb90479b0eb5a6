"""What two ordinary minutes cost: the figure that a user would notice.

The exporter polls every 5 s, reads extended statistics every 15 s and is scraped every 15 s over a kept connection,
beside Debian's node_exporter as the package starts it and with four collectors alone. Where the time goes is
measured by leaving things out, in processes side by side with the others: not scraped; not scraped and without
extended statistics; the same, and polled once an hour. CPU time is the processes' own, by the kernel's clock of
each. Memory is :mod:`benchmarks.scrape`'s figure: copies of one program, as here, share pages. Prints ratios from one
run; judges nothing. Needs ``apt-get install prometheus-node-exporter``.

    python -m benchmarks.ordinary [--seconds 120]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host import simulated_host
from benchmarks.programs import (
    FOUR_COLLECTORS,
    Scraper,
    cpu_seconds,
    exporter_command,
    free_port,
    node_exporter_command,
    running,
)

POLL, SCRAPE, EXTENDED = 5, 15, 15
"""Seconds; the exporter's defaults, and what most scrape configurations say."""
SETTLE = 10
"""Seconds from the start until measuring begins: past the first polls and the garbage of starting."""

OURS, SHIPPED, FOUR = "vmguest-exporter", "node_exporter as it ships", "node_exporter, four collectors"
UNSCRAPED, BASIC, IDLE = "not scraped", "without extended statistics", "polled once an hour"
SCRAPED = (OURS, SHIPPED, FOUR)


@dataclass
class Program:
    pid: int
    port: int
    scraper: Scraper | None = None


def commands(ports: dict[str, int], guestrpc: Path) -> dict[str, list[str]]:
    def ours(name: str, *settings: str) -> list[str]:
        return exporter_command(ports[name], guestrpc, f"--extended.interval={EXTENDED}s", *settings)

    return {
        OURS: ours(OURS, f"--poll.interval={POLL}s"),
        UNSCRAPED: ours(UNSCRAPED, f"--poll.interval={POLL}s"),
        BASIC: ours(BASIC, f"--poll.interval={POLL}s", "--no-extended"),
        IDLE: ours(IDLE, "--poll.interval=1h", "--no-extended"),
        SHIPPED: node_exporter_command(ports[SHIPPED]),
        FOUR: node_exporter_command(ports[FOUR], *FOUR_COLLECTORS),
    }


def watch(programs: dict[str, Program], seconds: float) -> dict[str, float]:
    """CPU seconds of each in this time, with a scrape of those that are scraped in the middle of each interval."""
    before = {name: cpu_seconds(program.pid) for name, program in programs.items()}
    begun = time.monotonic()
    due = begun + SCRAPE / 2
    while due < begun + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        for program in programs.values():
            if program.scraper is not None:
                program.scraper.scrape()
        due += SCRAPE
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    return {name: cpu_seconds(program.pid) - before[name] for name, program in programs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=120, help="how long (default 120)")
    seconds = parser.parse_args().seconds
    with ExitStack() as stack:
        guestrpc = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmg"))) / "host"
        stack.enter_context(simulated_host(guestrpc))
        ports = {name: free_port() for name in (OURS, UNSCRAPED, BASIC, IDLE, SHIPPED, FOUR)}
        programs = {}
        for name, command in commands(ports, guestrpc).items():
            pid, _ = stack.enter_context(running(command, ports[name]))
            programs[name] = Program(pid, ports[name], Scraper(ports[name]) if name in SCRAPED else None)
        time.sleep(SETTLE)
        used = watch(programs, seconds)
        for program in programs.values():
            if program.scraper is not None:
                program.scraper.close()
    report(used, seconds)


def report(used: dict[str, float], seconds: float) -> None:
    """Print what was found. Ends the program where a program used less than the kernel's clock can tell."""
    if idle := [name for name in SCRAPED if used[name] <= 0]:
        sys.exit(
            f"{seconds:g} s is too short to measure the CPU time of {', '.join(idle)}: give more --seconds"
        )
    ms = {name: value * 1000 for name, value in used.items()}
    print(f"{seconds:.0f} s; poll every {POLL} s, extended and scrape every {SCRAPE} s:")
    for name in SCRAPED:
        print(f"  {name:32} {ms[name]:6.1f} ms of CPU")
    print("of vmguest-exporter's, a minute:")
    minutes = seconds / 60
    for what, value in (
        (f"{60 // SCRAPE} scrapes", ms[OURS] - ms[UNSCRAPED]),
        (f"{60 // EXTENDED} extended rounds", ms[UNSCRAPED] - ms[BASIC]),
        (f"{60 // POLL} polls", ms[BASIC] - ms[IDLE]),
        ("waiting, with no connection open", ms[IDLE]),
    ):
        print(f"  {what:32} {value / minutes:6.1f} ms")
    print("ratios, vmguest-exporter / node_exporter:")
    print(f"  CPU, as it ships        {used[OURS] / used[SHIPPED]:5.2f}   (bar: at most 1.0)")
    print(f"  CPU, four collectors    {used[OURS] / used[FOUR]:5.2f}")


if __name__ == "__main__":
    main()
