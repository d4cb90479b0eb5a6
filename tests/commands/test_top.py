"""``top`` in a real terminal (tmux): start, keys, quit, a terminal that is left clean."""

from __future__ import annotations

import csv
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from exporter.commands import cli
from tests.top.worlds import documents

GOLDEN = Path(__file__).parents[1] / "golden"
PINNED = "8.2.8"
"""Of Textual: the release whose screens are golden."""

HOST = ("--source=simulated", "--simulated.scenario=swapping")


def test_batch_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "--batch", "--iterations=2", "--interval=0.2s", *HOST]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith("time,verdict,%USED %,")
    assert len(lines) == 2


@pytest.mark.parametrize("count", [1, 2])
def test_batch_gives_whole_rows_from_the_first_on(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "--batch", f"--iterations={count}", "--interval=0.5s", *HOST]) == 0
    rows = [*csv.DictReader(capsys.readouterr().out.splitlines())]
    assert len(rows) == count
    for row in rows:
        for name in ("%USED %", "stolen %", "%SWPWT %", "SWR/s MB/s", "scsi0:0 READS/s"):
            assert row[name], name


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
    assert "pip install 'textual>=4,<9'" in capsys.readouterr().err


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

    def until(self, words: str | re.Pattern[str]) -> str:
        for _ in range(400):
            screen = self.screen()
            if words in screen if isinstance(words, str) else words.search(screen):
                return screen
            time.sleep(0.3)
        raise AssertionError(f"{words!r} never came:\n{screen}")

    def settled(self, words: str | re.Pattern[str]) -> str:
        """As :meth:`until`, when nothing moves any more: a screen may be seen half drawn."""
        screen = self.until(words)
        for _ in range(30):
            time.sleep(0.5)
            before, screen = screen, self.screen()
            if screen == before:
                return screen
        raise AssertionError(f"it never came to rest:\n{screen}")

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


class Exporter:
    """What it knows does not move, so that a screen is the same each time: one document for ever."""

    def __init__(self, scenario: str) -> None:
        self.answers = [json.dumps(documents(scenario)[1]).encode()]
        self.silent = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.answers[0]
                self.send_response(503 if outer.silent else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.command = (
            f"{sys.executable} -m exporter top --interval=1s --url=http://127.0.0.1:{self.server.server_port}"
        )

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def exporters() -> Iterator[Callable[[str], Exporter]]:
    made: list[Exporter] = []

    def make(scenario: str) -> Exporter:
        made.append(Exporter(scenario))
        return made[-1]

    yield make
    for each in made:
        each.close()


KNOWN = re.compile(r"%USED +[\d.]+ %")


@pytest.mark.real
@pytest.mark.parametrize("scenario", ["steady", "noisy-neighbour", "swapping"])
def test_the_first_screen(terminal: Terminal, exporters: Callable[[str], Exporter], scenario: str) -> None:
    """After a wanted change: UPDATE_GOLDEN=1; the title ends before the port."""
    terminal.press(f"TZ=UTC {exporters(scenario).command}", "Enter")
    screen = terminal.settled(KNOWN)
    file = GOLDEN / f"screen-{scenario}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(screen, encoding="utf-8")
    if version("textual") != PINNED:
        pytest.skip(f"the screens are those of Textual {PINNED}")
    assert screen.splitlines() == file.read_text(encoding="utf-8").splitlines()


@pytest.mark.real
def test_another_size_and_back(terminal: Terminal, exporters: Callable[[str], Exporter]) -> None:
    exporter = exporters("swapping")
    # As what uses readline exports them: they must not hold the first size.
    terminal.press(f"TZ=UTC COLUMNS=80 LINES=24 {exporter.command}", "Enter")
    first = terminal.settled(KNOWN)
    terminal.run("resize-window", "-t", "t", "-x", "120", "-y", "40")
    wide = terminal.until(f":{exporter.server.server_port}")
    assert "space pause" in wide, "there is room for all keys"
    terminal.run("resize-window", "-t", "t", "-x", "50", "-y", "12")
    narrow = terminal.until("%USED")
    assert all(len(line) <= 50 for line in narrow.splitlines())
    terminal.run("resize-window", "-t", "t", "-x", "80", "-y", "24")
    terminal.until(re.compile(re.escape(first)))


@pytest.mark.real
@pytest.mark.parametrize(("ending", "status"), [("q", 0), ("C-c", 130), ("SIGTERM", 143), ("crash", 1)])
def test_however_it_ends_the_terminal_is_left_clean(
    terminal: Terminal, exporters: Callable[[str], Exporter], tmp_path: Path, ending: str, status: int
) -> None:
    exporter = exporters("steady")
    process = tmp_path / "pid"
    terminal.press(f"sh -c 'echo $$ > {process}; exec {exporter.command}'; echo status=$?", "Enter")
    terminal.until(KNOWN)
    if ending == "SIGTERM":
        os.kill(int(process.read_text()), signal.SIGTERM)
    elif ending == "crash":
        broken = {**json.loads(exporter.answers[-1]), "charts": [5]}
        exporter.answers = [json.dumps(broken).encode()]
    else:
        terminal.press(ending)
    terminal.until(f"status={status}")
    terminal.typed_until("stty -a | tr ' ' '\\n' | grep -x echo", "\necho\n")
    left = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"
    assert terminal.run("display-message", "-p", "-t", "t", left).split() == ["0", "1", "0"]


@pytest.mark.real
def test_no_color(terminal: Terminal, exporters: Callable[[str], Exporter]) -> None:
    """no-color.org; reverse and dim are no colours."""
    terminal.press(f"NO_COLOR=1 {exporters('swapping').command}", "Enter")
    terminal.until(KNOWN)
    styles = re.findall(r"\x1b\[([\d;]*)m", terminal.run("capture-pane", "-e", "-p", "-t", "t"))
    assert styles
    assert {code for style in styles for code in style.split(";")} <= {"", "0", "1", "2", "7", "39", "49"}


@pytest.mark.real
def test_an_exporter_that_goes_and_comes_back(
    terminal: Terminal, exporters: Callable[[str], Exporter]
) -> None:
    exporter = exporters("steady")
    terminal.press(exporter.command, "Enter")
    terminal.until(KNOWN)
    exporter.silent = True
    assert "%USED" in terminal.until("trying again"), "what was known stays"
    exporter.silent = False
    terminal.until(re.compile(r"^(?!.*trying again).*%USED", re.DOTALL))


@pytest.mark.real
def test_a_dumb_terminal_gets_plain_lines(terminal: Terminal) -> None:
    words = " ".join(HOST)
    terminal.press(
        f"TERM=dumb {sys.executable} -m exporter top --interval=1s --iterations=1 {words}; echo do''ne",
        "Enter",
    )
    assert "MCTL" not in terminal.until("\ndone")
