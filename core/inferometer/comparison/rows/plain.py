"""Tables of what ran and what it gave: stacks, models, cells, values, checks, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison.rows.table import VALUE, Rows, number, rows, texts

if TYPE_CHECKING:
    from inferometer.comparison import Comparison


def stacks(comparison: Comparison) -> Rows:
    """Return one row a stack."""
    names = ("label", "engine", "version", "profile", "precision", "parallelism", "command")
    found = ((one.id, *(getattr(one, name) for name in names)) for one in comparison.stacks)
    return rows(texts("stack", *names), found)


def models(comparison: Comparison) -> Rows:
    """Return one row a model; a size that is not known is None."""
    sizes = ("total_parameters", "active_parameters", "weights_bytes")
    names = ("precision", "routing", "weights", "twin_of", "sha256")
    columns = {**texts("model", "architecture"), **dict.fromkeys(sizes, int), **texts(*names)}
    found = (
        (one.name, one.architecture, *(getattr(one, name) for name in (*sizes, *names)))
        for one in comparison.models
    )
    return rows(columns, found)


def metrics(comparison: Comparison) -> Rows:
    """Return one row a metric: its definition."""
    names = ("title", "unit", "direction", "formula", "source")
    found = ((one.id, *(getattr(one, name) for name in names)) for one in comparison.metrics)
    return rows(texts("metric", *names), found)


def cells(comparison: Comparison) -> Rows:
    """Return one row a cell: stack, model, workload and load point, over its launches."""
    columns = {
        **texts("cell", "stack", "model", "architecture", "workload", "load", "loop"),
        "launches": int,
        "valid": bool,
        **texts("refused", "precision"),
        "weights_bytes": int,
    }
    found = (
        (
            *(one.id, one.stack, one.model, one.architecture, one.workload, one.load, one.loop),
            *(len(one.launches), one.valid, one.refused, one.precision, one.weights_bytes),
        )
        for one in comparison.cells
    )
    return rows(columns, found)


def nodes(comparison: Comparison) -> Rows:
    """Return one row a launch, in running order on its node."""
    columns = {**texts("launch", "node"), "round": int, **texts("stack", "model", "status")}
    found = (
        (one.launch, one.node or None, one.round + 1, one.stack, one.model, one.status)
        for one in comparison.launched
    )
    return rows(columns, found)


def values(comparison: Comparison) -> Rows:
    """Return one row a metric (and meter) of each cell."""
    places = texts("cell", "stack", "model", "architecture", "workload", "load")
    found = (
        (
            *(one.id, one.stack, one.model, one.architecture, one.workload, one.load),
            *(key.partition("@")[0], key.partition("@")[2] or None),
            *number(value, f"{one.id}#{key}"),
        )
        for one in comparison.cells
        for key, value in one.values.items()
    )
    return rows({**places, **texts("metric", "meter"), **VALUE}, found)


def checks(comparison: Comparison) -> Rows:
    """Return one row a validity check of each cell."""
    names = ("name", "rule", "value", "verdict", "detail")
    found = (
        (one.id, *(getattr(check, name) for name in names))
        for one in comparison.cells
        for check in one.checks
    )
    return rows(texts("cell", *names), found)


def imported(comparison: Comparison) -> Rows:
    """Return one row a figure of another tool; never ranked, so there is no place."""
    columns = texts("measurement", "tool", "version", "label", "figure", "title")
    found = (
        (
            *(one.id, one.tool, one.version, one.label, figure.id, figure.title),
            *number(figure.value, f"{one.id}#{figure.id}"),
            *(figure.as_ours, figure.definition),
        )
        for one in comparison.imported
        for figure in one.figures
    )
    return rows({**columns, **VALUE, "as_ours": bool, "definition": str}, found)


def missing(comparison: Comparison) -> Rows:
    """Return one row for what was planned or expected and is not here."""
    names = ("what", "reason", "detail", "fix")
    found = (tuple(getattr(one, name) for name in names) for one in comparison.missing)
    return rows(texts(*names), found)


def files(comparison: Comparison) -> Rows:
    """Return one row a file of raw data beside the report."""
    columns = {**texts("name", "sha256"), "bytes": int, "rows": int, "holds": str}
    found = ((one.name, one.sha256, one.bytes, one.rows, one.holds) for one in comparison.files)
    return rows(columns, found)
