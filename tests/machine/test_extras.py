"""Advice for a package that is missing fits the Python that misses it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from exporter.machine import extras
from exporter.machine.extras import how_to_get
from exporter.machine.system import WINDOWS

APT, DNF = "apt-get install python3-yaml", "dnf install python3-pyyaml"


def test_a_virtual_environment_sees_what_pip_brings_and_nothing_of_the_distributions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/opt/venv")
    monkeypatch.setattr(sys, "executable", "/opt/venv/bin/python3")
    assert how_to_get("PyYAML>=6", APT, DNF) == "/opt/venv/bin/python3 -m pip install 'PyYAML>=6'"


def test_a_distributions_own_python_takes_its_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    own = tmp_path / "python3"
    own.symlink_to(tmp_path / "python3.13")
    monkeypatch.setattr(extras, "OWN", own)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3.13"))
    assert how_to_get("PyYAML>=6", APT, DNF) == f"{APT} or {DNF}"
    assert how_to_get("textual>=4") == "in a virtual environment: pip install 'textual>=4'"


def test_a_distributions_second_python_needs_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(extras, "OWN", tmp_path / "python3.9")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.11")
    folder = "/usr/local/lib/vmguest-exporter"
    assert how_to_get("PyYAML>=6", APT, DNF) == (
        "the distribution's package is for another Python than this; /usr/bin/python3.11 -m pip install"
        f" --target={folder} 'PyYAML>=6' and set PYTHONPATH={folder}, or use the .deb or .rpm, which bring it"
    )


def test_windows_has_quotes_of_its_own() -> None:
    """A redirection to its command line, where single quotes are none."""
    assert how_to_get("bcrypt>=4.0,<6", APT, DNF, system=WINDOWS) == 'py -m pip install "bcrypt>=4.0,<6"'
