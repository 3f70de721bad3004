"""What stands beside a figure of energy: the instrument, its boundary, and whether it is sure.

A figure of one instrument is ``uncorroborated``, one that a second agrees with ``corroborated``;
where two disagree there is no figure (``disputed``). What was not measured is ``estimated``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import with_interval
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from inferometer.comparison import Value
    from inferometer.records import MeterInfo
    from inferometer_reports.view import View

INSTRUMENTS = {
    "counter": later("energy counter"),
    "power": later("power integrated"),
    "model": later("a model"),
}
MARKS = ("disputed", "uncorroborated", "corroborated")


def mark(value: Value | None) -> str:
    """Return ``uncorroborated``, ``corroborated``, ``disputed`` or nothing.

    Over several launches the worst: ``partly disputed`` where only some gave the number.
    """
    if value is None:
        return ""
    if value.reason is not None:
        return value.reason if value.reason in MARKS else ""
    if value.detail.endswith(f"launches without a number: {MARKS[0]}"):
        return f"partly {MARKS[0]}"
    said = {part.partition(":")[0].strip() for part in value.detail.split(";")}
    return next((word for word in MARKS if word in said), "")


def of_cell(view: View, cell: str, key: str) -> str:
    """Return the mark of a cell's figure."""
    found = view.cells.get(cell)
    return mark(found.values.get(key)) if found else ""


def figure(view: View, cell: str, key: str, value: Value) -> str:
    """Return a figure with its interval and the mark beside it."""
    text, word = with_interval(value), of_cell(view, cell, key)
    return f"{text} {tr(word)}" if word and value.value is not None else text


def meter(view: View, name: str | None) -> MeterInfo | None:
    """Return a meter by name; None in a comparison that has none of its meters."""
    return next((info for info in view.comparison.meters if info.name == name), None)


def kind(info: MeterInfo) -> str:
    """Return what joules by this meter are: declared watts make estimated joules."""
    return "estimated" if info.kind == "declared" else info.kind


def sentence(info: MeterInfo) -> str:
    """Return ``rapl (L1, package, energy counter, measured): ...``, or why there is nothing."""
    parts = [info.scope, info.boundary, tr(INSTRUMENTS.get(info.instrument, ""))]
    about = ", ".join(part for part in parts if part)
    if info.reason is not None:
        why = f"{info.reason}: {reason_words(info.reason)}"
        detail = f"; {info.detail}" if info.detail else ""
        return f"{info.name} ({about}): n/a ({why}{detail})"
    return f"{info.name} ({about}, {tr(kind(info))}): {info.method}"
