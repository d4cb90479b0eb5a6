"""What a poll costs that is worked out: bar 60 µs; and what an hour at one poll a second holds: bar 1 MiB.

Run: ``python -m benchmarks.insight``. A simulated host, its clock turned by hand; the host's own time is not counted.
"""

from __future__ import annotations

import time
import tracemalloc

from exporter.insight.observer import Observer
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.snapshot import Guest, PollState

POLLS = 3600
BAR_TIME, BAR_SIZE = 60e-6, 2**20


def states() -> list[PollState]:
    """An hour of the noisy neighbour, polled every second."""
    now = [1000.0]
    found: list[PollState] = []

    def clock() -> float:
        return now[0]

    source = WireSource(in_process("noisy-neighbour", seed=1, clock=clock), source="simulated")
    poller = Poller(
        source,
        1.0,
        clock=clock,
        wall=clock,
        on_state=found.append,
        extended=ExtendedReader(15.0, clock=clock),
    )
    for _ in range(POLLS):
        now[0] += 1.0
        poller.poll()
        poller.poll_extended(now[0] + 1.0)
    source.close()
    return found


def main() -> None:
    told = states()
    guest = Guest(4, 8 << 30, 8 << 30, 4 << 30, 0, 4, 0.0, "boot")
    best = float("inf")
    for _ in range(5):
        observer = Observer(lambda: guest)
        begun = time.thread_time()
        for state in told:
            observer.polled(state)
        best = min(best, (time.thread_time() - begun) / POLLS)
    tracemalloc.start()
    observer = Observer(lambda: guest)
    for state in told:
        observer.polled(state)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"a poll, worked out     {best * 1e6:6.1f} µs   (bar {BAR_TIME * 1e6:.0f})")
    print(f"an hour at 1 s, held   {held / 2**10:6.0f} KiB  (bar {BAR_SIZE / 2**10:.0f})")


if __name__ == "__main__":
    main()
