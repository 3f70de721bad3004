"""The results on the front page are those of the gallery; every figure leads to its launches."""

from __future__ import annotations

import re
import tarfile

from tests.gallery import readme, studies

ALWAYS = ("95 %", "proc(5)")
"""Figures of the front page that are no results."""
RESULT = re.compile(r"\d[\d.]*x \(|\d ?(?:tok/s|J per|J/tok|USD per)|\d \([\d.]+ to [\d.]+\)")


def test_the_front_page_says_what_the_gallery_says() -> None:
    found = readme.BLOCK.search(readme.PAGE.read_text(encoding="utf-8"))
    assert found
    text, _ = readme.of_gallery()
    assert found[1] == text, "run `make gallery-render`"


def test_every_figure_of_the_front_page_has_a_cell_and_launches_of_the_gallery() -> None:
    folder = studies.GALLERY / readme.NAME
    report = studies.report_of(folder / studies.REPORT)
    text, figures = readme.of_gallery()
    with tarfile.open(folder / studies.ARCHIVE) as packed:
        names = {member.name for member in packed}
    for one in figures:
        if one.key.endswith((".value", ".ratio")) and one.key != "price.value":
            assert one.launches, one
            for launch in one.launches:
                assert f"results/launches/{launch}/chunks.bin" in names
    left = " ".join(re.sub(r"\]\([^)]*\)", "", text).split())
    labels = [stack["label"] for stack in report["stacks"]]
    labels += [model["name"] for model in report["models"]]
    said = [*labels, *ALWAYS, *(one.text for one in figures)]
    for words in sorted(said, key=len, reverse=True):
        left = re.sub(rf"(?<![\d.]){re.escape(words)}(?![\d.]*\d)", "", left)
    assert not re.search(r"\d", left), left


def test_no_other_result_stands_on_the_front_page() -> None:
    whole = readme.PAGE.read_text(encoding="utf-8")
    assert RESULT.search(whole)
    assert not RESULT.search(readme.BLOCK.sub("", whole))
