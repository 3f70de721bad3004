"""The numbers that an hour is made of, one by one, and the same hour with others in their place."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from inferometer.cost.hour import utilisation
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.cost.scenario import Owned, Terms

LEAST = 1e-9
"""Of what must be above 0."""
MOST = 0.999
"""Of a share that must be under 1."""


class Input(NamedTuple):
    """One number that a cost hangs on, by its key in the scenario, and what it may be."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    whole: bool = False
    """It counts whole things."""


OWNED: Mapping[str, tuple[str, float, float]] = {
    "server_usd": ("USD", LEAST, math.inf),
    "network_usd": ("USD", 0, math.inf),
    "storage_usd": ("USD", 0, math.inf),
    "life_years": ("years", 0.1, 100),
    "residual": ("share", 0, MOST),
    "cost_of_capital": ("share per year", 0, math.inf),
    "power_kw": ("kW", LEAST, math.inf),
    "host_kw": ("kW", 0, math.inf),
    "idle_kw": ("kW", 0, math.inf),
    "pue": ("ratio", 1, 10),
    "usd_per_kwh": ("USD/kWh", 0, math.inf),
    "demand_usd_per_kw_month": ("USD per kW and month", 0, math.inf),
    "colocation_usd_per_kw_month": ("USD per kW and month", 0, math.inf),
    "provisioned_kw": ("kW", LEAST, math.inf),
    "maintenance_usd_per_year": ("USD/year", 0, math.inf),
    "software_usd_per_year": ("USD/year", 0, math.inf),
    "on_call_usd_per_year": ("USD/year", 0, math.inf),
    "debugging_usd_per_year": ("USD/year", 0, math.inf),
    "patching_usd_per_year": ("USD/year", 0, math.inf),
}
"""Key of ``[hours.owned]`` -> unit, least and most that it may be."""


def inputs(terms: Terms) -> list[Input]:
    """Return the numbers that the hour is made of: those that are set, and those with a default.

    Their names are the keys of ``[[hours]]`` and of its ``owned``, and ``exchange``: dollars for
    one unit of the price's currency.
    """
    entry, quote = terms.entry, terms.quote
    found = [] if entry.owned is None else _of_server(entry.owned)
    if quote is not None:
        unit = f"{quote.currency} per {'GPU' if entry.per == 'gpu' else 'machine'}-hour"
        often = _or(entry.interruptions_per_hour, quote.interruptions_per_hour)
        minutes = _or(entry.lost_minutes, quote.lost_minutes)
        found += [
            Input("price", quote.per_gpu_hour, unit, LEAST, math.inf),
            Input("discount", _or(entry.discount, quote.discount), "share", 0, MOST),
            Input("interruptions_per_hour", often, "per hour", 0, _beside(minutes)),
            Input("lost_minutes", minutes, "minutes", 0, _beside(often)),
        ]
        if quote.currency != "USD":
            unit = f"USD per {quote.currency}"
            found.append(Input("exchange", terms.usd, unit, LEAST, math.inf))
    return [*found, Input("utilisation", utilisation(entry), "share of hours", LEAST, 1)]


def with_inputs(terms: Terms, values: Mapping[str, float]) -> Terms:
    """Return the same hour with these inputs; what ``values`` does not name stays.

    Raises:
        UsageError: the hour has no input of such a name.
    """
    known = {one.name: one.value for one in inputs(terms)}
    for name in values:
        if name not in known:
            raise UsageError.unknown("input", name, known, place=f"hours {terms.entry.name!r}")
    changed = {name: value for name, value in values.items() if value != known[name]}
    entry, quote = terms.entry, terms.quote
    of_owned = {name: value for name, value in changed.items() if name in OWNED}
    of_entry: dict[str, Any] = {
        name: value
        for name, value in changed.items()
        if name not in OWNED and name not in {"price", "exchange"}
    }
    if entry.owned is not None and of_owned:
        of_entry["owned"] = structs.replace(entry.owned, **of_owned)
    if quote is not None and "price" in changed:
        quote = structs.replace(quote, per_gpu_hour=changed["price"])
        of_entry |= {} if entry.price is None else {"price": changed["price"]}
    usd = changed.get("exchange", terms.usd)
    return dataclasses.replace(
        terms, entry=structs.replace(entry, **of_entry), quote=quote, usd=usd
    )


def _of_server(owned: Owned) -> list[Input]:
    values = ((name, getattr(owned, name), *rest) for name, rest in OWNED.items())
    return [Input(*one) for one in values if one[1] is not None]


def _beside(other: float) -> float:
    """Return the most that one factor of the lost minutes of an hour may be, beside the other."""
    return MOST * 60 / other if other else math.inf


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
