"""A meter whose clock runs ahead of the tokens': it sees the load before it was sent.

No accelerator draws more before the first request of a quiet spell has left the client. Where the
watts rise earlier than that, by more than reading and scheduling explain, and do so at half of the
starts or more, the meter's stamps are early. The other way round nothing can be proved: an engine
may take its time to begin. Only meters of accelerators are judged so: the host also works for the
client, who makes requests ready before sending them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inferometer.energy.series import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inferometer.energy.series import Series

QUIET_S = 2.0
"""Without a request for so long, the watts are those of loaded idle."""
LOOK_S = 2.0
"""How far after a start the load's own watts are taken from."""
RISE = 1.5
"""The load draws so many times the idle watts, or the start is not used."""
EARLY_S = 0.02
"""Earlier than this is no matter of scheduling."""
LEAST_STARTS = 3


def starts(sent_ns: NDArray[np.int64], done_ns: NDArray[np.int64]) -> list[int]:
    """Return the sends before which no request had been in flight for :data:`QUIET_S`."""
    order = np.argsort(sent_ns, kind="stable")
    sent, until = sent_ns[order], np.maximum.accumulate(done_ns[order])
    quiet = sent[1:] - until[:-1] > QUIET_S * 1e9
    return [int(moment) for moment in sent[1:][quiet]]


def lead_s(found: Series, start_ns: int) -> float | None:
    """Return by how many seconds the watts rose before ``start_ns``; negative: after.

    None where the rise cannot be told from the idle watts' own unrest.
    """
    part = found.covering(start_ns - round(QUIET_S * 1e9), start_ns + round(LOOK_S * 1e9))
    t_ns, watts = _watts(part)
    before = watts[t_ns < start_ns - QUIET_S * 0.5e9]
    after = watts[t_ns > start_ns + LOOK_S * 0.5e9]
    if before.size < 3 or after.size < 3:
        return None
    idle, load = float(np.median(before)), float(np.median(after))
    half = (idle + load) / 2
    if load < RISE * idle or before.max() > half:
        return None
    low = np.flatnonzero((watts < half) & (t_ns <= start_ns + LOOK_S * 0.5e9))
    if low.size == 0 or low[-1] + 1 >= t_ns.size:
        return None
    return float(start_ns - t_ns[low[-1] + 1]) / 1e9


def _watts(part: Series) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if part.unit == "W":
        return part.t_ns, part.value
    moved = np.concatenate([[0], np.flatnonzero(np.diff(part.value) > 0) + 1])
    t_ns, value = part.t_ns[moved], part.value[moved]
    return t_ns[1:], np.diff(value) / (np.diff(t_ns) / 1e9)


def early(found: Sequence[Series], begun: Sequence[Sequence[int]]) -> Fault | None:
    """Judge one meter's series of several launches, each with its own starts."""
    leads = [
        lead
        for one, moments in zip(found, begun, strict=True)
        for moment in moments
        for lead in [lead_s(one, moment)]
        if lead is not None
    ]
    if len(leads) < LEAST_STARTS or float(np.median(leads)) <= EARLY_S:
        return None
    words = f"the meter rose {1e3 * float(np.median(leads)):.0f} ms before the load was sent"
    return Fault("clock_unsure", f"{words}, at the median of {len(leads)} starts")
