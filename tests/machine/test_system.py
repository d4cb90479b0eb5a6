"""What each system has, and its words; what only Windows has is in tests/windows/."""

from __future__ import annotations

import os
import platform
import re

import pytest

from exporter.machine import system
from exporter.machine.system import HEARTBEATS, LINUX, UNIX_SOCKETS, VSOCK, WINDOWS


def test_linux_lacks_nothing() -> None:
    assert system.named("linux") is LINUX
    assert LINUX.lacks == {}
    assert not LINUX.windows


def test_windows_lacks_what_python_has_on_linux_alone() -> None:
    assert system.named("win32") is WINDOWS
    assert WINDOWS.windows
    assert set(WINDOWS.lacks) == {VSOCK, UNIX_SOCKETS, HEARTBEATS}


@pytest.mark.parametrize("sentence", WINDOWS.lacks.values())
def test_what_is_lacking_can_be_followed_by_what_to_do(sentence: str) -> None:
    assert re.fullmatch(r"[^.]+[^.\s]", sentence)


def test_this_machine_by_its_name_and_architecture() -> None:
    assert system.host_name() == platform.node()
    assert system.architecture() == platform.machine() == os.uname().machine
