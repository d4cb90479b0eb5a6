"""``python -m tests.histories COUNT [FIRST]``: play histories in as many processes as there are CPUs, and count them.

One that fails ends nothing: its seed and what happened are printed at once and again at the end, with exit status 1.
"""

from __future__ import annotations

import gc
import logging
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.histories.history import judge

BATCH = 500
MOST = 20
"""Failures that are told in full at the end."""


def batch(seeds: range) -> tuple[int, list[str]]:
    """How many points were judged, and why histories failed."""
    logging.getLogger("exporter").setLevel(logging.CRITICAL)
    gc.disable()  # A history ends before its garbage counts.
    gc.collect()
    points, failures = 0, []
    for seed in seeds:
        try:
            points += judge(seed)
        except AssertionError:
            failures.append(traceback.format_exc())
    return points, failures


def main(count: int, first: int = 0) -> int:
    began, points = time.monotonic(), 0
    failures: list[str] = []
    end = first + count
    batches = [range(seed, min(seed + BATCH, end)) for seed in range(first, end, BATCH)]
    with ProcessPoolExecutor() as pool:
        for number, (found, wrong) in enumerate(pool.map(batch, batches), 1):
            points += found
            failures += wrong
            for each in wrong:
                print(each, flush=True)
            if number % 20 == 0:
                seconds = time.monotonic() - began
                print(
                    f"{number * BATCH} histories, {points} points judged, {len(failures)} false, {seconds:.0f} s",
                    flush=True,
                )
    for each in failures[:MOST]:
        print(each)
    print(f"{count} histories from {first}: {points} points judged, {len(failures) or 'nothing'} false")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
