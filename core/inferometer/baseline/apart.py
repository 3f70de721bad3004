"""In what two results directories differ, and which numbers that keeps from being compared."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any, get_args

from inferometer import redact, single_machine
from inferometer.cells import served
from inferometer.comparison.versus import Different, Topic
from inferometer.errors import UsageError
from inferometer.metrics.catalogue import BY_ID
from inferometer.parities import said_of
from inferometer.parity import Said, compare, figures
from inferometer.provenance import MACHINE
from inferometer.several import manifest
from inferometer.several.manifest import SAME_HOST
from inferometer.tables import is_simulated, model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.baseline.sides import Body
    from inferometer.comparison.versus import Bearing

Pairs = dict[str, str]
"""Stack of the current side -> stack of the baseline."""
BEARING: dict[Topic, Bearing] = {
    "meters": "energy",
    "price": "cost",
    "slo": "goodput",
    "software": "nothing",
}
"""Other topics bear on everything."""
NEVER: frozenset[Topic] = frozenset({"kind", "software"})
"""What nobody can allow: made-up numbers beside measured ones; or need not."""
OTHER_CLOCK = 0.05
"""As among the launches of one study (:mod:`inferometer.energy.conditions`)."""
_OF_MACHINE: dict[str, Topic] = {
    "accelerator driver": "driver",
    "operating system": "system",
    "clock governor": "clocks",
}
_EXACT: dict[str, Topic | None] = {
    **{name: _OF_MACHINE.get(name, "hardware") for name in MACHINE},
    SAME_HOST: "hardware",
    "metered accelerators": "hardware",
    "inferometer": "instrument",
    "workloads, in order": "prompts",
    "loads": "protocol",
    "tuning": "software",
    "energy": "meters",
    "slo": "slo",
    "price": "price",
    "looks": None,
}
"""Names of :func:`inferometer.several.manifest.keys`; None shapes no number of a pair."""
_BEGINS: dict[str, Topic | None] = {
    "content of ": "prompts",
    "workload ": "prompts",
    "protocol.": "protocol",
    "meter ": "meters",
    "options of meter ": "meters",
    "model ": "model",
    "quality of ": None,
    "weights of ": None,  # told by stack: see _weights
}
"""The rest is of the engines: environments, settings and what they resolved."""


def allowed(names: Sequence[str]) -> frozenset[str]:
    """Return the topics that somebody allows to differ.

    Raises:
        UsageError: there is no such topic, or it is none to allow.
    """
    known = sorted(set(get_args(Topic)) - NEVER)
    for name in names:
        if name not in known:
            raise UsageError.unknown("difference to allow", name, known, place="--allow")
    return frozenset(names)


def differences(
    baseline: Body, current: Body, pairs: Pairs, allow: frozenset[str] = frozenset()
) -> list[Different]:
    """Return everything in which the two differ, what bears on most numbers first.

    Only what both have is asked: a stack, a model or a meter of one side alone has no number on the
    other.
    """
    found = [
        Different(
            topic=topic,
            what=what,
            baseline=words[0],
            current=words[1],
            bears_on=BEARING.get(topic, "everything"),
            allowed=topic in allow,
        )
        for topic, what, *words in [
            *_of_manifest(baseline, current, pairs),
            *_boards(baseline, current),
            *_weights(baseline, current, pairs),
            *_answers(baseline, current, pairs),
            *_kinds(baseline, current, pairs),
            *_prompts(baseline, current, pairs),
            *_clocks(baseline, current, pairs),
        ]
    ]
    order = get_args(Topic)
    return sorted(found, key=lambda one: order.index(one.topic))


def blocking(found: Sequence[Different], metric: str) -> list[Different]:
    """Return the differences that keep ``metric`` from being compared."""
    return [one for one in found if not one.allowed and bears(one.bears_on, metric)]


def bears(on: Bearing, metric: str) -> bool:
    """Say whether a difference that bears on ``on`` bears on ``metric``."""
    match on:
        case "everything":
            return True
        case "energy":
            return metric in BY_ID and BY_ID[metric].grain == "meter"
        case "cost":
            return "usd" in metric
        case "goodput":
            return "good" in metric or metric.startswith("slo")
    return False


def topic_of(name: str) -> Topic | None:
    """Return the topic of a key of :func:`inferometer.several.manifest.keys`."""
    if name in _EXACT:
        return _EXACT[name]
    for begin, topic in _BEGINS.items():
        if name.startswith(begin):
            return topic
    return "software"


def _of_manifest(
    baseline: Body, current: Body, pairs: Pairs
) -> Iterator[tuple[Topic, str, str, str]]:
    theirs, other = (manifest.keys(body.head, price=True) for body in (baseline, current))
    one = {name: theirs[old] for name in other if (old := _theirs(name, pairs)) in theirs}
    names = [name for name in one if one[name].compared != other[name].compared]
    if any(name in MACHINE for name in names):
        names = [name for name in names if name != SAME_HOST]
    for name in names:
        topic = topic_of(name)
        if topic is None:
            continue
        before, now = one[name], other[name]
        words = (before.words, now.words)
        said = words if words[0] != words[1] else _fields(before.compared, now.compared)
        yield topic, name, *said


def _theirs(name: str, pairs: Pairs) -> str:
    """Return the baseline's name of a key: of the stack that another is compared with."""
    for new, old in pairs.items():
        if name in {f"environment of {new}", f"engine {new}"}:
            return f"{name.removesuffix(new)}{old}"
        if f" of {new} on " in name:
            return name.replace(f" of {new} on ", f" of {old} on ")
    return name


def _fields(before: str, now: str) -> tuple[str, str]:
    """Return, in words, the fields in which two texts of JSON differ; secrets are hidden."""
    sides = [_by_name(redact.tree(_decoded(text))) for text in (before, now)]
    names = [n for n in {**sides[0], **sides[1]} if sides[0].get(n) != sides[1].get(n)]
    said = [[f"{n} = {side[n]}" if n else side[n] for n in names if n in side] for side in sides]
    return ", ".join(said[0]) or "not set", ", ".join(said[1]) or "not set"


def _by_name(value: Any) -> dict[str, str]:
    """Return the leaves by name; those of several tables with one name stand together."""
    found: dict[str, list[str]] = {}
    for name, text in _leaves(value, ""):
        found.setdefault(name, []).append(text)
    return {name: "; ".join(texts) for name, texts in found.items()}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a name or a hash, as it stands
        return text


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from _leaves(item, name)
    elif isinstance(value, list):
        yield name, " ".join(redact.argv([str(item) for item in value])) or "none"
    else:
        yield name, "not set" if value is None else str(value)


def _boards(baseline: Body, current: Body) -> Iterator[tuple[Topic, str, str, str]]:
    """Yield other accelerators of the same model: chips of one model differ by some per cent."""
    one, other = (single_machine.boards(body.head.records) for body in (baseline, current))
    if one and other and one != other:
        words = [", ".join(sorted(name[:12] for name in names)) for names in (one, other)]
        yield "hardware", "accelerators, by their own numbers", words[0], words[1]


def _weights(baseline: Body, current: Body, pairs: Pairs) -> Iterator[tuple[Topic, str, str, str]]:
    one, other = (_hashes(body) for body in (baseline, current))
    for (stack, model), sha in other.items():
        before = one.get((pairs.get(stack, ""), model))
        if before is not None and before != sha:
            yield "model", f"weights of {model} on {stack}", before[:12], sha[:12]


def _hashes(body: Body) -> Mapping[tuple[str, str], str]:
    return {
        (stack_id(record), model_name(record)): str(record.model.get("sha256") or "")
        for record in body.evidence.records
    }


def _kinds(baseline: Body, current: Body, pairs: Pairs) -> Iterator[tuple[Topic, str, str, str]]:
    one, other = (
        {stack_id(record): is_simulated(record) for record in body.evidence.records}
        for body in (baseline, current)
    )
    words = {True: "made up", False: "run"}
    for stack, made_up in other.items():
        before = one.get(pairs.get(stack, ""))
        if before is not None and before != made_up:
            yield "kind", f"engine of {stack}", words[before], words[made_up]


def _answers(baseline: Body, current: Body, pairs: Pairs) -> Iterator[tuple[Topic, str, str, str]]:
    """Yield the models that a stack no longer answers for as it did: speed at another's answers.

    Judged as between the stacks of one study (:mod:`inferometer.parity`). Where the answers cannot
    be compared, another precision is one difference too many.
    """
    one, other = (said_of(body.head.store) for body in (baseline, current))
    before, now = (_served(body) for body in (baseline, current))
    for (stack, model), precision in now.items():
        old = (pairs.get(stack, ""), model)
        if old not in before:
            continue
        found = compare(
            old, (stack, model), one.get(old, Said()), other.get((stack, model), Said())
        )
        if found.verdict == "fail":
            yield "answers", f"answers of {stack} on {model}", "the reference", figures(found)
        elif found.verdict != "pass" and before[old] != precision:
            what = f"precision of {stack} on {model}, whose answers cannot be compared"
            yield "answers", what, before[old], precision


def _served(body: Body) -> dict[tuple[str, str], str]:
    return {
        (stack_id(record), model_name(record)): served(record) for record in body.evidence.records
    }


def _prompts(baseline: Body, current: Body, pairs: Pairs) -> Iterator[tuple[Topic, str, str, str]]:
    """Yield that other prompts were sent: the hash of all work of a window."""
    one, other = (_works(body) for body in (baseline, current))
    for (stack, *where), work in other.items():
        before = one.get((pairs.get(stack, ""), *where))
        if before is None or before == work:
            continue
        seeds = [body.head.plan.protocol.seed for body in (baseline, current)]
        words = [f"seed {seed}" for seed in seeds]
        if seeds[0] == seeds[1]:
            words = [text[:12] or "no hash" for text in (before, work)]
        yield "prompts", "prompts that were sent, by hash", words[0], words[1]
        return


def _works(body: Body) -> dict[tuple[str, ...], str]:
    return {
        (stack_id(record), model_name(record), f"round {record.round}", one.workload, one.load): (
            one.work_sha256
        )
        for record in body.evidence.records
        for one in record.windows
    }


def _clocks(baseline: Body, current: Body, pairs: Pairs) -> Iterator[tuple[Topic, str, str, str]]:
    """Yield the cell whose accelerators' clocks are furthest apart, where that is too far."""
    one, other = (_medians(body) for body in (baseline, current))
    found = []
    for (stack, *place), clock in other.items():
        before = one.get((pairs.get(stack, ""), *place))
        if before and clock and abs(clock / before - 1) > OTHER_CLOCK:
            found.append((abs(clock / before - 1), stack, place, before, clock))
    if found:
        _, stack, place, before, clock = max(found, key=lambda one: one[0])
        what = f"clock of the accelerators, furthest apart for {stack} on {', '.join(place)}"
        yield "clocks", what, f"{before:.0f} MHz", f"{clock:.0f} MHz"


def _medians(body: Body) -> dict[tuple[str, ...], float]:
    seen: dict[tuple[str, ...], list[float]] = {}
    for record in body.evidence.records:
        for window in record.windows:
            clock = body.clocks.get((record.id, window.load_point))
            if clock is not None:
                key = (stack_id(record), model_name(record), window.workload, window.load)
                seen.setdefault(key, []).append(clock)
    return {key: statistics.median(clocks) for key, clocks in seen.items()}
