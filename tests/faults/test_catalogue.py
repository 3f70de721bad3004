"""The catalogue: large enough, and the page in the docs says what it says."""

from __future__ import annotations

from tests.faults.catalogue import CATALOGUE, PAGE, page

LEAST = 40


def test_there_are_enough_faults_and_each_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in CATALOGUE}) == len(CATALOGUE) >= LEAST


def test_the_page_is_in_step() -> None:
    assert PAGE.read_text() == page(PAGE.read_text()), "run: python -m tests.faults.catalogue"
