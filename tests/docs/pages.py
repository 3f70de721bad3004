"""Pages of the documentation as text: parts that are generated, and blocks of code."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
AGAIN = "UPDATE_GOLDEN=1 python -m pytest tests/docs"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def marks(page: str) -> list[str]:
    """Return the names of the generated parts of a page."""
    return re.findall(r"^<!-- ([\w ]+): begin\b", page, re.MULTILINE)


def filled(page: str, name: str, text: str) -> str:
    """Return a page with one of its generated parts as it has to be."""
    mark = re.compile(rf"(<!-- {name}: begin[^\n]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert len(mark.findall(page)) == 1, f"the page has no part {name!r}, or has it twice"
    return mark.sub(lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}", page)


def held(path: Path, parts: dict[str, str]) -> None:
    """Hold the generated parts of a page to what they are made of, or write them again."""
    right = text_of(path)
    for name, text in parts.items():
        right = filled(right, name, text)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(right, encoding="utf-8")
    stale = text_of(path) != right
    assert not stale, f"{path.relative_to(ROOT)} is not what it is made of; write it: {AGAIN}"


def sections(page: str) -> dict[str, str]:
    """Return what stands under each heading of the second level, without generated parts."""
    plain = re.sub(
        r"^<!-- ([\w ]+): begin.*?<!-- \1: end -->", "", page, flags=re.DOTALL | re.MULTILINE
    )
    parts = re.split(r"^## (.+)$", plain, flags=re.MULTILINE)[1:]
    return {
        title.strip(): body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def plain(docstring: str) -> str:
    """Return a docstring as Markdown on one line: roles and double backticks become code."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda role: f"`{role[1].rpartition('.')[2]}`", docstring)
    text = text.replace("``", "`")
    text = re.sub(r"Raises:\s+(\w+):", r"Raises `\1`:", text)
    text = re.sub(r"\n    (\w+(?:Error|Unsupported|ForeignFile)): ", r" `\1`: ", text)
    return re.sub(r"\s+", " ", text).strip()
