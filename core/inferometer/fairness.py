"""How the configurations of two stacks differ, in canonical terms, on each model."""

from __future__ import annotations

import json
from dataclasses import fields
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.comparison import Difference, Setting
from inferometer.engine import OUTCOMES, LaunchSpec
from inferometer.redact import plain
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Model
    from inferometer.records import LaunchRecord

NAMES = (
    *(known.name for known in fields(LaunchSpec) if not known.name.startswith("extra_")),
    *OUTCOMES,
)
LONGEST = 200
"""Characters of a value that are shown."""


class Known(NamedTuple):
    """A setting of one stack on one model: what it is compared by, and its words."""

    compared: frozenset[str]
    words: str


def differences(evidence: Evidence, models: Sequence[Model]) -> list[Difference]:
    """Return how each pair of stacks differs on each model that both served."""
    found = []
    for model in models:
        served: dict[str, list[LaunchRecord]] = {}
        for record in evidence.records:
            if model_name(record) == model.name:
                served.setdefault(stack_id(record), []).append(record)
        found += [
            _difference(model.name, (left, served[left]), (right, served[right]))
            for left, right in combinations(sorted(served), 2)
        ]
    return found


def _difference(
    model: str, left: tuple[str, list[LaunchRecord]], right: tuple[str, list[LaunchRecord]]
) -> Difference:
    settings, equal, unresolved = [], [], []
    for name in NAMES:
        one, other = _known(left[1], name), _known(right[1], name)
        if one is None or other is None:
            silent = [stack for stack, known in ((left[0], one), (right[0], other)) if not known]
            unresolved.append(f"{name} ({', '.join(silent)})")
        elif one.compared == other.compared:
            equal.append(name)
        else:
            settings.append(Setting(name=name, left=one.words, right=other.words))
    if left[1][0].stack.get("engine") == right[1][0].stack.get("engine"):
        settings += _own(left[1], right[1])
    return Difference(
        model=model,
        left=left[0],
        right=right[0],
        settings=settings,
        equal=equal,
        unresolved=unresolved,
    )


def _known(records: Sequence[LaunchRecord], name: str) -> Known | None:
    """Return one setting over all launches of a stack; None when no launch knows it."""
    compared, words = set(), []
    for record in records:
        asked = record.asked.get(name)
        said = record.told.get(name)
        resolved = said.value if said is not None else None
        if resolved is None and asked is None:
            continue
        value = asked if resolved is None else resolved
        compared.add(_normal(value))
        text = _words(name, value)
        if resolved is None:
            text += " (asked, not confirmed)"
        elif asked is not None and _normal(asked) != _normal(resolved):
            text += f" (asked {_words(name, asked)})"
        words.append(text)
    return Known(frozenset(compared), "; ".join(dict.fromkeys(words))) if words else None


def _normal(value: Any) -> str:
    """Return what values are compared by: engines write one data type in several ways."""
    if isinstance(value, str):
        return value.removeprefix("torch.").lower()
    return json.dumps(value, sort_keys=True, default=str)


def _words(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value / 2**30:.2f} GiB" if name.endswith("_bytes") else f"{value:,.10g}"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return plain(text)[:LONGEST]


def _own(left: Sequence[LaunchRecord], right: Sequence[LaunchRecord]) -> Iterator[Setting]:
    """Yield what one engine resolved differently, where all launches of a stack agree on it.

    So identifiers, ports and times, which differ from launch to launch, are no difference.
    """
    one, other = _constant(left), _constant(right)
    for key in sorted(one.keys() & other.keys()):
        if one[key] != other[key]:
            yield Setting(name=f"configuration: {key}", left=one[key], right=other[key])


def _constant(records: Sequence[LaunchRecord]) -> dict[str, str]:
    flat = [dict(_flat(record.resolved_configuration)) for record in records]
    return {
        key: text for key, text in flat[0].items() if all(one.get(key) == text for one in flat[1:])
    }


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}{'.' if prefix else ''}{plain(str(key))}")
    else:
        yield prefix, _words("", value)
