"""The page at ``/``: self-contained, readable in light and dark, and drawn by a real browser."""

from __future__ import annotations

import html
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from exporter.outputs.api import PATH, Api
from exporter.outputs.page.charts import CHARTS
from exporter.outputs.page.landing import WORDS, landing, views
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application, Response, StartResponse
from exporter.outputs.web.server import WebServer
from tests.insight.simulated import START, Simulated

CONTENT = Api(Simulated("cpu-limit").run(60).published).content()
PAGES = views("/guest/metrics", lambda: CONTENT)
CSS = PAGES["/-/status.css"]().body.decode()
SCRIPT = PAGES["/-/status.js"]().body.decode()
HTML = PAGES["/"]().body.decode()


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


ELEMENTS = Elements(HTML)


class TestPage:
    def test_it_says_what_this_is_and_leads_to_the_metrics(self) -> None:
        response = landing("/guest/metrics", CONTENT)
        assert response.content_type == "text/html; charset=utf-8"
        assert __version__ in HTML
        assert {"href": "guest/metrics"} in ELEMENTS.named("a")

    def test_the_verdict_and_the_answers_are_there_without_javascript(self) -> None:
        assert '<section id="verdict" class="warning"' in HTML
        assert CONTENT["verdict"]["text"] in html.unescape(HTML)
        for answer in CONTENT["answers"]:
            assert html.escape(answer["question"]) in HTML
            assert html.escape(answer["text"]) in HTML

    def test_what_a_host_says_is_never_markup(self) -> None:
        hostile = {**CONTENT, "verdict": {"level": "ok", "text": "<script>@LEVEL@"}}
        page = landing("/metrics", hostile).body.decode()
        assert "&lt;script&gt;@LEVEL@" in page

    def test_its_words_are_the_scripts(self) -> None:
        words = dict(re.findall(r'(\w+): "([^"]+)"', re.search(r"const WORDS = (.*);", SCRIPT)[1]))  # type: ignore[index]
        marks = dict(re.findall(r'(\w+): "([^"]+)"', re.search(r"const MARKS = (.*);", SCRIPT)[1]))  # type: ignore[index]
        assert {level: f"{marks[level]} {words[level]}" for level in words} == WORDS

    def test_no_mark_of_the_template_is_left(self) -> None:
        assert not re.search(r"@[A-Z]+@", HTML)

    def test_what_it_is_made_of_has_its_type(self) -> None:
        types = {path: view().content_type for path, view in PAGES.items()}
        assert types == {
            "/": "text/html; charset=utf-8",
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
        assert all(link in ("data:,", "guest/metrics") or re.match(r"#|-/", link or "") for link in links)
        for text in (CSS, SCRIPT.replace("http://www.w3.org/2000/svg", "")):
            assert "://" not in text
            assert "@import" not in text
            assert "url(" not in text

    def test_every_link_of_its_own_leads_somewhere(self) -> None:
        pages = {path.lstrip("/") for path in PAGES}
        known = {*pages, PATH.lstrip("/"), "guest/metrics", "-/healthy", "-/ready", "data:,", "#verdict"}
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
        assert len(colours) == 16
        for text in ("text", "soft", "link", "ok", "info", "warning", "critical", "unknown"):
            for behind in ("card", "back"):
                assert contrast(colours[text], colours[behind]) >= 4.5, (scheme, text, behind)

    def test_lines_are_seen(self) -> None:
        """WCAG 2.2, 1.4.11: at least 3 to 1 for what is drawn."""
        for scheme in (False, True):
            colours = dict(
                re.findall(r"--([a-z]+): (#[0-9a-f]{6});", CSS.split("@media")[scheme].split("}")[0])
            )
            for drawn in ("draw", "usedpart", "limitpart", "undeterminedpart", "hostpart"):
                assert contrast(colours[drawn], colours["card"]) >= 3


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.fixture
def server() -> Iterator[WebServer]:
    """The page of a VM whose CPU was limited nine minutes ago."""
    simulated = Simulated("changed-limit").run(600)
    api = Api(simulated.published)
    application = Application(
        Page(simulated.published), lambda: True, views={**views("/metrics", api.content), PATH: api.view}
    )
    server = WebServer(application, [("127.0.0.1", 0)])
    server.start()
    yield server
    server.close()
    simulated.close()


def dom(chromium: str, folder: Path, url: str) -> str:
    """The page as a real browser has it after some seconds; it must have had nothing to complain of."""
    done = subprocess.run(
        [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={folder}",
            "--virtual-time-budget=4000",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # The script's mistakes, and what the policy blocked, would be told on the console.
    assert "CONSOLE" not in done.stderr
    return done.stdout


@pytest.mark.real
def test_a_real_browser_draws_it(
    server: WebServer, tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "apt-get install chromium")
    text = dom(chromium, tmp_path, f"{server.urls[0]}#t={START + 1500:.0f}")
    page = Elements(text)
    assert re.search(r'<p id="summary"[^>]*>The CPU limit of 2\.4 GHz was used up', text)
    assert re.search(r'<span id="level">! a problem</span>', text)
    answers = [each for each in page.named("li") if each.get("class")]
    assert len(answers) == len(CONTENT["answers"])
    drawings = page.named("svg")
    assert len(drawings) == 1 + len(CHARTS)
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    classes = [path.get("class") for path in page.named("path")]
    assert classes.count("line") == len(CHARTS)
    assert [classes.count(f"part part{number}") for number in range(4)] == [1, 1, 1, 1]
    assert classes.count("event") == len(drawings), "the changed setting, in every chart"
    # The moment that the address holds: numbers in every chart, nothing hidden.
    assert "Held at" in text
    reads = re.findall(r'<p class="read">([^<]+)</p>', text)
    assert len(reads) == len(drawings)
    assert re.search(
        r"used 2\d %, lost to the CPU limit \d+ %, lost, undetermined \S+ %, lost to the host \S+ %, idle \d+ %",
        reads[0],
    )
    assert "CPU limit went from none to 2.4 GHz" in text
    assert "rate(vmguest_cpu_used_seconds_total[5m])" in text


@pytest.mark.real
def test_below_the_path_of_a_proxy_it_is_the_same(
    server: WebServer, tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "apt-get install chromium")

    def below(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/vm/one/"):
            start_response("404 Not Found", [])
            return (b"",)
        with urllib.request.urlopen(server.urls[0] + environ["PATH_INFO"].removeprefix("/vm/one/")) as answer:
            start_response("200 OK", [("Content-Type", answer.headers["Content-Type"])])
            return (answer.read(),)

    proxy = WebServer(below, [("127.0.0.1", 0)])
    proxy.start()
    try:
        text = dom(chromium, tmp_path, f"{proxy.urls[0]}vm/one/")
    finally:
        proxy.close()
    assert len(Elements(text).named("svg")) == 1 + len(CHARTS)


@pytest.mark.real
def test_when_the_exporter_is_gone_nothing_passes_for_the_present(
    tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "apt-get install chromium")
    application = Application(
        Page(Simulated("steady").published),
        lambda: True,
        views={
            **views("/metrics", lambda: CONTENT),
            PATH: lambda: Response(b"", status="503 Service Unavailable"),
        },
    )
    server = WebServer(application, [("127.0.0.1", 0)])
    server.start()
    try:
        done = subprocess.run(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--virtual-time-budget=4000", "--dump-dom", server.urls[0]],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )  # fmt: skip
    finally:
        server.close()
    assert re.search(r'<body class="gone">', done.stdout)
    assert re.search(r'<section id="verdict" class="unknown"', done.stdout)
    assert re.search(r"<title>\? 127\.0\.0\.1", done.stdout)
    assert "The exporter does not answer (status 503)" in done.stdout
