"""A month's margin where each response earns a price: revenue, share, cost and credits, apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.comparison.costs import Margin, Part
from inferometer.cost.demand import requests_per_month
from inferometer.cost.fleet import regions
from inferometer.cost.hour import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from inferometer.comparison.costs import Demand, FleetRow
    from inferometer.cost.scenario import Credits, FleetEntry


def margins(
    rows: Sequence[FleetRow],
    demand: Demand,
    entry: FleetEntry,
    *,
    credits_: Credits | None = None,
    attempts: float = 1.0,
    owned: Collection[str] = (),
) -> list[Margin]:
    """Return the margin of each row whose cost is known; none without ``usd_per_response``.

    A response that earns takes ``attempts`` requests. Credits are shared by the regions as the
    demand is; they pay nothing of a machine that is ``owned`` (names of hours), never more than
    the bill, and nothing in a month when they are used up. They are in no price, and stand last.
    """
    if entry.usd_per_response is None:
        return []
    shares = {region.name: region.share for region in regions(entry)}
    return [
        _margin(
            row,
            [
                *_earned(entry, requests_per_month(demand, shares[row.region]), attempts),
                Part(name="cost", usd=-row.usd_per_month.value, formula=row.usd_per_month.detail),
            ],
            None if row.hour in owned else credits_,
            shares[row.region],
            entry.months,
        )
        for row in rows
        if row.usd_per_month.value is not None
    ]


def _earned(entry: FleetEntry, requests: float, attempts: float) -> list[Part]:
    price = entry.usd_per_response or 0.0
    revenue = requests / attempts * price
    words = f"{shown(requests)} requests"
    if attempts != 1:
        words += f" / {attempts:g} attempts per response"
    parts = [Part(name="revenue", usd=revenue, formula=f"{words} x {shown(price)} USD")]
    if entry.revenue_share:
        formula = f"{entry.revenue_share:g} x {shown(revenue)} USD"
        parts.append(
            Part(name="revenue share", usd=-entry.revenue_share * revenue, formula=formula)
        )
    return parts


def _margin(
    row: FleetRow, parts: list[Part], credits_: Credits | None, share: float, month: int
) -> Margin:
    before = math.fsum(part.usd for part in parts)
    if credits_ is not None:
        parts = [*parts, _credits(credits_, share, month, bill=-parts[-1].usd)]
    return Margin(
        hour=row.hour,
        region=row.region,
        stack=row.stack,
        model=row.model,
        parts=parts,
        before_credits_usd=before,
        before_credits_share=before / parts[0].usd,
        after_credits_usd=math.fsum(part.usd for part in parts),
        ranked=row.ranked,
    )


def _credits(credits_: Credits, share: float, month: int, *, bill: float) -> Part:
    if month >= credits_.months:
        words = f"used up over {credits_.months} months, before month {month} of the demand"
        return Part(name="credits", usd=0.0, formula=f"{words}; {credits_.source}, {credits_.date}")
    granted = credits_.usd / credits_.months * share
    words = f"{shown(credits_.usd)} USD / {credits_.months} months"
    if share != 1:
        words += f" x {share:g} of the demand"
    if granted > bill:
        words += ", of which no more than the bill can be used"
    words += f"; {credits_.source}, {credits_.date}"
    return Part(name="credits", usd=min(granted, bill), formula=words)
