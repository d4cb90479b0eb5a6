"""Advice for a package that is missing fits the Python that misses it."""

from __future__ import annotations

import sys

import pytest

from exporter.machine.extras import how_to_get

APT, DNF = "apt-get install python3-yaml", "dnf install python3-pyyaml"


def test_a_virtual_environment_sees_what_pip_brings_and_nothing_of_the_distributions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/opt/venv")
    monkeypatch.setattr(sys, "executable", "/opt/venv/bin/python3")
    assert how_to_get("PyYAML>=6", APT, DNF) == "/opt/venv/bin/python3 -m pip install 'PyYAML>=6'"


def test_a_distributions_own_python_takes_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert how_to_get("PyYAML>=6", APT, DNF) == f"{APT} or {DNF}"
    assert how_to_get("textual>=4") == "in a virtual environment: pip install 'textual>=4'"
