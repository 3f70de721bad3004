"""``figures/*.svg`` and ``*.png``: the charts of a report as files, and for notebooks."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import vl_convert

from inferometer.renderer import Figure
from inferometer_reports.blocks import Fold, Picture
from inferometer_reports.html import sections
from inferometer_reports.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer_reports.blocks import Block

FOLDER = "figures"
KINDS = ("ranking", "capacity", "trade-off", "cost", "energy", "latency", "moe", "validity")
"""The sections of the page that have charts."""
SCALE = 2.0
"""Pixels of a PNG for each of the SVG."""


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return every chart twice, as SVG and as PNG."""
    return _files(comparison, "")


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return the charts of several results directories, those of each group by its number."""
    return {
        name: content
        for number, group in enumerate(several.groups, start=1)
        for name, content in _files(group.comparison, f"group-{number}-").items()
    }


def _files(comparison: Comparison, prefix: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for kind in KINDS:
        for one in draw(comparison, kind):
            stem = f"{FOLDER}/{prefix}{PurePosixPath(one.name).stem}"
            found |= {f"{stem}.svg": one.svg, f"{stem}.png": png(one.svg)}
    return found


def draw(comparison: Comparison, kind: str) -> Sequence[Figure]:
    """Return the charts of one of :data:`KINDS`; none where there is nothing to draw.

    Raises:
        KeyError: there is no such kind.
    """
    made = sections.BY_ID[kind](View(comparison))
    return [
        Figure(PurePosixPath(one.file).name, one.alt, one.svg) for one in _pictures(made.blocks)
    ]


def _pictures(blocks: Iterable[Block]) -> Iterator[Picture]:
    for one in blocks:
        if isinstance(one, Picture):
            yield one
        elif isinstance(one, Fold):
            yield from _pictures(one.blocks)


def png(svg: bytes) -> bytes:
    """Return a chart as PNG, twice as large for screens that need it."""
    drawn: bytes = vl_convert.svg_to_png(svg.decode(), scale=SCALE)
    return drawn
