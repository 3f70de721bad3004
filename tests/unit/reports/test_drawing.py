"""A drawing loses nothing that is seen or read when it becomes part of the page."""

from __future__ import annotations

import re

import pytest
from tests.unit.reports import drawings, factory, test_capacity

from inferometer_reports import html
from inferometer_reports.blocks import Picture
from inferometer_reports.html import drawing, strokes


def drawn(inner: str) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{inner}</svg>'
    found = re.search("<svg.*</svg>", drawing.figure(Picture("x.svg", "what", svg.encode())))
    assert found
    return found[0].removeprefix('<svg width="9" height="9">').removesuffix("</svg>")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ((0, 0, 0, 20), "M10,5V25"),
        ((0, 0, -4.06, 0), "M10,5H5.9"),
        ((1, 1, 2, 3), "M11,6L12,8"),
        ((3, 3, 3.01, 3), ""),
    ],
)
def test_a_line_is_a_short_path(line: tuple[float, float, float, float], expected: str) -> None:
    assert strokes.stroke(10, 5, line) == expected


def test_a_path_is_moved_or_refused() -> None:
    assert strokes.moved("M0,1L2,3.04V7H1.5h2Z", 10, 20) == "M10,21L12,23V27H11.5h2Z"
    assert strokes.moved("M3.24,0A3.24,3.24,0,1,1,-3.24,1.2e-16", 0, 0) == (
        "M3.2,0A3.2,3.2,0,1,1,-3.2,0"
    )
    with pytest.raises(ValueError, match="'A' that is no mark"):
        strokes.moved("M0,0A1,1,0,1,1,2,2", 1, 0)


def test_strokes_of_one_look_are_one_path() -> None:
    lines = "".join(
        f'<line transform="translate({x},0)" x2="0" y2="5" stroke="{colour}" stroke-width="2"/>'
        for x, colour in ((1, "#0072B2"), (2, "#D55E00"), (3, "#0072B2"))
    )
    assert drawn(f'<g fill="none" transform="translate(10,20)">{lines}</g>') == (
        '<g fill="none" stroke-width="2">'
        '<path d="M11,20V25M13,20V25" stroke="#0072B2"/><path d="M12,20V25" stroke="#D55E00"/></g>'
    )


def test_a_mark_keeps_its_name_its_place_and_its_colour() -> None:
    mark = '<path aria-label="a: 1" role="graphics-symbol" transform="translate(3,4)" '
    mark += 'd="M-1,-1h2v2h-2Z" fill="white" stroke="#0072B2" stroke-width="1.5" opacity="1"/>'
    assert drawn(f'<g transform="translate(10.04,20)">{mark}</g>') == (
        '<path aria-label="a: 1" role="img" d="M12,23h2v2h-2Z" '
        'fill="white" stroke="#0072B2" stroke-width="1.5"/>'
    )


def test_a_circle_is_one() -> None:
    d = "M3.24,0A3.24,3.24,0,1,1,-3.24,0A3.24,3.24,0,1,1,3.24,0"
    mark = f'<path transform="translate(3,4)" d="{d}"'
    assert drawn(f'{mark} fill="#0072B2"/>') == '<circle cx="3" cy="4" r="3.2" fill="#0072B2"/>'


def test_texts_stand_where_they_stood_and_inherit_no_missing_fill() -> None:
    texts = (
        '<text text-anchor="end" transform="translate(-8,12)" font-size="11px" fill="#333333">'
        'a &lt;b&gt;</text><text text-anchor="end" transform="translate(-8,30)"></text>'
        '<text transform="translate(1,2) rotate(-90) translate(0,-2)" font-weight="bold">y</text>'
    )
    assert drawn(f'<g fill="none" transform="translate(100,0)">{texts}</g>') == (
        '<text x="92" y="12" text-anchor="end">a &lt;b&gt;</text>'
        '<text transform="translate(100,0) translate(1,2) rotate(-90) translate(0,-2)" '
        'font-weight="bold">y</text>'
    )


def test_what_is_not_seen_or_not_read_is_not_there() -> None:
    hidden = '<path aria-hidden="true" d="M0,0h480v0h-480Z"/>'
    assert drawn(f'<rect width="9" height="9" fill="white"/><g fill="none">{hidden}</g>') == ""
    line = '<line x2="5" y2="0" stroke="#D9D9D9"/>'
    axis = "X-axis titled 'ms' for a linear scale with values from 0.624733097471 to 5"
    grid = f'<g aria-hidden="true">{line}</g>'
    path = '<path d="M0,0H5" fill="none" stroke="#D9D9D9"/>'
    told = "X-axis titled &#x27;ms&#x27; for a linear scale with values from 0.625 to 5"
    assert drawn(f'{grid}<g role="img" aria-label="{axis}">{line}</g>') == (
        f'<g aria-hidden="true">{path}</g><g role="img" aria-label="{told}">{path}</g>'
    )


def test_groups_that_turn_or_fade_are_refused() -> None:
    for said in ('transform="rotate(3)"', 'opacity="0.5"'):
        with pytest.raises(ValueError, match="cannot be part of a page"):
            drawn(f"<g {said}/>")


def test_capacity_is_drawn_with_its_figures() -> None:
    made = test_capacity.made(
        test_capacity.one("vllm", 8, 9, None), test_capacity.one("transformers", 2, 3, None)
    )
    page = html.render(made)["report.html"].decode()
    seen = [list(drawings.seen(it)) for it in drawings.charts(page)]
    (chart,) = (it for it in seen if "Capacity at the SLO" in {one.words for one in it})
    assert "vllm 0.32.0: 8.00 (no interval)" in {one.label for one in chart}


def test_the_factory_has_no_trace_and_no_empty_chart() -> None:
    page = html.render(factory.comparison())["report.html"].decode()
    assert "Power over time" not in page
    assert "Planned and finished" in page
