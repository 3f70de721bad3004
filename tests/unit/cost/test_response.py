"""What one accepted response costs: the field's worked example, and what it leaves out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cost.hours import recomputed

from inferometer.comparison.costs import ResponseCost
from inferometer.cost.response import response
from inferometer.cost.scenario import Response, Step


def cost(entry: Response, **keys: float | None) -> ResponseCost:
    rates = {"input_usd": 1.0, "cached_usd": 0.1, "output_usd": 150.0} | keys
    return response(entry, at="cell", hour="rent", **rates)  # type: ignore[arg-type]


def guarded(attempts: float | None) -> Response:
    guardrail = Step(name="guardrail", tokens=150, per_mtok=2, attempts=attempts)
    return Response(attempts=1.2, output_tokens=150, steps=(guardrail,))


def test_the_worked_example_in_both_readings() -> None:
    once = cost(guarded(1.0))
    assert once.usd.value == pytest.approx(0.0273, rel=1e-12)
    assert once.usd.kind == "estimated"
    assert [part.name for part in once.parts] == ["output", "guardrail"]
    assert [part.usd for part in once.parts] == pytest.approx([0.027, 0.0003])
    per_attempt = cost(guarded(None))
    assert per_attempt.usd.value == pytest.approx(0.02736, rel=1e-12)
    assert once.warnings == [
        "output: 150 USD per million tokens is above 100: is it a price per million?"
    ]
    assert once.parts[0].formula == "1.2 attempts x 150 tokens x 150 USD / 1,000,000"


def test_every_token_of_an_answer_counts() -> None:
    entry = Response(
        attempts=2.0,
        input_tokens=3000,
        cached_tokens=1000,
        output_tokens=400,
        reasoning_tokens=600,
    )
    told = cost(entry, output_usd=10.0, input_j=0.5, output_j=3.0)
    names = [part.name for part in told.parts]
    assert names == ["input", "cached input", "output", "reasoning"]
    assert [part.usd for part in told.parts] == pytest.approx([0.004, 0.0002, 0.008, 0.012])
    assert [part.energy_j for part in told.parts] == [2000, 0, 2400, 3600]
    assert told.usd.value == pytest.approx(0.0242)
    assert told.energy_j.value == 8000
    assert told.energy_j.kind == "derived"
    assert told.warnings == []


def test_what_is_not_known_leaves_the_sum_without_a_value_and_is_named() -> None:
    told = cost(guarded(None), output_j=2.0)
    assert told.usd.value is not None
    assert told.energy_j.value is None
    assert told.energy_j.reason == "not_declared"
    assert "guardrail" in told.energy_j.detail
    priceless = cost(Response(output_tokens=100, input_tokens=5), input_usd=None)
    assert (priceless.usd.value, priceless.usd.reason) == (None, "no_price")
    assert priceless.usd.detail == "not known of: input"
    unused = cost(Response(output_tokens=100), input_usd=None, cached_usd=None)
    assert unused.usd.value == pytest.approx(0.015)


def test_declared_joules_make_an_estimate() -> None:
    step = Step(name="embedding", tokens=10, per_mtok=1, j_per_token=0.5)
    entry = Response(output_tokens=100, steps=(step,))
    told = cost(entry, output_j=2.0)
    assert (told.energy_j.value, told.energy_j.kind) == (205, "estimated")


def test_joules_that_are_not_measured_are_those_declared() -> None:
    entry = Response(
        input_tokens=10, output_tokens=100, j_per_input_token=0.5, j_per_output_token=2.0
    )
    told = cost(entry)
    assert (told.energy_j.value, told.energy_j.kind) == (205, "estimated")
    measured = cost(entry, input_j=1.0, output_j=3.0)
    assert (measured.energy_j.value, measured.energy_j.kind) == (310, "derived")


def test_what_a_cache_held_of_the_measured_input_is_borne_by_the_rest() -> None:
    """1,000 tokens at 1 USD a million over all, three quarters cached: 4 USD for the others."""
    entry = Response(input_tokens=1000, cached_tokens=750, output_tokens=0)
    told = cost(entry, input_usd=1.0, cached_usd=0.0, input_j=0.5, cached_share=0.75)
    assert told.usd.value == pytest.approx(1000 * 1.0 / 1e6)  # as the measured ones cost
    assert told.energy_j.value == pytest.approx(1000 * 0.5)
    alone = cost(entry, input_usd=0.0, input_j=0.0, cached_share=1.0)
    assert (alone.usd.reason, alone.energy_j.reason) == ("no_price", "not_declared")


@settings(max_examples=2_000)
@given(st.integers(0, 2**63))
def test_parts_are_the_response(seed: int) -> None:
    dice = random.Random(seed)
    tokens = dice.uniform(1, 1e5)
    entry = Response(
        attempts=dice.uniform(1, 5),
        input_tokens=tokens,
        cached_tokens=dice.uniform(0, tokens),
        output_tokens=dice.uniform(1, 1e4),
        reasoning_tokens=dice.choice([0.0, dice.uniform(0, 1e4)]),
        steps=(Step(name="guardrail", tokens=dice.uniform(1, 1e4), per_mtok=dice.random()),),
    )
    told = cost(entry, input_usd=dice.uniform(0, 10), output_usd=dice.uniform(0, 30))
    assert told.usd.value is not None
    parts = [part.usd or 0.0 for part in told.parts]
    assert sum(parts) == pytest.approx(told.usd.value, rel=1e-9)
    written = sum(recomputed(part.formula) for part in told.parts)
    assert written == pytest.approx(told.usd.value, rel=1e-6)
