"""Draws ``docs/page.png``, the page of a VM whose memory the host swaps, in headless Chromium: ``python -m tests.outputs.page.picture``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from exporter.outputs.api import PATH, Api
from exporter.outputs.page.landing import views
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application
from exporter.outputs.web.server import WebServer
from tests.insight.simulated import Simulated

FILE = Path(__file__).parents[3] / "docs" / "page.png"
SIZE = (1100, 1250)
COLOURS = 48
"""Enough for text and lines; a third of the bytes."""


def draw(file: Path, chromium: str = "chromium") -> None:
    """After an hour on the simulated host."""
    simulated = Simulated("swapping").run(3600)
    api = Api(simulated.published)
    pages = {**views("/metrics", api.content), PATH: api.view}
    server = WebServer(Application(Page(simulated.published), lambda: True, views=pages), [("127.0.0.1", 0)])
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            shot = Path(folder) / "page.png"
            subprocess.run(
                [
                    chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                    f"--user-data-dir={folder}/profile", f"--window-size={SIZE[0]},{SIZE[1]}",
                    "--virtual-time-budget=4000", f"--screenshot={shot}", server.urls[0],
                ],
                check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            Image.open(shot).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    finally:
        server.close()
        simulated.close()


if __name__ == "__main__":
    draw(FILE, *sys.argv[1:])
