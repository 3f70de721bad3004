"""Sentences that only the page has: what stands where a section has no data, and its glossary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import TAGS, with_interval
from inferometer_reports.blocks import Strong
from inferometer_reports.verdicts import point_names
from inferometer_reports.view import ARCHITECTURE_WORDS, ARCHITECTURES, key_of
from inferometer_reports.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Architecture, Objective, Ranking
    from inferometer_reports.view import View

NO_CAPACITY = later("Not searched: the study has no [capacity] table, so no SLO was asked for.")
NO_PRICE = later(
    "No price given. The ratio of prices at which two stacks cost the same needs none; it stands "
    "where the order turns."
)
NO_ENERGY = later("No power sensor: energy not reported.")
NO_OFFERED = later(
    "Latencies are those of closed loops: so many streams, each of which waits for its answer. "
    "No load came at a rate of its own."
)
ONE_ARCHITECTURE = later(
    "Cannot answer: only one architecture was compared; add a MoE or a dense model to the plan."
)
NO_ORDER = later("Cannot answer: the order of no two stacks was compared on both models.")
SCOPES = {
    "L0": later("L0: accelerators alone"),
    "L1": later("L1: with processor and memory"),
    "L2": later("L2: the whole machine"),
    "L3": later("L3: rack"),
    "L4": later("L4: facility"),
}
"""What a meter of each scope sees."""
SCRIPT = {
    "copy": later("copy"),
    "row": later("copy {0} with its result id"),
    "copied": later("copied"),
    "refused": later("not allowed"),
    "result": later("result"),
    "plan": later("plan"),
    "against": later("Against"),
    "baseline": later("no baseline"),
    "brackets": later("In brackets: how far each value is from it; point values, no interval"),
    "only": later("Only rows with"),
    "rows": later("{0} of {1} rows"),
    "hour": later("USD an hour of the machine"),
    "power": later("USD a kWh"),
    "yours": later("USD/Mtok output, yours"),
    "type": later("type a price"),
    "estimated": TAGS["estimated"],
    "light": later("Light page"),
    "dark": later("Dark page"),
}
"""What the script says, by the names that it has for it."""
GLOSSARY = {
    later("stack"): later("engine, version, profile, precision and parallelism: what is ranked"),
    later("cell"): later("a stack with a model, a workload and a load point"),
    later("launch"): later("one lifetime of an engine's server; n counts launches"),
    later("round"): later("one launch of every stack on every model, in random order"),
    later("load point"): later(
        "one offered load: so many streams at once, or so many requests a second"
    ),
    later("window"): later(
        "the steady stretch of a load point in which tokens and joules are counted"
    ),
    later("TTFT"): later("time to first token: first content event minus send"),
    later("TPOT"): later(
        "time per output token: (E2E - TTFT) / (output tokens - 1), of each request"
    ),
    later("interactivity"): later("1 / TPOT: tokens a second for each user"),
    later("goodput"): later("requests that met every SLO, a second"),
    later("SLO"): later("service-level objective: the latency that requests must keep to"),
    later("p50, p90, p99"): later("half, 90 % and 99 % of the requests were no slower than this"),
    later("(1.19 to 1.32)"): later(
        "the 95 % interval over launches: what other launches may well give"
    ),
    later("=1, 1 to 2, ?"): later(
        "a shared place; the places that the data allow; no place: too few launches"
    ),
    later("L0 to L4"): later("what a meter sees. {scopes}"),
    later("measured, derived"): later("read from an instrument; computed from such readings"),
    later("declared, estimated"): later(
        "typed by the user (decl.); a declared value or a model went into it (est.); hollow in "
        "charts"
    ),
    later("interpolated, simulated"): later(
        "read between load points (~); no engine ran (sim.); hollow too"
    ),
    later("n/a"): later("no number, and why; never zero"),
}


def amounts(view: View, objective: Objective) -> str:
    """Return the least and the most that a ranked stack needs a token, by architecture.

    With intervals; of one meter at a time, and simulated amounts only where there is no other.
    Empty where nothing is ranked.
    """
    groups: dict[tuple[Architecture, str], list[Ranking]] = {}
    for architecture in ARCHITECTURES:
        every = [it for it in view.rankings(objective, architecture) if it.entries]
        real = [it for it in every if it.kind != "simulated"]
        for it in real or every:
            groups.setdefault((architecture, key_of(it.metric, it.meter)), []).append(it)
    return " ".join(_amounts(view, *subject, found) for subject, found in groups.items())


def _amounts(view: View, architecture: Architecture, key: str, rankings: Sequence[Ranking]) -> str:
    names = point_names(rankings) or [it.load for it in rankings]
    found = [
        (entry.value.value or 0.0, with_interval(entry.value), view.label(entry.stack), name)
        for it, name in zip(rankings, names, strict=True)
        for entry in it.entries
    ]
    least, most = (
        tr("{amount} by {stack} at {place}", amount=text, stack=stack, place=place)
        for _, text, stack, place in (min(found), max(found))
    )
    if len(found) > 1:
        least = tr("from {least} to {most}", least=least, most=most)
    return tr(
        "{title}, {architecture}: {amounts}.",
        title=view.metric_title(key),
        architecture=ARCHITECTURE_WORDS[architecture],
        amounts=least,
    )


def glossary() -> list[list[str]]:
    """Return each word with its meaning."""
    scopes = "; ".join(map(tr, SCOPES.values()))
    return [
        [Strong(tr(word)), tr(meaning, scopes=scopes) if "{scopes}" in meaning else tr(meaning)]
        for word, meaning in GLOSSARY.items()
    ]


def fairness(view: View) -> str:
    """Return in how many settings the stacks differ, pair by pair."""
    found = view.comparison.differences
    if len(view.comparison.stacks) < 2:
        return tr("One stack: nothing to compare.")
    parts = [
        tr(
            "{left} and {right} on {model}: {settings}",
            left=view.label(one.left),
            right=view.label(one.right),
            model=one.model,
            settings=plural(len(one.settings), "setting"),
        )
        for one in found[:4]
    ]
    more = tr("; and {number} more pairs", number=len(found) - 4) if len(found) > 4 else ""
    return (
        tr("Differing: {parts}{more}.", parts="; ".join(parts), more=more)
        if parts
        else tr("No configurations were compared.")
    )


def method(view: View) -> str:
    """Return which study this is, and what made the report."""
    it = view.comparison
    return tr(
        "Plan {plan}, by inferometer {version}.",
        plan=it.plan_sha256[:12],
        version=it.inferometer_version,
    )


def data(view: View) -> str:
    """Return how many numbers there are."""
    values = [value for cell in view.comparison.cells for value in cell.values.values()]
    absent = sum(value.value is None for value in values)
    cells = plural(len(view.comparison.cells), "cell")
    return tr(
        "{cells} with {number} values, {absent} of them absent with a reason.",
        cells=cells,
        number=len(values),
        absent=absent,
    )
