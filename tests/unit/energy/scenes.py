"""A results directory with two metered accelerators, and ways to spoil it.

Three launches of one stack, windows of 30 s unless told; each launch idles loaded for 4 s, then the
load begins. Two accelerators of 700 W are read by a counter (``nvml``) and a power sensor
(``nvml-power``) as the sampler reads them.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from msgspec import structs
from tests.unit.energy import traces

from inferometer.metrics.energy import energies
from inferometer.records import Device, Idle, MeterInfo
from inferometer.tables import Tables, scan
from inferometer.testing.results import BEGIN, SECOND, Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.energy.series import Series

IDLE_S = 4.0
LEAD_S = IDLE_S + 1.0
"""From a trace's beginning to its window's."""
AFTER_S = 3.0
LIMIT_W = 700.0
GPUS = tuple(Device(name=f"GPU-{n}", index=n, power_limit_w=LIMIT_W) for n in (0, 1))
COUNTER = MeterInfo(
    name="nvml",
    scope="L0",
    kind="measured",
    method="energy counter",
    instrument="counter",
    devices=list(GPUS),
    update_ms=100.0,
    period_s=0.1,
    resolution=0.001,
    permission="none",
)
POWER = structs.replace(
    COUNTER, name="nvml-power", method="instant power", instrument="power", averaged_ms=100.0
)
ROUNDS = 3


@lru_cache
def scene(length_s: int = 30, update_s: float = 0.1, averaged_s: float = 0.1) -> Tables:
    """Return the unspoilt tables; windows of ``length_s``, power as told."""
    with tempfile.TemporaryDirectory() as folder:
        fixture = Fixture(rates={"a": 40.0}, rounds=ROUNDS, window_s=length_s, meter=None)
        bare = scan(write_results(Path(folder) / "r", fixture))
    rng = np.random.default_rng(length_s)
    power = structs.replace(POWER, update_ms=update_s * 1e3, averaged_ms=averaged_s * 1e3)
    rows: list[pl.DataFrame] = []
    for launch, position in bare.launches.select("launch", "position").iter_rows():
        origin = BEGIN + position * 1000 * SECOND - round(IDLE_S * SECOND)
        for gpu in GPUS:
            load = under_load(rng, LEAD_S + length_s + AFTER_S)
            window = (LEAD_S, LEAD_S + length_s)
            seen = traces.counter(rng, load, window)
            watts = traces.power(rng, load, update_s=update_s, averaged_s=averaged_s)
            rows += [
                _rows(str(launch), "nvml", gpu.name, seen, origin),
                _rows(str(launch), "nvml-power", gpu.name, watts, origin),
            ]
    found = with_readings(replace(bare, idles=_idles(bare)), pl.concat(rows))
    return with_meters(found, [COUNTER, power])


def under_load(rng: np.random.Generator, seconds: float) -> traces.Truth:
    """Return idle watts until the first send, then a load between 250 and 550 W."""
    t_s = np.arange(0, seconds + traces.GRID_S, traces.GRID_S)
    level = 400 + 80 * np.sin(2 * np.pi * t_s / rng.uniform(3, 9))
    step = 60 * np.sign(np.sin(2 * np.pi * t_s / rng.uniform(0.02, 0.06)))
    watts = np.where(t_s < IDLE_S, 90.0, level + step) + 2 * rng.standard_normal(t_s.size)
    return traces.truth(t_s, watts)


def _rows(launch: str, meter: str, device: str, seen: Series, origin: int) -> pl.DataFrame:
    since = [None if ns < 0 else ns + origin for ns in seen.since_ns.tolist()]
    return pl.DataFrame(
        {
            "launch": launch,
            "meter": meter,
            "device": device,
            "t_ns": seen.t_ns + origin,
            "value": seen.value,
            "unit": seen.unit,
            "since_ns": pl.Series(since, dtype=pl.Int64),
        }
    )


def with_readings(found: Tables, rows: pl.DataFrame) -> Tables:
    """Return ``found`` with ``rows`` (of :func:`rows_of`'s columns) as its readings."""
    return replace(found, readings=_belonging(found, rows, found.readings.schema))


def rows_of(found: Tables) -> pl.DataFrame:
    """Return the readings with plain columns, without those that follow from the launch."""
    columns = ["launch", "meter", "device", "t_ns", "value", "unit", "since_ns"]
    return found.readings.select(columns).with_columns(pl.col("launch").cast(pl.String))


def with_meters(found: Tables, infos: Sequence[MeterInfo]) -> Tables:
    """Return ``found`` with the same meters in every launch."""
    from inferometer import tables  # noqa: PLC0415 -- its private builder of rows

    rows = tables._rows(list(infos), MeterInfo)
    every = found.launches.select(pl.col("launch").cast(pl.String)).join(rows, how="cross")
    return replace(found, meters=_belonging(found, every, found.meters.schema))


def _belonging(found: Tables, rows: pl.DataFrame, schema: Any) -> pl.DataFrame:
    owner = found.launches.select("launch", "stack", "model", "round")
    rows = rows.with_columns(pl.col("launch").cast(owner.schema["launch"]))
    return rows.join(owner, on="launch", how="left", maintain_order="left").select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )


def _idles(bare: Tables) -> pl.DataFrame:
    from inferometer import tables  # noqa: PLC0415 -- its private builder of rows

    parts = []
    for launch, position in bare.launches.select("launch", "position").iter_rows():
        end = BEGIN + position * 1000 * SECOND
        stretch = Idle(state="loaded", start_ns=end - round(IDLE_S * SECOND), end_ns=end)
        rows = tables._rows([stretch], Idle)
        parts.append(rows.with_columns(launch=pl.lit(str(launch))))
    return _belonging(bare, pl.concat(parts), bare.idles.schema)


# -- ways to spoil it --------------------------------------------------------------------------


def infos(found: Tables) -> list[MeterInfo]:
    """Return the meters of the first launch."""
    from inferometer.energy.account import read_info  # noqa: PLC0415

    first = found.meters.filter(pl.col("launch") == found.meters["launch"][0])
    return [read_info(row) for row in first.iter_rows(named=True)]


def altered(found: Tables, meter: str = "nvml", **fields: Any) -> Tables:
    """Return ``found`` with other facts about one meter."""
    changed = [
        structs.replace(info, **fields) if info.name == meter else info for info in infos(found)
    ]
    return with_meters(found, changed)


def only(found: Tables, *meters: str) -> Tables:
    """Return ``found`` with these meters alone."""
    kept = with_meters(found, [info for info in infos(found) if info.name in meters])
    return with_readings(kept, rows_of(found).filter(pl.col("meter").is_in(meters)))


def spoilt(
    found: Tables,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    meter: str = "nvml",
    device: str = "GPU-1",
    launches: int = ROUNDS,
) -> Tables:
    """Return ``found`` with ``change`` done to one device's readings in the first launches.

    ``change`` also gets ``at_s``, seconds from the window's start; it may return rows of other
    devices, fewer or more.
    """
    rows = rows_of(found)
    starts = found.windows.select(pl.col("launch").cast(pl.String), "start_ns")
    first = [str(launch) for launch in found.launches["launch"][:launches]]
    mine = (pl.col("meter") == meter) & (pl.col("device") == device) & pl.col("launch").is_in(first)
    parts = [rows.filter(~mine)]
    for launch in first:
        part = rows.filter(mine & (pl.col("launch") == launch)).join(starts, on="launch")
        part = part.with_columns(at_s=(pl.col("t_ns") - pl.col("start_ns")) / SECOND)
        parts.append(change(part).select(rows.columns))
    return with_readings(found, pl.concat(parts))


def reasons(found: Tables, launches: int = ROUNDS) -> Mapping[str, list[str | None]]:
    """Return the reasons of the first launches, by meter; None is a number."""
    first = [str(launch) for launch in found.launches["launch"][:launches]]
    frame = energies(found).filter(pl.col("launch").cast(pl.String).is_in(first))
    assert (frame["energy_j"].is_null() == frame["energy_j_reason"].is_not_null()).all()
    return {
        str(meter): rows["energy_j_reason"].to_list()
        for (meter,), rows in frame.group_by("meter", maintain_order=True)
    }
