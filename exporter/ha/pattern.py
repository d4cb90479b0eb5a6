"""A pattern in a process of its own: whoever started it can end it, and it ends itself where nobody is left to."""

from __future__ import annotations

import json
import re
import signal
import sys
import time

NO_MATCH = 3
"""Exit status; 1 is what Python itself ends with when it fails."""


def main(arguments: list[str]) -> int:
    """``arguments``: the pattern as JSON, and the seconds after which the process is ended whatever it is at.

    Prints the processor seconds that it has needed until it began to search. Exit status 0 where the pattern is somewhere
    in standard input, UTF-8, and :data:`NO_MATCH` where it is not.
    """
    pattern, seconds = arguments
    if sys.platform != "win32":
        # Without a handler the kernel ends the process in the middle of a search.
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
    text = sys.stdin.buffer.read().decode(errors="replace")
    compiled = re.compile(json.loads(pattern))
    print(time.process_time(), flush=True)
    return 0 if compiled.search(text) else NO_MATCH
