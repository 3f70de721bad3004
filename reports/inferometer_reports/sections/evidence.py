"""The sections that let a reader doubt: every cell, check and gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr, trs
from inferometer.numbers import number, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import instruments, samples, words
from inferometer_reports.blocks import Datum, Heading, Strong, Table, item, quoted, say, tabled
from inferometer_reports.escape import line
from inferometer_reports.verdicts import span
from inferometer_reports.view import ARCHITECTURE_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell, Parity
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

OFFERED = later(
    "Open loop: throughput and cost are those of the offered load, not what a stack can do."
)


def details(view: View) -> list[Block]:
    """Return every value: one table per model and load point, the stacks side by side."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        groups.setdefault((cell.model, cell.workload, cell.load), []).append(cell)
    blocks: list[Block] = [Heading(2, tr("Details: every cell"))]
    for place, cells in groups.items():
        architecture = ARCHITECTURE_TITLES[cells[0].architecture]
        blocks.append(Heading(3, f"{architecture}: {line(', '.join(place))}"))
        blocks += _details(view, cells)
    return blocks


def _details(view: View, cells: Sequence[Cell]) -> list[Block]:
    every = [
        key for key in dict.fromkeys(k for cell in cells for k in cell.values) if _told(view, key)
    ]
    silent = [key for key in every if _undeclared(cells, key)]
    keys = [key for key in every if key not in silent]
    header = [tr("Metric"), *(line(view.label(cell.stack)) for cell in cells), "n", tr("Kind")]
    rows = [_detail_row(view, cells, key) for key in keys]
    about = [part for cell in cells for part in (", ", *_about(view, cell))][1:]
    blocks: list[Block] = [say(tr("Cells: "), *about, "."), Table(header, rows)]
    if silent:
        titles = dict.fromkeys(view.metric_title(key, unit=False) for key in silent)
        blocks.append(
            say(tr("Not declared in the study, so n/a: {titles}.", titles=line(", ".join(titles))))
        )
    if cells[0].loop == "open":  # what these had too few of stands beside their latency
        return [say(tr(OFFERED)), *blocks]
    return [*blocks, *samples.too_few(view, cells, keys)]


def _told(view: View, key: str) -> bool:
    """Say whether a row says anything new: of a meter that cannot be read one is enough."""
    metric, _, name = key.partition("@")
    info = instruments.meter(view, name)
    return info is None or info.reason is None or metric == "energy_j_per_output_token"


def _undeclared(cells: Sequence[Cell], key: str) -> bool:
    """Say whether a metric needs what the study leaves out: it has no row of its own then."""
    return all(key in cell.values and cell.values[key].reason == "not_declared" for cell in cells)


def _about(view: View, cell: Cell) -> list[str]:
    about = [words.plural(len(cell.launches), "launch", "launches")]
    stopped = view.comparison.stopped
    if stopped is not None and cell.decided is not None and cell.decided < stopped.rounds:
        about.append(tr("decided after round {decided}", decided=cell.decided))
    invalid = [", ", Strong(tr("invalid"))] if failed(cell) else []
    return [f"{line(cell.id)} ({', '.join(about)}", *invalid, ")"]


def _detail_row(view: View, cells: Sequence[Cell], key: str) -> list[str]:
    values = [cell.values.get(key) for cell in cells]
    present = [value for value in values if value is not None and value.value is not None]
    counts = {value.n for value in present}
    kinds = dict.fromkeys(value.kind for value in present)
    return [
        line(view.metric_title(key)),
        *(_datum(cell, key) for cell in cells),
        span(min(counts), max(counts)) if counts else tr("none"),
        ", ".join(map(tr, kinds)) or tr("none"),
    ]


def _datum(cell: Cell, key: str) -> str:
    value = cell.values.get(key)
    if value is None:
        return tr("n/a (not run)")
    return Datum(with_interval(value), value, f"{cell.id}#{key}")


def failed(cell: Cell) -> bool:
    """Say whether a check failed; a cell that never ran is missing, not invalid."""
    return any(check.verdict == "fail" for check in cell.checks)


def checks(view: View) -> list[Block]:
    """Return the validity checks: what did not pass, then every rule with its count."""
    troubles = list(view.troubles())
    blocks: list[Block] = [Heading(2, tr("Validity checks")), say(line(words.checks(view).text))]
    blocks += [item(quoted(text)) for text in view.comparison.warnings[words.MOST :]]
    if troubles:
        rows = [
            [
                line(tr(check.verdict).upper() if check.verdict == "fail" else tr(check.verdict)),
                line(tr(check.name)),
                line(cell.id),
                line(check.value) or tr("none"),
                quoted(check.rule),
                quoted(check.detail) or tr("none"),
            ]
            for cell, check in troubles
        ]
        blocks += tabled(trs("Verdict", "Check", "Cell", "Seen", "Rule", "Detail"), rows)
    rules = [(check.name, check.rule) for cell in view.comparison.cells for check in cell.checks]
    if not rules:
        return blocks
    rows = [
        [line(tr(name)), quoted(rule), str(_passed(view, name, rule)), str(rules.count(key))]
        for key in dict.fromkeys(rules)
        for name, rule in [key]
    ]
    return [
        *blocks,
        Table(trs("Check", "Rule", "Cells passed", "Cells checked"), rows),
    ]


def _passed(view: View, name: str, rule: str) -> int:
    return sum(
        check.verdict == "pass" and (check.name, check.rule) == (name, rule)
        for cell in view.comparison.cells
        for check in cell.checks
    )


def parity(view: View) -> list[Block]:
    """Return, for each pair of cells, whether they say the same, with the figures and limits."""
    pairs = view.comparison.parity
    title = Heading(2, tr("Output parity"))
    if not pairs:
        return [title, say(tr("Not compared: no pair of stacks answered the probe prompts."))]
    header = trs("Left", "Right", "Verdict", "Distance (nat/token)", "Tokens scored")
    header += trs("Until first difference", "Agreement", "Identical answers", "Tokens", "Note")
    rows = [_parity_row(pair) for pair in pairs]
    return [title, say(_parity_words(pairs[0])), Table(header, rows)]


def _parity_words(pair: Parity) -> str:
    limits = ""
    if pair.distance_limit is not None and pair.agreement_limit is not None:
        limits = tr(
            " A pair fails above {distance_limit} nat/token, or below {share} up to the first "
            "difference; a stack that differs from the reference is shown and not ranked.",
            distance_limit=number(pair.distance_limit),
            share=_share(pair.agreement_limit),
        )
    return tr(
        "Fixed texts, scored and continued greedily. Distance: mean absolute difference of ln p "
        "of the same tokens behind the same text. Agreement of greedy tokens: position by "
        "position, and up to the first difference of each answer (one flip counts once); "
        "rounding alone makes some.{limits}",
        limits=limits,
    )


def _parity_row(pair: Parity) -> list[str]:
    return [
        line(pair.left),
        line(pair.right),
        tr(pair.verdict).upper() if pair.verdict == "fail" else tr(pair.verdict),
        tr("n/a (not told)") if pair.distance is None else number(pair.distance),
        str(pair.positions),
        _share(pair.until_divergence),
        _share(pair.agreement),
        tr(
            "{identical_prompts} of {prompts}",
            identical_prompts=pair.identical_prompts,
            prompts=pair.prompts,
        ),
        str(pair.tokens),
        quoted(pair.note) or tr("none"),
    ]


def _share(value: float | None) -> str:
    return tr("n/a (not compared)") if value is None else f"{number(value * 100)} %"


def missing(view: View) -> list[Block]:
    """Return what is not here, why, and how to get it."""
    comparison = view.comparison
    blocks: list[Block] = [Heading(2, tr("Missing and excluded"))]
    invalid = [cell.id for cell in comparison.cells if failed(cell)]
    if not comparison.missing and not invalid:
        cells = words.plural(len(comparison.cells), "cell")
        return [*blocks, say(tr("Nothing is missing: {cells}, all valid.", cells=cells))]
    if invalid:
        blocks.append(
            say(tr("Invalid, never ranked: {invalid}.", invalid=line(", ".join(invalid))))
        )
    rows = [
        [
            line(one.what),
            line(reason_words(one.reason)),
            quoted(one.detail) or tr("none given"),
            quoted(one.fix) or tr("not known"),
        ]
        for one in comparison.missing
    ]
    return [*blocks, *tabled(trs("What", "Why", "Detail", "How to fix"), rows)]
