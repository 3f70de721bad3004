"""Every example of the documentation, and how it was tried; ``python -m tests.docs.examples``."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tempfile
import types
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import click
import yaml
from tests.docs import fragments, shell, stage
from tests.docs.blocks import Block, blocks, pages
from tests.docs.pages import DOCS, ROOT, text_of
from tests.docs.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = {
    "executed": "run here, on made-up results where it needs some",
    "validated": "read by what reads it in the program",
    "parsed": "taken by the program's own command line; starts engines, or takes long",
    "checked": "its syntax alone, and that what it names of this repository is there",
    "shown": "nothing to try",
    "wrong": "does not work as the page says it",
}
STRINGS = re.compile(r"[\w./-]*results[\w./-]*")
MAKE = re.compile(r"^([\w-]+):", re.MULTILINE)


class Tried(NamedTuple):
    """One example, how it was tried, and what is to be said of it."""

    place: str
    way: str
    what: str
    detail: str = ""


class Page:
    """One page's examples in their order: later ones build on earlier ones."""

    def __init__(self, path: Path, folder: Path, done: set[tuple[str, ...]]) -> None:
        self.path, self.done = path, done
        self.stage = Stage(folder)
        self.module = types.ModuleType(f"page_{folder.name}")
        self.studies: list[str] = []

    def tried(self) -> Iterator[Tried]:
        for block in blocks(self.path):
            yield from self.block(block)

    def block(self, block: Block) -> Iterator[Tried]:
        try:
            yield from self.each(block)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the page is wrong
            words = f"{type(error).__name__}: {error}"
            yield Tried(block.place, "wrong", block.language, words)

    def each(self, block: Block) -> Iterator[Tried]:
        if block.language == "shell":
            yield from self.shell(block)
        elif block.language == "toml":
            words = fragments.read(block.text, self.studies, self.stage.folder)
            self.studies.append(block.text)
            yield Tried(block.place, "validated", words)
        elif block.language == "python":
            yield self.python(block)
        elif block.language == "yaml":
            documents = list(yaml.safe_load_all(block.text))
            yield Tried(block.place, "checked", "YAML")
            for text in texts(documents):
                yield from self.commands(block, shell.script(text).commands, run=False)
        elif block.language == "json":
            yield Tried(block.place, "checked", json_words(block.text))
        elif block.language == "text":
            yield Tried(block.place, "shown", "text")
            if "$ inferometer" in block.text:
                yield from self.shell(block)
        else:
            raise ValueError(f"{block.language or 'the block'!r}: say behind the fence what it is")

    def python(self, block: Block) -> Tried:
        """Run a block behind those above it, or compile it where it names what it leaves out."""
        tree = ast.parse(block.text)
        imported(tree)
        if block.why:
            return Tried(block.place, "checked", "Python", block.why)
        said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        for path in (each for each in said if isinstance(each, str) and STRINGS.fullmatch(each)):
            self.stage.results(Path(path))
        try:
            with (
                stage.quietly(self.stage.folder),
                mock.patch.dict(sys.modules, {self.module.__name__: self.module}),
            ):
                exec(compile(tree, block.place, "exec"), vars(self.module))
        except NameError as error:
            return Tried(block.place, "checked", "Python", f"leaves out {error.name}")
        return Tried(block.place, "executed", "Python")

    def shell(self, block: Block) -> Iterator[Tried]:
        """Try the lines of a shell: ours by our command line, others by their syntax."""
        done = shell.script(block.text)
        if block.language == "shell" and not any(
            line.startswith("$ ") for line in block.text.splitlines()
        ):
            line = ["bash", "-n"]
            checked = subprocess.run(
                line, input=block.text, capture_output=True, text=True, check=False
            )
            if checked.returncode:
                raise ValueError(checked.stderr)
        for name, text in done.files.items():
            place = self.stage.there(Path(name))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
            if name.endswith(".toml"):
                words = fragments.read(text, self.studies, self.stage.folder)
                yield Tried(block.place, "validated", words, name)
        yield from self.commands(block, done.commands, run=not block.why)

    def commands(self, block: Block, commands: list[list[str]], *, run: bool) -> Iterator[Tried]:
        others = 0
        for words in commands:
            args = shell.ours(words)
            if args is None:
                missing(words)
                others += 1
                continue
            try:
                yield self.command(block, args, run=run)
            except click.exceptions.Exit:
                yield Tried(block.place, "executed", f"inferometer {' '.join(args)}")
            except click.ClickException as error:
                what = f"inferometer {' '.join(args)}"
                yield Tried(block.place, "wrong", what, error.format_message())
        if others:
            yield Tried(block.place, "checked", f"{others} lines of a shell", block.why)

    def command(self, block: Block, args: list[str], *, run: bool) -> Tried:
        """Parse a command line of ours, and run it where that is cheap."""
        what = f"inferometer {' '.join(args)}"
        if "..." in args:  # the page leaves something out
            words = shell.unknown(" ".join(args))
            return Tried(block.place, "wrong" if words else "parsed", what, words)
        args = self.stage.inside(shell.meant(args))
        line = shell.parsed(args)
        shape = (line.path, *sorted(word for word in args if word.startswith("-")))
        if not run or line.path not in stage.RUN:
            return Tried(block.place, "parsed", what)
        if why := stage.lacks(line):
            return Tried(block.place, "parsed", what, why)
        if line.path in stage.ONCE and shape in self.done:
            return Tried(block.place, "parsed", what, "one like it was executed")
        self.done.add(shape)
        self.stage.prepare(line)
        ended = self.stage.run(args)
        way = "executed" if ended.code in stage.GOOD else "wrong"
        detail = f"ended with {ended.code}" if ended.code else ""
        return Tried(block.place, way, what, detail if way == "executed" else ended.said)


def imported(tree: ast.Module) -> None:
    """Fail where a block imports what none of our modules has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inferometer"):
            module = importlib.import_module(node.module or "")
            gone = [each.name for each in node.names if not hasattr(module, each.name)]
            for name in gone:
                importlib.import_module(f"{node.module}.{name}")


def missing(words: list[str]) -> None:
    """Fail where another's command names something of this repository that is not there."""
    if words[0] == "make":
        targets = set(MAKE.findall(text_of(ROOT / "Makefile")))
        gone = [word for word in words[1:] if not word.startswith("-") and word not in targets]
        gone = [word for word in gone if "=" not in word]
        assert not gone, f"make has no {gone}"
    if words[0].startswith("python") and words[1:2] == ["-m"] and words[2].startswith("tests."):
        assert (ROOT / f"{words[2].replace('.', '/')}.py").is_file(), words[2]
    for word in words[1:]:
        name = word.removeprefix("./")
        if name.startswith(("docs/", "plugins/", "tests/")) and "*" not in name:
            assert (ROOT / name.partition("::")[0]).exists(), f"{name} is not in this repository"


def texts(value: object) -> Iterator[str]:
    """Yield the strings of a YAML document that run a command of ours."""
    if isinstance(value, str) and re.search(r"^\s*inferometer ", value, re.MULTILINE):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def json_words(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)
        return "JSON lines"
    return "JSON"


def sentences(page: Path) -> Iterator[Tried]:
    """Yield what is wrong with the commands that sentences of a page name."""
    text = re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    made = re.findall(r"plugins new inferometer-([\w-]+)", text_of(page))
    for found in shell.INLINE.finditer(text):
        if found[1].split()[0] in made:  # a command of the plugin that the page has its reader make
            continue
        if words := shell.unknown(found[1].replace("\n", " ")):
            yield Tried(str(page.relative_to(ROOT)), "wrong", found[0], words)


def files(folder: Path) -> Iterator[Tried]:
    """Yield the files of examples, each read whole."""
    for path in sorted((DOCS / "examples").rglob("*.toml")):
        yield Tried(
            str(path.relative_to(ROOT)), "validated", fragments.read(text_of(path), [], folder)
        )


def every(folder: Path) -> list[Tried]:
    """Try every example of every page in a folder of its own."""
    done: set[tuple[str, ...]] = set()
    found = list(files(folder))
    for number, page in enumerate(pages()):
        found += Page(page, folder / str(number), done).tried()
        found += sentences(page)
    return found


def listing(found: list[Tried]) -> str:
    """Return the examples by the way they were tried."""
    counts = Counter(each.way for each in found)
    lines = []
    for way, words in WAYS.items():
        lines.append(f"== {way}: {counts[way]} ({words})")
        for each in found:
            if each.way == way:
                detail = f"  [{' '.join(each.detail.split())}]" if each.detail else ""
                lines.append(f"{each.place}  {each.what}{detail}")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.stdout.write(listing(every(Path(made))) + "\n")
