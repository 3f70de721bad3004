"""What a simulated day costs: hours of replicas, and where it is said, energy beside them."""

from __future__ import annotations

from msgspec import Struct


class Price(Struct, frozen=True, kw_only=True):
    """What is paid. None: not given."""

    usd_per_replica_hour: float | None = None
    source: str = ""
    usd_per_kwh: float | None = None
    """Of energy that the hour does not hold."""
    pue: float = 1.0
    """Energy of the facility over that of its machines."""


class Bill(Struct, frozen=True, kw_only=True):
    """The bill of a day in US dollars; its parts add up."""

    replicas_usd: float
    energy_usd: float | None
    """None: no price of energy is given, or no watts are known."""
    facility_kwh: float | None
    total_usd: float
    usd_per_mtok_output: float | None
    """The whole bill over a million finished output tokens; None: there were none."""
    source: str


def bill(
    price: Price, replicas: int, hours: float, kwh: float | None, output_tokens: int
) -> Bill | None:
    """Return the bill, None where nothing has a price.

    ``replicas * hours * usd_per_replica_hour + kwh * pue * usd_per_kwh``.
    """
    hourly, energy = price.usd_per_replica_hour, price.usd_per_kwh
    facility = None if kwh is None else kwh * price.pue
    if hourly is None and (energy is None or facility is None):
        return None
    replicas_usd = replicas * hours * (hourly or 0.0)
    energy_usd = None if energy is None or facility is None else facility * energy
    total = replicas_usd + (energy_usd or 0.0)
    return Bill(
        replicas_usd=replicas_usd,
        energy_usd=energy_usd,
        facility_kwh=facility,
        total_usd=total,
        usd_per_mtok_output=1e6 * total / output_tokens if output_tokens else None,
        source=price.source,
    )
