"""The sections of ``report.md`` that let a reader doubt: every cell, check and gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.numbers import number, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import instruments, samples, words
from inferometer_reports.escape import block, markdown, table
from inferometer_reports.verdicts import span
from inferometer_reports.view import ARCHITECTURE_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell, Parity
    from inferometer_reports.view import View

OFFERED = "Open loop: throughput and cost are those of the offered load, not what a stack can do."


def details(view: View) -> list[str]:
    """Return every value: one table per model and load point, the stacks side by side."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        groups.setdefault((cell.model, cell.workload, cell.load), []).append(cell)
    lines = ["## Details: every cell", ""]
    for place, cells in groups.items():
        architecture = ARCHITECTURE_TITLES[cells[0].architecture]
        lines += [f"### {architecture}: {markdown(', '.join(place))}", ""]
        lines += _details(view, cells)
    return lines


def _details(view: View, cells: Sequence[Cell]) -> list[str]:
    every = [
        key for key in dict.fromkeys(k for cell in cells for k in cell.values) if _told(view, key)
    ]
    silent = [key for key in every if _undeclared(cells, key)]
    keys = [key for key in every if key not in silent]
    header = ["Metric", *(markdown(view.label(cell.stack)) for cell in cells), "n", "Kind"]
    rows = [_detail_row(view, cells, key) for key in keys]
    about = ", ".join(_about(view, cell) for cell in cells)
    lines = [f"Cells: {about}.", "", *table(header, rows)]
    if silent:
        titles = dict.fromkeys(view.metric_title(key, unit=False) for key in silent)
        lines += [f"Not declared in the study, so n/a: {markdown(', '.join(titles))}.", ""]
    if cells[0].loop == "open":  # what these had too few of stands beside their latency
        return [OFFERED, "", *lines]
    return [*lines, *samples.too_few(view, cells, keys)]


def _told(view: View, key: str) -> bool:
    """Say whether a row says anything new: of a meter that cannot be read one is enough."""
    metric, _, name = key.partition("@")
    info = instruments.meter(view, name)
    return info is None or info.reason is None or metric == "energy_j_per_output_token"


def _undeclared(cells: Sequence[Cell], key: str) -> bool:
    """Say whether a metric needs what the study leaves out: it has no row of its own then."""
    return all(key in cell.values and cell.values[key].reason == "not_declared" for cell in cells)


def _about(view: View, cell: Cell) -> str:
    about = [words.plural(len(cell.launches), "launch", "launches")]
    stopped = view.comparison.stopped
    if stopped is not None and cell.decided is not None and cell.decided < stopped.rounds:
        about.append(f"decided after round {cell.decided}")
    about += ["**invalid**"] if failed(cell) else []
    return f"{markdown(cell.id)} ({', '.join(about)})"


def _detail_row(view: View, cells: Sequence[Cell], key: str) -> list[str]:
    values = [cell.values.get(key) for cell in cells]
    present = [value for value in values if value is not None and value.value is not None]
    counts = {value.n for value in present}
    kinds = dict.fromkeys(value.kind for value in present)
    return [
        markdown(view.metric_title(key)),
        *("n/a (not run)" if value is None else with_interval(value) for value in values),
        span(min(counts), max(counts)) if counts else "none",
        ", ".join(kinds) or "none",
    ]


def failed(cell: Cell) -> bool:
    """Say whether a check failed; a cell that never ran is missing, not invalid."""
    return any(check.verdict == "fail" for check in cell.checks)


def checks(view: View) -> list[str]:
    """Return the validity checks: what did not pass, then every rule with its count."""
    troubles = list(view.troubles())
    lines = ["## Validity checks", "", block(words.checks(view).text), ""]
    more = view.comparison.warnings[words.MOST :]
    lines += [*(f"- {block(warning)}" for warning in more), ""] if more else []
    if troubles:
        rows = [
            [
                markdown(check.verdict.upper() if check.verdict == "fail" else check.verdict),
                markdown(check.name),
                markdown(cell.id),
                markdown(check.value) or "none",
                markdown(check.rule),
                markdown(check.detail) or "none",
            ]
            for cell, check in troubles
        ]
        lines += table(["Verdict", "Check", "Cell", "Seen", "Rule", "Detail"], rows)
    rules = [(check.name, check.rule) for cell in view.comparison.cells for check in cell.checks]
    if not rules:
        return lines
    rows = [
        [markdown(name), markdown(rule), str(_passed(view, name, rule)), str(rules.count(key))]
        for key in dict.fromkeys(rules)
        for name, rule in [key]
    ]
    return [*lines, *table(["Check", "Rule", "Cells passed", "Cells checked"], rows)]


def _passed(view: View, name: str, rule: str) -> int:
    return sum(
        check.verdict == "pass" and (check.name, check.rule) == (name, rule)
        for cell in view.comparison.cells
        for check in cell.checks
    )


def parity(view: View) -> list[str]:
    """Return, for each pair of cells, whether they say the same, with the figures and limits."""
    pairs = view.comparison.parity
    lines = ["## Output parity", ""]
    if not pairs:
        return [*lines, "Not compared: no pair of stacks answered the probe prompts.", ""]
    header = ["Left", "Right", "Verdict", "Distance (nat/token)", "Tokens scored"]
    header += ["Until first difference", "Agreement", "Identical answers", "Tokens", "Note"]
    rows = [_parity_row(pair) for pair in pairs]
    return [*lines, _parity_words(pairs[0]), "", *table(header, rows)]


def _parity_words(pair: Parity) -> str:
    limits = ""
    if pair.distance_limit is not None and pair.agreement_limit is not None:
        limits = (
            f" A pair fails above {number(pair.distance_limit)} nat/token, or below "
            f"{_share(pair.agreement_limit)} up to the first difference; a stack that differs from "
            "the reference is shown and not ranked."
        )
    return (
        "Fixed texts, scored and continued greedily. Distance: mean absolute difference of ln p of "
        "the same tokens behind the same text. Agreement of greedy tokens: position by position, "
        "and up to the first difference of each answer (one flip counts once); rounding alone "
        f"makes some.{limits}"
    )


def _parity_row(pair: Parity) -> list[str]:
    return [
        markdown(pair.left),
        markdown(pair.right),
        pair.verdict.upper() if pair.verdict == "fail" else pair.verdict,
        "n/a (not told)" if pair.distance is None else number(pair.distance),
        str(pair.positions),
        _share(pair.until_divergence),
        _share(pair.agreement),
        f"{pair.identical_prompts} of {pair.prompts}",
        str(pair.tokens),
        markdown(pair.note) or "none",
    ]


def _share(value: float | None) -> str:
    return "n/a (not compared)" if value is None else f"{number(value * 100)} %"


def missing(view: View) -> list[str]:
    """Return what is not here, why, and how to get it."""
    comparison = view.comparison
    lines = ["## Missing and excluded", ""]
    invalid = [cell.id for cell in comparison.cells if failed(cell)]
    if not comparison.missing and not invalid:
        cells = words.plural(len(comparison.cells), "cell")
        return [*lines, f"Nothing is missing: {cells}, all valid.", ""]
    if invalid:
        lines += [f"Invalid, never ranked: {markdown(', '.join(invalid))}.", ""]
    rows = [
        [
            markdown(item.what),
            markdown(reason_words(item.reason)),
            markdown(item.detail) or "none given",
            markdown(item.fix) or "not known",
        ]
        for item in comparison.missing
    ]
    return [*lines, *(table(["What", "Why", "Detail", "How to fix"], rows) if rows else [])]
