"""``python -m tests.histories COUNT [FIRST]``: play histories in as many processes as there are CPUs, and count them."""

from __future__ import annotations

import sys
from collections import Counter

from tests.histories.history import judge
from tests.played import played


def play(seed: int) -> Counter[str]:
    return Counter(points=judge(seed))


if __name__ == "__main__":
    sys.exit(played(play, *map(int, sys.argv[1:])))
