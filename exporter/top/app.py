"""The live view, on Textual. The only module that imports it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from exporter.errors import VMGuestError
from exporter.insight.words import span
from exporter.outputs.api import Document
from exporter.show.tables import when
from exporter.top.frame import Frame
from exporter.top.screen import VIEWS, Line, body, head

INTERVALS = (1.0, 2.0, 5.0, 10.0)
"""Seconds; ``s`` goes round them."""
STYLES = {
    "ok": "green",
    "info": "cyan",
    "warning": "yellow",
    "critical": "bold red",
    "unknown": "dim",
    "title": "bold",
    "dim": "dim",
    "": "",
}


def drawn(lines: list[Line], width: int) -> Text:
    """Lines as Rich has them, none longer than ``width``."""
    made = []
    for line in lines:
        text = Text.assemble(*((words, STYLES[style]) for words, style in line))
        text.truncate(width, overflow="ellipsis")
        made.append(text)
    return Text("\n").join(made)


class Top(App[None]):
    """``read`` gives a document, from any thread; it may raise VMGuestError, which is shown until it gives one again."""

    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    #title { height: 1; text-style: reverse; }
    #head { height: auto; max-height: 3; background: ansi_default; }
    #trouble { height: auto; display: none; background: ansi_default; }
    #view { height: 1fr; background: ansi_default; margin-top: 1; scrollbar-size: 1 1; }
    #body { height: auto; background: ansi_default; }
    #keys { height: 1; background: ansi_default; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding("question_mark" if key == "?" else key, f"view('{key}')", name, show=False)
            for key, name in VIEWS.items()
        ),
        Binding("s", "interval", "interval", show=False),
        Binding("space", "pause", "pause", show=False, priority=True),
        Binding("q", "quit", "quit", show=False),
        # As top and esxtop do; Textual's own answer is that another key would.
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        read: Callable[[], Document],
        where: Callable[[], str],
        interval: float,
        iterations: int | None = None,
    ) -> None:
        super().__init__(ansi_color=True)
        self._read = read
        self._where = where
        self._every = interval
        self._left = iterations
        self._view = "c"
        self._paused = False
        self._reading = False
        self._timer_of_reads: Timer | None = None
        self._trouble = ""
        self.frame: Frame | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static(id="head", markup=False)
        yield Static(id="trouble", markup=False)
        with VerticalScroll(id="view"):
            yield Static(id="body", markup=False)
        yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        # Else the signal leaves the terminal as it is: no echo, and the last picture on it.
        with suppress(NotImplementedError, RuntimeError):  # Windows; not the main thread
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGTERM, lambda: self.exit(return_code=128 + signal.SIGTERM)
            )
        self._timer_of_reads = self.set_interval(self._every, self._look)
        self._look()
        self.redraw()

    def on_resize(self) -> None:
        # Later: Textual's own handler, which takes the new size, runs after this one.
        self.call_later(self.redraw)

    def action_view(self, key: str) -> None:
        self._view = key
        self.query_one("#view", VerticalScroll).scroll_home(animate=False)
        self.redraw()

    def action_interrupt(self) -> None:
        self.exit(return_code=128 + signal.SIGINT)

    def action_interval(self) -> None:
        """The next longer one, then the shortest again."""
        self._every = next((each for each in INTERVALS if each > self._every), INTERVALS[0])
        if self._timer_of_reads is not None:
            self._timer_of_reads.stop()
        self._timer_of_reads = self.set_interval(self._every, self._look)
        self.redraw()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.redraw()

    def _look(self) -> None:
        """Begin a reading, unless one is under way: an exporter that is slow to answer must not pile them up."""
        if not (self._paused or self._reading):
            self._reading = True
            self.run_worker(self._take, thread=True)

    def _take(self) -> None:
        """In a thread of its own."""
        try:
            document = self._read()
        except VMGuestError as error:
            self.call_from_thread(self._taken, None, str(error))
        else:
            self.call_from_thread(self._taken, document, "")

    def _taken(self, document: Document | None, trouble: str) -> None:
        self._reading = False
        self._trouble = trouble
        if document is not None:
            self.frame = Frame.first(document) if self.frame is None else self.frame.after(document)
            if self._left is not None:
                self._left -= 1
                if self._left <= 0:
                    self.exit()
        self.redraw()

    def redraw(self) -> None:
        """Everything, as of the last document, for the present size."""
        if not self.query("#keys"):
            return
        width = max(self.size.width, 40)
        pace = "paused" if self._paused else f"every {span(self._every)}"
        time = when(self.frame.now["time"])[11:] if self.frame is not None else "reading"
        title = f" vmguest top · {VIEWS[self._view]} · {time} · {pace} · {self._where()}"
        self.query_one("#title", Static).update(Text(title[:width], no_wrap=True, overflow="ellipsis"))
        trouble = self.query_one("#trouble", Static)
        trouble.display = bool(self._trouble)
        trouble.update(
            Text(
                f"! {self._trouble}; trying again. What stands below is old." if self._trouble else "",
                "yellow",
            )
        )
        if self.frame is not None:
            self.query_one("#head", Static).update(drawn(head(self.frame, width), width))
            self.query_one("#body", Static).update(drawn(body(self._view, self.frame, width - 1), width - 1))
        keys = [*(f"{key} {name}" for key, name in VIEWS.items()), "s interval", "space pause", "q quit"]
        if width < len("  ".join(keys)):
            keys.remove("space pause")  # It stands in the help.
        gap = "  " if width >= len("  ".join(keys)) else " "
        self.query_one("#keys", Static).update(Text(gap.join(keys)[:width], "dim"))
