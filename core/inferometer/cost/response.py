"""Cost per meaningful response: what one accepted answer takes, attempts and steps included.

The sum over attempts of input, cached input, output and reasoning tokens at their prices, and
of each step before or after the main model with attempts of its own; the same in joules.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison.costs import ResponseCost, ResponsePart
from inferometer.comparison.value import Value, worst_kind
from inferometer.cost.hour import typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison.value import Kind
    from inferometer.cost.scenario import Response

DEAR = 100.0
"""USD per million tokens. Above it, a price per token or per thousand was likely typed."""


class _Take(NamedTuple):
    """Tokens of one kind for one accepted response, and what one of them costs."""

    name: str
    attempts: float
    tokens: float
    usd_per_mtok: float | None
    j_per_token: float | None


def response(
    entry: Response,
    *,
    at: str,
    hour: str | None,
    input_usd: float | None,
    cached_usd: float | None,
    output_usd: float | None,
    input_j: float | None = None,
    output_j: float | None = None,
    cached_share: float = 0.0,
    kind: Kind = "estimated",
    energy_kind: Kind = "derived",
) -> ResponseCost:
    """Return the cost of one accepted response, in USD and joules; parts add up.

    ``*_usd`` are USD per million tokens of the main model, ``*_j`` joules per token; None where
    not known, which leaves the sum without a value if there are such tokens. Cached input is not
    computed: it takes no joules, and costs ``cached_usd``. Reasoning costs what output does. A
    step without attempts of its own runs once for each attempt of the main model. ``kind`` and
    ``energy_kind`` are those of the measured model's numbers.

    ``input_usd`` and ``input_j`` are over all input tokens; where a cache held ``cached_share`` of
    those, the others bear it all. What was not measured in joules is what the entry declares.
    """
    fresh = entry.input_tokens - entry.cached_tokens
    input_usd, input_j = (_computed(each, cached_share) for each in (input_usd, input_j))
    declared_j = [step.j_per_token for step in entry.steps]
    if input_j is None:
        input_j = entry.j_per_input_token
        declared_j.append(input_j)
    if output_j is None:
        output_j = entry.j_per_output_token
        declared_j.append(output_j)
    takes = [
        _Take("input", entry.attempts, fresh, input_usd, input_j),
        _Take("cached input", entry.attempts, entry.cached_tokens, cached_usd, 0.0),
        _Take("output", entry.attempts, entry.output_tokens, output_usd, output_j),
        _Take("reasoning", entry.attempts, entry.reasoning_tokens, output_usd, output_j),
    ]
    for step in entry.steps:
        attempts = entry.attempts if step.attempts is None else step.attempts
        takes.append(_Take(step.name, attempts, step.tokens, step.per_mtok, step.j_per_token))
    takes = [take for take in takes if take.tokens]
    parts = [_part(take) for take in takes]
    if any(each is not None for each in declared_j):
        energy_kind = worst_kind((energy_kind, "estimated"))
    return ResponseCost(
        at=at,
        hour=hour,
        attempts=entry.attempts,
        usd=_sum(parts, [part.usd for part in parts], "USD", kind, "no_price"),
        energy_j=_sum(parts, [part.energy_j for part in parts], "J", energy_kind, "not_declared"),
        parts=parts,
        warnings=_dear(takes),
    )


def _computed(per_token: float | None, cached_share: float) -> float | None:
    """Return what a computed token takes, of what one takes over computed and cached ones."""
    return None if per_token is None or cached_share >= 1 else per_token / (1 - cached_share)


def _part(take: _Take) -> ResponsePart:
    words = f"{typed(take.attempts)} attempts x {typed(take.tokens)} tokens"
    usd = joules = None
    formulas = []
    if take.usd_per_mtok is not None:
        usd = take.attempts * take.tokens * take.usd_per_mtok / 1e6
        formulas.append(f"{words} x {typed(take.usd_per_mtok)} USD / 1,000,000")
    if take.j_per_token is not None:
        joules = take.attempts * take.tokens * take.j_per_token
        formulas.append(f"{words} x {typed(take.j_per_token)} J")
    return ResponsePart(name=take.name, usd=usd, energy_j=joules, formula="; ".join(formulas))


def _sum(
    parts: Sequence[ResponsePart],
    amounts: Sequence[float | None],
    unit: str,
    kind: Kind,
    reason: str,
) -> Value:
    lacking = [part.name for part, amount in zip(parts, amounts, strict=True) if amount is None]
    if lacking:
        detail = f"not known of: {', '.join(lacking)}"
        return Value(value=None, unit=unit, kind=kind, reason=reason, detail=detail)
    known = [amount for amount in amounts if amount is not None]
    return Value(value=math.fsum(known), unit=unit, kind=kind)


def _dear(takes: Sequence[_Take]) -> list[str]:
    return [
        f"{take.name}: {typed(take.usd_per_mtok)} USD per million tokens is above {DEAR:g}:"
        " is it a price per million?"
        for take in takes
        if take.usd_per_mtok is not None and take.usd_per_mtok > DEAR
    ]
