"""MoE over dense on each stack, and what is equal between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import stats
from inferometer.cells import cell_id, values
from inferometer.comparison import MoeRatio, Value, worst_kind
from inferometer.contests import METRIC, other_boundary, subjects, tells, why_invalid
from inferometer.parity import figures
from inferometer.parity import name as cell_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from inferometer.cells import Evidence
    from inferometer.comparison import Cell, Model, Parity


def build_moe_ratios(
    evidence: Evidence, models: Sequence[Model], cells: Sequence[Cell], parity: Sequence[Parity]
) -> list[MoeRatio]:
    """Return MoE over dense on each stack, for tok/s, J/token of each meter and $/Mtok.

    There is none of a twin that does not answer as its dense model: the stack serves another
    function for one of them.
    """
    by_id = {cell.id: cell for cell in cells}
    groups = evidence.points.partition_by("stack", "model", "load_point", as_dict=True)
    asked = [(o, m, follows) for o, m, _, follows in subjects(evidence) if o != "energy" or m]
    return [
        MoeRatio(
            stack=stack,
            dense=dense.name,
            moe=moe.name,
            match=match_words(
                dense,
                moe,
                *[by_id[cell_id(stack, model.name, point)].precision for model in (dense, moe)],
            ),
            metric=METRIC[objective],
            meter=meter,
            workload=point.workload.name,
            load=point.label,
            ratio=_ratio(
                both,
                [groups.get((stack, model.name, point.index)) for model in (moe, dense)],
                METRIC[objective],
                meter,
                _unlike(parity, stack, dense, moe)
                or _incomparable(evidence, both, meter, point.index),
            ),
        )
        for dense, moe in pairs(models)
        for point in evidence.load_points
        for stack in evidence.stacks
        for objective, meter, follows in asked
        if tells(point, objective, follows)
        for both in [[by_id[cell_id(stack, model.name, point)] for model in (moe, dense)]]
    ]


def pairs(models: Sequence[Model]) -> list[tuple[Model, Model]]:
    """Return (dense, MoE): a twin with its own dense model, any other MoE with every dense one."""
    dense = [model for model in models if model.architecture == "dense"]
    return [
        (left, right)
        for right in models
        if right.architecture == "moe"
        for left in dense
        if right.twin_of in {None, left.name}
    ]


def match_words(
    dense: Model, moe: Model, dense_precision: str = "", moe_precision: str = ""
) -> str:
    """Say what is equal between the two models of a pair, each served in some precision."""
    if moe.twin_of == dense.name:
        words = "the same function: equal quality by construction (upcycled twin)"
        if moe.routing == "synthetic":
            words += "; the routing is synthetic, so this is MoE overhead, not a trained MoE"
    else:
        words = (
            f"nothing matched, quality differs: {_count(moe.active_parameters)} active of "
            f"{_count(moe.total_parameters)} parameters against {_count(dense.total_parameters)}"
        )
    if dense_precision and moe_precision and dense_precision != moe_precision:
        words += f"; NOT the precision: {moe_precision} over {dense_precision}"
    return words


def _count(parameters: int | None) -> str:
    return "unknown" if parameters is None else f"{parameters:,}"


def _unlike(
    parity: Sequence[Parity], stack: str, dense: Model, moe: Model
) -> tuple[str, str] | None:
    """Return reason and detail where a twin and its dense model do not answer alike."""
    both = {cell_name((stack, model.name)) for model in (dense, moe)}
    failed = [pair for pair in parity if {pair.left, pair.right} == both and pair.verdict == "fail"]
    if moe.twin_of != dense.name or not failed:
        return None
    return "parity_failed", f"the twin does not answer as its dense model: {figures(failed[0])}"


def _incomparable(
    evidence: Evidence, cells: Sequence[Cell], meter: str | None, load_point: int
) -> tuple[str, str] | None:
    """Return reason and words where two cells of one stack cannot be divided."""
    windows = evidence.tables.windows.select("stack", "model", "round", "load_point", "work_sha256")
    models = {cell.model for cell in cells}
    seen: dict[int, set[str]] = {}
    for stack, model, round_, point, work in windows.iter_rows():
        if stack == cells[0].stack and model in models and point == load_point:
            seen.setdefault(round_, set()).add(work)
    if any(len(works) > 1 for works in seen.values()):
        return "unequal_work", "the models got different prompts"
    elsewhere = [other_boundary(evidence, cell.launches, meter) for cell in cells] if meter else []
    return next((("other_boundary", words) for words in elsewhere if words), None)


def _ratio(
    cells: Sequence[Cell],
    rows: Sequence[pl.DataFrame | None],
    metric: str,
    meter: str | None,
    incomparable: tuple[str, str] | None,
) -> Value:
    found = [values(frame, metric, meter) for frame in rows if frame is not None]
    kind = worst_kind(["derived", *(part.kind for part in found)])
    for cell in cells:
        value = cell.values[f"{metric}@{meter}" if meter else metric]
        if value.reason is not None:
            words = f"{cell.model}: {value.detail}"
            return Value(value=None, unit="ratio", kind=kind, reason=value.reason, detail=words)
        failed = [check for check in cell.checks if check.verdict == "fail"]
        if failed:
            reason, words = why_invalid(failed)
            words = f"{cell.model}: {words}"
            return Value(value=None, unit="ratio", kind=kind, reason=reason, detail=words)
    if incomparable is not None:
        reason, words = incomparable
        return Value(value=None, unit="ratio", kind=kind, reason=reason, detail=words)
    ratio = stats.paired_ratio(found[0].by_round, found[1].by_round)
    if ratio is None:
        words = "no round has both models"
        return Value(value=None, unit="ratio", kind=kind, reason="too_few_samples", detail=words)
    return Value(
        value=ratio.value, unit="ratio", kind=kind, n=ratio.n, low=ratio.low, high=ratio.high
    )
