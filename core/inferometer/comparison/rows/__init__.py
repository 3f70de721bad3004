"""A comparison as tables of plain cells: what CSV files and a notebook's frames are made of.

Numbers are as ``report.json`` has them, never rounded. One that is absent is None, with its reason
in the same row; so is one that is not finite, which ``report.json`` cannot hold either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison.rows import numbers, plain, ranked
from inferometer.comparison.rows.table import Rows as Rows

if TYPE_CHECKING:
    from inferometer.comparison import Comparison

_MADE = {
    "stacks": plain.stacks,
    "models": plain.models,
    "metrics": plain.metrics,
    "cells": plain.cells,
    "values": plain.values,
    "checks": plain.checks,
    "rankings": ranked.rankings,
    "pairs": ranked.pairs,
    "fronts": ranked.fronts,
    "moe_ratios": ranked.moe_ratios,
    "capacities": ranked.capacities,
    "imported": plain.imported,
    "missing": plain.missing,
    "files": plain.files,
    "numbers": numbers.numbers,
}
NAMES = tuple(_MADE)
"""Of all tables that every comparison has, in the order in which they are read."""
_OF_NODES = {"nodes": plain.nodes}


def names(comparison: Comparison) -> tuple[str, ...]:
    """Return the tables of a comparison: :data:`NAMES`, and ``nodes`` where it ran on any."""
    return (*NAMES, *(_OF_NODES if comparison.nodes else ()))


def table(comparison: Comparison, name: str) -> Rows:
    """Return one table by its name in :func:`names`.

    Raises:
        KeyError: there is no such table.
    """
    return (_MADE | _OF_NODES)[name](comparison)
