"""The documentation as a site, for ``make docs``: this repository's Markdown, as a forge shows it.

Sphinx reads the whole repository, so that a link from a page to a decision, a folder or a file
leads to the same in the site, and nothing needs a network. The navigation is the list of
``docs/README.md``, and behind it whatever else there is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import inferometer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
LIST = "docs/README"
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[#)])")
FOLDER = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)\)")
PUBLISHED = ("report", "report.md")
"""A report of the gallery: no page of the site, so its own page stands for it."""
REST = "The repository"
"""Title of what is no page of ``docs/``: READMEs, how to take part."""
DECISION = re.compile(r"core/decisions/\d")
"""One of many, whose list is a page: in no navigation, which each page would repeat."""

project, author, copyright = "Inferometer", "the authors of Inferometer", "Apache-2.0"  # noqa: A001
version = release = inferometer.__version__
extensions = ["myst_parser"]
root_doc = "README"
FOLDERS = (".github", "core", "engines", "plugins", "reports", "tests")
include_patterns = ["README.md", "docs/**.md", ".github/*.md", "core/decisions/*.md"]
include_patterns += ["reports/gallery/*/README.md"]
include_patterns += [f"{folder}/{below}README.md" for folder in FOLDERS for below in ("", "*/")]
exclude_patterns = [".venv", ".out", ".git", "core/inferometer", "**/PULL_REQUEST_TEMPLATE.md"]
html_theme = "furo"
html_title = f"Inferometer {version}"
html_extra_path = ["index.html"]
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 4


def setup(app: Sphinx) -> None:
    """Have the list of pages made the navigation, and links to folders led to their READMEs."""
    app.connect("source-read", read)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Change what Sphinx reads of a page; ``source`` holds its text alone."""
    folder = (ROOT / name).parent

    def led(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / link[2]))
        if path.parts[-2:] == PUBLISHED:
            return f"[{link[1]}]({link[2].removesuffix('md')}html)"
        if not path.is_dir():
            return link[0]
        page = f"{link[2].rstrip('/')}/README.md"
        return f"[{link[1]}]({page})" if (path / "README.md").is_file() else link[1]

    source[0] = FOLDER.sub(led, source[0])
    if DECISION.match(name):
        source[0] = f"---\norphan: true\n---\n{source[0]}"
    if name == root_doc:
        source[0] += "".join(tree(*each) for each in navigation(app.env.found_docs).items())


def navigation(found: set[str]) -> dict[str, list[str]]:
    """Return the sections of the list, title -> names of pages in its order; then what is left."""
    text = (ROOT / f"{LIST}.md").read_text(encoding="utf-8")
    sections, seen = {"All pages": [LIST]}, {root_doc, LIST}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        names = (os.path.normpath(f"docs/{link}") for link in LINK.findall(body))
        pages = dict.fromkeys(name.removesuffix(".md") for name in names)
        sections[title.strip()] = [name for name in pages if name in found - seen]
        seen |= set(pages)
    left = {name for name in found - seen if not DECISION.match(name)}
    return sections | {REST: sorted(left)}


def tree(title: str, names: list[str]) -> str:
    """Return a section of the navigation as MyST writes it."""
    lines = "\n".join(f"/{name}" for name in names)
    return f"\n\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{lines}\n```\n"
