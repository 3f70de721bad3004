"""What is said of results against a baseline, the same in every output: plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.language import later, tr, trs
from inferometer.numbers import number, percent, times, with_interval
from inferometer.reasons import reason_words
from inferometer_reports.view import unit_name
from inferometer_reports.words import Statement, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison.versus import Different, Gate, Judged, Line, Versus

HEADLINE = (
    *("output_tok_s", "energy_j_per_output_token", "bill_usd_per_mtok_output"),
    *("ttft_p50_ms", "tpot_p50_ms"),
)
"""Metrics with a table of their own; ``--json`` has all of them."""
SIMULATED = later(
    "SIMULATED: on some side no engine was run. These numbers say nothing about engines."
)
MOST = 8
"""Sentences of one kind; where there are more, they are counted."""
REST = later("Every other metric is in --json.")
BEARING = {
    "everything": later("every number"),
    "energy": later("energy"),
    "cost": later("cost"),
    "goodput": later("goodput"),
    "nothing": later("nothing: it is what is compared"),
}
VERDICTS = {
    "better": later("better"),
    "worse": later("WORSE"),
    "tie": later("equal within 2 %"),
    "undecided": later("undecided"),
    "failed": later("FAILED"),
    "unconfirmed": later("FAILED, not confirmed yet"),
    "not_confirmed": later("passed: worse at first, not when measured again"),
}
OVER = later("{stack} over {other}")
GATES = {
    "passed": (
        later("GATE PASSED:"),
        later("nothing is surely worse than its margin, and everything could be judged."),
    ),
    "failed": (
        later("GATE FAILED:"),
        later("a number is worse than its margin, at first and when measured again."),
    ),
    "unconfirmed": (
        later("GATE UNCONFIRMED:"),
        later(
            "a number is worse than its margin, and nobody has measured again yet: give --confirm."
        ),
    ),
    "inconclusive": (
        later("GATE INCONCLUSIVE:"),
        later("not everything could be judged, and what cannot be judged is no pass."),
    ),
}
GRAVEST = ("failed", "unconfirmed", "not_told", "not_confirmed", "passed")
SHOWN = {
    "better": later("passed: better"),
    "no_worse": later("passed: no worse than the margin"),
    "undecided": later("passed: not shown to be worse"),
}


class Table(NamedTuple):
    """A table of plain text under a title."""

    title: str
    header: list[str]
    rows: list[list[str]]
    widths: tuple[int, ...]
    """Of the columns, in proportion."""
    first: int | None = None
    """Rows that matter most, at the top; None: all alike."""


def title(versus: Versus) -> str:
    """Return the names of the two."""
    if versus.paired:
        return tr("{name}: stacks of one study", name=versus.current.name)
    return tr(
        "{current} against {baseline}", current=versus.current.name, baseline=versus.baseline.name
    )


def statements(versus: Versus) -> list[Statement]:
    """Return what stands above the tables: the gate's outcome, and the two sides."""
    found = list(_of_gate(versus.gate)) if versus.gate else []
    sides = (versus.baseline, versus.current)
    for label, side in zip(trs("Baseline:", "Now:"), sides, strict=True):
        count = plural(side.launches, "launch", "launches")
        failed = tr(", {number} failed", number=side.failed) if side.failed else ""
        text = tr(
            "{name}, {count}{failed}, {day}, plan {plan}.",
            name=side.name,
            count=count,
            failed=failed,
            day=side.created or tr("day not known"),
            plan=side.plan_sha256[:12],
        )
        found.append(Statement(label, text))
    return [*found, _differs(versus)]


def tables(versus: Versus) -> list[Table]:
    """Return every table: of the gate, what differs, and without a gate the headline metrics."""
    found = [_gated(versus.gate)] if versus.gate and versus.gate.lines else []
    if versus.differences:
        found.append(_apart(versus.differences))
    if versus.gate is None:
        found += [_metric(versus, *key) for key in headline(versus)]
    return found


def notes(versus: Versus) -> list[str]:
    """Return how to read it."""
    return [*versus.notes, *([] if versus.gate else [tr(REST)])]


def _of_gate(gate: Gate) -> Iterator[Statement]:
    yield Statement(*trs(*GATES[gate.verdict]))
    seen = [one.detectable_percent for one in gate.lines if one.detectable_percent is not None]
    if seen:
        span = percent(min(seen))
        if len(seen) > 1:
            span = tr("{low} to {high}", low=span, high=percent(max(seen)))
        text = tr("a change for the worse of {span}, four times in five at one look.", span=span)
        yield Statement(tr("Smallest change it could have shown:"), text)
    yield from _some(tr("NOT JUDGED:"), gate.refusals)
    yield from _some(tr("Left out:"), gate.left_out)
    if gate.confirming is not None:
        side = gate.confirming
        count = plural(side.launches, "launch", "launches")
        yield Statement(tr("Confirming launches:"), f"{side.name}, {count}, {side.created}.")


def _some(lead: str, texts: Sequence[str]) -> Iterator[Statement]:
    yield from (
        Statement(lead, text if text.endswith("?") else f"{text}.") for text in texts[:MOST]
    )
    if len(texts) > MOST:
        more = len(texts) - MOST
        yield Statement(lead, tr("and {more} more; the JSON has them all.", more=more))


def _differs(versus: Versus) -> Statement:
    lead = tr("What differs:")
    bearing = [one for one in versus.differences if one.bears_on != "nothing" and not one.allowed]
    if not versus.differences:
        return Statement(lead, tr("nothing that is recorded."))
    if not bearing:
        return Statement(lead, tr("only what is compared, or was allowed; see below."))
    listed = "; ".join(f"{one.what} ({_sides(one)})" for one in bearing[:4])
    more = tr("; and {number} more", number=len(bearing) - 4) if len(bearing) > 4 else ""
    held = ", ".join(dict.fromkeys(tr(BEARING[one.bears_on]) for one in bearing))
    text = tr("{listed}{more}. No verdict is given on {held}.", listed=listed, more=more, held=held)
    return Statement(lead, text)


def _sides(one: Different) -> str:
    return tr(
        "{baseline} before, {current} now",
        baseline=one.baseline or tr("not recorded"),
        current=one.current or tr("not recorded"),
    )


def _apart(differences: Sequence[Different]) -> Table:
    rows = [
        [
            one.topic,
            one.what,
            one.baseline or tr("n/a (not recorded)"),
            one.current or tr("n/a (not recorded)"),
            tr("nothing: allowed") if one.allowed else tr(BEARING[one.bears_on]),
        ]
        for one in differences
    ]
    header = trs("Topic", "What", "Baseline", "Now", "Bears on")
    return Table(tr("What differs"), header, rows, (2, 4, 3, 3, 3))


def headline(versus: Versus) -> list[tuple[str, str | None]]:
    """Return the metrics (and meters) with a table of their own that have a line."""
    seen = dict.fromkeys((line.metric, line.meter) for line in versus.lines)
    return [key for metric in HEADLINE for key in seen if key[0] == metric]


def _metric(versus: Versus, metric: str, meter: str | None) -> Table:
    rows = [
        [
            place(line),
            with_interval(line.baseline),
            with_interval(line.current),
            times(line.ratio),
            verdict(line),
        ]
        for line in versus.lines
        if (line.metric, line.meter) == (metric, meter)
    ]
    header = trs("Where", "Baseline", "Now", "Ratio", "Verdict")
    return Table(_named(versus, metric, meter), header, rows, (4, 3, 3, 4, 3))


def _named(versus: Versus, metric: str, meter: str | None) -> str:
    info = next((one for one in versus.metrics if one.id == metric), None)
    words = [unit_name(info.unit)] if info else []
    words += [meter] if meter else []
    words += [tr(f"{info.direction} is better")] if info else []
    return f"{tr(info.title) if info else metric} ({', '.join(words)})"


def _gated(gate: Gate) -> Table:
    rows = [
        [
            f"{_key(one)}: {place(one.line)}",
            times(one.line.ratio),
            percent(one.margin_percent),
            tr("n/a (no interval)")
            if one.detectable_percent is None
            else percent(one.detectable_percent),
            outcome(one),
        ]
        for one in sorted(gate.lines, key=lambda one: GRAVEST.index(one.verdict))
    ]
    header = trs("What", "Ratio, now over baseline", "Margin", "Could have shown", "Outcome")
    first = sum(one.verdict != "passed" for one in gate.lines)
    return Table(tr("The gate"), header, rows, (5, 4, 2, 2, 5), first)


def _key(one: Judged) -> str:
    return f"{one.line.metric}@{one.line.meter}" if one.line.meter else one.line.metric


def outcome(one: Judged) -> str:
    """Return what became of a line at the gate."""
    known = SHOWN[one.shown] if one.verdict == "passed" else VERDICTS.get(one.verdict)
    if known is not None:
        words = tr(known)
    elif one.line.reason is None:
        words = tr("not judged: worse at first, and the confirming launches cannot tell")
    else:
        words = tr("not judged ({why})", why=reason_words(one.line.reason))
    if one.confirming is None:
        return words
    ratio = times(one.confirming.ratio)
    return tr("{words}; measured again {ratio}", words=words, ratio=ratio)


def place(line: Line) -> str:
    """Return where a line stands."""
    return f"{stacks(line)}, {line.model}, {line.workload}, {line.load}"


def stacks(line: Line) -> str:
    """Return whose number it is; of two stacks, whose over whose."""
    other = line.baseline_stack
    return line.stack if other == line.stack else tr(OVER, stack=line.stack, other=other)


def verdict(line: Line) -> str:
    """Return the verdict on a line, or why there is none; what could have been seen where open."""
    if line.verdict == "not_judged":
        return tr("not judged ({why})", why=reason_words(line.reason))
    words = tr(VERDICTS[line.verdict])
    if line.verdict == "undecided" and line.detectable_percent is not None:
        seen = number(line.detectable_percent, figures=2)
        return tr("{words} (would have seen {seen} %)", words=words, seen=seen)
    return words
