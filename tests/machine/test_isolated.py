"""Modules as programs of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from exporter.machine import isolated


def test_the_module_is_this_package_s_whatever_the_folder_and_the_variables_say(tmp_path: Path) -> None:
    """A package of the same name stands in the folder and on PYTHONPATH, and is not taken."""
    foreign = tmp_path / "exporter"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("raise SystemExit(99)")
    (foreign / "commands.py").write_text("")
    done = subprocess.run(
        isolated.command("exporter.commands.cli", "--version"),
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout[:17]) == (0, "vmguest-exporter ")


def test_its_status_is_what_main_returns() -> None:
    done = subprocess.run(
        isolated.command("exporter.commands.cli", "--no-such-setting"),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2


def test_arguments_come_last() -> None:
    assert isolated.command("m", "a", "b")[-3:] == [isolated.ROOT, "a", "b"]
    assert isolated.command("m")[0] == sys.executable
