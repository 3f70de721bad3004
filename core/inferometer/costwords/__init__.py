"""What is said of cost, in words and tables: the same for the terminal and for every report.

Plain text made of :class:`inferometer.comparison.costs.Costs`, rounded by
:mod:`inferometer.numbers`; names in it come from files and are not escaped. Each output does that
its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords import (
    about,
    answer,
    evens,
    fleet,
    hours,
    points,
    response,
    tornado,
)
from inferometer.costwords.look import Look
from inferometer.costwords.shape import Section as Section
from inferometer.costwords.shape import Table as Table

if TYPE_CHECKING:
    from inferometer.comparison import Comparison


def sections(comparison: Comparison) -> list[Section]:
    """Return the sections on cost, the answer first; none where the comparison has no costs.

    Without any price: the answer says so, and the break-even ratios stand alone.
    """
    if comparison.costs is None:
        return []
    look = Look(comparison, comparison.costs)
    first = answer.section(look)
    return [
        first,
        *hours.section(look),
        *points.section(look),
        *evens.flips(look, first.lead),
        *tornado.section(look),
        *evens.apis(look),
        *evens.own_or_rent(look),
        *response.section(look),
        *fleet.section(look),
        *about.formulas(look),
        *about.remarks(look),
    ]
