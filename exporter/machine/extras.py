"""How to get a package that is missing, so that this Python sees it."""

from __future__ import annotations

import sys
from pathlib import Path

from exporter.machine.system import HERE, System

OWN = Path("/usr/bin/python3")
"""The distribution's own Python, which the packages of its libraries are for."""
FOLDER = "/usr/local/lib/vmguest-exporter"
"""Where pip may put a package for a distribution's second Python (PEP 668 keeps it out of the usual place)."""


def how_to_get(requirement: str, *packages: str, system: System = HERE) -> str:
    """``requirement`` in pip's words; ``packages``: commands that bring a distribution's package of it, which this
    program's .deb and .rpm bring too.

    A Python in a virtual environment, or built by hand, sees none of the distribution's packages, and a second Python of
    the distribution (python3.11 on EL 9) has few of its own; to the distribution's own Python pip may add nothing.
    """
    if system.windows:
        # Single quotes are none to its command line, and < and > would name files.
        return f'py -m pip install "{requirement}"'
    if sys.prefix != "/usr":
        return f"{sys.executable} -m pip install '{requirement}'"
    if not packages:
        return f"in a virtual environment: pip install '{requirement}'"
    if Path(sys.executable).resolve() == OWN.resolve():
        return " or ".join(packages)
    return (
        f"the distribution's package is for another Python than this; {sys.executable} -m pip install"
        f" --target={FOLDER} '{requirement}' and set PYTHONPATH={FOLDER}, or use the .deb or .rpm, which bring it"
    )
