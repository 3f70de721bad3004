"""``report.html``: one file that needs nothing else, not even a network or JavaScript.

Its style and script stand in it, allowed by their hashes; nothing else may load or run. What
draws is imported when a page is made: the words of :mod:`.answer` are for every output.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.html``.

    Raises:
        ValueError: a chart cannot be drawn.
    """
    return {"report.html": import_module(f"{__name__}.page").single(comparison)}


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return ``report.html`` of several results directories, as plain sections.

    Raises:
        ValueError: a chart cannot be drawn.
    """
    blocks = import_module("inferometer_reports.document").several(several)
    return {"report.html": import_module(f"{__name__}.page").plain(blocks)}


def render_versus(versus: Versus) -> Mapping[str, bytes]:
    """Return ``report.html`` of one results directory against a baseline, as plain sections.

    Raises:
        ValueError: a chart cannot be drawn.
    """
    charts = import_module("inferometer_reports.chart_versus").figures(versus)
    blocks = import_module("inferometer_reports.sections.versus").versus(versus, charts)
    return {"report.html": import_module(f"{__name__}.page").plain(blocks)}
