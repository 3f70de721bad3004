"""Every example of the documentation works: run, or read by what reads it in the program.

The list of them, each with the way it was tried: ``python -m tests.docs.examples``, or this file
with ``-s``.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.docs import shell
from tests.docs.blocks import Block, guessed
from tests.docs.examples import Page, Tried, every, listing
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MOST_SHOWN = 20
"""Blocks of text: formulas, and what a program prints."""
LEAST = {"executed": 40, "validated": 14}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Tried]:
    return every(tmp_path_factory.mktemp("examples") / "pages")


def test_every_example_works(found: list[Tried]) -> None:
    sys.stdout.write(listing(found))
    assert [each for each in found if each.way == "wrong"] == []


def test_most_are_run_or_read_and_few_only_shown(found: list[Tried]) -> None:
    counts = Counter(each.way for each in found)
    assert {way: counts[way] for way, least in LEAST.items() if counts[way] < least} == {}
    shown = [each.place for each in found if each.way == "shown"]
    assert len(shown) <= MOST_SHOWN, shown
    assert counts["checked"] < counts["executed"] + counts["validated"]


def tried(folder: Path, language: str, text: str) -> list[Tried]:
    """Try a block as if it stood on a page."""
    page = Page(ROOT / "README.md", folder / "page", set())
    return list(page.block(Block(page.path, 1, language, text, "")))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inferometer plam study.toml", "No such command 'plam'"),
        ("inferometer plan --bugdet 3h study.toml", "No such option"),
        ("inferometer bench URL --model M --concurrency many", "is not a valid integer"),
        ("inferometer bench URL --concurrency 8", "Missing option '--model'"),
        ("cd x && inferometer gate A  # and no baseline", "Missing option '--baseline'"),
        ("$ inferometer status\n0 of 3 launches", "Missing argument 'RESULTS'"),
    ],
)
def test_a_line_that_the_program_does_not_take_is_wrong(
    tmp_path: Path, line: str, words: str
) -> None:
    (one,) = [each for each in tried(tmp_path, "shell", line) if each.way == "wrong"]
    assert words in one.detail


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("toml", "[protocol]\nround = 3"),
        ("toml", '[[meters]]\nname = "nvml"\noptions = { no_such = 1 }'),
        ("toml", "[no_such_table]\na = 1"),
        ("python", "from inferometer.engine import NoSuchThing"),
        ("python", "def half(:"),
        ("shell", "if then"),
        ("shell", "make no-such-target"),
        ("shell", "inferometer prices --gpu H100 | tee docs/no-such-file.md"),
        ("json", "{"),
        ("yaml", "a: [1"),
        ("", "something"),
    ],
)
def test_what_is_wrong_in_a_block_is_found(tmp_path: Path, language: str, text: str) -> None:
    assert "wrong" in {each.way for each in tried(tmp_path, language, text)}


def test_a_command_that_refuses_its_input_is_wrong(tmp_path: Path) -> None:
    (one,) = tried(tmp_path, "shell", "inferometer plan study.toml --budget plenty")
    assert one.way == "wrong"
    assert "plenty" in one.detail


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("plan STUDY --budget 3h", ""),
        ("simulate fleet", ""),
        ("report --formt md", "no option '--formt' of inferometer report"),
        ("simulate flee FILE", "no command 'flee'"),
    ],
)
def test_a_command_within_a_sentence_is_held_to_its_options(words: str, said: str) -> None:
    assert shell.unknown(words) == said


def test_a_block_without_a_word_is_guessed() -> None:
    assert guessed("inferometer plan study.toml") == "shell"
    assert guessed("[protocol]\nrounds = 3") == "toml"
    assert guessed("import inferometer") == "python"
    assert guessed("exp(mean ln x) +- t") == ""
