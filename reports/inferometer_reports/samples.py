"""Percentiles that had too few requests, and how many it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import tr
from inferometer_reports.blocks import item
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View


def too_few(view: View, cells: Sequence[Cell], keys: Sequence[str]) -> list[Block]:
    """Return how many requests it would have taken, one line a stack and need."""
    needs: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        for key in keys:
            value = cell.values.get(key)
            if value is not None and value.reason == "too_few_samples" and value.detail:
                titles = needs.setdefault((cell.stack, value.detail), [])
                titles.append(view.metric_title(key, unit=False))
    return [
        item(
            tr(
                "Too few samples: {stack}: {detail} ({titles}).",
                stack=line(view.label(stack)),
                detail=line(detail),
                titles=line("; ".join(titles)),
            )
        )
        for (stack, detail), titles in needs.items()
    ]
