"""A window at a glance, the moment it is over: about how many tokens a second, and how many watts.

It costs one look at each request and reading, no table, and is shown to whoever watches; what is
ranked is counted anew, event by event, by the analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.journal_records import Figure, Power

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.plan import Launch
    from inferometer.records import MeterInfo, Reading, Request, Window


def figure(
    launch: Launch,
    window: Window,
    requests: Sequence[Request],
    meters: Iterable[MeterInfo],
    readings: Sequence[Reading],
    *,
    simulated: bool = False,
) -> Figure:
    """Return what a window of ``launch`` looks like."""
    start_ns, end_ns = window.start_ns, window.end_ns
    found = [watts(info, readings, start_ns, end_ns) for info in meters]
    return Figure(
        launch=launch.id,
        stack=launch.stack,
        model=launch.model.name,
        workload=window.workload,
        load=window.load,
        seconds=(end_ns - start_ns) * 1e-9,
        output_tps=output_tps(requests, start_ns, end_ns),
        powers=[power for power in found if power is not None],
        failed=sum(request.status == "error" for request in requests),
        simulated=simulated,
    )


def output_tps(requests: Iterable[Request], start_ns: int, end_ns: int) -> float | None:
    """Return about the output tokens/s between two times; None where no answer gave any.

    An answer's first token came at its first event, the others evenly until its last. Of one that
    was cut its events are counted, for its usage never came.
    """
    seen = [_inside(each, start_ns, end_ns) for each in requests if each.first_ns is not None]
    return sum(seen) / ((end_ns - start_ns) * 1e-9) if seen and end_ns > start_ns else None


def _inside(request: Request, start_ns: int, end_ns: int) -> float:
    assert request.first_ns is not None
    first, last = request.first_ns, request.last_ns or request.first_ns
    tokens = request.chunks if request.output_tokens is None else request.output_tokens
    inside = start_ns <= first < end_ns
    if last == first:
        return float(tokens) if inside else 0.0
    overlap = max(0, min(last, end_ns) - max(first, start_ns))
    return (1.0 if tokens and inside else 0.0) + max(0, tokens - 1) * overlap / (last - first)


def watts(info: MeterInfo, readings: Sequence[Reading], start_ns: int, end_ns: int) -> Power | None:
    """Return a meter's mean power between two times; None where it told nothing then."""
    left_out = {device.name for device in info.devices if device.left_out}
    devices: dict[str, list[Reading]] = {}
    for row in readings:
        if row.meter == info.name and start_ns <= row.t_ns <= end_ns:
            devices.setdefault(row.device, []).append(row)
    means = [_mean(rows) for name, rows in devices.items() if name not in left_out]
    known = [mean for mean in means if mean is not None]
    if not known or len(known) < len(means):
        return None
    return Power(meter=info.name, kind=info.kind, watts=sum(known))


def _mean(rows: Sequence[Reading]) -> float | None:
    if rows[0].unit == "W":
        return sum(row.value for row in rows) / len(rows)
    seconds = (rows[-1].t_ns - rows[0].t_ns) * 1e-9
    joules = rows[-1].value - rows[0].value  # less than none: the counter began anew
    return joules / seconds if seconds > 0 and joules >= 0 else None
