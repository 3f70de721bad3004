"""Watts against load: what an idle server draws, what any step adds, what prompts and batch add."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import replace
from scipy.optimize import nnls

from inferometer_plugins.calibration import predict
from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.faults import Faults
from inferometer_plugins.simulator.model import Power, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Cell, Kind
    from inferometer_plugins.calibration.fitting import Window
    from inferometer_plugins.calibration.reading import Seen
    from inferometer_plugins.simulator.model import Params

NOTHING = Power(base_w=0.0, prefill_w=0.0, batch_w=0.0)
APART = 0.2
"""The shares of busy time must differ by so much to tell an idle server from a busy one."""


class Watts(NamedTuple):
    """The fit, or the reason why there is none."""

    power: Power
    meter: str | None
    kind: Kind | None
    residual_share: float | None
    reason: str | None = None
    detail: str = ""
    note: str = ""


def meter_of(meters: Mapping[str, bool]) -> str | None:
    """Return the first meter that does more than repeat the time, None where none does."""
    return next((name for name, repeats in meters.items() if not repeats), None)


def fit(
    windows: Sequence[Window],
    params: Params,
    start_s: float,
    cells: Mapping[tuple[str, str], Cell],
    meter: str | None,
) -> Watts:
    """Return the least-squares power law of mean watts by load point, no term of it below 0.

    ``params`` and ``start_s`` are the engine as fitted so far, without its watts.

    Load points that were never idle cannot tell an idle server from a busy one: then it is taken
    to draw as much when it idles, and ``note`` says so.
    """
    if meter is None:
        detail = "no meter was read that does more than repeat the time"
        return Watts(NOTHING, None, None, None, "no_sensor", detail)
    groups: dict[int, list[Window]] = {}
    for it in windows:
        groups.setdefault(it.seen.load.index, []).append(it)
    table, watts, kind = [], [], None
    for group in groups.values():
        load = group[0].seen.load
        cell = cells.get((load.workload, load.load))
        value = cell.values.get(f"mean_power_w@{meter}") if cell else None
        if value is None or value.value is None or value.value <= 0:
            continue
        kind = value.kind
        shares = [_shares(it.seen, params, start_s) for it in group]
        table.append(np.mean(shares, axis=0))
        watts.append(value.value)
    if len(table) < 2:
        detail = f"meter {meter} tells the power of {len(table)} load points, and it takes two"
        return Watts(NOTHING, meter, None, None, "no_sensor", detail)
    columns, seen = np.asarray(table), np.asarray(watts)
    note = ""
    busy = columns[:, 1]
    if np.ptp(busy) < APART:
        columns[:, 1] = 0.0
        note = "no load point left the server idle: it is taken to draw as much then as at work"
    size = np.abs(columns).max(axis=0)
    size[size == 0] = 1.0
    found = nnls(columns / size / seen[:, None], np.ones(len(seen)))[0] / size
    base_w, busy_w, prefill_w, batch_w = found.tolist()
    left = columns @ found / seen - 1
    return Watts(
        Power(base_w=base_w, busy_w=busy_w, prefill_w=prefill_w, batch_w=batch_w),
        meter,
        kind,
        float(np.sqrt(np.mean(left * left))),
        note=note,
    )


def _shares(seen: Seen, params: Params, start_s: float) -> list[float]:
    """Return the means over the window's time that the four terms of :class:`Power` multiply.

    They are those of the simulated window: which prompts share a step is not seen from outside.
    """
    workload, load = predict.offered(seen)
    trace = simulate(
        replace(silent(params), power=Power(base_w=0.0, prefill_w=0.0, batch_w=1.0)),
        workload,
        load,
        work_seed=0,
        seed=0,
        end_s=seen.end_s,
        faults=Faults(client_delay_s=start_s),
    )
    low_s = np.clip(trace.begin_s, seen.start_s, seen.end_s)
    took_s = np.clip(trace.end_s, seen.start_s, seen.end_s) - low_s
    whole = np.ones(len(took_s))
    terms = (whole, trace.prefill / params.budget, trace.power_w)
    return [1.0, *(float((term * took_s).sum()) / seen.length_s for term in terms)]
