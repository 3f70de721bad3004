"""What each input of an hour does to a cost when it goes from its lowest to its highest value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from inferometer.comparison.costs import Tornado
from inferometer.cost.hour import bill, total
from inferometer.cost.inputs import Input, inputs, with_inputs
from inferometer.cost.swings import interval, swings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison.value import Value
    from inferometer.cost.scenario import Surcharge, Terms


class MachineHour(NamedTuple):
    """The hour of what serves, and all that its bill is computed with."""

    terms: Terms
    gpus: int | None
    power_kw: float | None = None
    """Metered; goes before the declared power."""
    surcharges: tuple[Surcharge, ...] = ()

    def usd(self) -> float:
        """Return USD for a working hour.

        Raises:
            UsageError: as :func:`inferometer.cost.hour.bill`.
        """
        parts = bill(self.terms, gpus=self.gpus, power_kw=self.power_kw, surcharges=self.surcharges)
        return total(parts)


def of_machine(machine: MachineHour) -> dict[str, Input]:
    """Return the numbers that a machine's hour is made of, by key."""
    found = {one.name: one for one in inputs(machine.terms)}
    if machine.power_kw is not None:
        found["power_kw"] = Input("power_kw", machine.power_kw, "kW, metered", 0, math.inf)
    return found | {
        f"surcharges.{index}": _of_surcharge(one) for index, one in enumerate(machine.surcharges)
    }


def with_values(machine: MachineHour, values: Mapping[str, float]) -> MachineHour:
    """Return the machine with these of its inputs, by key; keys of others are passed over."""
    of_hour = {key: value for key, value in values.items() if key in of_machine(machine)}
    surcharges = tuple(
        _changed(one, of_hour.pop(f"surcharges.{index}", None))
        for index, one in enumerate(machine.surcharges)
    )
    power_kw = machine.power_kw
    if power_kw is not None:
        power_kw = of_hour.pop("power_kw", power_kw)
    return MachineHour(with_inputs(machine.terms, of_hour), machine.gpus, power_kw, surcharges)


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
    as :func:`inferometer.cost.swings.swings` says. ``power_kw`` is metered, and goes before the
    declared power.

    Raises:
        UsageError: as :func:`inferometer.cost.hour.bill`.
    """
    machine = MachineHour(terms, gpus, power_kw, tuple(surcharges))
    varied, ranges = of_machine(machine), dict(terms.entry.ranges)
    rate = 1.0
    if throughput is not None and throughput.value is not None:
        rate = throughput.value
        varied["throughput"] = Input("throughput", rate, throughput.unit, 0, math.inf)
        ranges |= interval("throughput", throughput)

    def cost(values: Mapping[str, float]) -> float:
        return with_values(machine, values).usd() / (values.get("throughput", rate) * per_hour)

    return Tornado(
        hour=terms.entry.name,
        cell=cell,
        metric=metric,
        unit=unit,
        base=cost({}),
        swings=swings(varied, cost, ranges),
    )


def _of_surcharge(one: Surcharge) -> Input:
    if one.usd_per_gpu_hour is None:
        return Input(one.what, one.usd_per_hour or 0.0, "USD/h", 0, math.inf)
    return Input(one.what, one.usd_per_gpu_hour, "USD per GPU-hour", 0, math.inf)


def _changed(one: Surcharge, value: float | None) -> Surcharge:
    if value is None:
        return one
    key = "usd_per_hour" if one.usd_per_gpu_hour is None else "usd_per_gpu_hour"
    return structs.replace(one, **{key: value})
