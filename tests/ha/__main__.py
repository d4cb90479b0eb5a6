"""``python -m tests.ha COUNT [FIRST]``: play histories of the heartbeats in as many processes as there are CPUs."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.ha import test_histories
from tests.played import played

MEMORY = Path("/dev/shm")


def play(seed: int) -> Counter[str]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        host = test_histories.play(seed, Path(folder)).host
    return Counter(beats=len(host.beats), resets=len(host.resets))


if __name__ == "__main__":
    sys.exit(played(play, *map(int, sys.argv[1:])))
