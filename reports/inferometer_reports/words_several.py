"""What is said of several results directories, the same in every output: plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import number, with_interval
from inferometer.reasons import reason_words
from inferometer_reports.phrases import Statement, count, plural
from inferometer_reports.verdicts import span
from inferometer_reports.view import ARCHITECTURE_WORDS, View
from inferometer_reports.words import banner

if TYPE_CHECKING:
    from inferometer.comparison.several import Figure, Group, Line, Part, Several, SideBySide

SCOPE = later("Places are those within a column; nothing is ranked across columns.")


def head(several: Several) -> list[Statement]:
    """Return how many directories and groups there are, why they are apart, what is left out."""
    read = sum(len(group.parts) for group in several.groups)
    groups = plural(len(several.groups), "group")
    size = tr(
        "{read} in {groups}.",
        read=plural(read, "results directory", "results directories"),
        groups=groups,
    )
    found = [
        Statement(tr("{count} GIVEN:", count=count(read + len(several.left_out)).upper()), size)
    ]
    found += [Statement(tr("Apart:"), text) for text in several.why]
    found += [
        Statement(tr("LEFT OUT:"), f"{item.what}: {item.detail.rstrip('. ')}. {item.fix}".rstrip())
        for item in several.left_out
    ]
    return found


def simulated(several: Several) -> str | None:
    """Return the warning over everything when anything in any group was simulated."""
    found = (banner(View(group.comparison)) for group in several.groups)
    return next((text for text in found if text), None)


def pooled(group: Group) -> list[str]:
    """Return how a group was made, sentence by sentence; none of one directory."""
    if len(group.parts) < 2:
        return []
    rounds = "; ".join(
        tr("{name} has {rounds}", name=part.name, rounds=_rounds(part)) for part in group.parts
    )
    agree = []
    if group.agreement is not None:
        p = number(group.agreement, figures=2)
        agree = [tr("Nothing shows that the ratios of stacks differ between them (p = {p}).", p=p)]
    host = tr("The host named under Provenance is that of {name}.", name=group.parts[0].name)
    return [tr("Pooled: {rounds}.", rounds=rounds), *agree, *group.remarks, host]


def _rounds(part: Part) -> str:
    last = part.first_round + part.rounds - 1
    spanned = span(part.first_round, last)
    return tr("rounds {span}" if part.rounds > 1 else "round {span}", span=spanned)


def machine(part: Part) -> str:
    """Return the machine of a directory in a few words."""
    gpus = part.host.get("gpus")
    listed = [str(gpu) for gpu in gpus] if isinstance(gpus, list) else []
    models = [f"{listed.count(gpu)} x {gpu}" for gpu in dict.fromkeys(listed)]
    words = [*models, str(part.host.get("cpu_model") or tr("processor not known"))]
    return ", ".join(words)


def title(several: Several, table: SideBySide) -> str:
    """Return a table's question and metric: ``Throughput, dense: Output throughput (tok/s)``."""
    views = [View(group.comparison) for group in several.groups]
    known = [view for view in views if view.metric(table.metric) is not None]
    metric = known[0].metric_title(table.metric) if known else table.metric
    profiles = {one.profile for one in several.tables} | {
        one.profile for group in several.groups for one in group.tables
    }
    profile = tr(", profile {profile}", profile=table.profile) if len(profiles) > 1 else ""
    made_up = tr(", simulated") if table.simulated else ""
    subject = f"{tr(table.objective).capitalize()}, {ARCHITECTURE_WORDS[table.architecture]}"
    return f"{subject}{profile}{made_up}: {metric}"


def place(line: Line) -> str:
    """Return the operating point of a line."""
    return f"{line.model}, {line.workload}, {line.load}"


def cell(figure: Figure | None) -> str:
    """Return ``1020 (1010 to 1030), place 1 of 2``, or why there is none."""
    if figure is None:
        return tr("n/a (not compared here)")
    by = tr(" by {meter}", meter=figure.meter) if figure.meter else ""
    seen = f"{with_interval(figure.value)}{by}"
    if figure.place_low is None or figure.place_high is None:
        return seen if figure.value.value is None else f"{seen}, {_no_place(figure)}"
    one = figure.place_low == figure.place_high
    return tr(
        "{seen}, place {span} of {ranked}" if one else "{seen}, places {span} of {ranked}",
        seen=seen,
        span=span(figure.place_low, figure.place_high),
        ranked=figure.ranked,
    )


def _no_place(figure: Figure) -> str:
    return tr("not ranked: {why}", why=reason_words(figure.reason))
