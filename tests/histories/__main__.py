"""``python -m tests.histories COUNT [FIRST]``: play histories in as many processes as there are CPUs, and count them."""

from __future__ import annotations

import gc
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.histories.history import judge

BATCH = 500


def batch(first: int) -> int:
    logging.getLogger("exporter").setLevel(logging.CRITICAL)
    gc.disable()  # A history ends before its garbage counts.
    gc.collect()
    return sum(judge(seed) for seed in range(first, first + BATCH))


def main(count: int, first: int = 0) -> None:
    began, points = time.monotonic(), 0
    with ProcessPoolExecutor() as pool:
        for number, found in enumerate(pool.map(batch, range(first, first + count, BATCH)), 1):
            points += found
            if number % 20 == 0:
                seconds = time.monotonic() - began
                print(f"{number * BATCH} histories, {points} points judged, {seconds:.0f} s", flush=True)
    print(f"{count} histories from {first}: {points} points judged, nothing false")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
