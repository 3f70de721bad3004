"""Joules of each meter in each window, or the reason why there are none.

A cumulative counter (J): difference of its values linearly interpolated at the window's edges.
Power (W): trapezoid with interpolated edges. Devices add up. Nothing is ever 0 for want of data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from inferometer.tables import Tables

LONGEST_GAP_S = 3.0
"""Readings further apart than this do not cover a window (real sensors only)."""
AGREEMENT = 0.05
"""Two measured meters of one scope that differ by more are disputed."""
_SCHEMA: dict[str, Any] = {
    "meter": pl.String,
    "scope": pl.String,
    "meter_kind": pl.String,
    "load_point": pl.Int64,
    "energy_j": pl.Float64,
    "energy_j_reason": pl.String,
    "energy_j_detail": pl.String,
}


class Joules(NamedTuple):
    """Energy in a window, or None with the reason, and words for either."""

    energy_j: float | None
    reason: str | None = None
    detail: str = ""


def device_energy(
    t_ns: NDArray[np.int64],
    value: NDArray[np.float64],
    unit: str,
    start_ns: int,
    end_ns: int,
    *,
    longest_gap_s: float = float("inf"),
) -> Joules:
    """Return one device's joules in ``[start_ns, end_ns]`` from readings in any order."""
    order = np.argsort(t_ns, kind="stable")
    t_ns, value = t_ns[order], value[order]
    if t_ns.size < 2 or t_ns[0] > start_ns or t_ns[-1] < end_ns:
        return Joules(None, "coverage_low", "readings do not reach over the whole window")
    first = int(np.searchsorted(t_ns, start_ns, side="right")) - 1
    last = int(np.searchsorted(t_ns, end_ns, side="left"))
    t_s, seen = (t_ns[first : last + 1] - start_ns) / 1e9, value[first : last + 1]
    gap = float(np.diff(t_s).max(initial=0.0))
    if gap > longest_gap_s:
        return Joules(None, "coverage_low", f"no reading for {gap:.1f} s")
    if not np.isfinite(seen).all() or (seen < 0).any():
        return Joules(None, "failed", "a reading is negative or not a number")
    edges = np.array([0.0, (end_ns - start_ns) / 1e9])
    at_edges = np.interp(edges, t_s, seen)
    if unit == "J":
        if (np.diff(seen) < 0).any():
            return Joules(None, "failed", "the counter ran backwards")
        energy = float(at_edges[1] - at_edges[0])
    else:
        inner = (t_s > edges[0]) & (t_s < edges[1])
        at = np.concatenate([edges[:1], t_s[inner], edges[1:]])
        watts = np.concatenate([at_edges[:1], seen[inner], at_edges[1:]])
        energy = float(np.trapezoid(watts, at))
    if energy <= 0:
        return Joules(None, "failed", "the meter did not move during the window")
    return Joules(energy)


def energies(tables: Tables) -> pl.DataFrame:
    """Return one row a launch, load point and meter: ``energy_j`` or ``energy_j_reason``."""
    devices = {
        str(meter): set(group["device"])
        for (meter,), group in tables.readings.group_by("meter", maintain_order=True)
    }
    readings = {
        (str(launch), str(meter)): group
        for (launch, meter), group in tables.readings.group_by(
            "launch", "meter", maintain_order=True
        )
    }
    rows = []
    windows = tables.windows.select("launch", "load_point", "start_ns", "end_ns").rows()
    meters = tables.meters.partition_by("launch", as_dict=True, maintain_order=True)
    for launch, load_point, start_ns, end_ns in windows:
        known = meters.get((launch,))
        for info in known.iter_rows(named=True) if known is not None else ():
            name = info["name"]
            joules = (
                Joules(None, info["reason"], info["detail"])
                if info["reason"]
                else meter_energy(
                    readings.get((launch, name)),
                    devices.get(name, set()),
                    (start_ns, end_ns),
                    LONGEST_GAP_S if info["kind"] in {"measured", "estimated"} else float("inf"),
                )
            )
            rows.append((launch, name, info["scope"], info["kind"], load_point, *joules))
    schema = {"launch": tables.windows.schema["launch"], **_SCHEMA}
    return corroborate(pl.DataFrame(rows, schema=schema, orient="row"))


def meter_energy(
    readings: pl.DataFrame | None,
    devices: Iterable[str],
    window: tuple[int, int],
    longest_gap_s: float,
) -> Joules:
    """Return one meter's joules in ``window``: the sum over ``devices``, all of which must count.

    ``devices`` are those seen in any launch, so that a lost one is a hole and not a saving.
    """
    if readings is None or readings.is_empty():
        return Joules(None, "coverage_low", "no readings in this launch")
    total = 0.0
    for device in sorted(devices):
        rows = readings.filter(pl.col("device") == device)
        units = rows["unit"].unique().to_list()
        if len(units) > 1:
            return Joules(None, "failed", f"{device}: readings in two units")
        joules = device_energy(
            rows["t_ns"].to_numpy(),
            rows["value"].to_numpy(),
            units[0] if units else "J",
            *window,
            longest_gap_s=longest_gap_s,
        )
        if joules.energy_j is None:
            return joules._replace(detail=f"{device}: {joules.detail}")
        total += joules.energy_j
    return Joules(total)


def corroborate(frame: pl.DataFrame) -> pl.DataFrame:
    """Compare measured meters of one scope: one alone is uncorroborated, two apart are disputed.

    A disputed meter gives no number (reason ``disputed``): which of the two is right is unknown.
    """
    seen = pl.col("energy_j").filter(pl.col("meter_kind") == "measured")
    frame = frame.with_columns(
        _n=seen.count().over("launch", "load_point", "scope"),
        _spread=(seen.max() / seen.min() - 1).over("launch", "load_point", "scope"),
    )
    measured = (pl.col("meter_kind") == "measured") & pl.col("energy_j").is_not_null()
    apart = measured & (pl.col("_spread") > AGREEMENT)
    percent = (pl.col("_spread") * 100).round(1).cast(pl.String)
    told = (
        pl.when(apart)
        .then(pl.format("meters of one scope differ by {} %", percent))
        .when(measured & (pl.col("_n") == 1))
        .then(pl.lit("uncorroborated: one instrument alone"))
        .when(measured)
        .then(pl.format("corroborated: meters of one scope agree within {} %", percent))
        .otherwise(pl.col("energy_j_detail"))
    )
    return frame.with_columns(
        energy_j=pl.when(apart).then(None).otherwise(pl.col("energy_j")),
        energy_j_reason=pl.when(apart)
        .then(pl.lit("disputed"))
        .otherwise(pl.col("energy_j_reason")),
        energy_j_detail=told,
    ).drop("_n", "_spread")
