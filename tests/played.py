"""Random histories by the thousand, in as many processes as there are CPUs: ``python -m`` of those that play them.

One that fails ends nothing: its seed and what happened are printed at once and again at the end, with exit status 1.
"""

from __future__ import annotations

import gc
import logging
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

BATCH = 100
NOWHERE = Path(os.devnull)
MOST = 20
"""Failures that are told in full at the end."""
PAUSE = 60.0
"""Seconds between two lines of progress."""

Play = Callable[[int], Counter[str]]
"""Plays the history of a seed and counts what was in it; where it raises anything, that has failed."""


def batch(play: Play, seeds: range) -> tuple[Counter[str], list[str]]:
    """What was in the histories, and why some failed."""
    logging.getLogger("exporter").setLevel(logging.CRITICAL)
    gc.disable()  # A history ends before its garbage counts.
    gc.collect()
    seen, failures = Counter[str](), []
    with NOWHERE.open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        for seed in seeds:
            try:
                seen.update(play(seed))
            except Exception:  # noqa: BLE001 - whatever ends a history is told, and ends no other
                failures.append(f"seed {seed}\n{traceback.format_exc()}")
    return seen, failures


def played(play: Play, count: int, first: int = 0) -> int:
    """Play ``count`` histories from the seed ``first``: the exit status. ``play`` is found by its name in other processes."""
    began = told = time.monotonic()
    done, seen, failures = 0, Counter[str](), list[str]()
    end = first + count
    batches = [range(seed, min(seed + BATCH, end)) for seed in range(first, end, BATCH)]

    def words() -> str:
        found = [f"{number} {name}" for name, number in seen.items()]
        seconds = time.monotonic() - began
        return f"{done} histories from {first}: {', '.join([*found, f'{len(failures)} failed'])}, {seconds:.0f} s"

    with ProcessPoolExecutor() as pool:
        for seeds, (found, wrong) in zip(batches, pool.map(partial(batch, play), batches), strict=True):
            done += len(seeds)
            seen.update(found)
            failures += wrong
            for each in wrong:
                print(each, flush=True)
            if time.monotonic() - told >= PAUSE:
                told = time.monotonic()
                print(words(), flush=True)
    for each in failures[:MOST]:
        print(each)
    print(words())
    return 1 if failures else 0
