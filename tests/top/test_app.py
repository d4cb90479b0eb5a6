"""The live view by Textual's pilot: every key, every view, two sizes, an exporter that goes and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from exporter.outputs.api import Document
from exporter.reading.base import NoAnswer
from tests.top.worlds import documents

pytest.importorskip("textual", reason="an extra: make test installs it")

from textual.widgets import Static

from exporter.top.app import Top

pytestmark = pytest.mark.complete(reason="Textual's pilot takes seconds for a screen")

SIZES = [(80, 24), (200, 50)]


class Place:
    """What top reads: documents in turn, or silence."""

    def __init__(self, scenario: str) -> None:
        self.documents = documents(scenario)
        self.silent = False
        self.reads = 0

    def read(self) -> Document:
        self.reads += 1
        if self.silent:
            raise NoAnswer("the exporter at /x does not answer")
        return self.documents[min(self.reads - 1, 1)]


def drive(
    steps: Callable[[Top, Any], Awaitable[None]],
    place: Place,
    size: tuple[int, int] = (80, 24),
    **wanted: Any,
) -> None:
    async def run() -> None:
        app = Top(place.read, lambda: "the exporter at /x", 0.05, **wanted)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.frame is not None and app.frame.basic is not None)
            await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Any, what: Callable[[], bool]) -> None:
    for _ in range(400):
        if what():
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came")


def shown(app: Top, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).render())


@pytest.mark.parametrize("size", SIZES)
def test_every_key_shows_its_view(size: tuple[int, int]) -> None:
    async def steps(app: Top, pilot: Any) -> None:
        for key, view, words in (
            ("m", "memory", "MCTLTGT"),
            ("d", "disks", "LAT/rd"),
            ("n", "network", "PKTRX/s"),
            ("h", "host", "Poll interval"),
            ("e", "events", "Nothing was seen"),
            ("question_mark", "help", "is not esxtop's"),
            ("c", "CPU", "%USED"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert f"· {view} ·" in shown(app, "title")
            assert words in shown(app, "body")
            assert "of the guest's memory back" in shown(app, "head")
        assert "q quit" in shown(app, "keys")
        assert max(len(line) for line in shown(app, "keys").splitlines()) <= size[0]

    drive(steps, Place("swapping"), size)


def test_space_pauses_and_goes_on() -> None:
    place = Place("steady")

    async def steps(app: Top, pilot: Any) -> None:
        await pilot.press("space")
        await pilot.pause(0.2)
        reads = place.reads
        assert "paused" in shown(app, "title")
        await pilot.pause(0.3)
        assert place.reads == reads
        await pilot.press("space")
        await until(pilot, lambda: place.reads > reads)

    drive(steps, place)


def test_s_goes_round_the_intervals() -> None:
    async def steps(app: Top, pilot: Any) -> None:
        for words in ("every 1 s", "every 2 s", "every 5 s", "every 10 s", "every 1 s"):
            await pilot.press("s")
            await pilot.pause()
            assert words in shown(app, "title")

    drive(steps, Place("steady"))


def test_an_exporter_that_goes_and_comes_back() -> None:
    place = Place("steady")

    async def steps(app: Top, pilot: Any) -> None:
        place.silent = True
        await until(pilot, lambda: "does not answer" in shown(app, "trouble"))
        assert "%USED" in shown(app, "body"), "what was known stays"
        place.silent = False
        await until(pilot, lambda: not app.query_one("#trouble").display)

    drive(steps, place)


def test_a_new_size_is_taken_at_once() -> None:
    async def steps(app: Top, pilot: Any) -> None:
        narrow = max(len(line) for line in shown(app, "body").splitlines())
        await pilot.resize_terminal(200, 50)
        await pilot.pause()
        assert max(len(line) for line in shown(app, "body").splitlines()) > narrow
        assert "space pause" in shown(app, "keys")

    drive(steps, Place("noisy-neighbour"))


def test_a_new_size_is_taken_while_paused_too() -> None:
    async def steps(app: Top, pilot: Any) -> None:
        await pilot.press("space")
        await until(pilot, lambda: not app.workers)
        for width in (40, 120, 80):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda: cut(app) is (app.size.width == 40))
            assert app.size.width == width
            assert max(map(len, (shown(app, "body") + "\n" + shown(app, "head")).splitlines())) <= width

    def cut(app: Top) -> bool:
        (limits,) = [row for row in shown(app, "body").splitlines() if row.startswith("vCPUs")]
        return limits.endswith("…")

    drive(steps, Place("cpu-limit"))


def test_q_and_the_last_iteration_end_it() -> None:
    async def press(app: Top, pilot: Any) -> None:
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)

    async def wait(app: Top, pilot: Any) -> None:
        await until(pilot, lambda: not app.is_running)

    drive(press, Place("steady"))
    place = Place("steady")
    drive(wait, place, iterations=3)
    assert place.reads == 3
