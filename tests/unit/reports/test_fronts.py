"""Several criteria in a report: equal interactivity, fronts, and weights where asked for."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory, figures

from inferometer.comparison import (
    OBJECTIVES,
    Comparison,
    Front,
    FrontPoint,
    LeftOut,
    Ranking,
    Unranked,
    Weighing,
    Weights,
)
from inferometer_reports import console, equal
from inferometer_reports.markdown import render
from inferometer_reports.view import View

DENSE = figures.MODELS["dense"]
SPEED = "interactivity_tok_s_user"


def at(tok_s_user: float, *, objective: str = "throughput") -> Ranking:
    found = next(r for r in factory.comparison().rankings if r.objective == objective)
    entries = [replace(entry, cell="") for entry in found.entries]
    return replace(
        found,
        at="interactivity",
        interactivity=tok_s_user,
        load=f"{tok_s_user:g} tok/s/user",
        entries=entries,
        slack={"vllm": 0.01, "transformers": 0.0},
    )


def with_equal(*rankings: Ranking) -> Comparison:
    base = factory.comparison()
    return replace(base, rankings=[*base.rankings, *rankings])


def section(comparison: Comparison, title: str) -> str:
    text = render(comparison)["report.md"].decode()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_who_is_ahead_where_users_are_served_equally_fast() -> None:
    view = View(with_equal(at(20.0), at(50.0, objective="energy")))
    assert equal.sentence(view) == (
        "Throughput, dense, at 20 tok/s/user: vllm 0.32.0 leads: 1.25x (95 % 1.19 to 1.32, n = 3) "
        "the output throughput of transformers 5.19.0. Energy, dense, at 50 tok/s/user: vllm "
        "0.32.0 leads: 0.800x (95 % 0.762 to 0.842, n = 3) the energy per output token (rapl) of "
        "transformers 5.19.0."
    )
    text = console.render(view.comparison)["report.txt"].decode()
    assert "Equal interactivity: Throughput, dense, at 20 tok/s/user: vllm 0.32.0 leads" in text
    text = section(view.comparison, "At equal interactivity")
    assert f"### Throughput, dense: {DENSE}, chat, 20 tok/s/user" in text
    assert text.count("| between load points |") == 4
    words = "Interpolated: vllm 0.32.0 to within 1 % and transformers 5.19.0 to within 0 %."
    assert text.count(words) == 2


def test_what_follows_throughput_is_not_told_twice() -> None:
    cost = at(20.0, objective="cost")
    assert cost.follows_throughput
    told = equal.sentence(View(with_equal(at(20.0), cost)))
    assert "Cost" not in told
    assert "### Cost, dense" in section(with_equal(cost), "At equal interactivity")


def test_many_are_told_in_the_report_alone() -> None:
    many = with_equal(*(at(float(n)) for n in range(10, 60, 10)))
    assert equal.sentence(View(many)).endswith(". 1 more, in the report.")
    other = with_equal(at(20.0), replace(at(20.0), model="other"))
    assert ", dense, other, at 20 tok/s/user: " in equal.sentence(View(other))


def test_a_stack_that_is_faster_everywhere_is_not_passed_over() -> None:
    out = Unranked(stack="transformers", reason="out_of_range", detail="covers 20 to 30")
    alone = at(10.0)
    alone = replace(alone, entries=alone.entries[:1], unranked=[out])
    view = View(with_equal(alone))  # 20 tok/s/user at 8 streams
    assert equal.beyond(view, alone) == (
        "; faster than that at every load point: transformers 5.19.0"
    )
    assert equal.beyond(view, replace(alone, interactivity=25.0)) == ""
    assert equal.beyond(view, replace(alone, interactivity=None)) == ""


def test_why_there_is_no_comparison() -> None:
    base = factory.comparison()
    one = "one load point of each workload, and a curve over interactivity needs two"
    assert equal.sentence(View(base)) == f"not compared: {one}."
    assert section(base, "At equal interactivity").strip() == f"Not compared: {one}."
    more = [*base.cells, *(replace(cell, load="16 streams") for cell in base.cells)]
    for cells, words in (
        (more, "fewer than two stacks have two valid load points of one workload"),
        ([cell for cell in more if cell.stack == "vllm"], "one stack alone"),
        ([replace(cell, loop="open") for cell in more], "no closed loop was run"),
        ([], "no result"),
    ):
        assert equal.why_not(View(replace(base, cells=cells))) == words


def front(**changes: object) -> Front:
    def point(stack: str, tok_s_user: float, tok_s: float, *, on_front: bool) -> FrontPoint:
        return FrontPoint(
            cell=f"{stack}-dense",
            stack=stack,
            load="8 streams",
            interactivity=figures.value(tok_s_user, "tok/s/user"),
            value=figures.value(tok_s, "tok/s"),
            on_front=on_front,
            probability=0.999 if on_front else 0.25,
        )

    found = Front(
        objective="throughput",
        metric=figures.TOKENS,
        meter=None,
        primary=True,
        model=DENSE,
        architecture="dense",
        workload="chat",
        profile="defaults",
        kind="measured",
        per="accelerator",
        follows_throughput=None,
        points=[
            point("vllm", 25.0, 200.0, on_front=True),
            point("transformers", 20.0, 160.0, on_front=False),
        ],
        left_out=[LeftOut(stack="vllm", load="9 streams", reason="starved", detail="loop lag")],
    )
    return replace(found, **changes)


FRONTS = [front(), front(objective="energy", metric=figures.JOULES, meter="rapl", per=None)]


def test_a_front_names_who_is_on_it_and_how_surely() -> None:
    text = section(replace(factory.comparison(), fronts=[front()]), "Pareto fronts")
    assert f"### Throughput against interactivity, dense: {DENSE}, chat" in text
    assert "**On the front:** vllm 0.32.0 at 8 streams." in text
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[0][3] == "Output throughput (tok/s), per accelerator"
    assert [row[5:7] for row in rows[2:]] == [["yes", "> 99 %"], ["no", "25 %"]]
    assert (
        "- Left out: vllm 0.32.0, 9 streams: the load generator could not keep up (loop lag)"
    ) in text


def test_a_front_of_joules_has_its_instrument_and_one_launch_no_chance() -> None:
    joules = FRONTS[1]
    points = [
        replace(point, probability=None, value=figures.value(0.3, "J/token"))
        for point in joules.points
    ]
    joules = replace(joules, points=points, kind="simulated", follows_throughput="one wattage")
    text = section(replace(factory.comparison(), fronts=[joules]), "Pareto fronts")
    assert "### Energy against interactivity, simulated, dense" in text
    assert "They share one round alone" in text
    assert "**Not independent:** one wattage." in text
    assert text.count(" uncorroborated |") == 2
    assert text.count("| n/a |") == 2


def weighing(criteria: int, **changes: object) -> Weighing:
    grid = {
        2: [([w / 4, 1 - w / 4], "vllm" if w > 2 else "transformers") for w in range(5)],
        3: [
            ([1.0, 0.0, 0.0], "vllm"),
            ([0.0, 1.0, 0.0], "vllm"),
            ([0.0, 0.0, 1.0], "transformers"),
        ],
    }[criteria]
    found = Weighing(
        model=DENSE,
        architecture="dense",
        workload="chat",
        load="8 streams",
        profile="defaults",
        kind="measured",
        criteria=list(OBJECTIVES[:criteria]),
        follows=["cost follows throughput: one price"] if criteria == 2 else [],
        first={"transformers": 0.625, "vllm": 0.375},
        cells=[Weights(weights=weights, stack=stack) for weights, stack in grid],
        left_out=[],
    )
    return replace(found, **changes)


NO_VERDICT = "What weights would choose (no verdict)"


def test_weights_show_only_when_asked_for() -> None:
    assert NO_VERDICT not in render(factory.comparison())["report.md"].decode()
    assert "There are none" in section(replace(factory.comparison(), weights=[]), NO_VERDICT)


def test_weights_of_two_say_where_the_choice_turns() -> None:
    text = section(replace(factory.comparison(), weights=[weighing(2)]), NO_VERDICT)
    assert "Cost follows throughput: one price. It has no weight of its own." in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:4] == ["| transformers 5.19.0 | 62 % |", "| vllm 0.32.0 | 38 % |"]
    assert rows[4:] == [
        "| First | Weight of throughput | Weight of energy |",
        "| --- | --- | --- |",
        "| transformers 5.19.0 | 0.00 to 0.50 | 1.00 to 0.50 |",
        "| vllm 0.32.0 | 0.75 to 1.00 | 0.25 to 0.00 |",
    ]


def test_weights_of_three_are_a_triangle() -> None:
    text = section(replace(factory.comparison(), weights=[weighing(3)]), NO_VERDICT)
    assert (
        "First by the weights of throughput (across) and energy (down); cost has the rest." in text
    )
    assert "| 0 | transformers 5.19.0 | vllm 0.32.0 |\n| 1 | vllm 0.32.0 | none |" in text


def test_no_map_says_why() -> None:
    out = [LeftOut(stack="vllm", reason="no_price", detail="cost: none given")]
    none = weighing(2, cells=[], first={}, follows=[], why_not="no stack has all", left_out=out)
    text = section(replace(factory.comparison(), weights=[none]), NO_VERDICT)
    assert "No map: no stack has all." in text
    assert "- Left out: vllm 0.32.0: no price given (cost: none given)" in text
    assert "| Stack |" not in text
