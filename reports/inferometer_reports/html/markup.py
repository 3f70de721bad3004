"""HTML elements whose text and attributes are always escaped: the only way into the page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from inferometer_reports.escape import flat

if TYPE_CHECKING:
    from collections.abc import Iterable

VOID = {"meta"}
MARKS = {"path", "circle", "rect"}
"""Elements of a drawing that hold nothing: closed where they begin."""
ENDED = {"td", "th", "tr", "thead", "tbody", "li", "dt", "dd"}
"""Elements that what follows ends; HTML has their end tags left out, a tenth of a page."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Return foreign text as HTML that means only itself; Markup stays as it is."""
    return words if isinstance(words, Markup) else Markup(escape(flat(words)))


def join(parts: Iterable[str]) -> Markup:
    """Return the parts behind each other."""
    return Markup("".join(map(text, parts)))


def element(name: str, *children: str, **attributes: str | bool | None) -> Markup:
    """Return ``<name ...>children</name>``.

    ``data_id="x"`` becomes ``data-id="x"``, ``class_`` ``class``; True is an attribute without a
    value, False and None are none.
    """
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{said}>")
    if name in MARKS:
        return Markup(f"<{name}{said}/>")
    if name in ENDED:
        return Markup(f"<{name}{said}>{join(children)}")
    return Markup(f"<{name}{said}>{join(children)}</{name}>")


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(flat(value))}"'
