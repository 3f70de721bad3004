"""The language that words are written in while something is rendered; English by default.

The English template is the key, as in gettext: ``tr("{winner} leads", winner=name)``. A renderer
that speaks another language sets it for the time of one rendering (:func:`speaking`). What is
stored, and what is said while measuring, is never translated.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Language(NamedTuple):
    """A language: its code (as in HTML's ``lang``), templates by English template, and marks."""

    code: str
    templates: Mapping[str, str]
    decimal: str = "."
    group: str = ","


ENGLISH = Language("en", {})
_CURRENT: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def current() -> Language:
    """Return the language that is written in now."""
    return _CURRENT.get()


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Write in ``language`` inside the block."""
    token = _CURRENT.set(language)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def tr(template: str, **values: object) -> str:
    """Return the template in the present language, its ``{names}`` filled in.

    A template that the language lacks stays English. Without values nothing is filled in, so
    text with braces passes as it is.
    """
    found = _CURRENT.get().templates.get(template, template)
    return found.format(**values) if values else found


def later(template: str) -> str:
    """Return the template itself: it is translated where it is used, by :func:`tr`.

    Marks a constant, which is made before a language is chosen, for the catalogues.
    """
    return template


def trs(*templates: str) -> list[str]:
    """Return several templates without values in the present language: a table's header."""
    return [tr(template) for template in templates]
