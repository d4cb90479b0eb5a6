"""How to get a package that is missing, so that this Python sees it."""

from __future__ import annotations

import sys


def how_to_get(requirement: str, *packages: str) -> str:
    """``requirement`` in pip's words; ``packages``: commands that bring a distribution's package of it.

    A Python in a virtual environment, or built by hand, sees none of the distribution's packages; to the distribution's
    own Python pip may add nothing (PEP 668).
    """
    if sys.prefix == "/usr" and packages:
        return " or ".join(packages)
    if sys.prefix == "/usr":
        return f"in a virtual environment: pip install '{requirement}'"
    return f"{sys.executable} -m pip install '{requirement}'"
