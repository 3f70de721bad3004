"""The sections that say how: launch commands, differences, definitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inferometer.comparison import OBJECTIVES
from inferometer.language import tr, trs
from inferometer.numbers import number, point, shown
from inferometer.reasons import listing
from inferometer_reports.blocks import (
    Code,
    Fold,
    Heading,
    Mono,
    Strong,
    Table,
    item,
    quoted,
    say,
    tabled,
)
from inferometer_reports.escape import line
from inferometer_reports.sections import again, foreign, nodes, noise
from inferometer_reports.view import ARCHITECTURE_TITLES, ARCHITECTURE_WORDS, leaders, unit_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Architecture, Difference, Model, Ranking, Stack, Start
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View


VARIABLES = "environment variable: "
PACKAGES = "environment: distributions: "
LOCAL = ("python", "sha256")
"""A path of the machine, and a hash of what is told package by package."""
SETTINGS = 20
"""How many variables or packages are named in one line."""
DIFFERENCES = 40
"""How many settings of a pair are in its table."""


def launch(view: View) -> list[Block]:
    """Return how to start every stack that leads or shares a first place."""
    blocks: list[Block] = [
        Heading(2, tr("Launch the winner")),
        say(
            tr("To paste into bash; port 8000 stands for the port that each launch had. "),
            Mono("inferometer launch RESULTS"),
            tr(" prints the same alone, and with the name of a stack any other."),
        ),
    ]
    shown: dict[str, None] = {}
    for architecture in view.architectures:
        blocks.append(Heading(3, ARCHITECTURE_TITLES[architecture]))
        found = _first_places(view, architecture)
        if not found:
            blocks.append(say(tr("No stack was ranked.")))
        for (stack, model), objectives in found.items():
            blocks += _start(view, stack, model, objectives)
            shown[stack] = None
    for one in view.comparison.stacks:
        blocks += _configuration(view, one) if one.id in shown else []
    return blocks


def _first_places(view: View, architecture: Architecture) -> dict[tuple[str, str], list[str]]:
    """Return (stack, model) -> the objectives in which it leads or shares the first place."""
    found: dict[tuple[str, str], list[str]] = {}
    for objective in OBJECTIVES:
        for ranking in view.rankings(objective, architecture):
            for entry in leaders(ranking) if ranking.entries else []:
                said = found.setdefault((entry.stack, ranking.model), [])
                if (words := f"{tr(objective)}{_standing(ranking)}") not in said:
                    said.append(words)
    return found


def _standing(ranking: Ranking) -> str:
    if len(ranking.entries) == 1:
        return tr(" (alone)")
    if ranking.n_rounds < 2:
        return tr(" (one launch, no order)")
    return "" if ranking.separated else tr(" (shared)")


def _start(view: View, stack: str, model: str, objectives: list[str]) -> list[Block]:
    """Return the lines that start one stack, and what is to be known of them."""
    label = line(view.label(stack))
    first = say(
        Strong(label),
        tr(", {model}: first in {objectives}.", model=line(model), objectives=listing(objectives)),
    )
    found = [one for one in view.comparison.starts if (one.stack, one.model) == (stack, model)]
    if not found:
        return [first, say(tr("The launch command was not recorded."))]
    return [first, *(block for one in found for block in _lines(one))]


def _lines(start: Start) -> list[Block]:
    said: list[Block] = [
        item(
            tr(
                "{name} is {what}. The path exists on the machine that measured.",
                name=line(name),
                what=line(what),
            )
        )
        for name, what in start.places.items()
    ]
    if start.files:
        named = line(", ".join(start.files))
        said.append(
            item(tr("Generated configuration, written by these lines: {named}.", named=named))
        )
    said += [
        item(tr("{name} is a secret and not stored: set it before.", name=line(name)))
        for name in start.secrets
    ]
    said += [item(quoted(note)) for note in start.notes]
    return [Code(start.script, "bash"), *said]


def _configuration(view: View, stack: Stack) -> list[Block]:
    label = line(view.label(stack.id))
    if not stack.resolved_configuration:
        return [say(tr("{label} did not report its resolved configuration.", label=label))]
    text = json.dumps(
        stack.resolved_configuration, indent=2, sort_keys=True, ensure_ascii=False, default=str
    )
    return [
        say(tr("{label}, as it resolved its configuration for the first model:", label=label)),
        Fold(tr("Configuration"), [Code(text, "json")]),
    ]


def fairness(view: View) -> list[Block]:
    """Return where the stacks differ: what they are, and their settings pair by pair and model."""
    stacks = view.comparison.stacks
    blocks: list[Block] = [Heading(2, tr("Fairness: what differed between the stacks"))]
    if len(stacks) < 2:
        return [*blocks, say(tr("One stack: nothing to compare."))]
    flat = [_flat_stack(stack) for stack in stacks]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    shared = [key for key in keys if sum(key in one for one in flat) > 1]
    differing = [key for key in shared if len({one.get(key) for one in flat}) > 1]
    packages = [key for key in differing if key.startswith(PACKAGES)]
    rows = [
        [line(key), *(line(one.get(key, tr("not reported"))) or tr("empty") for one in flat)]
        for key in differing
        if key not in packages
    ]
    blocks += tabled([tr("What"), *(line(view.label(stack.id)) for stack in stacks)], rows)
    if packages:
        named = [
            f"{line(key.removeprefix(PACKAGES))} "
            f"({line(', '.join(one.get(key, tr('none')) for one in flat))})"
            for key in packages
        ]
        blocks.append(item(tr("Packages of different versions: "), *_some(named)))
    for stack, one in zip(stacks, flat, strict=True):
        blocks += _own(view, stack, {key: one[key] for key in one if key not in shared})
    for difference in view.comparison.differences:
        blocks += _difference(view, difference)
    return blocks


def _difference(view: View, difference: Difference) -> list[Block]:
    """Return the settings in which two stacks differ on one model."""
    left, right = (line(view.label(one)) for one in (difference.left, difference.right))
    count, equal = len(difference.settings), ", ".join(map(line, difference.equal)) or tr("none")
    blocks: list[Block] = [
        Heading(
            3,
            tr("{left} and {right}, {model}", left=left, right=right, model=line(difference.model)),
        ),
        say(tr("{count} settings differ. Equal: {equal}.", count=count, equal=equal)),
    ]
    shown = difference.settings[:DIFFERENCES]
    rows = [[line(one.name), line(one.left), line(one.right)] for one in shown]
    blocks += tabled([tr("Setting"), left, right], rows)
    if count > len(shown):
        blocks.append(
            say(tr("{count} more in ", count=count - len(shown)), Mono("report.json"), ".")
        )
    if difference.unresolved:
        unknown = ", ".join(map(line, difference.unresolved))
        blocks.append(say(tr("Not known, and of whom: {unknown}.", unknown=unknown)))
    return blocks


def _own(view: View, stack: Stack, settings: Mapping[str, str]) -> list[Block]:
    """Return the variables that only this stack has; its other packages are counted."""
    parts = [
        line(f"{key.removeprefix(VARIABLES)}={text}")
        for key, text in settings.items()
        if key.startswith(VARIABLES)
    ]
    packages = sum(key.startswith(PACKAGES) for key in settings)
    told = _some(parts)
    if packages:
        joint = ", " if parts else ""
        told += [
            tr("{joint}packages: {packages} (in ", joint=joint, packages=packages),
            Mono("report.json"),
            ")",
        ]
    return [item(tr("Only {stack}: ", stack=line(view.label(stack.id))), *told)] if told else []


def _some(parts: list[str]) -> list[str]:
    """Return the first of the parts, and how many more there are."""
    more = len(parts) - SETTINGS
    shown = ", ".join(parts[:SETTINGS])
    if more > 0:
        return [
            tr("{shown} and {more} more (in ", shown=shown, more=more),
            Mono("report.json"),
            ")",
        ]
    return [shown] if shown else []


def _flat_stack(stack: Stack) -> dict[str, str]:
    """Return what a stack is by dotted name; where its interpreter lies is no part of it."""
    named = {
        "engine": stack.engine,
        "version": stack.version,
        "profile": stack.profile,
        "precision": stack.precision,
        "parallelism": stack.parallelism,
        "environment variable": stack.environment_variables,
        "environment": {k: v for k, v in stack.environment.items() if k not in LOCAL},
    }
    return _flat(named)


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, part in value.items():
        name = f"{prefix}{line(key)}"
        if isinstance(part, dict):
            found |= _flat(part, f"{name}: ")
        else:
            found[name] = _scalar(part)
    return found


def _scalar(part: object) -> str:
    if part is None or part == []:
        return tr("unknown") if part is None else tr("none")
    return part if isinstance(part, str) else json.dumps(part, ensure_ascii=False, default=str)


def method(view: View) -> list[Block]:
    """Return what could be seen, the definitions and the models."""
    blocks: list[Block] = [Heading(2, tr("Method")), *foreign.section(view), *again.section(view)]
    blocks += [*nodes.section(view), *noise.section(view)]
    rows = [
        [
            line(tr(metric.title)),
            line(unit_name(metric.unit)),
            tr(f"{metric.direction} is better"),
            quoted(metric.formula),
            line(metric.source) or tr("this project's own"),
            line(metric.id),
        ]
        for metric in view.comparison.metrics
    ]
    blocks.append(Table(trs("Metric", "Unit", "Direction", "Formula", "Source", "Id"), rows))
    rows = [_model_row(model) for model in view.comparison.models]
    header = trs("Model", "Architecture", "Parameters (M)", "Active (M)", "Weights (MB)")
    blocks.append(Table([*header, *trs("Precision", "Routing", "Twin of", "SHA-256")], rows))
    rows = [_structure_row(model) for model in view.comparison.models]
    header = trs(
        "Model", "Layers", "MoE layers", "Experts", "Experts per token", "Shared expert width"
    )
    header += trs("KV cache (B/token)", "Longest context", "Counted by")
    blocks.append(Table(header, rows))
    for model in view.comparison.models:
        for what, texts in (
            (tr("approximate"), model.approximations),
            (tr("unknown"), model.unknown),
        ):
            if texts:
                listed = line("; ".join(texts))
                blocks.append(item(f"{line(model.name)}, {what}: {listed}"))
    return [*blocks, *(item(quoted(note)) for note in view.comparison.notes)]


def _model_row(model: Model) -> list[str]:
    sizes = (model.total_parameters, model.active_parameters, model.weights_bytes)
    return [
        line(model.name),
        ARCHITECTURE_WORDS[model.architecture],
        *(tr("n/a (unknown)") if size is None else number(size / 1e6) for size in sizes),
        line(model.precision),
        tr(model.routing),
        line(model.twin_of) if model.twin_of else tr("none"),
        line(model.sha256) or tr("n/a (unknown)"),
    ]


def _structure_row(model: Model) -> list[str]:
    counts = (model.experts, model.top_k, model.shared_expert_width)
    dense = model.architecture == "dense"
    return [
        line(model.name),
        _count(model.layers),
        tr("none") if dense else _numbers(model.moe_layers),
        *(tr("none") if dense or count == 0 else _count(count) for count in counts),
        _count(model.kv_bytes_per_token),
        _count(model.context_length),
        model.counted or tr("n/a (unknown)"),
    ]


def _count(value: int | None) -> str:
    return tr("n/a (unknown)") if value is None else shown(value, ",")


def _numbers(values: list[int] | None) -> str:
    """Return numbers as spans: ``0 to 2, 5``."""
    if values is None:
        return tr("n/a (unknown)")
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], value]
        else:
            spans.append([value])
    return ", ".join(
        tr("{low} to {high}", low=span[0], high=span[-1]) if len(span) > 1 else str(span[0])
        for span in spans
    ) or tr("none")


def provenance(view: View) -> list[Block]:
    """Return host, versions, price, plan and study, and how to make this report again."""
    comparison = view.comparison
    price = point(comparison.price)
    if comparison.price.value is not None:
        price = f"{number(comparison.price.value)} {unit_name(comparison.price.unit)}"
        price += f" ({comparison.price.kind})"
    facts = {
        "last launch ended": comparison.created,
        "inferometer": comparison.inferometer_version,
        "plan SHA-256": comparison.plan_sha256,
        "price": price,
        "price basis": comparison.price.detail or tr("none given"),
        **{f"stack {stack.id}": _stack_words(stack) for stack in comparison.stacks},
        **{f"host: {key}": text for key, text in _flat(comparison.host).items()},
    }
    rows = [[line(key), line(text) or tr("n/a (unknown)")] for key, text in facts.items()]
    return [
        Heading(2, tr("Provenance")),
        Table(trs("Fact", "Value"), rows),
        say(tr("The study that made this report:")),
        Code(comparison.study, "toml"),
        *(
            item(
                Mono(line(file.name)),
                tr(
                    " beside this report: {holds}; {rows} rows, {bytes} bytes, SHA-256 {sha256}",
                    holds=line(file.holds),
                    rows=shown(file.rows, ","),
                    bytes=shown(file.bytes, ","),
                    sha256=line(file.sha256),
                ),
            )
            for file in comparison.files
        ),
        say(
            Mono("inferometer report RESULTS"),
            tr(
                " writes this report again, byte for byte, from the results directory. Full "
                "precision is in "
            ),
            Mono("report.json"),
            ".",
        ),
    ]


def _stack_words(stack: Stack) -> str:
    parts = (stack.engine, stack.version, stack.profile, stack.precision, stack.parallelism)
    return ", ".join(part for part in parts if part)
