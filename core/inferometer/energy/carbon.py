"""What the study declares beside its meters: PUE, carbon intensity, the host's watts.

A declared value makes what is computed from it an estimate, and its source and date stand beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from inferometer.declared import Energy

J_PER_KWH = 3.6e6
FACILITY = "L4"
"""Scope of a meter that has the building's overhead in it already."""


class Declared(NamedTuple):
    """A number made from declared ones, or the reason why there is none."""

    value: float | None
    reason: str | None = None
    detail: str = ""


def grams(energy_j: float, scope: str, declared: Energy | None) -> Declared:
    """Return grams of CO2 equivalent: kWh x PUE (unless the meter is the facility's) x g/kWh."""
    if declared is None or declared.carbon_g_per_kwh is None:
        return Declared(None, "not_declared", "the study has no [energy] carbon_g_per_kwh")
    kwh, intensity = energy_j / J_PER_KWH, declared.carbon_g_per_kwh
    words = f"{scope} energy"
    if scope != FACILITY and declared.pue is not None:
        kwh *= declared.pue
        words += f" x PUE {declared.pue:g}"
    elif scope != FACILITY:
        words += " without the building's overhead (no [energy] pue)"
    words += f" x {intensity:g} g/kWh, declared: {declared.source}, {declared.date}"
    return Declared(kwh * intensity, None, words)


def host_j(window_s: float, declared: Energy | None) -> Declared:
    """Return the host's joules from its declared watts."""
    if declared is None or declared.host_power_w is None:
        words = "no meter of the host, and the study has no [energy] host_power_w"
        return Declared(None, "not_declared", words)
    words = f"host: a constant {declared.host_power_w:g} W, declared: "
    return Declared(
        declared.host_power_w * window_s, None, f"{words}{declared.source}, {declared.date}"
    )
