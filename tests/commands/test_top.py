"""``top`` in a real terminal (tmux): start, keys, quit, a terminal that is left clean."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.commands import cli

HOST = ("--source=simulated", "--simulated.scenario=swapping")


def test_batch_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "--batch", "--iterations=2", "--interval=0.2s", *HOST]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith("time,verdict,%USED %,")
    assert len(lines) == 2


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "--iterations=1", *HOST]) == 0
    assert "%USED" in capsys.readouterr().out


def test_without_textual_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", sys.stdout)
    monkeypatch.setattr("exporter.commands.top.find_spec", lambda _: None)
    monkeypatch.setenv("TERM", "xterm")
    assert cli.main(["top", *HOST]) == 2
    assert "pip install 'vmguest-exporter[top]'" in capsys.readouterr().err


class Terminal:
    """A tmux server of its own, with one window."""

    def __init__(self, tmux: str, socket: Path) -> None:
        self._command = [tmux, "-S", str(socket), "-f", "/dev/null"]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._command, *words], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    def screen(self) -> str:
        return self.run("capture-pane", "-p", "-t", "t")

    def press(self, *keys: str) -> None:
        self.run("send-keys", "-t", "t", *keys)

    def until(self, words: str) -> str:
        for _ in range(100):
            screen = self.screen()
            if words in screen:
                return screen
            time.sleep(0.3)
        raise AssertionError(f"{words!r} never came:\n{screen}")

    def typed_until(self, line: str, words: str) -> str:
        """Type ``line`` again and again: a program that is about to leave takes what is typed with it."""
        for _ in range(30):
            self.press(line, "Enter")
            for _ in range(5):
                time.sleep(0.2)
                screen = self.screen()
                if words in screen:
                    return screen
        raise AssertionError(f"{words!r} never came:\n{screen}")


@pytest.fixture
def terminal(short_path: Path, require_program: Callable[[str, str], str]) -> Iterator[Terminal]:
    pytest.importorskip("textual", reason="an extra")
    made = Terminal(require_program("tmux", "apt-get install tmux"), short_path / "tmux")
    made.run("new-session", "-d", "-x", "80", "-y", "24", "-s", "t", shutil.which("sh") or "sh")
    yield made
    made.run("kill-server")


@pytest.mark.real
def test_in_a_real_terminal(terminal: Terminal) -> None:
    words = " ".join(HOST)
    terminal.press(f"{sys.executable} -m exporter top --interval=1s {words}", "Enter")
    screen = terminal.until("%USED")
    assert "vmguest top · CPU" in screen
    assert "q quit" in screen
    terminal.press("m")
    assert "MCTLTGT" in terminal.until("· memory ·")
    terminal.press("q")
    screen = terminal.typed_until("echo le''ft", "\nleft")
    assert "vmguest top" not in screen, "the screen before is back"
    terminal.press("stty -a | tr ' ' '\\n' | grep -x echo", "Enter")
    terminal.until("\necho\n")


@pytest.mark.real
def test_a_dumb_terminal_gets_plain_lines(terminal: Terminal) -> None:
    words = " ".join(HOST)
    terminal.press(
        f"TERM=dumb {sys.executable} -m exporter top --interval=1s --iterations=1 {words}; echo do''ne",
        "Enter",
    )
    assert "MCTL" not in terminal.until("\ndone")
