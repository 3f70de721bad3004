"""One hour of the machine that serves, rented or owned, as lines of a bill that add up to it.

The hour is a *working* hour: its bill also carries the paid hours without work. At utilisation
u it is ``standing / u + running``, :class:`Use`. Whatever is paid by the hour stands whether or
not there is work; only electricity runs less without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison.costs import Part
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.cost.scenario import HourEntry, Owned, Surcharge, Terms

YEAR_H = 8760
MONTH_H = 730
YEARLY = ("maintenance", "software", "on_call", "debugging", "patching")
"""Lines of an owned server that are known by the year: keys without ``_usd_per_year``."""


class Use(NamedTuple):
    """USD per working hour: ``standing / utilisation + running``."""

    standing: float
    running: float

    def at(self, utilisation: float) -> float:
        """Return USD per working hour when this share of the paid hours is worked."""
        return self.standing / utilisation + self.running


class _Power(NamedTuple):
    """Kilowatts without PUE, of what serves, each with the words of its formula."""

    load_kw: float
    load: str
    idle_kw: float
    idle: str
    provisioned_kw: float
    provisioned: str


def bill(
    terms: Terms,
    *,
    gpus: int | None,
    power_kw: float | None = None,
    surcharges: Sequence[Surcharge] = (),
) -> list[Part]:
    """Return the lines of one working hour of the machine that serves, in USD.

    ``gpus`` accelerators are reserved, busy or not; None means the whole machine. ``power_kw`` is
    what was metered of them under load and goes before the declared power. ``surcharges`` are
    those of the engine: paid in each paid hour, as the machine is. Lines of 0 are left out.

    Rented: list price - discount + surcharges, over the share of work that is not lost, over
    utilisation. Owned: capital, electricity x PUE, site and staff by the hour; an unused hour
    costs the same but for electricity, where ``idle_kw`` counts if it is known.

    Raises:
        UsageError: something is priced per GPU and nobody says how many; the work lost is all;
            an owned server has neither metered nor declared power.
    """
    paid = _paid(terms, gpus, power_kw, surcharges)
    owned = terms.entry.owned
    if owned is None:
        return _lines([*paid, _unused(terms.entry, total(paid))])
    power = _power(terms.entry, owned, gpus, power_kw)
    standing = total(paid) - electricity(terms, gpus=gpus, power_kw=power_kw)
    return _lines([*paid, _unused(terms.entry, standing), _idle(terms.entry, owned, power)])


def total(parts: Iterable[Part]) -> float:
    """Return the sum of a bill."""
    return math.fsum(part.usd for part in parts)


def use(
    terms: Terms,
    *,
    gpus: int | None,
    power_kw: float | None = None,
    surcharges: Sequence[Surcharge] = (),
) -> Use:
    """Return what stands and what runs of an hour, whatever the entry's utilisation.

    The arguments and errors are those of :func:`bill`; ``use(...).at(1)`` is the paid hour.
    """
    owned = terms.entry.owned
    paid = total(_paid(terms, gpus, power_kw, surcharges))
    if owned is None:
        return Use(paid, 0.0)
    power = _power(terms.entry, owned, gpus, power_kw)
    running = (power.load_kw - power.idle_kw) * owned.pue * owned.usd_per_kwh
    return Use(paid - running, running)


def electricity(terms: Terms, *, gpus: int | None, power_kw: float | None = None) -> float:
    """Return USD of electricity in a worked hour, PUE included; 0 where the hour is rented.

    Raises:
        UsageError: as :func:`bill`, of power.
    """
    owned = terms.entry.owned
    if owned is None:
        return 0.0
    return _power(terms.entry, owned, gpus, power_kw).load_kw * owned.pue * owned.usd_per_kwh


def utilisation(entry: HourEntry) -> float:
    """Return the share of paid hours in which the machine works."""
    return 1.0 if entry.utilisation is None else entry.utilisation


def share(owned: Owned, gpus: int | None) -> float:
    """Return how much of one server ``gpus`` accelerators are; above 1: several servers."""
    return _share(owned, gpus)[0]


def needs_power(terms: Terms) -> bool:
    """Say whether the hour has no price without metered watts."""
    return terms.entry.owned is not None and terms.entry.owned.power_kw is None


def _paid(
    terms: Terms, gpus: int | None, power_kw: float | None, surcharges: Sequence[Surcharge]
) -> list[Part]:
    """Return the lines of an hour that is worked, at utilisation 1."""
    if terms.entry.owned is None:
        return _rented(terms, gpus, surcharges)
    power = _power(terms.entry, terms.entry.owned, gpus, power_kw)
    return [*_owned(terms.entry.owned, gpus, power), *_surcharges(surcharges, gpus)]


def _rented(terms: Terms, gpus: int | None, surcharges: Sequence[Surcharge]) -> list[Part]:
    entry, quote = terms.entry, terms.quote
    assert quote is not None, "a rented hour has a quote"
    if entry.per == "gpu" and gpus is None:
        raise UsageError(
            f"hours {entry.name!r}: the price is per GPU, and these results say of no GPU",
            hint='Set [machine] gpus, or per = "machine".',
        )
    count = gpus if entry.per == "gpu" and gpus is not None else 1
    listed = quote.per_gpu_hour * terms.usd * count
    words = f"{typed(quote.per_gpu_hour)} {quote.currency}"
    words += f" x {count} GPUs" if entry.per == "gpu" else " for the machine"
    words += "" if terms.usd == 1 else f" x {typed(terms.usd)} USD per {quote.currency}"
    parts = [Part(name="list price", usd=listed, formula=words)]
    discount = quote.discount if entry.discount is None else entry.discount
    formula = f"-{typed(discount)} x {shown(listed)} USD"
    parts.append(Part(name="discount", usd=-discount * listed, formula=formula))
    parts += _surcharges(surcharges, gpus)
    return [*parts, _lost_work(terms, total(parts))]


def _lost_work(terms: Terms, paid: float) -> Part:
    entry, quote = terms.entry, terms.quote
    assert quote is not None
    often, minutes = entry.interruptions_per_hour, entry.lost_minutes
    often = quote.interruptions_per_hour if often is None else often
    minutes = quote.lost_minutes if minutes is None else minutes
    lost = often * minutes / 60
    if lost >= 1:
        raise UsageError(
            f"hours {entry.name!r}: {often:g} interruptions an hour x {minutes:g} minutes lost"
            " leave no time to work",
            hint="interruptions_per_hour x lost_minutes must be under 60.",
        )
    share = f"{typed(often)} x {typed(minutes)} / 60"
    return Part(
        name="lost work",
        usd=paid * lost / (1 - lost),
        formula=f"{shown(paid)} USD x ({share}) / (1 - {share})",
    )


def _unused(entry: HourEntry, standing: float) -> Part:
    used = utilisation(entry)
    return Part(
        name="unused hours",
        usd=standing * (1 - used) / used,
        formula=f"{shown(standing)} USD x (1 - {typed(used)}) / {typed(used)}",
    )


def _surcharges(surcharges: Sequence[Surcharge], gpus: int | None) -> list[Part]:
    parts = []
    for one in surcharges:
        if one.usd_per_gpu_hour is None:
            usd = one.usd_per_hour or 0.0
            formula = f"{typed(usd)} USD"
        elif gpus is None:
            raise UsageError(
                f"surcharge {one.what!r}: it is per GPU, and these results say of no GPU",
                hint="Set [machine] gpus, or usd_per_hour instead.",
            )
        else:
            usd = one.usd_per_gpu_hour * gpus
            formula = f"{typed(one.usd_per_gpu_hour)} USD x {gpus} GPUs"
        parts.append(Part(name=one.what, usd=usd, formula=formula))
    return parts


def _idle(entry: HourEntry, owned: Owned, power: _Power) -> Part:
    used = utilisation(entry)
    formula = f"{power.idle} x {_per_kw(owned)} x (1 - {typed(used)}) / {typed(used)}"
    return Part(
        name="unused hours' electricity",
        usd=power.idle_kw * owned.pue * owned.usd_per_kwh * (1 - used) / used,
        formula=formula + ("; taken to be as under load" if owned.idle_kw is None else ""),
    )


def _owned(owned: Owned, gpus: int | None, power: _Power) -> list[Part]:
    part, of = _share(owned, gpus)
    electricity = Part(
        name="electricity",
        usd=power.load_kw * owned.pue * owned.usd_per_kwh,
        formula=f"{power.load} x {_per_kw(owned)}",
    )
    parts = [*_capital(owned, part, of), electricity, *_site(owned, power)]
    for name in YEARLY:
        year = getattr(owned, f"{name}_usd_per_year")
        formula = f"{typed(year)} USD / {YEAR_H} h{of}"
        usd = year / YEAR_H * part
        parts.append(Part(name=name.replace("_", "-"), usd=usd, formula=formula))
    return parts


def _per_kw(owned: Owned) -> str:
    return f"PUE {typed(owned.pue)} x {typed(owned.usd_per_kwh)} USD per kWh"


def _capital(owned: Owned, part: float, of: str) -> list[Part]:
    years = f"({typed(owned.life_years)} years x {YEAR_H} h)"
    parts = []
    for name in ("server", "network", "storage"):
        usd = getattr(owned, f"{name}_usd")
        formula = f"{typed(usd)} USD x (1 - {typed(owned.residual)}) / {years}{of}"
        usd *= (1 - owned.residual) / (owned.life_years * YEAR_H) * part
        parts.append(Part(name=name, usd=usd, formula=formula))
    capital = owned.server_usd + owned.network_usd + owned.storage_usd
    rate, left = owned.cost_of_capital, owned.residual
    formula = f"{typed(rate)} x {typed(capital)} USD x (1 + {typed(left)}) / 2 / {YEAR_H} h{of}"
    usd = rate * capital * (1 + left) / 2 / YEAR_H * part
    return [*parts, Part(name="cost of capital", usd=usd, formula=formula)]


def _site(owned: Owned, power: _Power) -> list[Part]:
    """Return what is charged by the kilowatt and month; the grid meters PUE as well."""
    per = f"/ {MONTH_H} h"
    demand, colocation = owned.demand_usd_per_kw_month, owned.colocation_usd_per_kw_month
    provisioned = power.provisioned_kw
    words = f"USD per kW and month x {power.provisioned}"
    return [
        Part(
            name="demand charge",
            usd=demand * provisioned * owned.pue / MONTH_H,
            formula=f"{typed(demand)} {words} x PUE {typed(owned.pue)} {per}",
        ),
        Part(
            name="colocation",
            usd=colocation * provisioned / MONTH_H,
            formula=f"{typed(colocation)} {words} {per}",
        ),
    ]


def _power(entry: HourEntry, owned: Owned, gpus: int | None, metered_kw: float | None) -> _Power:
    part, of = _share(owned, gpus)
    if metered_kw is not None:
        load_kw = metered_kw + owned.host_kw * part
        load = f"{shown(metered_kw)} kW metered"
        if owned.host_kw:
            load = f"({load} + {typed(owned.host_kw)} kW of the host{of})"
    elif owned.power_kw is not None:
        load_kw, load = owned.power_kw * part, f"{typed(owned.power_kw)} kW{of}"
    else:
        raise UsageError(
            f"hours {entry.name!r}: the server's power is neither metered here nor declared",
            hint="Set power_kw, or meter to a meter of these results.",
        )
    idle_kw, idle = load_kw, load
    if owned.idle_kw is not None:
        idle_kw, idle = owned.idle_kw * part, f"{typed(owned.idle_kw)} kW{of}"
    provisioned_kw, provisioned = load_kw, load
    if owned.provisioned_kw is not None:
        provisioned_kw = owned.provisioned_kw * part
        provisioned = f"{typed(owned.provisioned_kw)} kW{of}"
    return _Power(load_kw, load, idle_kw, idle, provisioned_kw, provisioned)


def _share(owned: Owned, gpus: int | None) -> tuple[float, str]:
    """Return the share of one server that is reserved, and its words; above 1: several."""
    if owned.gpus is None or gpus is None or owned.gpus == gpus:
        return 1.0, ""
    return gpus / owned.gpus, f" x {gpus}/{owned.gpus} of the server"


def _lines(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if part.usd]


def typed(value: float) -> str:
    """Return an input for a formula, all its digits."""
    return f"{value:,.12g}"


def shown(value: float) -> str:
    """Return a sum for a formula, with digits enough to recompute the line."""
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
