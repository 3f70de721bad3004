"""What the page shows of launches, of speeds and of the plan, number by number."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory, figures

from inferometer.comparison import (
    Comparison,
    Distribution,
    Launched,
    PowerTrace,
    Target,
    Targets,
    Value,
)
from inferometer_reports.blocks import Block, Picture, Strong, Table
from inferometer_reports.html import grids, traces
from inferometer_reports.view import View

DENSE = figures.MODELS["dense"]


def view(**changes: object) -> View:
    return View(replace(factory.comparison(), **changes))


def table(blocks: list[Block]) -> list[list[str]]:
    (found,) = (it for it in blocks if isinstance(it, Table))
    return [list(row) for row in found.rows]


def drawn(blocks: list[Block]) -> str:
    return "".join(it.svg.decode() for it in blocks if isinstance(it, Picture))


def launched(position: int, speed: float | None) -> Launched:
    failed = speed is None
    return Launched(
        launch=f"l{position}",
        position=position,
        round=position,
        stack="vllm",
        model=DENSE,
        status="failed" if failed else "ok",
        reason="failed" if failed else None,
        speed=Value(value=speed, unit="ratio", kind="derived", reason="failed" if failed else None),
    )


def test_every_launch_has_a_mark_and_a_failed_one_a_cross() -> None:
    blocks = traces.run_order(view(launched=[launched(0, 1.013), launched(1, None)]))
    assert [row[4:] for row in table(blocks)] == [
        ["whole", "1.013"],
        ["failed (failed)", "n/a (failed)"],
    ]
    svg = drawn(blocks)
    assert "vllm 0.32.0, launch 1: 1.013" in svg
    assert "vllm 0.32.0, launch 2: n/a (failed)" in svg


def test_without_a_second_launch_nothing_is_drawn_and_that_is_said() -> None:
    blocks = traces.run_order(view(launched=[launched(0, None)]))
    assert drawn(blocks) == ""
    assert any(traces.ONE_EACH in str(it) for it in blocks)
    assert traces.run_order(view(launched=[])) == []


def test_the_spread_is_told_as_far_as_it_is_known() -> None:
    cell = factory.comparison().cells[0]
    one = Distribution(
        cell=cell.id,
        metric="ttft_ms",
        kind="measured",
        requests=40,
        shares=[0.1, 0.25, 0.5, 0.75, 0.9, 0.95],
        values=[10.0, 20.0, 30.0, 40.0, 50.0, None],
    )
    blocks = traces.distributions(view(distributions=[one]))
    few = "n/a (too few samples)"
    assert [row[2:] for row in table(blocks)] == [
        ["TTFT", "10.0", "20.0", "30.0", "40.0", "50.0", few, "40"]
    ]
    assert "90 % within 50.0 ms" in drawn(blocks)


def test_power_marks_its_ends() -> None:
    one = PowerTrace(
        launch="l0",
        stack="vllm",
        model=DENSE,
        workload="chat",
        load="8 streams",
        meter="rapl",
        kind="measured",
        step_s=2.0,
        watts=[40.0, 50.0, 60.0],
    )
    blocks = traces.power(view(power=[one]))
    assert [row[3:] for row in table(blocks)] == [["50.0", "40.0", "60.0", "2 s", "l0"]]
    assert "lowest step: 40.0 W" in drawn(blocks)
    assert "highest step: 60.0 W" in drawn(blocks)


def test_values_at_a_speed_are_marked_as_read_and_the_best_stands_out() -> None:
    gone = Value(value=None, unit="tok/s", kind="interpolated", reason="out_of_range")
    found = Targets(
        objective="throughput",
        metric=figures.TOKENS,
        meter=None,
        model=DENSE,
        architecture="dense",
        workload="chat",
        profile="defaults",
        targets=[
            Target(
                interactivity=20.0,
                values={
                    "transformers": figures.value(100.0, "tok/s", "interpolated"),
                    "vllm": figures.value(125.0, "tok/s", "interpolated"),
                },
                best="vllm",
            ),
            Target(interactivity=50.0, values={"transformers": gone}, best=None),
        ],
    )
    first, second = table(grids.targets(view(targets=[found]), "throughput"))
    assert first == ["20", "~100 (96 to 104)", "~125 (120 to 130), +25 %"]
    assert [type(it) is Strong for it in first] == [False, False, True]
    assert second == ["50", "n/a (outside the measured range)", "n/a (not run)"]


def test_the_grid_says_in_words_and_signs_what_is_there() -> None:
    base: Comparison = factory.comparison()
    cells = [
        replace(base.cells[0], launches=["a", "b", "c"]),
        replace(base.cells[1], launches=["a"]),
    ]
    rows = table(grids.planned(view(cells=cells, rounds_planned=3)))
    assert [row[2] for row in rows] == ["\u25cf 3 of 3", "\u25d0 1 of 3"]
