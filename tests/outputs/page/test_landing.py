"""The page at ``/``: self-contained, readable in light and dark, and drawn by a real browser."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exporter import __version__
from exporter.metrics.published import Published
from exporter.outputs.page.landing import landing, views
from exporter.outputs.page.status import Status
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application, Response
from exporter.outputs.web.server import WebServer
from exporter.poller import Poller
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.snapshot import Guest

PAGES = views("/guest/metrics", lambda: Response(b"{}", "application/json"))
CSS = PAGES["/-/status.css"]().body.decode()
SCRIPT = PAGES["/-/status.js"]().body.decode()
HTML = PAGES["/"]().body.decode()


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


ELEMENTS = Elements(HTML)


class TestPage:
    def test_it_says_what_this_is_and_leads_to_the_metrics(self) -> None:
        response = landing("/guest/metrics")
        assert response.content_type == "text/html; charset=utf-8"
        assert __version__ in HTML
        assert {"href": "/guest/metrics"} in ELEMENTS.named("a")

    def test_no_mark_of_the_template_is_left(self) -> None:
        assert not re.search(r"@[A-Z]+@", HTML)

    def test_what_it_is_made_of_has_its_type(self) -> None:
        types = {path: view().content_type for path, view in PAGES.items()}
        assert types == {
            "/": "text/html; charset=utf-8",
            "/-/status": "application/json",
            "/-/status.css": "text/css; charset=utf-8",
            "/-/status.js": "text/javascript; charset=utf-8",
        }

    def test_it_needs_nothing_from_anywhere_else(self) -> None:
        links = [
            value
            for _, attributes in ELEMENTS.found
            for name, value in attributes.items()
            if name in ("src", "href")
        ]
        assert links
        assert all(
            link in ("data:,", "/guest/metrics") or link in PAGES or re.match(r"#|/-/", link or "")
            for link in links
        )
        for text in (CSS, SCRIPT.replace("http://www.w3.org/2000/svg", "")):
            assert "://" not in text
            assert "@import" not in text
            assert "url(" not in text

    def test_every_link_of_its_own_leads_somewhere(self) -> None:
        known = {*PAGES, "/guest/metrics", "/-/healthy", "/-/ready", "data:,", "#verdict"}
        assert {
            attributes.get("href") for attributes in [*ELEMENTS.named("a"), *ELEMENTS.named("link")]
        } <= known

    def test_browsers_are_told_to_load_nothing_else(self) -> None:
        for path in ("/", "/-/status.css", "/-/status.js"):
            headers = dict(PAGES[path]().headers)
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"

    def test_nothing_inline_that_the_policy_would_block(self) -> None:
        assert all("src" in attributes for attributes in ELEMENTS.named("script"))
        assert not ELEMENTS.named("style")
        assert not any(
            name == "style" or name.startswith("on")
            for _, attributes in ELEMENTS.found
            for name in attributes
        )

    def test_text_is_never_taken_for_markup(self) -> None:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", SCRIPT)


class TestAccessibility:
    def test_language_title_and_zoom(self) -> None:
        assert ELEMENTS.named("html") == [{"lang": "en"}]
        assert "<title>vmguest-exporter</title>" in HTML
        (viewport,) = [meta for meta in ELEMENTS.named("meta") if meta.get("name") == "viewport"]
        assert "user-scalable" not in (viewport["content"] or "")

    def test_landmarks_and_their_names(self) -> None:
        assert [len(ELEMENTS.named(tag)) for tag in ("header", "main", "nav", "h1")] == [1, 1, 1, 1]
        ids = {attributes.get("id") for _, attributes in ELEMENTS.found}
        assert all(section["aria-labelledby"] in ids for section in ELEMENTS.named("section"))

    def test_the_keyboard_can_skip_to_the_verdict_and_is_seen(self) -> None:
        assert ELEMENTS.named("a")[0] == {"class": "skip", "href": "#verdict"}
        assert ":focus-visible" in CSS

    def test_changes_are_announced(self) -> None:
        live = [
            attributes.get("id")
            for _, attributes in ELEMENTS.found
            if attributes.get("aria-live") or attributes.get("role") == "status"
        ]
        assert live == ["notice", "summary"]

    def test_a_level_is_a_word_and_a_mark_and_not_a_colour_alone(self) -> None:
        for level in ("ok", "info", "warning", "critical", "unknown"):
            for table in ("WORDS", "MARKS"):
                assert re.search(rf"const {table} = .*\b{level}: \"", SCRIPT)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_every_text_has_contrast(self, scheme: str) -> None:
        """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
        colours = dict(
            re.findall(r"--([a-z]+): (#[0-9a-f]{6});", CSS.split("@media")[scheme == "dark"].split("}")[0])
        )
        assert len(colours) == 12
        for text in ("text", "soft", "link", "ok", "info", "warning", "critical", "unknown"):
            for behind in ("card", "back"):
                assert contrast(colours[text], colours[behind]) >= 4.5, (scheme, text, behind)

    def test_lines_are_seen(self) -> None:
        """WCAG 2.2, 1.4.11: at least 3 to 1 for what is drawn."""
        for scheme in (False, True):
            colours = dict(
                re.findall(r"--([a-z]+): (#[0-9a-f]{6});", CSS.split("@media")[scheme].split("}")[0])
            )
            assert contrast(colours["draw"], colours["card"]) >= 3


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.fixture
def server() -> Iterator[WebServer]:
    """The page of a VM with a CPU limit, after ten minutes."""
    now = [1000.0]

    def clock() -> float:
        return now[0]

    source = WireSource(in_process("cpu-limit", clock=clock), 5.0, source="simulated")
    poller = Poller(source, 5.0, clock=clock, wall=clock)
    collector = Published(
        lambda: poller.state, guest=lambda: Guest(4, 8 * 2**30), wall=clock, monotonic=clock
    )
    status = Status(collector)
    for _ in range(120):
        now[0] += 5
        poller.poll()
        status.record(poller.state)
    application = Application(Page(collector), lambda: True, views=views("/metrics", status.view))
    server = WebServer(application, [("127.0.0.1", 0)])
    server.start()
    yield server
    server.close()
    source.close()


@pytest.mark.real
def test_a_real_browser_draws_it(
    server: WebServer, tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "apt-get install chromium")
    done = subprocess.run(
        [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=4000",
            "--dump-dom",
            server.urls[0],
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    page = Elements(done.stdout)
    assert re.search(r'<p id="summary"[^>]*>The CPU limit of 2\.6 GHz is used up', done.stdout)
    assert re.search(r'<span id="level">! a problem</span>', done.stdout)
    assert (
        sum(
            attributes.get("class") in ("ok", "info", "warning", "critical", "unknown")
            for attributes in page.named("li")
        )
        == 5
    )
    drawings = page.named("svg")
    assert len(drawings) == 6
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert sum(path.get("class") == "line" for path in page.named("path")) == 6
    # The script's mistakes, and what the policy blocked, would be told on the console.
    assert "CONSOLE" not in done.stderr
