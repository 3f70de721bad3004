"""A meter whose clock runs ahead of the tokens': it sees the load before it was sent.

No accelerator draws more before the first request of a quiet spell has left the client. Where the
watts rise earlier than that, by more than reading and chance explain, the meter's stamps are early.
The other way round nothing can be proved: an engine may take its time to begin. Only meters of
accelerators are judged so: the host also works for the client, who makes requests ready before
sending them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inferometer.energy.series import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inferometer.energy.series import Sensor, Series

QUIET_S = 2.0
"""Without a request for so long, the watts are those of loaded idle."""
LOOK_S = 2.0
"""How far after a start the load's own watts are taken from."""
RISE = 1.5
"""The load draws so many times the idle watts, or the start is not used."""
EARLY_S = 0.02
"""Earlier than this is no matter of scheduling."""
LEAST_STARTS = 3
SOME = 3


def starts(sent_ns: NDArray[np.int64], done_ns: NDArray[np.int64]) -> list[int]:
    """Return the sends before which no request had been in flight for :data:`QUIET_S`."""
    order = np.argsort(sent_ns, kind="stable")
    sent, until = sent_ns[order], np.maximum.accumulate(done_ns[order])
    quiet = sent[1:] - until[:-1] > QUIET_S * 1e9
    return [int(moment) for moment in sent[1:][quiet]]


def lead_s(found: Series, start_ns: int, averaged_s: float = 0.0) -> float | None:
    """Return by how many seconds the watts rose before ``start_ns``; negative: after.

    The first high reading also tells how long the load had run by then: joules, and means over
    ``averaged_s``, above the idle watts took their time at the watts that follow. None where the
    rise cannot be told from the idle watts' own unrest. A value is older than its stamp by half the
    time between new ones, which is not corrected for here.
    """
    part = found.covering(start_ns - round(QUIET_S * 1e9), start_ns + round(LOOK_S * 1e9))
    if not np.isfinite(part.value).all() or (np.diff(part.t_ns) <= 0).any():
        return None
    t_s, watts, stands_s = _watts(part, start_ns, averaged_s)
    idle_w, load_w = watts[t_s < -QUIET_S / 2], watts[t_s > LOOK_S / 2]
    if idle_w.size < SOME or load_w.size < SOME:
        return None
    idle, load = float(np.median(idle_w)), float(np.median(load_w))
    half = (idle + load) / 2
    high = _rise(t_s, watts, half)
    if load < RISE * idle or idle_w.max() > half or high is None:
        return None
    before = watts[high:][t_s[high:] <= 0]
    if (before < half).any():  # work of its own that ended, such as greedy probes
        return None
    after = slice(high + 1, high + 1 + SOME)
    more_w = float(np.average(watts[after], weights=stands_s[after] + 1e-9)) - idle
    ran_s = max(0.0, watts[high] - idle) * stands_s[high] / more_w if more_w > 0 else 0.0
    return float(ran_s - t_s[high])


def _rise(t_s: NDArray[np.float64], watts: NDArray[np.float64], half: float) -> int | None:
    """Return the first reading above ``half`` that those after it bear out."""
    for high in np.flatnonzero((watts >= half) & (t_s > -QUIET_S / 2) & (t_s < LOOK_S / 2)):
        after = watts[high + 1 : high + 1 + SOME]
        if high > 0 and after.size == SOME and after.mean() >= half:
            return int(high)
    return None


def _watts(
    part: Series, start_ns: int, averaged_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the moments of new values, their watts, and the seconds that each is a mean of."""
    t_s = (part.t_ns - start_ns) / 1e9
    if part.unit == "W":
        return t_s, part.value, np.full(t_s.size, averaged_s)
    moved = np.concatenate([[0], np.flatnonzero(np.diff(part.value) > 0) + 1])
    stands_s = np.diff(t_s[moved])
    return t_s[moved][1:], np.diff(part.value[moved]) / stands_s, stands_s


def early(found: Sequence[Series], begun: Sequence[Sequence[int]], sensor: Sensor) -> Fault | None:
    """Judge one meter's series of several launches, each with its own starts."""
    new_s = max(sensor.update_s or 0.0, sensor.period_s)
    averaged_s = sensor.averaged_s or 0.0
    leads = [
        lead
        for one, moments in zip(found, begun, strict=True)
        for moment in moments
        for lead in [lead_s(one, moment, averaged_s)]
        if lead is not None
    ]
    if len(leads) < LEAST_STARTS:
        return None
    middle = float(np.median(leads))
    spread = 1.4826 * float(np.median(np.abs(np.array(leads) - middle)))
    ahead = middle + new_s / 2
    chance = 2 * max(spread, new_s / 12**0.5) / len(leads) ** 0.5
    if ahead - chance <= EARLY_S:
        return None
    words = f"the watts rose {1e3 * ahead:.0f} -+ {1e3 * chance:.0f} ms before the load was sent"
    return Fault("clock_unsure", f"{words}, over {len(leads)} starts")
