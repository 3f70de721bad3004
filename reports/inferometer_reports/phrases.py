"""What sentences are made of: statements, small numbers as words, plurals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.language import ENGLISH, current, later, tr

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 4
"""How many missing things or failing checks are named at the top."""


COUNTS = (
    *("no", later("one"), later("two"), later("three"), later("four"), later("five")),
    *(later("six"), later("seven"), later("eight"), later("nine"), later("ten")),
)


class Statement(NamedTuple):
    """A sentence with the words that name its subject."""

    lead: str
    text: str


def most(parts: Sequence[str]) -> str:
    """Return the first :data:`MOST`, and how many more there are."""
    more = len(parts) - MOST
    shown = "; ".join(parts[:MOST])
    return (
        tr("{shown}; and {more} more, listed below", shown=shown, more=more) if more > 0 else shown
    )


def plural(number_of: int, noun: str, many: str = "") -> str:
    """Return ``three rounds`` or ``one round``; a language of its own has one form for both."""
    there = noun if number_of == 1 or not _english() else many or f"{noun}s"
    return f"{count(number_of)} {tr(there)}"


def count(number_of: int) -> str:
    """Return a small whole number as a word."""
    least = 0 if _english() else 1  # "no", as the opposite of yes, is another word
    return tr(COUNTS[number_of]) if least <= number_of < len(COUNTS) else str(number_of)


def _english() -> bool:
    return current().code == ENGLISH.code
