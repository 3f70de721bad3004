"""What pages say of commands, hooks and metrics is what the program has.

Write the generated parts again: ``UPDATE_GOLDEN=1 python -m pytest tests/docs``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from tests.docs import commands, contracts
from tests.docs.pages import DOCS, REFERENCE, held, marks, sections, text_of

from inferometer.metrics import catalogue
from inferometer.metrics.joules import ENERGY
from inferometer.metrics.money import COST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.metrics.declaration import Metric

COMMANDS, HOOKS, METRICS = (REFERENCE / f"{name}.md" for name in ("commands", "hooks", "metrics"))
LEAST_WORDS = 15
"""Words that somebody has to write about each hook, beside what is generated."""
TABLES = {
    "tokens and times": (*catalogue.THROUGHPUT, *catalogue.PHASES),
    "goodput": catalogue.GOODPUT,
    "latency": catalogue.LATENCY,
    "energy": ENERGY,
    "cost": COST,
}


def test_every_command_and_option_is_as_click_has_it() -> None:
    held(COMMANDS, {"commands": commands.reference()})
    page = text_of(COMMANDS)
    assert [
        name for name in commands.groups()["Measure"] if f"`inferometer {name}`" not in page
    ] == []


def silent(page: str) -> list[str]:
    """Return the hooks of which a page does not say enough: a part that is generated, and words."""
    written, generated = sections(page), set(marks(page))
    return [
        name
        for name in contracts.hooks()
        if len(written.get(f"`{name}`", "").split()) < LEAST_WORDS
        or not {name, f"{name} contracts"} <= generated
    ]


def test_every_hook_has_words_that_somebody_wrote() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        contracts.begun(HOOKS)
    assert silent(text_of(HOOKS)) == [], "hooks.md says too little of these, or nothing"
    assert set(sections(text_of(HOOKS))) == {f"`{name}`" for name in contracts.hooks()}
    assert set(marks(text_of(HOOKS))) == set(contracts.parts())


def test_every_hook_and_contract_is_as_the_source_has_it() -> None:
    held(HOOKS, contracts.parts())


@pytest.mark.parametrize("hook", contracts.hooks())
def test_a_hook_whose_documentation_is_deleted_is_missed(hook: str) -> None:
    page = text_of(HOOKS)
    head, _, rest = page.partition(f"## `{hook}`\n")
    below = re.search(r"^## ", rest, re.MULTILINE)
    assert silent(head + (rest[below.start() :] if below else "")) == [hook]
    told = sections(page)[f"`{hook}`"]
    assert silent(page.replace(told, "")) == [hook]


def table(metrics: Sequence[Metric]) -> str:
    rows = [
        f"| `{it.id}` | {it.title} | {it.unit} | {it.direction} | {it.formula} | {it.source} |"
        for it in metrics
    ]
    head = "| id | what | unit | better | formula | source |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(rows).replace("*", "\\*") + "\n"


def test_every_metric_is_documented_with_formula_unit_and_source() -> None:
    held(METRICS, {name: table(metrics) for name, metrics in TABLES.items()})
    assert sorted(it.id for metrics in TABLES.values() for it in metrics) == sorted(catalogue.BY_ID)


@pytest.mark.parametrize("name", ["throughput-figures", "energy-figures", "cost", "report"])
def test_a_page_names_no_metric_that_there_is_not(name: str) -> None:
    """A word in the first column of a table of ids is one, or a family (``ttft_...``)."""
    page = (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")
    for body in re.findall(r"^\| id \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE):
        cells = [row.split("|")[1] for row in body.splitlines()]
        for named in (word for cell in cells for word in re.findall(r"`(\w+)(?:\.\.\.)?`", cell)):
            assert any(known.startswith(named) for known in catalogue.BY_ID), named
