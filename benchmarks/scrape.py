"""What a scrape costs: CPU time per gzip scrape, memory and start-up, beside Debian's node_exporter.

node_exporter runs with the cpu, meminfo, stat and vmstat collectors only. A page is written once for each published
state, so there are two figures: *repeated* scrapes, one after another over a kept connection, which hit a page that
is written already, and *first* scrapes, one for each of many polls, of which the polls' own cost is taken off.
node_exporter has no such difference: its repeated scrapes are what both are held against. Memory is RSS, PSS and
USS at rest (30 s after the start, not scraped yet), after one scrape, after eight, and after all: Go's heap grows to its
working size with the first scrapes. Prints ratios from one run; judges nothing.
Needs ``apt-get install prometheus-node-exporter``.

    python -m benchmarks.scrape [--scrapes 1000] [--rest 30]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host import simulated_host
from benchmarks.programs import (
    FOUR_COLLECTORS,
    Memory,
    Scraper,
    cpu_seconds,
    exporter_command,
    free_port,
    node_exporter_command,
    running,
)

REST, ALL = "at rest, not scraped", "after all scrapes"
FEW = {"after one scrape": 1, "after eight": 8}
"""Scrapes so far, by when memory is read."""
STARTS = 7
FAST_POLL = 0.2
"""Seconds between polls while first scrapes are measured."""
FIRST = 50
"""First scrapes that are measured."""


def scrapes(port: int, count: int) -> int:
    """``count`` scrapes over one connection, 1 ms apart; the size of the last body."""
    scraper = Scraper(port)
    size = 0
    for _ in range(count):
        size = scraper.scrape()
        time.sleep(0.001)
    scraper.close()
    return size


@dataclass
class Result:
    name: str
    memory: dict[str, Memory]
    """By when, in order."""
    cpu_us: float
    size: int


def measure(name: str, command: list[str], port: int, count: int, rest: float) -> Result:
    with running(command, port, scraped=False) as (pid, _):
        time.sleep(rest)
        memory = {REST: Memory.of(pid)}
        done = 0
        for when, upto in FEW.items():
            scrapes(port, upto - done)
            done = upto
            memory[when] = Memory.of(pid)
        costs, size = [], 0
        for _ in range(3):
            before = cpu_seconds(pid)
            size = scrapes(port, count)
            costs.append((cpu_seconds(pid) - before) / count * 1e6)
        memory[ALL] = Memory.of(pid)
        return Result(name, memory, statistics.median(costs), size)


def first_scrapes(guestrpc: Path) -> float:
    """µs of a scrape that comes first after a poll."""
    port = free_port()
    command = exporter_command(port, guestrpc, f"--poll.interval={FAST_POLL}s", "--no-extended")
    with running(command, port) as (pid, _):
        scraper = Scraper(port)
        spent = []
        for scraped in (False, True):
            before = cpu_seconds(pid)
            for _ in range(FIRST):
                time.sleep(FAST_POLL)
                if scraped:
                    scraper.scrape()
            spent.append(cpu_seconds(pid) - before)
        scraper.close()
    polls, both = spent
    return (both - polls) / FIRST * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scrapes", type=int, default=1000, help="scrapes a turn (default 1000)")
    parser.add_argument(
        "--rest", type=float, default=30, help="seconds at rest before memory is read (default 30)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmg") as folder, simulated_host(Path(folder) / "host"):
        guestrpc = Path(folder) / "host"
        ports = free_port(), free_port()
        commands = {
            "vmguest-exporter": (exporter_command(ports[0], guestrpc), ports[0]),
            "node_exporter": (node_exporter_command(ports[1], *FOUR_COLLECTORS), ports[1]),
        }
        starts: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(STARTS):
            for name, (command, port) in commands.items():
                with running(command, port) as (_, start):
                    starts[name].append(start)
        results: dict[str, Result] = {}

        def run(name: str) -> None:
            command, port = commands[name]
            results[name] = measure(name, command, port, arguments.scrapes, arguments.rest)

        # At rest side by side, so that both see the same page cache; the scrapes overlap on two cores, and CPU
        # time does not count the waiting.
        threads = [threading.Thread(target=run, args=(name,)) for name in commands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first_us = first_scrapes(guestrpc)
    for name, result in results.items():
        print(f"{name}:")
        print(f"  start to first scrape  {statistics.median(starts[name]):6.0f} ms (median of {STARTS})")
        for when, memory in result.memory.items():
            print(f"  {when:22} {memory}")
        print(f"  CPU per repeated scrape {result.cpu_us:5.0f} µs ({result.size} bytes)")
    ours, theirs = results["vmguest-exporter"], results["node_exporter"]
    print(f"vmguest-exporter, CPU per first scrape after a poll: {first_us:.0f} µs")
    print("ratios, vmguest-exporter / node_exporter:")
    print(f"  CPU per repeated scrape {ours.cpu_us / theirs.cpu_us:5.2f}   (bar: at most 0.2)")
    print(f"  CPU per first scrape    {first_us / theirs.cpu_us:5.2f}")
    for when, mine in ours.memory.items():
        others = theirs.memory[when]
        print(f"  RSS {when:20} {mine.rss / others.rss:5.2f}   (bar: at most 1.4)")
        print(f"  USS {when:20} {mine.uss / others.uss:5.2f}   (bar: at most 1.0)")
    start = statistics.median(starts["vmguest-exporter"])
    print(f"start to first scrape     {start:5.0f} ms  (bar: at most 350 ms on a quiet machine)")


if __name__ == "__main__":
    main()
