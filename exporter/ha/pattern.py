"""A pattern in a process of its own: whoever started it can end it."""

from __future__ import annotations

import re
import sys

NO_MATCH = 3
"""Exit status; 1 is what Python itself ends with when it fails."""


def main(arguments: list[str]) -> int:
    """Exit status 0 where the pattern is somewhere in standard input, :data:`NO_MATCH` where it is not."""
    return 0 if re.search(arguments[0].encode(), sys.stdin.buffer.read()) else NO_MATCH
