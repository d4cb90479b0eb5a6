"""The manual page and the shells' completions, from the program's own parser.

    python -m deploy.packages.command_line build

writes ``build/man/vmguest-exporter.1`` and ``build/completions/…``, named as the shells look for them.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import shtab

from exporter import __version__
from exporter.commands.parser import DESCRIPTION, PROGRAM, whole

COMPLETIONS = {"bash": PROGRAM, "zsh": f"_{PROGRAM}", "fish": f"{PROGRAM}.fish"}
"""Shell -> name of the file that it looks for."""


def manual() -> ArgumentParser:
    """For argparse-manpage."""
    return whole(commands=True)


def write(folder: Path) -> list[Path]:
    """Write everything below ``folder``; the files."""
    page = folder / "man" / f"{PROGRAM}.1"
    page.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            str(Path(sys.executable).with_name("argparse-manpage")),
            "--pyfile", __file__, "--function", "manual", "--prog", PROGRAM, "--project-name", PROGRAM,
            "--version", __version__, "--description", DESCRIPTION.rstrip("."), "--manual-title", "User Commands",
            "--format", "single-commands-section", "--output", str(page),
        ],
        check=True,
    )  # fmt: skip
    written = [page]
    for shell, name in COMPLETIONS.items():
        file = folder / "completions" / shell / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shtab.complete(whole(commands=True, files=shtab.FILE), shell), encoding="utf-8")
        written.append(file)
    return written


if __name__ == "__main__":
    print(*write(Path(sys.argv[1])), sep="\n")
