"""A pattern in a process of its own: whoever started it can end it, and it ends itself where nobody is left to."""

from __future__ import annotations

import re
import signal
import sys

NO_MATCH = 3
"""Exit status; 1 is what Python itself ends with when it fails."""


def main(arguments: list[str]) -> int:
    """``arguments``: the pattern, and the seconds after which the process is ended whatever it is at.

    Exit status 0 where the pattern is somewhere in standard input, :data:`NO_MATCH` where it is not.
    """
    pattern, seconds = arguments
    if sys.platform != "win32":
        # Without a handler the kernel ends the process in the middle of a search.
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
    return 0 if re.search(pattern.encode(), sys.stdin.buffer.read()) else NO_MATCH
