"""The sections of ``report.md`` that say how: launch commands, differences, definitions."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from inferometer.comparison import OBJECTIVES
from inferometer.numbers import number, point
from inferometer.reasons import listing
from inferometer_reports import markdown_noise
from inferometer_reports.escape import block, fence, line, markdown, table
from inferometer_reports.view import ARCHITECTURE_TITLES, ARCHITECTURE_WORDS, leaders, unit_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Architecture, Difference, Model, Ranking, Stack
    from inferometer_reports.view import View


VARIABLES = "environment variable: "
PACKAGES = "environment: distributions: "
LOCAL = ("python", "sha256")
"""A path of the machine, and a hash of what is told package by package."""
SETTINGS = 20
"""How many variables or packages are named in one line."""
DIFFERENCES = 40
"""How many settings of a pair are in its table."""


def launch(view: View) -> list[str]:
    """Return the exact command of every stack that leads or shares a first place."""
    lines = ["## Launch the winner", "", "Port 8000 stands for the port that each launch had.", ""]
    shown: dict[str, None] = {}
    for architecture in view.architectures:
        lines += [f"### {ARCHITECTURE_TITLES[architecture]}", ""]
        found = _first_places(view, architecture)
        if not found:
            lines += ["No stack was ranked.", ""]
        for (stack, model), objectives in found.items():
            lines += _command(view, stack, model, objectives)
            shown[stack] = None
    for one in view.comparison.stacks:
        lines += _configuration(view, one) if one.id in shown else []
    return lines


def _first_places(view: View, architecture: Architecture) -> dict[tuple[str, str], list[str]]:
    """Return (stack, model) -> the objectives in which it leads or shares the first place."""
    found: dict[tuple[str, str], list[str]] = {}
    for objective in OBJECTIVES:
        for ranking in view.rankings(objective, architecture):
            for entry in leaders(ranking) if ranking.entries else []:
                said = found.setdefault((entry.stack, ranking.model), [])
                if (words := f"{objective}{_standing(ranking)}") not in said:
                    said.append(words)
    return found


def _standing(ranking: Ranking) -> str:
    if len(ranking.entries) == 1:
        return " (alone)"
    if ranking.n_rounds < 2:
        return " (one launch, no order)"
    return "" if ranking.separated else " (shared)"


def _command(view: View, stack_id: str, model: str, objectives: list[str]) -> list[str]:
    label = markdown(view.label(stack_id))
    lines = [f"**{label}**, {markdown(model)}: first in {listing(objectives)}.", ""]
    stack = next((s for s in view.comparison.stacks if s.id == stack_id), None)
    commands = [
        command
        for cell in view.comparison.cells
        if (cell.stack, cell.model) == (stack_id, model)
        for command in cell.commands
    ] or ([stack.command] if stack and stack.command else [])
    if not commands or stack is None:
        return [*lines, "The launch command was not recorded.", ""]
    variables = stack.variables_by_model.get(model, stack.environment_variables)
    exports = [
        f"export {shlex.quote(key)}={shlex.quote(value)}"
        for key, value in sorted(variables.items())
    ]
    for command in dict.fromkeys(commands):
        lines += [*fence("\n".join([*exports, command]), "bash"), ""]
    return lines


def _configuration(view: View, stack: Stack) -> list[str]:
    label = markdown(view.label(stack.id))
    if not stack.resolved_configuration:
        return [f"{label} did not report its resolved configuration.", ""]
    text = json.dumps(
        stack.resolved_configuration, indent=2, sort_keys=True, ensure_ascii=False, default=str
    )
    return [
        f"{label}, as it resolved its configuration for the first model:",
        "",
        "<details><summary>Configuration</summary>",
        "",
        *fence(text, "json"),
        "",
        "</details>",
        "",
    ]


def fairness(view: View) -> list[str]:
    """Return where the stacks differ: what they are, and their settings pair by pair and model."""
    stacks = view.comparison.stacks
    lines = ["## Fairness: what differed between the stacks", ""]
    if len(stacks) < 2:
        return [*lines, "One stack: nothing to compare.", ""]
    flat = [_flat_stack(stack) for stack in stacks]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    shared = [key for key in keys if sum(key in one for one in flat) > 1]
    differing = [key for key in shared if len({one.get(key) for one in flat}) > 1]
    packages = [key for key in differing if key.startswith(PACKAGES)]
    rows = [
        [markdown(key), *(markdown(one.get(key, "not reported")) or "empty" for one in flat)]
        for key in differing
        if key not in packages
    ]
    if rows:
        lines += table(["What", *(markdown(view.label(stack.id)) for stack in stacks)], rows)
    if packages:
        named = [
            f"{markdown(key.removeprefix(PACKAGES))} "
            f"({markdown(', '.join(one.get(key, 'none') for one in flat))})"
            for key in packages
        ]
        lines.append(f"- Packages of different versions: {_some(named)}")
    for stack, one in zip(stacks, flat, strict=True):
        lines += _own(view, stack, {key: one[key] for key in one if key not in shared})
    if lines[-1]:
        lines.append("")
    for difference in view.comparison.differences:
        lines += _difference(view, difference)
    return lines


def _difference(view: View, difference: Difference) -> list[str]:
    """Return the settings in which two stacks differ on one model."""
    left, right = (markdown(view.label(one)) for one in (difference.left, difference.right))
    count, equal = len(difference.settings), ", ".join(map(markdown, difference.equal)) or "none"
    lines = [
        f"### {left} and {right}, {markdown(difference.model)}",
        "",
        f"{count} settings differ. Equal: {equal}.",
        "",
    ]
    shown = difference.settings[:DIFFERENCES]
    rows = [[markdown(one.name), markdown(one.left), markdown(one.right)] for one in shown]
    lines += table(["Setting", left, right], rows) if rows else []
    if count > len(shown):
        lines += [f"{count - len(shown)} more in `report.json`.", ""]
    if difference.unresolved:
        unknown = ", ".join(map(markdown, difference.unresolved))
        lines += [f"Not known, and of whom: {unknown}.", ""]
    return lines


def _own(view: View, stack: Stack, settings: Mapping[str, str]) -> list[str]:
    """Return the variables that only this stack has; its other packages are counted."""
    parts = [
        markdown(f"{key.removeprefix(VARIABLES)}={text}")
        for key, text in settings.items()
        if key.startswith(VARIABLES)
    ]
    packages = sum(key.startswith(PACKAGES) for key in settings)
    parts += [f"packages: {packages} (in `report.json`)"] if packages else []
    return [f"- Only {markdown(view.label(stack.id))}: {_some(parts)}"] if parts else []


def _some(parts: list[str]) -> str:
    more = len(parts) - SETTINGS
    shown = ", ".join(parts[:SETTINGS])
    return f"{shown} and {more} more (in `report.json`)" if more > 0 else shown


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
    for key, item in value.items():
        name = f"{prefix}{line(key)}"
        if isinstance(item, dict):
            found |= _flat(item, f"{name}: ")
        else:
            found[name] = _scalar(item)
    return found


def _scalar(item: object) -> str:
    if item is None or item == []:
        return "unknown" if item is None else "none"
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)


def method(view: View) -> list[str]:
    """Return what could be seen, the definitions and the models."""
    lines = ["## Method", "", *markdown_noise.section(view)]
    rows = [
        [
            markdown(metric.title),
            markdown(unit_name(metric.unit)),
            f"{metric.direction} is better",
            markdown(metric.formula),
            markdown(metric.source) or "this project's own",
            markdown(metric.id),
        ]
        for metric in view.comparison.metrics
    ]
    lines += table(["Metric", "Unit", "Direction", "Formula", "Source", "Id"], rows)
    rows = [_model_row(model) for model in view.comparison.models]
    header = ["Model", "Architecture", "Parameters (M)", "Active (M)", "Weights (MB)"]
    lines += table([*header, "Precision", "Routing", "Twin of", "SHA-256"], rows)
    rows = [_structure_row(model) for model in view.comparison.models]
    header = [
        "Model",
        "Layers",
        "MoE layers",
        "Experts",
        "Experts per token",
        "Shared expert width",
    ]
    header += ["KV cache (B/token)", "Longest context", "Counted by"]
    lines += table(header, rows)
    for model in view.comparison.models:
        for what, texts in (("approximate", model.approximations), ("unknown", model.unknown)):
            if texts:
                listed = block("; ".join(texts))
                lines.append(f"- {markdown(model.name)}, {what}: {listed}")
    lines += [f"- {block(note)}" for note in view.comparison.notes]
    return [*lines, ""] if view.comparison.notes else lines


def _model_row(model: Model) -> list[str]:
    sizes = (model.total_parameters, model.active_parameters, model.weights_bytes)
    return [
        markdown(model.name),
        ARCHITECTURE_WORDS[model.architecture],
        *("n/a (unknown)" if size is None else number(size / 1e6) for size in sizes),
        markdown(model.precision),
        model.routing,
        markdown(model.twin_of) if model.twin_of else "none",
        markdown(model.sha256) or "n/a (unknown)",
    ]


def _structure_row(model: Model) -> list[str]:
    counts = (model.experts, model.top_k, model.shared_expert_width)
    dense = model.architecture == "dense"
    return [
        markdown(model.name),
        _count(model.layers),
        "none" if dense else _numbers(model.moe_layers),
        *("none" if dense or count == 0 else _count(count) for count in counts),
        _count(model.kv_bytes_per_token),
        _count(model.context_length),
        model.counted or "n/a (unknown)",
    ]


def _count(value: int | None) -> str:
    return "n/a (unknown)" if value is None else f"{value:,}"


def _numbers(values: list[int] | None) -> str:
    """Return numbers as spans: ``0 to 2, 5``."""
    if values is None:
        return "n/a (unknown)"
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], value]
        else:
            spans.append([value])
    return ", ".join(" to ".join(map(str, span)) for span in spans) or "none"


def provenance(view: View) -> list[str]:
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
        "price basis": comparison.price.detail or "none given",
        **{f"stack {stack.id}": _stack_words(stack) for stack in comparison.stacks},
        **{f"host: {key}": text for key, text in _flat(comparison.host).items()},
    }
    rows = [[markdown(key), markdown(text) or "n/a (unknown)"] for key, text in facts.items()]
    return [
        "## Provenance",
        "",
        *table(["Fact", "Value"], rows),
        "The study that made this report:",
        "",
        *fence(comparison.study, "toml"),
        "",
        (
            "`inferometer report RESULTS` writes this report again, byte for byte, from the "
            "results directory. Full precision is in `report.json`."
        ),
        "",
    ]


def _stack_words(stack: Stack) -> str:
    parts = (stack.engine, stack.version, stack.profile, stack.precision, stack.parallelism)
    return ", ".join(part for part in parts if part)
