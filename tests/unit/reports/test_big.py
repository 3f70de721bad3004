"""The page of a study of ordinary size: small, with every chart, and readable by everybody."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.unit.reports import drawings, factory_big

from inferometer_reports import charts, html

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT_BYTES = 400_000
SEEN = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]
    ),
    "deutan": np.array(
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]
    ),
    "tritan": np.array(
        [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]
    ),
}
"""Machado, Oliveira and Fernandes 2009, severity 1: linear red, green, blue as they are seen."""
LEAST_DISTANCE = 10


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    comparison = factory_big.comparison(tmp_path_factory.mktemp("big"))
    return html.render(comparison)["report.html"].decode()


def test_it_is_small(page: str) -> None:
    assert len(page.encode()) <= LIMIT_BYTES


def test_every_chart_is_there_and_says_that_nobody_measured(page: str) -> None:
    labels = re.findall(r'<figure [^>]*aria-label="([^"]*)"', page)
    for words in (
        *("Forest plot. Ratio to the best, dense", "Forest plot. Ratio to the best, MoE"),
        *("Throughput against speed", "Cost against speed", "Energy against speed"),
        *("Power over time", "Latency by load", "Share of the requests", "Gain against load"),
        "Speed of every launch in running order",
    ):
        assert any(words in label for label in labels), words
    for drawn in drawings.charts(page):
        assert any("SIMULATED" in it.words for it in drawings.seen(drawn))


def test_every_chart_is_followed_by_a_table_of_its_section(page: str) -> None:
    for section in page.split("<section ")[1:]:
        assert "<table>" in section.rpartition("</figure>")[2] or "</figure>" not in section


def test_every_mark_says_its_value(page: str) -> None:
    for drawn in drawings.charts(page):
        named = [it.label for it in drawings.seen(drawn) if it.label]
        assert named
        assert all(re.search(r"\d", label) for label in named)


def test_contrast_in_light_and_in_dark(page: str) -> None:
    light, dark = drawings.themes(page)
    assert drawings.charts(page)
    for theme in (light, dark):
        for drawn in drawings.charts(page):
            for it in drawings.seen(drawn):
                if it.tag == "text":
                    colour, least = drawings.shown(page, theme, it.fill), 4.5
                else:
                    paint = it.fill if it.stroke == "none" else it.stroke
                    if paint in {"none", "white", charts.PALE}:  # the grid, beneath everything
                        continue
                    colour, least = drawings.shown(page, theme, paint), 3.0
                assert drawings.contrast(colour, theme["--bg"]) >= least, it


def test_stacks_differ_in_shape_and_in_colour_however_colours_are_seen(page: str) -> None:
    looks = list(charts.styles(["a", "b", "c", "d", "e"]).values())
    assert len({it.shape for it in looks}) == len(looks)
    for theme in drawings.themes(page):
        shown = [drawings.shown(page, theme, colour) for colour in charts.COLOURS]
        for name, matrix in SEEN.items():
            for one, other in combinations(shown, 2):
                distance = np.linalg.norm(lab(one, matrix) - lab(other, matrix))
                assert distance >= LEAST_DISTANCE, (name, one, other)


def lab(colour: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIE L*a*b* (D65) of a colour as somebody sees it."""
    red_green_blue = np.clip(matrix @ drawings.linear(colour), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.array(to_xyz) @ red_green_blue / [0.9505, 1.0, 1.089]
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])
