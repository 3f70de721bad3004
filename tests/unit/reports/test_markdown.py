"""``report.md``: the golden file, and what must hold for any comparison.

Write the golden file again: ``UPDATE_GOLDEN=1 python -m pytest tests/unit/reports``.
"""

import os
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.reports import factory
from tests.unit.reports.test_html import many_points

from inferometer.comparison import (
    Again,
    Cell,
    Comparison,
    Parity,
    RankEntry,
    Ranking,
    Unranked,
    Value,
)
from inferometer.numbers import with_interval
from inferometer_reports import escape
from inferometer_reports.markdown import render
from inferometer_reports.view import View
from inferometer_reports.words import answers as whole_answers

GOLDEN = Path(__file__).parents[2] / "golden" / "report" / "report.md"


def lines(comparison: Comparison) -> list[str]:
    return render(comparison)["report.md"].decode().splitlines()


def rows(comparison: Comparison) -> list[list[str]]:
    return [line[2:-2].split(" | ") for line in lines(comparison) if line.startswith("| ")]


def test_golden() -> None:
    content = render(factory.comparison())["report.md"]
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_bytes(content)
    assert content == GOLDEN.read_bytes()


def test_the_first_lines_answer_every_question() -> None:
    head = "\n".join(lines(factory.comparison())[:60])
    for objective in ("Throughput", "Energy", "Cost"):
        for architecture in ("dense", "MoE"):
            assert f"- **{objective}, {architecture}:** " in head
    for subject in ("QUICK LOOK:", "How sure:", "Not measured:", "MoE to dense:", "Checks:"):
        assert f"**{subject}**" in head


def answer_words(comparison: Comparison) -> list[str]:
    """What stands under Answer, and the title itself."""
    found = lines(comparison)
    start = found.index("## Answer")
    end = next(i for i, line in enumerate(found) if line.startswith("**How sure"))
    return re.findall(r"\S*\w\S*", " ".join(found[start:end]))


@pytest.mark.parametrize("points", [1, 2, 3, 6])
def test_the_answer_is_short_and_whole_below(points: int) -> None:
    comparison = many_points(points)
    assert len(answer_words(comparison)) <= 120
    _, below = "\n".join(lines(comparison)).split("## Rankings", 1)
    for lead, text in whole_answers(View(comparison)):
        assert f"- **{lead}** {escape.markdown(escape.line(text))}" in below


def test_an_answer_that_fits_is_told_once() -> None:
    base = factory.comparison()
    one = replace(base, rankings=base.rankings[:1], models=base.models[:1], cells=base.cells[:1])
    text = "\n".join(lines(one))
    assert text.count("- **Throughput, dense:**") == 1
    assert "leads: 1.25x (95 % 1.19 to 1.32, n = 3) the output throughput" in text


def test_warnings_never_push_the_answer_out() -> None:
    many = replace(factory.comparison(), warnings=[f"warning {n}" for n in range(99)])
    found = lines(many)
    assert "- **Cost, MoE:**" in "\n".join(found[:60])
    assert "- warning 0" in found[:60]
    assert "- warning 98" in found


def details(comparison: Comparison) -> dict[str, list[str]]:
    """Cell id -> its column in the details, from the first metric down."""
    found: dict[str, list[str]] = {}
    tables = "\n".join(lines(comparison)).split("## Details: every cell")[1].split("## Validity")[0]
    for text in tables.split("### ")[1:]:
        body = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
        ids = re.findall(r"([\w-]+) \(three launches\)", text)
        columns = list(zip(*body, strict=True))[1:]
        found |= {id_: list(column[2:]) for id_, column in zip(ids, columns, strict=False)}
    return found


def test_every_number_in_the_tables_is_the_comparisons() -> None:
    comparison = factory.comparison()
    columns = details(comparison)
    for cell in comparison.cells:
        assert columns[cell.id] == [with_interval(value) for value in cell.values.values()]
    ranked = [row for row in rows(comparison) if len(row) == 11 and row[0].lstrip("=").isdigit()]
    entries = [entry for ranking in comparison.rankings for entry in ranking.entries]
    figures = [(row[10], row[3].removesuffix(" uncorroborated"), row[5]) for row in ranked]
    assert sorted(figures) == sorted(
        (entry.cell, with_interval(entry.value), with_interval(entry.ratio_to_best))
        for entry in entries
    )


def test_shared_places() -> None:
    found = rows(factory.comparison())
    assert [row[:2] for row in found if row[-1] == "vllm-moe"] == [["=1", "1 to 2"]] * 4
    assert [row[:2] for row in found if row[-1] == "vllm-dense"] == [["1", "1"]] * 4


def absent(value: Value) -> Value:
    return replace(value, value=None, low=None, high=None, n=0, reason="withheld")


def without(comparison: Comparison, cell: Cell, key: str) -> Comparison:
    gone = replace(cell, values={**cell.values, key: absent(cell.values[key])})
    return replace(comparison, cells=[gone if c is cell else c for c in comparison.cells])


def test_a_deleted_value_becomes_words_and_changes_no_other() -> None:
    comparison = factory.comparison()
    before = details(comparison)
    for cell in comparison.cells:
        for place, key in enumerate(cell.values):
            after = details(without(comparison, cell, key))
            expected = list(before[cell.id])
            expected[place] = "n/a (withheld)"
            assert after[cell.id] == expected
            others = {one.id for one in comparison.cells} - {cell.id}
            assert all(after[other] == before[other] for other in others)


def erased(entry: RankEntry) -> RankEntry:
    return replace(entry, value=absent(entry.value), ratio_to_best=absent(entry.ratio_to_best))


def test_deleted_ranks_and_ratios_are_words_too() -> None:
    comparison = factory.comparison()
    rankings = [
        replace(ranking, entries=[erased(entry) for entry in ranking.entries])
        for ranking in comparison.rankings
    ]
    ratios = [replace(ratio, ratio=absent(ratio.ratio)) for ratio in comparison.moe_ratios]
    price = absent(comparison.price)
    empty = replace(comparison, rankings=rankings, moe_ratios=ratios, price=price)
    ranked = [row for row in rows(empty) if len(row) == 11 and row[0] in {"1", "2", "=1"}]
    assert len(ranked) == 16
    assert all(row[3] == row[5] == "n/a (withheld)" for row in ranked)
    assert "| price | n/a (withheld) |" in lines(empty)
    assert "vllm 0.32.0 leads: ratio n/a (withheld)" in "\n".join(lines(empty)[:12])


@pytest.mark.parametrize(
    "field",
    ["stacks", "models", "metrics", "cells", "rankings", "moe_ratios", "parity", "missing"],
)
def test_any_part_may_be_empty(field: str) -> None:
    text = render(replace(factory.comparison(), **{field: []}))["report.md"].decode()
    assert "|  |" not in text
    assert "None" not in text


def test_launch_commands_can_be_pasted() -> None:
    text = "\n".join(lines(factory.comparison()))
    assert (
        "```bash\nMODEL=/models/smol-135m\nexport HF_HUB_OFFLINE=1\nexport MESSAGE='two words'\n"
        'python -m vllm.server --model "$MODEL" --port 8000\n```'
    ) in text
    assert "MODEL is the model smol-135m. The path exists on the machine that measured." in text
    assert "**To start it:**" in text


def test_a_launch_names_its_files_secrets_and_notes() -> None:
    base = factory.comparison()
    starts = [
        replace(one, files=["extra.yaml"], secrets=["HF_TOKEN"], notes=["Left out: A."])
        for one in base.starts
    ]
    text = render(replace(base, starts=starts))["report.md"].decode()
    section = text.partition("## Launch the winner")[2].partition("\n## ")[0]
    assert "Generated configuration, written by these lines: extra.yaml." in section
    assert "HF_TOKEN is a secret and not stored: set it before." in section
    assert "- Left out: A." in section
    none = render(replace(base, starts=[]))["report.md"].decode()
    assert "The launch command was not recorded." in none
    assert "To start it" not in none
    assert "To start it" not in render(replace(base, rankings=[]))["report.md"].decode()


def test_each_model_is_launched_in_its_own_way() -> None:
    base = factory.comparison()
    starts = [
        replace(one, script=f"export SPACE={'4' if 'moe' in one.model else '2'}")
        for one in base.starts
    ]
    text = render(replace(base, starts=starts))["report.md"].decode()
    section = text.partition("## Launch the winner")[2].partition("\n## ")[0]
    dense, _, moe = section.partition("### MoE")
    assert "export SPACE=2" in dense
    assert "SPACE=4" not in dense
    assert "export SPACE=4" in moe
    assert "SPACE=2" not in moe


def test_unequal_settings_are_named() -> None:
    found = rows(factory.comparison())
    assert ["max_num_seqs", "256 (asked 512)", "64"] in found
    local = replace(factory.comparison().stacks[0], environment={"python": "/home/me/bin/python"})
    stacks = [local, factory.comparison().stacks[1]]
    text = render(replace(factory.comparison(), stacks=stacks))["report.md"].decode()
    assert "/home/me/bin/python" not in text


def test_models_show_their_structure() -> None:
    base = factory.comparison()
    moe = replace(
        base.models[1],
        layers=30,
        moe_layers=[0, *range(2, 30)],
        experts=8,
        top_k=2,
        shared_expert_width=0,
        kv_bytes_per_token=23040,
        approximations=["norms are left out"],
        unknown=["sliding_window"],
    )
    text = render(replace(base, models=[base.models[0], moe]))["report.md"].decode()
    assert "| 30 | 0, 2 to 29 | 8 | 2 | none | 23,040 |" in text
    assert "approximate: norms are left out" in text
    assert "unknown: sliding" in text


def test_first_place_says_when_nobody_competed() -> None:
    comparison = factory.comparison()
    alone = replace(comparison.rankings[0], entries=comparison.rankings[0].entries[:1])
    single = replace(comparison.rankings[0], n_rounds=1)
    for ranking, words in ((alone, "(alone)"), (single, "(one launch, no order)")):
        text = render(replace(comparison, rankings=[ranking]))["report.md"].decode()
        assert f"first in throughput {words}." in text


def other_answers(ranking: Ranking) -> Ranking:
    """The second stack computes with coarser weights, and answers differently."""
    first, second = ranking.entries
    out = Unranked(
        stack=second.stack,
        reason="parity_failed",
        detail="its answers differ | from those of vllm",
        value=second.value,
        ratio_to_best=second.ratio_to_best,
        precision="bfloat16, weights awq 4-bit",
        compression=3.5,
    )
    return replace(ranking, entries=[replace(first, compression=1.0)], unranked=[out])


def test_a_stack_that_answers_differently_is_shown_without_a_place() -> None:
    comparison = factory.comparison()
    one = other_answers(comparison.rankings[0])
    found = "\n".join(lines(replace(comparison, rankings=[one])))
    assert (
        "- Not ranked: transformers 5.19.0: answers differ (its answers differ \\| from those of "
        "vllm); measured: 160 (154 to 166) tok/s, 0.800 (0.760 to 0.840) of the best ranked, "
        "bfloat16, weights awq 4-bit, weights 3.50x smaller"
    ) in found
    assert "only vllm 0.32.0 could be ranked: 200 (192 to 208) tok/s" in found
    assert "not ranked: answers differ (transformers 5.19.0 at 0.800x of the best ranked)" in found
    assert "| bfloat16 | largest | vllm-dense |" in found


def test_profiles_have_answers_and_rankings_of_their_own() -> None:
    comparison = factory.comparison()
    first = comparison.rankings[0]
    both = [first, replace(first, profile="equalized", entries=first.entries[:1])]
    found = lines(replace(comparison, rankings=both))
    assert "### Throughput, dense, profile defaults: smol-135m, chat, 8 streams" in found
    assert "### Throughput, dense, profile equalized: smol-135m, chat, 8 streams" in found
    answers = [line for line in found if line.startswith("- **Throughput, dense")]
    assert answers[0].startswith("- **Throughput, dense, profile defaults:** vllm 0.32.0 leads")
    assert answers[1].startswith("- **Throughput, dense, profile equalized:** only vllm 0.32.0")
    assert "profile" not in "".join(lines(comparison))


def test_the_verdict_of_every_pair_stands_in_the_parity_table() -> None:
    comparison = factory.comparison()
    (passed,) = comparison.parity
    failed = replace(passed, verdict="fail", distance=1.06, until_divergence=0.6)
    unheard = Parity(left="a/m", right="b/m", note="the fixed texts were not answered by both")
    found = rows(replace(comparison, parity=[passed, failed, unheard]))
    shown = [row[2:6] for row in found if row[2:3] and row[2] in {"pass", "FAIL", "not comparable"}]
    assert shown == [
        ["pass", "0.0385", "1008", "99.0 %"],
        ["FAIL", "1.06", "1008", "60.0 %"],
        ["not comparable", "n/a (not told)", "0", "n/a (not compared)"],
    ]


def test_what_was_tried_again_is_one_line() -> None:
    plain = factory.comparison()
    again = [Again(stack=plain.stacks[0].id, model="dense", reason="killed", count=2)]
    (line,) = [row for row in lines(replace(plain, retried=again)) if "tried again" in row]
    assert line.endswith("dense: 2 (the engine was killed).")
    assert not any("tried again" in row for row in lines(plain))
