"""Pages: what they link to is there, and each can be found."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "core", "engines", "plugins", "reports", ".github")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    found = [ROOT / "README.md"]
    for folder in FOLDERS:
        found += sorted((ROOT / folder).rglob("*.md"))
    return found


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the files and headings of this repository that a page links to."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    ours = [link.partition("#") for link in found if "://" not in link]
    return [
        (Path(os.path.normpath(page.parent / path)) if path else page, heading)
        for path, _, heading in ours
    ]


def headings(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    lines = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.strip().lower()).replace(" ", "-") for line in lines}


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    for page in pages():
        for target, heading in links(page):
            assert target.exists(), f"{page.relative_to(ROOT)}: {target}"
            if heading and target.suffix == ".md":
                assert heading in headings(target), f"{page.relative_to(ROOT)}: #{heading}"


def test_every_page_of_the_documentation_is_listed() -> None:
    listed = {target for target, _ in links(ROOT / "docs" / "README.md")}
    left = set((ROOT / "docs").rglob("*.md")) - listed - {ROOT / "docs" / "README.md"}
    assert left == set()
    assert (ROOT / "docs" / "README.md") in {target for target, _ in links(ROOT / "README.md")}


def test_each_heading_of_the_list_is_for_pages_of_one_folder() -> None:
    """The four kinds of pages: learn, do, understand, look up."""
    docs = ROOT / "docs"
    kinds: dict[str, set[str]] = {}
    for part in re.split(
        r"^## ", (docs / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )[1:]:
        for link in re.findall(r"\]\(([\w-]+)/[^)]+\.md[#)]?", part):
            kinds.setdefault(part.partition("\n")[0], set()).add(link)
    assert {title: found for title, found in kinds.items() if len(found) > 1} == {}
    assert set().union(*kinds.values()) == {path.parent.name for path in docs.glob("*/*.md")}
