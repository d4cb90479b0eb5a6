"""A module of this package as a program of its own: the library's processes and the heart.

Neither the folder that it is started in, nor site-packages' start-up files, nor the user's variables say what is
imported: it starts in half the time, and the same everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
"""The folder that the package lies in."""


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs ``main(arguments)`` of ``module`` and exits with what it returns."""
    code = (
        f"import sys; sys.path.append(sys.argv[1]); import {module} as module; "
        "sys.exit(module.main(sys.argv[2:]))"
    )
    return [sys.executable, "-I", "-S", "-c", code, ROOT, *arguments]
