"""A module of this package as a program of its own: the library's processes and the heart.

Neither the folder that it is started in, nor site-packages' start-up files, nor the user's variables say what is
imported: it starts in half the time, and the same everywhere.
"""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120  a plain serve has no pathlib
"""The folder that the package lies in."""


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs ``main(arguments)`` of ``module`` and exits with what it returns."""
    code = (
        f"import sys; sys.path.append(sys.argv[1]); import {module} as module; "
        "sys.exit(module.main(sys.argv[2:]))"
    )
    return [sys.executable, "-I", "-S", "-c", code, ROOT, *arguments]
