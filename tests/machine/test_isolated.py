"""Modules as programs of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.machine import isolated


def test_the_module_is_this_package_s_whatever_the_folder_and_the_variables_say(tmp_path: Path) -> None:
    """A package of the same name stands in the folder and on PYTHONPATH, and is not taken."""
    foreign = tmp_path / "exporter"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("raise SystemExit(99)")
    (foreign / "library.py").write_text("")
    done = subprocess.run(
        isolated.command("exporter.library.child", "/nowhere/none.so"),
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_status_is_what_main_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_module.py").write_text("def main(arguments): return len(arguments)")
    monkeypatch.setattr(isolated, "ROOT", str(tmp_path))
    done = subprocess.run(isolated.command("a_module", "a", "b", "c"), check=False, timeout=60)
    assert done.returncode == 3


def test_arguments_come_last() -> None:
    assert isolated.command("m", "a", "b")[-3:] == [isolated.ROOT, "a", "b"]
    assert isolated.command("m")[0] == sys.executable
