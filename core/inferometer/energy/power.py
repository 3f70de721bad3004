"""Peak power: the mean watts of the highest second of a window."""

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
    edges = np.arange(0.0, (end_ns - start_ns) / 1e9 + 1e-9, BIN_S)
    if not devices or edges.size < 2:
        return None
    total = np.zeros(edges.size - 1)
    for one in devices:
        watts = _by_second(one, start_ns, edges)
        if watts is None:
            return None
        total += watts
    return float(total.max())


def _by_second(
    one: Series, start_ns: int, edges: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    t_s, value = (one.t_ns - start_ns) / 1e9, one.value
    if one.unit == "J":  # a stale value before a tick is no rise at the tick
        moved = np.flatnonzero(np.diff(value)) + 1
        t_s, value = t_s[moved], value[moved]
    first = int(np.searchsorted(t_s, edges[0], side="right")) - 1
    last = int(np.searchsorted(t_s, edges[-1], side="left"))
    if first < 0 or last >= t_s.size:
        return None
    t_s, value = t_s[first : last + 1], value[first : last + 1]
    if np.diff(t_s).max(initial=0.0) > BIN_S or not np.isfinite(value).all():
        return None
    if one.unit == "J":
        return np.asarray(np.diff(np.interp(edges, t_s, value)) / BIN_S)
    at = np.union1d(t_s, edges)
    watts = np.interp(at, t_s, value)
    area = np.concatenate([[0.0], np.cumsum(np.diff(at) * (watts[1:] + watts[:-1]) / 2)])
    return np.asarray(np.diff(np.interp(edges, at, area)) / BIN_S)
