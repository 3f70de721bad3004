"""Joules of each meter in each window, or the reason why there are none.

:mod:`inferometer.energy` does the account of one meter in one window; here every window of a
results directory gets one, held against the clock, the load's own beat and the other instruments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from msgspec import structs

from inferometer.energy import agreement, aliasing, clocks
from inferometer.energy.account import (
    CLOCK_STEP_MS,
    Account,
    account,
    counted,
    counting,
    read_info,
    read_series,
    sensor_of,
)
from inferometer.energy.series import Fault
from inferometer.metrics.windows import UNDER_LOAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from inferometer.energy.series import Series
    from inferometer.records import MeterInfo
    from inferometer.tables import Tables

Place = tuple[str, int]
"""Launch and load point."""
_SCHEMA: dict[str, Any] = {
    "meter": pl.String,
    "scope": pl.String,
    "meter_kind": pl.String,
    "load_point": pl.Int64,
    "energy_j": pl.Float64,
    "energy_j_reason": pl.String,
    "energy_j_detail": pl.String,
    "energy_pm_j": pl.Float64,
    "instrument": pl.String,
    "boundary": pl.String,
    "ticks": pl.Int64,
    "edges": pl.String,
    "devices": pl.Int64,
    "power_limit_w": pl.Float64,
}


class Meters(NamedTuple):
    """What the meters of a results directory are, and all that they said."""

    infos: Mapping[str, Sequence[MeterInfo]]
    """By launch."""
    series: Mapping[tuple[str, str], Mapping[str, Sequence[Series]]]
    """By launch and meter, then by device."""
    most: Mapping[tuple[str, str, str], int]
    """Most devices counted, by stack, model and meter."""


def energies(tables: Tables) -> pl.DataFrame:
    """Return one row a launch, load point and meter: ``energy_j`` or ``energy_j_reason``.

    ``energy_pm_j`` is the plus-minus of the window's edges and of sampling (not the sensor's own
    bias), ``ticks`` the counter's new values inside, ``edges`` how the bounds were found,
    ``devices`` how many add up and ``power_limit_w`` their limits' sum; null where not known.
    """
    rows = [
        (
            launch,
            one.info.name,
            one.info.scope,
            one.info.kind,
            load_point,
            *one.joules[:4],
            one.info.instrument,
            one.info.boundary,
            *one.joules[4:],
            len(one.devices) or None,
            limit_w(one),
        )
        for (launch, load_point), accounts in window_accounts(tables).items()
        for one in accounts
    ]
    schema = {"launch": tables.windows.schema["launch"], **_SCHEMA}
    return pl.DataFrame(rows, schema=schema, orient="row")


def window_accounts(tables: Tables) -> dict[Place, list[Account]]:
    """Return the accounts of every window, one a meter of its launch, settled among themselves."""
    known = read_meters(tables)
    early = early_meters(tables, known)
    columns = ["launch", "stack", "model", "load_point", "start_ns", "end_ns", "clock_step_ms"]
    found = {}
    for launch, stack, model, point, start_ns, end_ns, step_ms in tables.windows.select(
        columns
    ).iter_rows():
        accounts = stretch_accounts(
            known, early, (launch, stack, model), (start_ns, end_ns), step_ms
        )
        accounts = _out_of_step(tables, accounts, (launch, point), (start_ns, end_ns))
        found[launch, point] = agreement.settle(accounts, (end_ns - start_ns) / 1e9)
    return found


def stretch_accounts(
    known: Meters,
    early: Mapping[str, Fault | None],
    whose: tuple[str, str, str],
    bounds_ns: tuple[int, int],
    step_ms: float | None,
) -> list[Account]:
    """Return the accounts of a stretch of a launch, one a meter; those of a wrong clock refused.

    ``whose``: launch, stack and model. ``early``: of :func:`early_meters`. ``step_ms``: by how much
    the wall clock gained in the stretch.
    """
    launch, stack, model = whose
    return [
        _refused(
            account(
                info,
                known.series.get((launch, info.name), {}),
                *bounds_ns,
                others=known.most[stack, model, info.name],
            ),
            early.get(info.name) or _clock(info, step_ms),
        )
        for info in known.infos.get(launch, ())
    ]


def read_meters(tables: Tables) -> Meters:
    """Return the meters of ``tables`` with their readings."""
    every = read_series(tables.readings)
    infos: dict[str, list[MeterInfo]] = {}
    most: dict[tuple[str, str, str], int] = {}
    for row in tables.meters.iter_rows(named=True):
        devices = every.get((row["launch"], row["name"]), {})
        info = with_instrument(read_info(row), devices)
        infos.setdefault(row["launch"], []).append(info)
        key = (row["stack"], row["model"], info.name)
        most[key] = max(most.get(key, 0), len(counted(info, devices)))
    return Meters(infos, every, most)


def with_instrument(info: MeterInfo, devices: Mapping[str, Sequence[Series]]) -> MeterInfo:
    """Return ``info`` with its instrument, which older results tell by the readings' unit."""
    units = {one.unit for found in devices.values() for one in found}
    if info.instrument or info.kind != "measured" or len(units) != 1:
        return info
    return structs.replace(info, instrument="counter" if units == {"J"} else "power")


def limit_w(one: Account) -> float | None:
    """Return the sum of the power limits of the devices that count; None where one is unknown."""
    limits = [device.power_limit_w for device in counting(one.info)]
    known = [limit for limit in limits if limit is not None]
    return sum(known) if known and len(known) == len(limits) else None


def _refused(one: Account, wrong: Fault | None) -> Account:
    if wrong is None or one.joules.energy_j is None:
        return one
    joules = one.joules._replace(energy_j=None, reason=wrong.reason, detail=wrong.detail)
    return Account(info=one.info, joules=joules, devices=one.devices)


def _clock(info: MeterInfo, step_ms: float | None) -> Fault | None:
    if info.kind != "measured" or step_ms is None or abs(step_ms) <= CLOCK_STEP_MS:
        return None
    words = f"the wall clock gained {step_ms:.0f} ms in the window"
    return Fault("clock_unsure", f"{words}, {CLOCK_STEP_MS:g} ms are allowed")


def early_meters(tables: Tables, known: Meters) -> dict[str, Fault | None]:
    """Return the meters whose watts rise before the load was sent."""
    moments = {
        str(launch): clocks.starts(*_spans(rows, tables, str(launch)))
        for (launch,), rows in tables.requests.group_by("launch", maintain_order=True)
    }
    found: dict[str, tuple[list[Series], list[list[int]]]] = {}
    judged = {}
    for launch, infos in known.infos.items():
        for info in infos:
            if (info.kind, info.scope, info.reason) != ("measured", "L0", None):
                continue
            judged[info.name] = sensor_of(info)
            devices = known.series.get((launch, info.name), {})
            every, begun = found.setdefault(info.name, ([], []))
            whole = [devices[d][0] for d in counted(info, devices) if d in devices]
            every += whole
            begun += [moments.get(launch, [])] * len(whole)
    return {name: clocks.early(*found[name], sensor) for name, sensor in judged.items()}


def _spans(
    rows: pl.DataFrame, tables: Tables, launch: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return send and end of every request; a loaded idle stretch ends what was before it."""
    done = rows.select(pl.coalesce("end_ns", "last_ns", "sent_ns")).to_series()
    idles = tables.idles.filter(pl.col("launch") == launch, pl.col("state") == "loaded")
    sent = np.concatenate([idles["start_ns"].to_numpy(), rows["sent_ns"].to_numpy()])
    return sent, np.concatenate([idles["start_ns"].to_numpy(), done.to_numpy()])


def _out_of_step(
    tables: Tables, accounts: Sequence[Account], place: Place, window: tuple[int, int]
) -> list[Account]:
    """Refuse the meters that look part of the time, in step with the load."""
    sensors = [sensor_of(one.info) for one in accounts]
    if not any(aliasing.share_seen(sensor) for sensor in sensors):
        return list(accounts)
    mine = tables.requests.filter(
        pl.col("launch") == place[0],
        pl.col("load_point") == place[1],
        pl.col("phase").is_in(UNDER_LOAD),
    )
    events = tables.events(place[0], mine["index"].to_list(), *window)
    return [
        _refused(one, aliasing.in_phase(events, sensor))
        for one, sensor in zip(accounts, sensors, strict=True)
    ]
