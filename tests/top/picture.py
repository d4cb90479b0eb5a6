"""Draws ``docs/top.svg``, a VM that swaps, by Textual's own export: ``python -m tests.top.picture``."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from exporter.top.app import Top
from tests.top.worlds import documents

FILE = Path(__file__).parents[2] / "docs" / "top.svg"
PLACE = "the exporter at /run/vmguest-exporter/api.sock"


def picture() -> str:
    """At 100 by 24, on the second reading; without the addresses of fonts, so that opening it loads nothing."""

    async def draw() -> str:
        readings = iter(documents("swapping", 3600.0))
        app = Top(lambda: next(readings), lambda: PLACE, 0.05)
        async with app.run_test(size=(100, 24)) as pilot:
            while app.frame is None or app.frame.extended is None:
                await pilot.pause(0.05)
            await pilot.press("space")
            await pilot.press("m")
            await pilot.pause()
            return app.export_screenshot(title="vmguest-exporter top")

    drawn = asyncio.run(draw())
    return re.sub(r"@font-face\s*\{.*?\}", "", drawn, flags=re.DOTALL)


if __name__ == "__main__":
    FILE.write_text(picture(), encoding="utf-8")
