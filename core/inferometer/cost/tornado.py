"""What each input does to a cost when it goes from its lowest to its highest value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from inferometer.comparison.costs import Swing, Tornado
from inferometer.cost.hour import bill, total
from inferometer.cost.inputs import Input, inputs, with_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.comparison.value import Value
    from inferometer.cost.scenario import Surcharge, Terms

ASSUMED = 0.2
"""To either side of an input without a range of its own."""


class _Range(NamedTuple):
    low: float
    high: float
    assumed: bool


def tornado(
    terms: Terms,
    *,
    gpus: int | None,
    cell: str,
    metric: str,
    unit: str,
    throughput: Value | None = None,
    per_hour: float = 1.0,
    power_kw: float | None = None,
    surcharges: Sequence[Surcharge] = (),
) -> Tornado:
    """Return how far each input of the hour moves a cost, the widest swing first.

    The cost is USD per working hour / (``throughput`` x ``per_hour``): with output tok/s and
    0.0036, USD per million output tokens. Without a throughput the divisor is ``per_hour``.

    An input goes over the range that the scenario gives, throughput over its interval, all else
    over 20 % to either side within what it may be (``assumed``). An input of 0 without a range
    moves nothing and is left out. ``power_kw`` is metered, and goes before the declared power.

    Raises:
        UsageError: as :func:`inferometer.cost.hour.bill`.
    """
    case = _Case(terms, gpus, power_kw, tuple(surcharges), _rate(throughput) * per_hour)
    swings = [*_of_hour(case), *_of_surcharges(case)]
    if throughput is not None and throughput.value is not None:
        rate = Input("throughput", throughput.value, throughput.unit, 0, math.inf)
        swings += _swing(
            rate, _interval(throughput), lambda value: case._replace(work=value * per_hour).cost()
        )
    swings.sort(key=lambda swing: -abs(swing.at_high - swing.at_low))
    return Tornado(
        hour=terms.entry.name,
        cell=cell,
        metric=metric,
        unit=unit,
        base=case.cost(),
        swings=swings,
    )


class _Case(NamedTuple):
    """Everything that a cost is made of; ``work`` is done in an hour."""

    terms: Terms
    gpus: int | None
    power_kw: float | None
    surcharges: tuple[Surcharge, ...]
    work: float

    def cost(self) -> float:
        parts = bill(self.terms, gpus=self.gpus, power_kw=self.power_kw, surcharges=self.surcharges)
        return total(parts) / self.work


def _of_hour(case: _Case) -> list[Swing]:
    terms, ranges = case.terms, case.terms.entry.ranges
    swings = []
    for one in inputs(terms):
        if one.name == "power_kw" and case.power_kw is not None:
            continue
        swings += _swing(
            one,
            ranges,
            lambda value, name=one.name: case._replace(  # type: ignore[misc]
                terms=with_inputs(terms, {name: value})
            ).cost(),
        )
    if case.power_kw is not None:
        metered = Input("power_kw", case.power_kw, "kW, metered", 0, math.inf)
        swings += _swing(metered, ranges, lambda value: case._replace(power_kw=value).cost())
    return swings


def _of_surcharges(case: _Case) -> list[Swing]:
    swings = []
    for index, one in enumerate(case.surcharges):
        swings += _swing(
            _of_surcharge(one),
            {},
            lambda value, index=index: case._replace(  # type: ignore[misc]
                surcharges=_changed(case.surcharges, index, value)
            ).cost(),
        )
    return swings


def _rate(throughput: Value | None) -> float:
    return 1.0 if throughput is None or throughput.value is None else throughput.value


def _swing(
    one: Input, ranges: Mapping[str, tuple[float, float]], cost: Callable[[float], float]
) -> list[Swing]:
    if one.name in ranges:
        span = _Range(*ranges[one.name], assumed=False)
    else:
        low, high = one.value * (1 - ASSUMED), one.value * (1 + ASSUMED)
        span = _Range(float(max(low, one.low)), max(one.value, min(high, one.high)), assumed=True)
    if span.low == span.high:
        return []
    swing = Swing(
        input=one.name,
        unit=one.unit,
        base_input=one.value,
        low_input=span.low,
        high_input=span.high,
        at_low=cost(span.low),
        at_high=cost(span.high),
        assumed=span.assumed,
    )
    return [swing]


def _interval(value: Value) -> dict[str, tuple[float, float]]:
    if value.low is None or value.high is None or value.low <= 0:
        return {}
    return {"throughput": (value.low, value.high)}


def _of_surcharge(one: Surcharge) -> Input:
    if one.usd_per_gpu_hour is None:
        return Input(one.what, one.usd_per_hour or 0.0, "USD/h", 0, math.inf)
    return Input(one.what, one.usd_per_gpu_hour, "USD per GPU-hour", 0, math.inf)


def _changed(surcharges: Sequence[Surcharge], index: int, value: float) -> tuple[Surcharge, ...]:
    key = "usd_per_hour" if surcharges[index].usd_per_gpu_hour is None else "usd_per_gpu_hour"
    changed = list(surcharges)
    changed[index] = structs.replace(changed[index], **{key: value})
    return tuple(changed)
