"""Open loops in a report: latency side by side, and no winner for what was only offered."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory, figures

from inferometer.comparison import Cell, Check, Comparison, MetricInfo, Value
from inferometer_reports import latency, words
from inferometer_reports.markdown import render
from inferometer_reports.verdicts import answer
from inferometer_reports.view import View

LOAD = "2 requests/s, Poisson"
KEY = "ttft_intended_p90_ms"
NEED = "p90 needs 64 x 2 = 128 requests, 100 ended"
INFO = MetricInfo(
    id=KEY,
    title="Time to first token from intended send, p90",
    unit="ms",
    direction="lower",
    formula="made up",
)


def opened(cell: Cell, load: str, wait_ms: float | None, *, failed: bool = False) -> Cell:
    value = Value(value=None, unit="ms", kind="measured", reason="too_few_samples", detail=NEED)
    if wait_ms is not None:
        value = figures.value(wait_ms, "ms")
    wrong = [Check(name="growing queue", rule="r", value="v", verdict="fail")] if failed else []
    return replace(
        cell, id=f"{cell.id}/{load}", load=load, loop="open", values={KEY: value}, checks=wrong
    )


def mixed(*loads: str, failed: bool = False) -> Comparison:
    """The usual comparison with the dense cells again at open loops."""
    made = factory.comparison()
    vllm, transformers = (cell for cell in made.cells if cell.architecture == "dense")
    extra = [
        cell
        for load in loads
        for cell in (opened(vllm, load, 40.0, failed=failed), opened(transformers, load, None))
    ]
    return replace(made, cells=[*made.cells, *extra], metrics=[*made.metrics, INFO])


def test_waiting_is_told_for_each_stack_and_not_ranked() -> None:
    found = {s.lead: s.text for s in words.answers(View(mixed(LOAD)))}
    assert found["Latency, dense (smol-135m, chat, 2 requests/s, Poisson):"] == (
        "time to first token from intended send, p90: vllm 0.32.0 40.0 ms, "
        "transformers 5.19.0 n/a (too few samples) (not ranked)."
    )
    assert "2 requests/s" not in found["Throughput, dense:"]


def test_an_invalid_cell_has_no_figure_in_the_answer() -> None:
    ((_, text),) = latency.answers(View(mixed(LOAD, failed=True)))
    assert "vllm 0.32.0 invalid, transformers" in text


def test_many_open_loops_are_counted_in_the_answer_and_all_in_the_tables() -> None:
    comparison = mixed(*(f"{rate} requests/s, Poisson" for rate in range(1, 6)))
    told = latency.answers(View(comparison))
    assert told[-1] == ("Latency:", "2 more open loops, in the table below.")
    assert len(told) == 4
    report = render(comparison)["report.md"].decode()
    section = report[report.index("## Latency at offered loads") : report.index("## Dense against")]
    assert section.count("### Dense: smol-135m, chat, ") == 5
    assert "| 40.0 (38.4 to 41.6) | n/a (too few samples) |" in section
    title = "Time to first token from intended send, p90"
    assert section.count(f"- Too few samples: transformers 5.19.0: {NEED} ({title}).") == 5
    assert "n/a (not declared)" not in section
    assert report.count("Open loop: throughput and cost are those of the offered load") == 5


def test_closed_loops_alone_have_no_such_section() -> None:
    assert latency.answers(View(factory.comparison())) == []
    assert latency.section(View(factory.comparison())) == []


def test_a_study_of_open_loops_says_why_nothing_leads() -> None:
    made = mixed(LOAD)
    view = View(replace(made, cells=[c for c in made.cells if c.loop == "open"], rankings=[]))
    for objective in ("throughput", "cost"):
        assert answer(view, objective, "dense") == (
            "not ranked: every load was an open loop, at which stacks that keep up deliver what "
            "is offered."
        )


def test_a_point_without_entries_does_not_hide_simulated_ones() -> None:
    made = factory.comparison()
    first = next(r for r in made.rankings if r.objective == "throughput")
    empty = replace(first, entries=[], unranked=[factory.unranked("vllm")], load="1 streams")
    view = View(replace(made, rankings=[replace(first, kind="simulated"), empty]))
    assert "vllm 0.32.0 leads" in answer(view, "throughput", "dense")


def test_a_stack_that_answers_differently_is_marked_wherever_it_is_shown() -> None:
    made = mixed(LOAD)
    cells = [replace(c, refused="parity_failed") if c.stack == "vllm" else c for c in made.cells]
    marked = replace(made, cells=cells)
    assert "vllm 0.32.0 40.0 ms (answers differ), " in latency.answers(View(marked))[0][1]
    assert "| vllm 0.32.0 (answers differ) |" in render(marked)["report.md"].decode()
