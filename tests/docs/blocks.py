"""The blocks of code of every page, as a Markdown reader sees them, and what each of them is."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from markdown_it import MarkdownIt
from tests.docs.pages import DOCS, ROOT, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANGUAGES = {
    "bash": "shell",
    "console": "shell",
    "sh": "shell",
    "shell": "shell",
    "python": "python",
    "toml": "toml",
    "json": "json",
    "jsonl": "json",
    "yaml": "yaml",
    "yml": "yaml",
    "text": "text",
}
"""Word behind a fence -> what the block is."""
PROGRAMS = re.compile(
    r"(\w+=\S+ )*(\$ |\.venv/bin/)?"
    r"(inferometer|make|pip|python3?|git|cd|cp|mkdir|export|ray|bash|curl|docker|tar|scp|rsync)\b"
)
"""How a line of a shell begins, where nothing says what a block is."""
MARK = "shown:"
"""Behind the language: why a block cannot be tried."""


class Block(NamedTuple):
    """A block of a page: where, what, and why it is only shown where it is."""

    page: Path
    line: int
    language: str
    text: str
    why: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return the pages of the documentation, and the READMEs that belong to it."""
    folders = ("core", "engines", "plugins", "reports", ".github")
    found = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    for folder in folders:
        for names in ("*.md", "*/README.md", "gallery/*/README.md"):
            found += sorted((ROOT / folder).glob(names))
    return found


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page; what is generated is held by the tests that write it."""
    text = re.sub(
        r"^<!-- ([\w ]+): begin.*?<!-- \1: end -->",
        lambda part: "\n" * part[0].count("\n"),
        text_of(page),
        flags=re.DOTALL | re.MULTILINE,
    )
    for token in MarkdownIt("commonmark").parse(text):
        if token.type in {"fence", "code_block"} and token.map:
            language, _, rest = token.info.strip().partition(" ")
            why = rest.removeprefix(MARK).strip() if rest.startswith(MARK) else ""
            kind = LANGUAGES.get(language, language) if language else guessed(token.content)
            yield Block(page, token.map[0] + 1, kind, token.content, why)


def guessed(text: str) -> str:
    """Return what a block is that does not say it; empty where that cannot be told."""
    first = next(line for line in text.splitlines() if line.strip())
    if PROGRAMS.match(first):
        return "shell"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        pass
    else:
        return "toml"
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    code = (ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef)
    return "python" if any(isinstance(node, code) for node in tree.body) else ""


def every() -> list[Block]:
    return [block for page in pages() for block in blocks(page)]
