"""What fits a budget: the first step down at which a study does, or the least there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from inferometer.forecast import bill as bills
from inferometer.forecast.budget import used
from inferometer.forecast.estimate import forecast
from inferometer.forecast.reduced import Rung, Step, ladder
from inferometer.study import dump

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.forecast.bill import Bill, Rate
    from inferometer.forecast.budget import Budget
    from inferometer.forecast.parts import Machine
    from inferometer.forecast.past import Past
    from inferometer.forecast.values import Forecast
    from inferometer.study import Study


class Proposal(Struct, frozen=True, kw_only=True):
    """A study that fits a budget, or the least one, which does not.

    ``used`` and ``budget`` are in ``unit``: seconds, GPU-hours or USD.
    """

    fits: bool
    budget: float
    unit: str
    used: float
    steps: list[Step]
    changes: str
    """TOML: keys for the study's own tables, and all ``[[loads]]``; empty where nothing changes."""
    study: Study
    forecast: Forecast
    bill: Bill


def fitted(
    study: Study,
    budget: Budget,
    machine: Machine,
    past: Past,
    *,
    machines: int = 1,
    rate: Rate | None = None,
) -> Proposal:
    """Return the study that loses least and is expected to stay within ``budget``.

    Raises:
        UsageError: nothing of the plan is counted in the budget's unit here.
    """

    def forecasting(less: Study) -> Forecast:
        return forecast(less, machine, past, machines)

    def spent(takes: Forecast) -> float:
        return used(takes, bills.bill(takes, rate), budget)

    rung = Rung(study, forecasting(study), ())
    simulated = all(engine.name in machine.stand_ins for engine in study.engines)
    for rung in ladder(study, forecasting, past.launch_sd(simulated=simulated), spent):
        if spent(rung.takes) <= budget.amount:
            break
    fits = spent(rung.takes) <= budget.amount
    if fits and rung.steps:
        rung = _filled(rung, budget, spent, forecasting)
    return Proposal(
        fits=fits,
        budget=budget.amount,
        unit=budget.unit,
        used=spent(rung.takes),
        steps=list(rung.steps),
        changes=changes(study, rung.study),
        study=rung.study,
        forecast=rung.takes,
        bill=bills.bill(rung.takes, rate),
    )


def _filled(
    rung: Rung,
    budget: Budget,
    spent: Callable[[Forecast], float],
    forecasting: Callable[[Study], Forecast],
) -> Rung:
    """Give a sequential study the minutes that the budget has left: rounds take what they take.

    But none for a further round: a larger budget would have kept load points instead. What other
    things than its launches take is left out; whole tenths, rounded down.
    """
    asked = rung.study.sequential
    if isinstance(asked, UnsetType) or asked.minutes is None:
        return rung
    whole, takes = spent(rung.takes), rung.takes
    left_s = takes.seconds.expected * (budget.amount / whole - 1) if whole else 0.0
    if budget.unit == "s":
        left_s = budget.amount - whole
    counted = (it for it in takes.launches if it.round < takes.rounds.expected)
    launches_s = sum(it.seconds.expected for it in counted)
    tenths = math.floor((launches_s + left_s) / 6)
    beyond = [it for it in takes.launches if it.round == takes.rounds.expected]
    if beyond:
        next_s = launches_s + sum(it.seconds.expected for it in beyond)
        tenths = min(tenths, math.ceil(next_s / 6) - 1)
    minutes = max(asked.minutes, tenths / 10)
    fuller = replace(rung.study, sequential=replace(asked, minutes=minutes))
    takes = forecasting(fuller)
    return Rung(fuller, takes, rung.steps) if spent(takes) <= budget.amount else rung


def changes(before: Study, after: Study) -> str:
    """Return what differs as TOML: single keys, and all loads where one is left out."""
    tables = []
    keys = [
        f"{key} = {value!r}\n"
        for key in ("rounds", "window_s")
        for value in [getattr(after.protocol, key)]
        if value != getattr(before.protocol, key)
    ]
    if keys:
        tables.append("[protocol]\n" + "".join(keys))
    if before.sequential != after.sequential and isinstance(after.sequential, Struct):
        tables.append(f"[sequential]\nminutes = {after.sequential.minutes!r}\n")
    if before.loads != after.loads:
        blocks = dump(after).split("\n[")
        loads = [f"[{block}".rstrip() + "\n" for block in blocks if block.startswith("[loads]]")]
        tables.append("# in place of every [[loads]] of the study\n" + "\n".join(loads))
    return "\n".join(tables)
