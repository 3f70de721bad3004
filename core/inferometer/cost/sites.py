"""What fits where power is the limit, and MoE over dense for one demand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.comparison.costs import ArchitectureCost, SiteRow
from inferometer.comparison.value import Value, worst_kind
from inferometer.cost.capacity import SLACK, declared, made
from inferometer.cost.hour import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison.costs import FleetRow
    from inferometer.cost.capacity import Capacity

KW_PER_MW = 1000
ALONE = "no interval: the two fleets rest on different launches"


def sites(
    capacities: Sequence[Capacity], site_mw: float, pue: Mapping[str, float | None]
) -> list[SiteRow]:
    """Return how much of each stack fits into ``site_mw`` MW at the wall, all under full load.

    ``pue`` is by the name of the hour: a bought machine draws what its own bill pays for.
    """
    return [
        _site(
            machine, name, site_mw, declared(own, "ratio", "not_declared", f"no PUE for {name!r}")
        )
        for name, own in pue.items()
        for machine in capacities
    ]


def _site(machine: Capacity, hour: str, site_mw: float, pue: Value) -> SiteRow:
    rate = machine.rates.get(hour)
    own = rate.it_power_kw if rate is not None else None
    it, tokens = (machine.it_power_kw if own is None else own), machine.output_tok_s
    each = f"{shown(it.value or 0)} kW x PUE {pue.value or 0:g}"
    per_mw = f"{shown(tokens.value or 0)} output tok/s / ({each}) x {KW_PER_MW:,}"

    def fit(kw: float, overhead: float) -> int:
        return math.floor(site_mw * KW_PER_MW / (kw * overhead) * (1 + SLACK))

    return SiteRow(
        hour=hour,
        stack=machine.stack,
        model=machine.model,
        cell=machine.cell,
        power_kw_per_replica=made(
            *("kW", lambda kw, over: kw * over, it, pue),
            detail=f"{each}; {it.detail}" if it.detail else each,
        ),
        output_tok_s_per_mw=made(
            *("tok/s/MW", lambda tok, kw, over: tok / (kw * over) * KW_PER_MW, tokens, it, pue),
            detail=per_mw,
        ),
        replicas=made("replicas", fit, it, pue, detail=f"{site_mw:g} MW / ({each}), whole ones"),
        output_tok_s=made(
            *("tok/s", lambda tok, kw, over: tok * fit(kw, over), tokens, it, pue),
            detail="output tok/s of one replica x the replicas that fit",
        ),
        ranked=machine.ranked,
    )


def architectures(
    rows: Sequence[FleetRow], pairs: Mapping[tuple[str, str], str]
) -> list[ArchitectureCost]:
    """Return MoE over dense for the same demand on each stack, hour and region.

    ``pairs`` is (dense model, MoE model) -> what is equal between the two, in words.
    """
    by_place = {(row.hour, row.region, row.stack, row.model): row for row in rows}
    places = dict.fromkeys((row.hour, row.region, row.stack) for row in rows)
    found = [
        (by_place.get((*place, dense)), by_place.get((*place, moe)), words)
        for place in places
        for (dense, moe), words in pairs.items()
    ]
    return [_over(dense, moe, words) for dense, moe, words in found if dense and moe]


def _over(dense: FleetRow, moe: FleetRow, words: str) -> ArchitectureCost:
    caution = "replicas are whole, so that a small demand hides or doubles a difference"
    return ArchitectureCost(
        hour=moe.hour,
        region=moe.region,
        stack=moe.stack,
        dense=dense.model,
        moe=moe.model,
        usd_per_month_ratio=_ratio(dense, moe, "usd_per_month"),
        energy_ratio=_ratio(dense, moe, "energy_kwh_per_month"),
        match=f"{words}; the same demand, hour and region; {caution}; {ALONE}",
    )


def _ratio(dense: FleetRow, moe: FleetRow, field: str) -> Value:
    over, under = getattr(moe, field), getattr(dense, field)
    kind = worst_kind(["estimated", over.kind, under.kind])
    for row, value in ((dense, under), (moe, over)):
        reason, detail = value.reason, value.detail
        if reason is None and not row.ranked:
            reason, detail = "withheld", "it has no rank, because a check failed"
        if reason is not None:
            words = f"{row.model}: {detail}"
            return Value(value=None, unit="ratio", kind=kind, reason=reason, detail=words)
    n = min(over.n, under.n)
    return Value(value=over.value / under.value, unit="ratio", kind=kind, n=n, detail=ALONE)
