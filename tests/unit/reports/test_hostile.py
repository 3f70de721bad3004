"""Text from engines, models and studies cannot break out of where it stands."""

import re
import unicodedata
from typing import Any

import msgspec
from markdown_it import MarkdownIt
from msgspec.structs import replace
from tests.unit.reports import factory, test_fronts

from inferometer.comparison import (
    Comparison,
    Costs,
    Dropped,
    Front,
    LeftOut,
    Missing,
    Pair,
    Stopped,
    Weighing,
    Weights,
)
from inferometer_reports import console, escape, markdown

NAME = "<script>|`\n\x1b[31m*x*[a](javascript:b)_y_\u202e&lt;\r\n| --- |\n```\n# Heading\n[bold]"
OWN_HTML = {
    "<details><summary>Configuration</summary>\n",
    "<details><summary>Every ratio of MoE to dense</summary>\n",
    "</details>\n",
}


def hostile() -> Comparison:
    base = factory.comparison()
    stack = replace(
        base.stacks[0],
        label=NAME,
        version=NAME,
        environment_variables={NAME: NAME},
        variables_by_model={NAME: {NAME: NAME}},
        resolved_configuration={NAME: {NAME: NAME}, "list": [NAME]},
    )
    cells = [replace(cell, id=cell.id + NAME, model=NAME, commands=[NAME]) for cell in base.cells]
    rankings = [
        replace(
            ranking,
            model=NAME,
            load=NAME,
            follows_throughput=NAME,
            unranked=[factory.unranked(NAME)],
            entries=[replace(entry, cell=entry.cell + NAME) for entry in ranking.entries],
        )
        for ranking in [*base.rankings, test_fronts.at(20.0)]
    ]
    pair = Pair(
        stack=NAME, other=NAME, verdict="better", ratio=rankings[0].entries[0].ratio_to_best
    )
    rankings[0] = replace(rankings[0], follows_throughput=None, pairs=[pair])
    return replace(
        base,
        title=NAME,
        stopped=Stopped(
            reason="rounds",
            rounds=5,
            most_rounds=8,
            looks=3,
            minutes=9.0,
            ended={NAME: 3},
            dropped=[Dropped(stack="a", model=NAME, workload=NAME, load=NAME, rounds=3)],
            undecided=[NAME],
        ),
        stacks=[stack, base.stacks[1]],
        models=[replace(model, name=NAME, sha256=NAME) for model in base.models],
        metrics=[replace(metric, title=NAME, formula=NAME) for metric in base.metrics],
        cells=cells,
        rankings=rankings,
        starts=[
            replace(
                one,
                model=NAME,
                script=NAME,
                places={NAME: NAME},
                files=[NAME],
                secrets=[NAME],
                notes=[NAME],
            )
            for one in base.starts
        ],
        missing=[Missing(what=NAME, reason=NAME, detail=NAME, fix=NAME)],
        warnings=[NAME, "1. one", "- two", "# three", "> four"],
        host={NAME: NAME},
        differences=[
            replace(
                one,
                model=NAME,
                settings=[replace(setting, name=NAME, left=NAME, right=NAME)],
                equal=[NAME],
                unresolved=[NAME],
            )
            for one in base.differences
            for setting in one.settings[:1]
        ],
        study=NAME + "\n````\n~~~\n# Heading",
        costs=hostile_costs(base.costs),
        fronts=[hostile_front(it) for it in test_fronts.FRONTS],
        weights=[
            *(hostile_weighing(number) for number in (2, 3)),
            replace(hostile_weighing(2), why_not=NAME),
        ],
    )


LEFT_OUT = [LeftOut(stack=NAME, load=NAME, reason=NAME, detail=NAME)]


def hostile_front(front: Front) -> Front:
    points = [replace(point, stack=NAME, load=NAME, cell=NAME) for point in front.points]
    return replace(
        front,
        model=NAME,
        workload=NAME,
        profile=NAME,
        follows_throughput=NAME,
        points=points,
        left_out=LEFT_OUT,
    )


def hostile_weighing(criteria: int) -> Weighing:
    base = test_fronts.weighing(criteria)
    return replace(
        base,
        model=NAME,
        load=NAME,
        follows=[NAME],
        first={NAME: 1.0},
        cells=[Weights(weights=cell.weights, stack=NAME) for cell in base.cells],
        left_out=LEFT_OUT,
    )


def hostile_costs(costs: Costs | None) -> Costs | None:
    """Put :data:`NAME` in place of every text of the costs but dates."""
    if costs is None:
        return None
    kept = {"date", "method", "way", "basis", "architecture", "kind", "reason", "as_of", "unit"}

    def spoil(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: spoil(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [spoil(item, key) for item in value]
        return NAME if isinstance(value, str) and key not in kept else value

    return msgspec.convert(spoil(msgspec.to_builtins(costs), ""), Costs)


def test_markdown_keeps_its_structure() -> None:
    text = markdown.render(hostile())["report.md"].decode()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]
    assert {t.content for t in tokens if t.type == "html_block"} == OWN_HTML
    assert not [t for t in inline if t.type in {"html_inline", "link_open", "image", "em_open"}]
    own_code = {
        "=1",
        "?",
        "--weights",
        "inferometer launch RESULTS",
        "inferometer report RESULTS",
        "report.json",
    }
    assert {t.content for t in inline if t.type == "code_inline"} <= own_code
    assert len([t for t in tokens if t.type == "heading_open" and t.tag == "h1"]) == 1
    assert not [t for t in tokens if t.type in {"ordered_list_open", "code_block"}]


def test_tables_keep_their_columns() -> None:
    width = 0
    for line in markdown.render(hostile())["report.md"].decode().splitlines():
        pipes = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("| ") else 0
        assert not (pipes and width) or pipes == width, line
        width = pipes


def test_no_control_character_survives() -> None:
    for files in (markdown.render(hostile()), console.render(hostile())):
        for content in files.values():
            found = {unicodedata.category(char) for char in content.decode().replace("\n", "")}
            assert not found & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_rich_markup_is_text() -> None:
    text = console.render(hostile())["report.txt"].decode()
    assert "[bold]" in text
    assert all(len(line) <= console.WIDTH for line in text.splitlines())


def test_fence_is_longer_than_any_inside() -> None:
    assert escape.fence("a\n````\nb") == ["`````", "a", "````", "b", "`````"]
    assert escape.fence("\x1b[2J\ttab\r\nend", "toml") == [
        "```toml",
        "\N{REPLACEMENT CHARACTER}[2J\ttab",
        "end",
        "```",
    ]


def test_long_text_is_cut() -> None:
    assert len(escape.line("x" * 10_000)) == escape.LIMIT


def test_block_starts_are_text() -> None:
    assert escape.block("1. one") == "&#49;. one"
    assert escape.block("12) twelve") == "&#49;2) twelve"
    assert escape.block("# three") == "\\# three"
    assert escape.block("2026-11-21") == "2026-11-21"
