"""What single numbers do to a result when each goes from its lowest to its highest value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison.costs import Swing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferometer.comparison.value import Value
    from inferometer.cost.inputs import Input

ASSUMED = 0.2
"""To either side of an input without a range of its own."""


def swings(
    inputs: Mapping[str, Input],
    result: Callable[[Mapping[str, float]], float],
    ranges: Mapping[str, tuple[float, float]],
) -> list[Swing]:
    """Return what each input alone does to ``result``, the widest swing first.

    ``inputs`` and ``ranges`` are by key, and ``result`` takes the values by key of those inputs
    that are not as they are. An input goes over its range, else over 20 % to either side, or one
    step where it counts whole things, within what it may be (``assumed``). One of 0 without a
    range, and without steps, moves nothing and is left out.
    """
    found = [
        swing
        for key, one in inputs.items()
        if (swing := _swing(key, one, result, ranges.get(key))) is not None
    ]
    return sorted(found, key=lambda swing: -abs(swing.at_high - swing.at_low))


def interval(key: str, value: Value) -> dict[str, tuple[float, float]]:
    """Return the interval of a measured value as a range; none where it has none above 0."""
    if value.low is None or value.high is None or value.low <= 0:
        return {}
    return {key: (value.low, value.high)}


def _swing(
    key: str,
    one: Input,
    result: Callable[[Mapping[str, float]], float],
    given: tuple[float, float] | None,
) -> Swing | None:
    low, high = _around(one) if given is None else given
    if low == high:
        return None
    return Swing(
        input=one.name,
        unit=one.unit,
        base_input=one.value,
        low_input=low,
        high_input=high,
        at_low=result({key: low}),
        at_high=result({key: high}),
        assumed=given is None,
        whole=one.whole,
    )


def _around(one: Input) -> tuple[float, float]:
    step = 1.0 if one.whole else ASSUMED * abs(one.value)
    low, high = max(one.value - step, one.low), min(one.value + step, one.high)
    return float(min(low, one.value)), float(max(high, one.value))
