"""Power over a window: means of steps, and the highest second as its peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inferometer.energy.series import Series

BIN_S = 1.0
"""One sample may be anything, so a peak is the mean of a second."""


def peak_w(devices: Sequence[Series], start_ns: int, end_ns: int) -> float | None:
    """Return the highest mean over one second of all devices together; None where unknown.

    Seconds are counted from the window's start; what is left over at its end is not looked at. A
    counter is interpolated between its ticks. Readings further apart than a second tell nothing.
    """
    watts = binned_w(devices, start_ns, end_ns, BIN_S)
    return None if watts is None else float(watts.max())


def binned_w(
    devices: Sequence[Series], start_ns: int, end_ns: int, step_s: float
) -> NDArray[np.float64] | None:
    """Return the mean watts of all devices together in every whole step; None where unknown."""
    edges = np.arange(0.0, (end_ns - start_ns) / 1e9 + 1e-9, step_s)
    if not devices or edges.size < 2:
        return None
    total = np.zeros(edges.size - 1)
    for one in devices:
        watts = _by_step(one, start_ns, edges)
        if watts is None:
            return None
        total += watts
    return total


def _by_step(one: Series, start_ns: int, edges: NDArray[np.float64]) -> NDArray[np.float64] | None:
    step_s = float(edges[1] - edges[0])
    t_s, value = (one.t_ns - start_ns) / 1e9, one.value
    if one.unit == "J":  # a stale value before a tick is no rise at the tick
        moved = np.flatnonzero(np.diff(value)) + 1
        t_s, value = t_s[moved], value[moved]
    first = int(np.searchsorted(t_s, edges[0], side="right")) - 1
    last = int(np.searchsorted(t_s, edges[-1], side="left"))
    if first < 0 or last >= t_s.size:
        return None
    t_s, value = t_s[first : last + 1], value[first : last + 1]
    if np.diff(t_s).max(initial=0.0) > step_s or not np.isfinite(value).all():
        return None
    if one.unit == "J":
        return np.asarray(np.diff(np.interp(edges, t_s, value)) / step_s)
    at = np.union1d(t_s, edges)
    watts = np.interp(at, t_s, value)
    area = np.concatenate([[0.0], np.cumsum(np.diff(at) * (watts[1:] + watts[:-1]) / 2)])
    return np.asarray(np.diff(np.interp(edges, at, area)) / step_s)
