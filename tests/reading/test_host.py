"""What a reading in this process keeps, and where."""

from __future__ import annotations

import pytest

from exporter.reading import host


@pytest.mark.parametrize(
    ("folder", "own"),
    [
        ("/run/vmguest-exporter-textfile", True),
        ("/run/vmguest-exporter:/run/more", True),
        ("/run/nrpe", False),
        ("/run/nrpe:/run/vmguest-exporter", False),
        ("", False),
    ],
)
def test_nothing_is_written_into_the_folder_of_whoever_runs_a_plugin(folder: str, own: bool) -> None:
    """Found by a stranger: systemd's RUNTIME_DIRECTORY of another daemon is inherited, and its session.json was replaced."""
    assert host._is_own({"RUNTIME_DIRECTORY": folder}) is own
