"""The documentation as a site: built without a network or a warning, and read without one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BUILD = """
import socket, sys
from sphinx.cmd.build import main
def refuse(*args, **kwargs):
    raise SystemExit(f"the build asked for the network: {args}")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
sys.exit(main(sys.argv[1:]))
"""
FETCHES = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""What a browser loads by itself, tag -> attribute."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-q", "-c", "docs", "-d", str(folder / "doctrees")]
    line = [sys.executable, "-c", BUILD, *options, "-b", "html", ".", str(folder / "html")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / "html"


class Fetched(HTMLParser):
    """What a page has a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs).get(FETCHES.get(tag, ""))
        if said:
            self.found.add(said)


def loaded(site: Path) -> Iterator[str]:
    """Yield the addresses that pages and style sheets load."""
    for path in site.rglob("*.html"):
        parser = Fetched()
        parser.feed(path.read_text(encoding="utf-8"))
        yield from parser.found
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        yield from re.findall(r"url\(\s*[\"']?([^)\"']+)", text)
        yield from re.findall(r"@import\s+[\"']([^\"']+)", text)


def test_every_page_is_in_it_and_in_the_navigation(site: Path) -> None:
    pages = {path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}
    front = (site / "README.html").read_text(encoding="utf-8")
    sidebar = front.partition('class="sidebar-tree"')[2].partition("</aside>")[0]
    assert {str(page) for page in pages} <= set(re.findall(r'href="([^"#]+)"', sidebar))


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = set(loaded(site))
    assert len(found) > 10
    assert {each for each in found if "//" in each} == set()


def test_a_browser_asks_for_files_alone(site: Path) -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not browser:
        pytest.skip("no Chromium on this machine")
    asked: list[str] = []
    with sync_playwright() as play:
        shown = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = shown.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.as_uri()}/search.html?q=joules")
        page.wait_for_selector("ul.search li a")
        page.goto(f"{site.as_uri()}/index.html")
        page.wait_for_url("**/README.html")
        shown.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
