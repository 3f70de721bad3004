"""The results on the front page: written from a study of the gallery, each figure by its key.

Usage: ``python -m tests.gallery.readme`` prints every figure of the block with the place in
`report.json` it comes from, the cell, and the launches behind it; ``--write`` writes the block into
`README.md`, between its two comments. A test holds the two together.
"""

from __future__ import annotations

import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from tests.gallery import studies

from inferometer.comparison import Value
from inferometer.numbers import number, times, with_interval
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NAME = "vllm-and-transformers"
PAGE = studies.ROOT / "README.md"
BEGIN = f"<!-- from reports/gallery/{NAME}; written by `make gallery-render` -->"
END = "<!-- end of what is written from the gallery -->"
BLOCK = re.compile(f"{re.escape(BEGIN)}\n(.*?){re.escape(END)}", re.DOTALL)
OBJECTIVES = {
    "throughput": "output tok/s",
    "energy": "J per output token, est.",
    "cost": "whole bill, USD per M output tokens, est.",
}
BEHIND = {"throughput": "the tokens", "energy": "the estimated joules"}
WIDTH = 105
"""Characters in a line of the page."""


@dataclass(frozen=True)
class Figure:
    """A figure as it stands on the page, and where `report.json` has it."""

    text: str
    key: str
    cell: str
    launches: tuple[str, ...]


@dataclass
class Page:
    """What is written, and the figures in it."""

    report: Mapping[str, Any]
    figures: list[Figure] = field(default_factory=list)

    def say(self, text: str, key: str, cell: str = "") -> str:
        """Return a figure, and keep where it comes from."""
        launches = [one["launches"] for one in self.report["cells"] if one["id"] == cell]
        self.figures.append(Figure(text, key, cell, tuple(launches[0]) if launches else ()))
        return text

    def ranking(self, objective: str, architecture: str) -> tuple[int, Mapping[str, Any]]:
        """Return the ranking by an objective, of the models of one kind, at the highest load."""
        found = [
            (place, one)
            for place, one in enumerate(self.report["rankings"])
            if (one["objective"], one["architecture"]) == (objective, architecture)
            and one["primary"]
            and one["load"] == self.load
        ]
        if not found:
            raise KeyError(f"{NAME}: no ranking by {objective} of {architecture} models")
        return found[0]

    @property
    def load(self) -> str:
        """Return the load that is shown: that of most streams."""
        loads = {cell["load"] for cell in self.report["cells"]}
        return str(max(loads, key=lambda load: int(load.split()[0])))


def block(report: Mapping[str, Any]) -> tuple[str, list[Figure]]:
    """Return the Markdown that stands between the two comments, and every figure in it."""
    page = Page(report)
    parts = [_head(page), "\n".join(_table(page)), _words(page), _chart(page)]
    return "\n\n".join(parts) + "\n\n", page.figures


def of_gallery() -> tuple[str, list[Figure]]:
    """Return the block that the page shall have now."""
    return block(studies.report_of(studies.GALLERY / NAME / studies.REPORT))


def write() -> None:
    """Write the block into the page, where its comments are."""
    whole, (text, _) = PAGE.read_text(encoding="utf-8"), of_gallery()
    PAGE.write_text(BLOCK.sub(lambda _: f"{BEGIN}\n{text}{END}", whole), encoding="utf-8")


def value(found: Any) -> Value:
    """Return a value of `report.json` as renderers have it."""
    return msgspec.convert(found, Value)


def _head(page: Page) -> str:
    report = page.report
    study = f"[a study in this repository](reports/gallery/{NAME}/README.md)"
    at, first = page.ranking("throughput", "dense")
    joules, meter = _meter(page)
    cores = page.say(str(report["host"]["cores"]), "host.cores")
    rounds = page.say(str(report["rounds_complete"]), "rounds_complete")
    window = page.say(number(report["window_s"], figures=2), "window_s")
    usd = page.say(number(report["price"]["value"]), "price.value")
    words = (
        f"From {study}, {page.say(report['created'][:10], 'created')}, on a machine with {cores} "
        f"cores of an {report['host']['cpu_model']} and no GPU: {rounds} rounds, "
        f"{page.say(first['load'], f'rankings[{at}].load')}, {_lengths(page)}, windows of "
        f"{window} s. Places in brackets; intervals are 95 % over launches. Joules are "
        f"*estimated*: {page.say(joules, meter)}. Dollars rest on {usd} USD an hour, "
        f"{report['price']['detail'].partition(';')[0]}."
    )
    return textwrap.fill(words, WIDTH)


def _lengths(page: Page) -> str:
    """Return the tokens of each request, which the study says; the report has it word for word."""
    work = tomllib.loads(page.report["study"])["workloads"][0]
    said = [
        page.say(str(work[name]), f"study: workloads[0].{name}")
        for name in ("input_tokens", "output_tokens")
    ]
    return f"{said[0]} tokens in and {said[1]} out"


def _meter(page: Page) -> tuple[str, str]:
    """Return how the meter of the ranking by energy works, and where the report says it."""
    _, energy = page.ranking("energy", "dense")
    names = [one["name"] for one in page.report["meters"]]
    place = names.index(energy["meter"])
    return page.report["meters"][place]["method"].partition(",")[0], f"meters[{place}].method"


def _table(page: Page) -> Iterator[str]:
    yield f"| model | stack | {' | '.join(OBJECTIVES.values())} |"
    yield "|---|---|" + "---|" * len(OBJECTIVES)
    for model in page.report["models"]:
        first = page.ranking("throughput", model["architecture"])[1]
        for entry in [*first["entries"], *first["unranked"]]:
            cells = [_entry(page, name, model, entry["stack"]) for name in OBJECTIVES]
            words = [_model(page, model), _label(page, entry["stack"]), *cells]
            yield f"| {' | '.join(words)} |"


def _entry(page: Page, objective: str, model: Mapping[str, Any], stack: str) -> str:
    place, ranking = page.ranking(objective, model["architecture"])
    for index, one in enumerate(ranking["entries"]):
        if one["stack"] == stack:
            key = f"rankings[{place}].entries[{index}]"
            shown = with_interval(value(one["value"])).replace(" est.", "")
            shared = [other["place"] for other in ranking["entries"]].count(one["place"]) > 1
            at = f"{'=' if shared else ''}{one['place']}"
            said = page.say(shown, f"{key}.value", one["cell"])
            return f"{said} [{page.say(at, f'{key}.place', one['cell'])}]"
    reasons = [one["reason"] for one in ranking["unranked"] if one["stack"] == stack]
    return f"not ranked: {reason_words(reasons[0])}"


def _model(page: Page, model: Mapping[str, Any]) -> str:
    if not model["twin_of"]:
        return f"{model['name']}, {model['architecture']}"
    place = page.report["models"].index(model)
    experts = page.say(str(model["experts"]), f"models[{place}].experts")
    top = page.say(str(model["top_k"]), f"models[{place}].top_k")
    return f"its MoE twin ({experts} experts, top {top})"


def _label(page: Page, stack: str) -> str:
    labels = [one["label"] for one in page.report["stacks"] if one["id"] == stack]
    return str(labels[0])


def _words(page: Page) -> str:
    """Return who leads, and what the twin costs."""
    found = [_lead(page, "dense", "On the dense model"), _lead(page, "moe", "On its twin")]
    ratios = []
    for place, one in enumerate(page.report["moe_ratios"]):
        shown = one["metric"] == "output_tok_s" and one["load"] == page.load
        if shown and one["ratio"]["value"] is not None:
            cell = f"{one['stack']}/{one['moe']}/{one['workload']}/{one['load'].split()[0]}"
            ratio = page.say(_times(one["ratio"]), f"moe_ratios[{place}].ratio", cell)
            ratios.append(f"{ratio} on {_label(page, one['stack'])}")
    found.append(
        "The twin computes the same function with several times the MLP bytes and a random router: "
        f"of the dense model's tok/s it makes {' and '.join(ratios)}. That is MoE overhead at "
        "equal quality, not how a trained MoE model runs. The order belongs to the machine that "
        "was measured: on another it may be another."
    )
    return textwrap.fill(" ".join(found), WIDTH)


def _lead(page: Page, architecture: str, where: str) -> str:
    """Return the sentence of the rankings of one kind of model: who leads by what, or nobody."""
    said = []
    for objective, noun in BEHIND.items():
        place, ranking = page.ranking(objective, architecture)
        if len(ranking["entries"]) < 2:
            said.append(f"by {objective}, nothing to compare")
            continue
        best, other = sorted(ranking["entries"], key=lambda one: one["verdict"] != "best")[:2]
        index, pair = next(
            (at, one)
            for at, one in enumerate(ranking["pairs"])
            if (one["stack"], one["other"]) == (best["stack"], other["stack"])
        )
        ratio = page.say(
            _times(pair["ratio"]), f"rankings[{place}].pairs[{index}].ratio", best["cell"]
        )
        stacks = _label(page, best["stack"]), _label(page, other["stack"])
        verdict = f"{stacks[0]} leads with" if ranking["separated"] else "no clear winner:"
        who = "" if ranking["separated"] else f" {stacks[0]} has"
        said.append(f"by {objective}, {verdict}{who} {ratio} {noun} of {stacks[1]}")
    return f"{where}: {'; '.join(said)}."


def _times(ratio: Any) -> str:
    """Return a ratio with its interval alone: what it is of is said once, above the table."""
    shown = times(value(ratio)).replace(" est.", "").replace("(95 % ", "(")
    return re.sub(r", n = \d+\)", ")", shown)


def _chart(page: Page) -> str:
    picture = f"reports/gallery/{NAME}/report/figures/ranking-moe.svg"
    alt = "Ratio of each stack to the best on the twin: throughput, energy and cost, with intervals"
    return f"![{alt}]({picture})"


def trace(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield a line for each figure: where it comes from, and the launches behind it."""
    for one in figures:
        behind = f"  {one.cell}: {', '.join(one.launches)}" if one.launches else ""
        yield f"{one.text:26} {one.key}{behind}"


def main() -> int:
    """Print where every figure comes from, or write the block."""
    if "--write" in sys.argv:
        write()
    else:
        print(*trace(of_gallery()[1]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
