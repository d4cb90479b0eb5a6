"""Unit tests of rooms that know of no system, run on Windows."""

from __future__ import annotations

import re

from tests.windows.conftest import Windows

ROOMS = ("tests/protocol", "tests/catalogue", "tests/test_masking.py", "tests/test_markdown.py")


def test_rooms_that_know_of_no_system(windows: Windows) -> None:
    # The coverage of this process, its plugins and its options are not the other's.
    paths = [f"S:/{room}" for room in ROOMS]
    options = ("-q", "-p", "no:cacheprovider", "--rootdir=S:/", "-c", "S:/pyproject.toml")
    done = windows.run("-m", "pytest", *options, *paths, environ={"WMI": "absent"})
    assert done.process.returncode == 0, done.text[-5000:]
    found = re.search(r"(\d+) passed", done.text)
    assert found
    assert int(found[1]) > 1000
