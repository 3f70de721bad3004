"""The tables on dense against mixture-of-experts and on the roofline, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from inferometer.language import later, tr, trs
from inferometer.numbers import number, point, with_interval
from inferometer.reasons import listing, reason_words
from inferometer_reports import moe_words as words
from inferometer_reports.view import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Hardware, Knobs, Match, ModelPair, MoeRatio, Roofline, Value
    from inferometer_reports.view import View

UNKNOWN = later("n/a (not known)")
NOT_RUN = later("n/a (not run)")
LONG = 12
"""Rows past which a table of load points is folded."""
TOUCHED = later(
    "Experts touched: of each MoE layer, E(1 - (1 - k/E)^B) for E experts, k of them for a "
    "token, and B tokens in a step, as even routing would have it; seen, where the engine "
    "exposes its routing. Of the roofline: the time that memory (or arithmetic) would need at "
    "its peak for the bytes (or FLOPs) of a decode step, over the time a step took. A step's "
    "bytes are a lower bound, so the share is one too."
)


class Table(NamedTuple):
    """A table of plain text. A folded one stands behind its title."""

    title: str
    header: list[str]
    rows: list[list[str]]
    about: str = ""
    folded: bool = False
    notes: tuple[str, ...] = ()


def tables(view: View) -> list[Table]:
    """Return the tables that have rows, the important ones first."""
    found = [
        by_match(view),
        what_is_matched(view),
        rooflines(view),
        hardware(view),
        knobs(view),
        interactions(view),
        order(view),
        dependences(view),
        ratios(view),
        steps(view),
    ]
    return [table for table in found if table.rows]


def _pairs(view: View) -> list[ModelPair]:
    found = view.comparison.architectures
    return found.pairs if found else []


def _metric(view: View, metric: str, meter: str | None) -> str:
    return view.metric_title(key_of(metric, meter), unit=False)


def _told(answer: bool | None, absent: str) -> str:
    """Return yes, no, or the word where there is no answer."""
    return tr(absent if answer is None else later("yes") if answer else later("no"))


def by_match(view: View) -> Table:
    """Return the ratio of every pair at each operating point, stack by stack."""
    rows = []
    for pair in _pairs(view):
        held = [tr(words.MATCHES[match.kind]) for match in pair.matches if match.holds]
        rows += _operating_points(view, pair, listing(held) or tr("nothing"))
    names = [f"{name[:1].upper()}{name[1:]}" for name in map(tr, words.POINTS.values())]
    header = [tr("Matched by"), tr("MoE / dense"), tr("Metric"), tr("Stack"), *names]
    return Table(tr("MoE over dense, by match"), header, rows)


def _operating_points(view: View, pair: ModelPair, match: str) -> list[list[str]]:
    own = words.of_pair(view, pair)
    rows = []
    for metric, meter in words.subjects(view):
        for stack in dict.fromkeys(one.stack for one in own):
            of = [
                one for one in own if (one.stack, one.metric, one.meter) == (stack, metric, meter)
            ]
            if not of:
                continue
            points = [_cell([one for one in of if one.at == at]) for at in words.POINTS]
            models = f"{pair.moe} / {pair.dense}"
            rows.append([match, models, _metric(view, metric, meter), view.label(stack), *points])
    return rows


def _cell(ratios: Sequence[MoeRatio]) -> str:
    if not ratios:
        return tr("n/a (not compared)")
    where = ratios[0].load if len(ratios) == 1 else ""
    text = words.spread(ratios)
    return f"{text}; {where}" if where and ratios[0].at != "best" else text + _best(ratios[0])


def _best(ratio: MoeRatio) -> str:
    """Return at which load points the two are at their best, and which could not be looked at."""
    if ratio.at != "best" or not ratio.moe_load:
        return ""
    without = f"; {ratio.ratio.detail}" if ratio.ratio.detail else ""
    moe, dense = ratio.moe_load, ratio.dense_load
    return tr("; MoE at {moe}, dense at {dense}{without}", moe=moe, dense=dense, without=without)


def what_is_matched(view: View) -> Table:
    """Return every match of every pair: whether it holds, and by how much the two differ."""
    rows = [
        [
            f"{pair.moe} / {pair.dense}",
            tr(words.MATCHES[match.kind]),
            _told(match.holds, later("not known")),
            *(_amount(match, amount) for amount in (match.moe, match.dense)),
            match.detail,
        ]
        for pair in _pairs(view)
        for match in pair.matches
    ]
    header = trs("MoE / dense", "Match", "Holds", "MoE", "Dense", "In words")
    return Table(tr("What is matched"), header, rows)


def _amount(match: Match, amount: float | None) -> str:
    if amount is None:
        return tr("equal") if match.holds else tr(UNKNOWN)
    if match.unit == "parameters":
        return tr("{amount} billion", amount=number(amount / 1e9))
    if match.unit == "bytes":
        return f"{number(amount / 1e9)} GB"
    return f"{number(amount)} {match.unit}"


def ratios(view: View) -> Table:
    """Return every ratio: per stack, metric and operating point."""
    rows = [
        [
            view.label(one.stack),
            _metric(view, one.metric, one.meter),
            with_interval(one.ratio),
            tr(words.SIDES[one.better]),
            str(one.ratio.n),
            tr(one.ratio.kind),
            f"{one.moe} / {one.dense}",
            f"{one.workload}, {words.where(one)}{_best(one)}",
            one.match,
        ]
        for one in view.comparison.moe_ratios
    ]
    header = trs("Stack", "Metric", "MoE / dense", "Verdict", "n", "Kind", "Models")
    header += trs("Operating point", "What is equal")
    return Table(tr("Every ratio of MoE to dense"), header, rows, folded=True)


def interactions(view: View) -> Table:
    """Return the ratio of two stacks' gains, and who surely gains more."""
    found = view.comparison.architectures
    rows = [
        [
            f"{view.label(one.stack)} / {view.label(one.other)}",
            _metric(view, one.metric, one.meter),
            f"{one.moe} / {one.dense}",
            f"{one.workload}, {words.where(one)}",
            with_interval(one.ratio),
            str(one.ratio.n),
            tr(one.ratio.kind),
            view.label(one.gains_more) if one.gains_more else tr("neither surely"),
        ]
        for one in (found.interactions if found else [])
    ]
    header = trs("Stacks", "Metric", "MoE / dense", "Operating point", "Gain over gain")
    header += trs("n", "Kind", "Gains more")
    return Table(tr("Does one stack gain more than another?"), header, rows, folded=True)


def order(view: View) -> Table:
    """Return two stacks' order on the dense and on the MoE model."""
    found = view.comparison.architectures
    rows = [
        [
            f"{view.label(one.stack)} / {view.label(one.other)}",
            _metric(view, one.metric, one.meter),
            f"{one.workload}, {words.where(one)}",
            f"{one.dense}: {with_interval(one.dense_ratio)}",
            f"{one.moe}: {with_interval(one.moe_ratio)}",
            _told(one.changed, later("undecided")),
        ]
        for one in (found.order_changes if found else [])
    ]
    header = trs("Stacks", "Metric", "Operating point", "On dense", "On MoE", "Order changes")
    return Table(tr("Does the order of stacks change?"), header, rows, folded=True)


def dependences(view: View) -> Table:
    """Return whether each stack's answer depends on the match, with every finding."""
    found = view.comparison.architectures
    rows = [
        [
            view.label(one.stack),
            one.moe,
            _metric(view, one.metric, one.meter),
            one.workload,
            words.dependence(view, one),
            "; ".join(f"{tr(words.SIDES[it.better])} {words.finding(it)}" for it in one.findings)
            or tr("none"),
        ]
        for one in (found.dependences if found else [])
    ]
    header = trs("Stack", "MoE", "Metric", "Workload", "Answer", "Findings")
    return Table(tr("Does the answer depend on the match?"), header, rows, folded=True)


def knobs(view: View) -> Table:
    """Return how each stack ran each model, with its gain above: a column for each model."""
    found = view.comparison.architectures
    ran = {(one.stack, one.model): one for one in (found.knobs if found else [])}
    models = list(dict.fromkeys(model for _, model in ran))
    rows = []
    for stack in dict.fromkeys(stack for stack, _ in ran):
        own = [ran.get((stack, model)) for model in models]
        label = view.label(stack)
        names = dict.fromkeys(name for one in own if one for name in one.settings)
        rows.append([label, tr("MoE / dense at equal load"), *(_gain(view, one) for one in own)])
        rows.append([label, tr("requests running"), *(_running(view, one) for one in own)])
        for name in names:
            told = [one.settings.get(name, tr(UNKNOWN)) if one else tr(NOT_RUN) for one in own]
            rows.append([label, name, *told])
    header = [*trs("Stack", "Setting"), *models]
    return Table(tr("Settings beside the gain"), header, rows, folded=True)


def _running(view: View, one: Knobs | None) -> str:
    """Return the mean requests running by load, as the server told them all along, or once."""
    if one is None:
        return tr(NOT_RUN)
    steady = {
        f"{it.workload}, {it.load}": it.batch.value
        for it in view.comparison.rooflines
        if (it.stack, it.model) == (one.stack, one.model)
        and it.batch_source == "server"
        and it.batch.value is not None
    }
    told = steady or one.running
    words = ", ".join(f"{load}: {number(mean)}" for load, mean in told.items())
    once = "" if steady else tr(" (one look a launch)")
    return f"{words}{once}" if words else tr("n/a (the engine does not say)")


def _gain(view: View, one: Knobs | None) -> str:
    """Return the gain of the first metric over every dense model."""
    if one is None:
        return tr(NOT_RUN)
    subject = words.subjects(view)[:1]
    own = [
        ratio
        for ratio in view.comparison.moe_ratios
        if (ratio.stack, ratio.moe, ratio.at) == (one.stack, one.model, "load")
        and (ratio.metric, ratio.meter) in subject
    ]
    if not own:
        dense = _is_dense(view, one.model)
        return tr("n/a (the dense model)") if dense else tr("n/a (not compared)")
    parts = [
        words.spread(
            [ratio for ratio in own if ratio.dense == name], tr(" over {dense}", dense=name)
        )
        for name in dict.fromkeys(ratio.dense for ratio in own)
    ]
    return f"{_metric(view, own[0].metric, own[0].meter)}: {'; '.join(parts)}"


def _is_dense(view: View, name: str) -> bool:
    return any(it.name == name and it.architecture == "dense" for it in view.comparison.models)


def rooflines(view: View) -> Table:
    """Return experts touched and the share of the roofline, by load."""
    rows = [
        [
            view.label(one.stack),
            one.model,
            f"{one.workload}, {one.load}",
            f"{point(one.batch)} ({one.batch_source})",
            _touched(one, one.experts_touched),
            _touched(one, one.experts_seen),
            _share(one.achieved),
            tr(one.bound or UNKNOWN),
        ]
        for one in view.comparison.rooflines
    ]
    header = trs("Stack", "Model", "Load point", "Batch (told by)", "Experts touched", "Seen")
    header += trs("Of the roofline", "Bound by")
    long = len(rows) > LONG
    title, notes = tr("Experts touched and share of the roofline"), _details(view)
    return Table(title, header, rows, tr(TOUCHED), folded=long, notes=notes)


def _details(view: View) -> tuple[str, ...]:
    """Return what must be known of the shares, each remark once, with those it is of."""
    found: dict[str, list[str]] = {}
    for one in view.comparison.rooflines:
        if one.achieved.detail:
            who = tr("{stack} on {model}", stack=view.label(one.stack), model=one.model)
            found.setdefault(one.achieved.detail, []).append(who)
    return tuple(f"{listing(dict.fromkeys(who))}: {text}" for text, who in found.items())


def _touched(one: Roofline, value: Value) -> str:
    if one.experts is None:
        return tr("n/a (no experts)")
    return (
        tr("{value} of {experts}", value=with_interval(value), experts=one.experts)
        if value.value is not None
        else point(value)
    )


def _share(value: Value) -> str:
    """Return a share as a percentage, with its interval."""
    return point(value) if value.value is None else f"{with_interval(scaled(value, 100))} %"


def scaled(value: Value, factor: float) -> Value:
    """Return a value and its interval in another unit, times ``factor``."""
    number, low, high = (
        None if part is None else part * factor for part in (value.value, value.low, value.high)
    )
    return structs.replace(value, value=number, low=low, high=high)


def steps(view: View) -> Table:
    """Return what a decode step of every cell moved and computed, and against which hardware."""
    rows = [
        [
            view.label(one.stack),
            one.model,
            f"{one.workload}, {one.load}",
            point(one.context),
            *(
                point(scaled(value, 1e-9))
                for value in (one.weight_bytes, one.cache_bytes, one.flops)
            ),
            with_interval(one.step_ms),
            _share(one.bandwidth_share),
            _share(one.compute_share),
            point(one.ceiling_tok_s),
            one.hardware,
        ]
        for one in view.comparison.rooflines
    ]
    header = trs("Stack", "Model", "Load point", "Context (tokens)", "Weights (GB)", "Cache (GB)")
    header += trs(
        "GFLOP", "Step (ms)", "Of bandwidth", "Of arithmetic", "Ceiling (tok/s)", "Hardware"
    )
    return Table(tr("Bytes, FLOPs and time of a decode step"), header, rows, folded=True)


def hardware(view: View) -> Table:
    """Return the peaks that the roofline is made of, with where they are from."""
    rows = [_peaks(one) for one in view.comparison.hardware]
    header = trs("Hardware", "Bandwidth (GB/s)", "TFLOP/s by precision", "Memory (GB)", "TDP (W)")
    return Table(tr("What the hardware can do"), [*header, *trs("Kind", "Source", "Seen")], rows)


def _peaks(one: Hardware) -> list[str]:
    flops = listing(f"{name} {number(peak / 1e12)}" for name, peak in sorted(one.flops.items()))
    return [
        f"{one.count} x {one.name}",
        number(one.bytes_s / 1e9),
        flops or tr(UNKNOWN),
        tr(UNKNOWN) if one.memory_bytes is None else number(one.memory_bytes / 1e9),
        tr(UNKNOWN) if one.tdp_w is None else number(one.tdp_w),
        tr(one.kind),
        one.source,
        one.seen,
    ]


def kept_out(view: View) -> list[str]:
    """Return the models that take no part, and why."""
    found = view.comparison.architectures
    return [
        f"{one.model}: {reason_words(one.reason)}" + (f" ({one.detail})" if one.detail else "")
        for one in (found.kept_out if found else [])
    ]
