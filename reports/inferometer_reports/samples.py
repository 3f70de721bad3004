"""Percentiles that had too few requests, and how many it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer_reports.escape import markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell
    from inferometer_reports.view import View


def too_few(view: View, cells: Sequence[Cell], keys: Sequence[str]) -> list[str]:
    """Return how many requests it would have taken, one line a stack and need."""
    needs: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        for key in keys:
            value = cell.values.get(key)
            if value is not None and value.reason == "too_few_samples" and value.detail:
                titles = needs.setdefault((cell.stack, value.detail), [])
                titles.append(view.metric_title(key, unit=False))
    lines = [
        f"- Too few samples: {markdown(view.label(stack))}: {markdown(detail)} "
        f"({markdown('; '.join(titles))})."
        for (stack, detail), titles in needs.items()
    ]
    return [*lines, ""] if lines else []
