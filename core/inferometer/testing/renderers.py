"""The conformance kit of renderers: from comparisons that are made up, in seconds.

In a pytest file::

    from inferometer.testing import renderers

    test_renderer = renderers.suite(MyRenderer())

Without pytest, :func:`run`. Nothing is measured: every comparison is of made-up results.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import chdir, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferometer import api
from inferometer.plugins import Registry
from inferometer.renderer import LanguageRenderer, Renderer, SeveralRenderer
from inferometer.testing.check import (
    Check,
    applies,
    cases,
    check,
    checks_of,
    complete_check,
    known_of,
    name_check,
    need,
    printed,
    ran,
)
from inferometer.testing.check import named as found
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.testing.check import Result

HOSTILE = '<script>alert("made up")</script>\x1b[2J'
"""What an engine may say of itself."""
TEXTS = {".txt", ".md", ".csv", ".json", ".html", ".svg", ".prom", ".toml"}
"""Endings of files that are text."""
ASKS = re.compile(
    rb"""<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)\s*=\s*["']?(?:https?:)?//"""
    rb"""|@import\s+(?:url\()?["']?(?:https?:)?//"""
)
"""Where a page would fetch something from elsewhere when it is opened."""


class Seen(NamedTuple):
    """What a renderer did when it was asked once."""

    files: Mapping[str, bytes]
    printed: bytes
    written: Sequence[str]
    changed: bool


@dataclass(frozen=True, slots=True)
class Kit:
    """One renderer, and its known failures by check id."""

    renderer: Renderer
    known: Mapping[str, str] = field(default_factory=dict)
    _seen: dict[int, Seen] = field(default_factory=dict)

    def seen(self, comparison: Comparison) -> Seen:
        """Render a comparison, in an empty folder; each is rendered once."""
        key = id(comparison)  # those of this module live as long as it does
        if key not in self._seen:
            self._seen[key] = self._rendered(comparison)
        return self._seen[key]

    def texts(self, comparison: Comparison) -> dict[str, bytes]:
        """Return the files that are text; there is nothing to check where there is none."""
        files = self.seen(comparison).files
        texts = {path: content for path, content in files.items() if Path(path).suffix in TEXTS}
        applies(texts, "it writes no text")
        return texts

    def _rendered(self, comparison: Comparison) -> Seen:
        before = msgspec.json.encode(comparison)
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            with printed() as said:
                files = dict(self.renderer.render(comparison))
            written = os.listdir()
        return Seen(files, b"".join(said), written, msgspec.json.encode(comparison) != before)


def run(
    renderer: Renderer | str,
    *,
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Check a renderer, or the installed one of that name.

    ``known`` are the reasons of failures by check id (left out: the renderer's own
    ``known_failures``), ``only`` names the checks to run, ``told`` gets each result at once.

    Raises:
        UsageError: no installed plugin brings such a renderer, or there is no such check.
    """
    return ran(CHECKS, _kit(renderer, known), only, told)


def suite(
    renderer: Renderer | str, *, known: Mapping[str, str] | None = None
) -> Callable[..., None]:
    """Return a pytest function with one case for each check; the arguments are those of `run`."""
    return cases(CHECKS, lambda: nullcontext(_kit(renderer, known)))


def _kit(renderer: Renderer | str, known: Mapping[str, str] | None) -> Kit:
    thing = found("renderer", renderer, Registry().renderers)
    return Kit(thing, known_of(thing, known))


# -- what is rendered ----------------------------------------------------------------------------


@cache
def usual() -> Comparison:
    """Return two stacks on a dense and a MoE model, with a price and a meter."""
    return _compared(Fixture(rates={"one": 100.0, "two": 120.0}, models=("dense", "moe")))


@cache
def poor() -> Comparison:
    """Return two stacks of which one failed, without a price and without a meter."""
    failed = frozenset(("two", number) for number in range(3))
    rates = {"one": 100.0, "two": 120.0}
    return _compared(Fixture(rates=rates, failed=failed, usd_per_hour=None, meter=None))


@cache
def empty() -> Comparison:
    """Return a comparison of which every launch failed."""
    failed = frozenset((stack, number) for stack in ("one", "two") for number in range(3))
    return _compared(Fixture(rates={"one": 100.0, "two": 120.0}, failed=failed))


@cache
def hostile() -> Comparison:
    """Return the usual one, in which an engine says of itself what it should not."""
    said = usual()
    first = msgspec.structs.replace(said.stacks[0], label=HOSTILE, version=HOSTILE)
    return msgspec.structs.replace(
        said, stacks=[first, *said.stacks[1:]], warnings=[*said.warnings, HOSTILE]
    )


@cache
def several() -> Several:
    """Return two results directories that do not agree."""
    with tempfile.TemporaryDirectory() as folder:
        roots = []
        for name, rate in (("first", 100.0), ("second", 150.0)):
            roots.append(Path(folder, name))
            write_results(roots[-1], Fixture(rates={"one": rate}, host_sha256=name * 10))
        return api.analyze_several(roots)


def _compared(fixture: Fixture) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder, "results"), fixture)
        return api.analyze(Path(folder, "results"))


# -- checks --------------------------------------------------------------------------------------


complete: Check[Kit] = complete_check(Renderer, lambda kit: kit.renderer)
name: Check[Kit] = name_check(lambda kit: kit.renderer, "behind ``--format`` and in a file name")


@check
def gives_files(kit: Kit) -> None:
    """A comparison becomes files: names, each with its bytes."""
    files = kit.seen(usual()).files
    need(files, "it gives no file")
    odd = [path for path, content in files.items() if not isinstance(content, bytes)]
    need(not odd, f"not bytes: {', '.join(map(str, odd))}")


@check
def files_have_plain_names(kit: Kit) -> None:
    """No file gets out of the folder it is written to, and none is hidden."""
    for comparison in (usual(), hostile()):
        for path in kit.seen(comparison).files:
            plain = all(re.fullmatch(r"\w[\w.@+=\-]*", part) for part in path.split("/"))
            need(plain, f"{path!r} is no plain file name")


@check
def same_bytes_again(kit: Kit) -> None:
    """The same comparison gives the same bytes: a report can be made again and compared."""
    first, second = kit.seen(usual()).files, kit.renderer.render(usual())
    differing = {path for path in {*first, *second} if first.get(path) != second.get(path)}
    need(not differing, f"differs from call to call: {', '.join(sorted(differing))}")


@check
def changes_nothing(kit: Kit) -> None:
    """It leaves the comparison as it is: the next renderer gets the same one."""
    need(not kit.seen(usual()).changed, "the comparison is another one afterwards")


@check
def writes_nothing_itself(kit: Kit) -> None:
    """It writes no file: where files go, and when, is not its to say."""
    written = kit.seen(usual()).written
    need(not written, f"it wrote {', '.join(written)}")


@check
def prints_nothing(kit: Kit) -> None:
    """Nothing goes to stdout, which is for results."""
    said = kit.seen(usual()).printed
    need(not said, f"printed {said[:60]!r}")


@check
def text_is_text(kit: Kit) -> None:
    """What is called text is UTF-8, and JSON is JSON."""
    for path, content in kit.texts(usual()).items():
        content.decode("utf-8")
        if path.endswith(".json"):
            json.loads(content)


@check
def simulated_is_said(kit: Kit) -> None:
    """Numbers of a simulated engine are called simulated: nobody may take them for measured."""
    texts = kit.texts(usual())
    need(any(b"simulated" in content.lower() for content in texts.values()), "no file says so")


@check
def every_stack_is_told(kit: Kit) -> None:
    """Each stack is named, also one that failed: none is left out without a word."""
    texts = kit.texts(poor())
    for stack in poor().stacks:
        words = (stack.id.encode(), stack.label.encode())
        told = any(word in content for content in texts.values() for word in words)
        need(told, f"no file names the stack {stack.label!r}")


@check
def what_is_missing_is_rendered(kit: Kit) -> None:
    """A comparison without price, meter and half of its launches becomes files, too."""
    need(kit.seen(poor()).files, "it gives no file")


@check
def nothing_measured_is_rendered(kit: Kit) -> None:
    """A comparison in which every launch failed is no error."""
    kit.seen(empty())


@check
def what_engines_say_is_harmless(kit: Kit) -> None:
    """What an engine says of itself becomes no markup, and no command of a terminal."""
    for path, content in kit.texts(hostile()).items():
        need(b"\x1b" not in content, f"{path} has a control character of an engine's")
        if path.endswith((".html", ".svg")):
            need(b"<script>alert(" not in content, f"{path} has a script of an engine's")


@check
def asks_nobody(kit: Kit) -> None:
    """A page fetches nothing from elsewhere when it is opened: it can be read offline."""
    pages = {path: text for path, text in kit.texts(usual()).items() if path.endswith("html")}
    applies(pages, "it writes no page")
    for path, content in pages.items():
        fetched = ASKS.search(content)
        need(not fetched, f"{path} fetches {fetched and fetched[0][:80]!r}")


@check
def renders_several(kit: Kit) -> None:
    """One that shows several results directories gives files of them, the same ones again."""
    applies(isinstance(kit.renderer, SeveralRenderer), "it shows one directory only")
    assert isinstance(kit.renderer, SeveralRenderer)
    first, second = (dict(kit.renderer.render_several(several())) for _ in range(2))
    need(first, "it gives no file")
    need(first == second, "it differs from call to call")


@check
def renders_each_language(kit: Kit) -> None:
    """In each of its languages it gives the files it gives in English."""
    applies(isinstance(kit.renderer, LanguageRenderer), "it writes one language only")
    assert isinstance(kit.renderer, LanguageRenderer)
    need("en" in kit.renderer.languages, "English is not among its languages")
    english = set(kit.seen(usual()).files)
    for language in kit.renderer.languages:
        files = set(kit.renderer.in_language(language).render(usual()))
        need(files == english, f"{language}: other files: {', '.join(sorted(files ^ english))}")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
"""In the order in which they run and are told."""
