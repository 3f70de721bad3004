"""A load point that a fit did not see: as it was, as simulated, and how far apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import replace
from scipy import stats

from inferometer_plugins.calibration import predict, steps
from inferometer_plugins.calibration.file import Figure, HeldOut, Reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer_plugins.calibration.fitting import Law
    from inferometer_plugins.calibration.power import Watts
    from inferometer_plugins.calibration.reading import Load, Seen, Stack
    from inferometer_plugins.simulator.model import Params

JOULES = "energy_j_per_output_token"


class Fit(NamedTuple):
    """Everything that some windows say."""

    params: Params
    law: Law
    watts: Watts


def reach(windows: Sequence[Seen]) -> Reach:
    """Return the largest values of some windows."""
    return Reach(
        in_flight=max((steps.in_flight(it) for it in windows), default=0.0),
        prompt_tokens=max((int(it.prompt.max()) for it in windows), default=0),
        output_tokens=max((int(it.output.max()) for it in windows), default=0),
    )


def beyond(there: Reach, fitted: Reach) -> list[str]:
    """Say in words where ``there`` lies outside of what was fitted; 5 % more is not outside."""
    found = []
    if there.in_flight > 1.05 * fitted.in_flight:
        found.append(f"{there.in_flight:.3g} in flight, {fitted.in_flight:.3g} at most fitted")
    for what in ("prompt", "output"):
        here, most = getattr(there, f"{what}_tokens"), getattr(fitted, f"{what}_tokens")
        if here > 1.05 * most:
            found.append(f"{what}s of {here} tokens, {most} at most fitted")
    return found


def held_out(stack: Stack, load: Load, windows: Sequence[Seen], fit: Fit, fitted: Reach) -> HeldOut:
    """Return a load point as it was and as simulated by a fit without it."""
    powered = fit.watts.reason is None
    seen = [predict.measured(it) for it in windows]
    said = [predict.predicted(fit.params, fit.law.start_s, it, powered=powered) for it in windows]
    figures = []
    for metric in predict.FIGURES:
        values = [row[metric] for row in said if metric in row]
        predicted = float(np.exp(np.log(values).mean())) if values and min(values) > 0 else None
        if metric == JOULES:
            figures.append(_joules(stack, load, fit.watts, predicted))
        else:
            figures.append(
                _figure(stack, metric, predicted, [r[metric] for r in seen if metric in r])
            )
    ended = sum(
        int(((it.last_s >= it.start_s) & (it.last_s < it.end_s) & ~it.early).sum())
        for it in windows
    )
    return HeldOut(
        workload=load.workload,
        load=load.load,
        requests=ended,
        beyond=beyond(reach(windows), fitted),
        figures=figures,
    )


def _figure(stack: Stack, metric: str, predicted: float | None, seen: Sequence[float]) -> Figure:
    found = Figure(
        metric=metric,
        unit=predict.FIGURES[metric],
        predicted=predicted,
        kind="simulated" if stack.simulated else "measured",
        launches=len(seen),
    )
    if not seen or predicted is None:
        words = "measured" if not seen else "simulated"
        return replace(found, reason=f"no request ended in the {words} windows")
    if min(seen) <= 0:
        return replace(found, reason="nothing was counted")
    logs = np.log(np.asarray(seen))
    measured, low, high = float(np.exp(logs.mean())), None, None
    if len(seen) > 1:
        half = float(stats.t.ppf(0.975, len(seen) - 1) * logs.std(ddof=1) / math.sqrt(len(seen)))
        low, high = measured * math.exp(-half), measured * math.exp(half)
    error = predicted / measured - 1
    return replace(found, measured=measured, low=low, high=high, error=error)


def _joules(stack: Stack, load: Load, watts: Watts, predicted: float | None) -> Figure:
    """Return joules per output token; what was measured is the report's own value."""
    found = Figure(metric=JOULES, unit=predict.FIGURES[JOULES], predicted=predicted)
    if watts.reason is not None or predicted is None:
        return replace(found, reason=watts.reason or "no token was simulated")
    cell = stack.cells.get((load.workload, load.load))
    value = cell.values.get(f"{JOULES}@{watts.meter}") if cell else None
    if value is None or value.value is None:
        return replace(found, reason=(value.reason if value else None) or "no_sensor")
    return replace(
        found,
        measured=value.value,
        kind=value.kind,
        launches=value.n,
        low=value.low,
        high=value.high,
        error=predicted / value.value - 1,
    )


def unpredicted(load: Load, why: str) -> HeldOut:
    """Return a load point without which nothing could be fitted, and ``why``."""
    figures = [
        Figure(metric=metric, unit=unit, reason=why) for metric, unit in predict.FIGURES.items()
    ]
    return HeldOut(workload=load.workload, load=load.load, requests=0, figures=figures)
