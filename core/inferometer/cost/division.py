"""One bill divided between input and output.

The machine is paid for by time, whoever has it. Of the time in which requests were in flight, input
bears prefill's share and output decode's; idle time is told apart. The shares come from, in this
order:

- ``phases``: prefill and decode joules of the fit over windows of unlike shape
  (:mod:`inferometer.phases`), of the meter that ranks first;
- ``engine``: the engine's own busy seconds of prefill and decode, where it counts them;
- ``client``: request-seconds in the window that waited for a first token, against all. Waiting in
  a queue counts as input then, so it is an estimate.

Nothing is paid twice: input + output + idle = 1. In prices per token the idle part is borne by both
in proportion to their shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from inferometer.comparison.costs import Division
from inferometer.contests import primary_meter
from inferometer.metrics.phases import uncached
from inferometer.metrics.windows import KEY, load_requests
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inferometer.cells import Evidence
    from inferometer.comparison import Kind, PhaseSplit
    from inferometer.records import Window
    from inferometer.tables import Tables

Place = tuple[str, int]
"""Launch and load point."""
KINDS: dict[str | None, Kind] = {"phases": "derived", "engine": "derived", "client": "estimated"}
WORDS = {
    "phases": "by the joules of prefill and decode",
    "engine": "by the engine's own seconds of prefill and decode",
    "client": "by time: waiting for the first token is input, queueing included; the rest output",
}


class _Times(NamedTuple):
    """Request-seconds of a window, and its seconds without any request."""

    waiting_s: float
    streaming_s: float
    idle_share: float


def divide(evidence: Evidence, phases: Sequence[PhaseSplit]) -> dict[Place, Division]:
    """Return the division of every window's bill, by launch and load point."""
    times = _times(evidence.tables)
    cached = _cached(evidence)
    fits = _by_phases(phases, primary_meter(evidence.meters))
    found = {}
    for record in evidence.records:
        for window in record.windows:
            place = (record.id, window.load_point)
            fit = fits.get((stack_id(record), model_name(record), window.load, window.workload))
            found[place] = _divided(fit, window, times.get(place), cached.get(place))
    return found


def together(divisions: Sequence[Division]) -> Division:
    """Return the mean of the divisions of a cell's launches; they were divided alike."""
    known = [one for one in divisions if one.method is not None]
    if not known:
        nothing = "no whole launch here"
        return divisions[0] if divisions else _absent("not_run", nothing)
    alike = [one for one in known if one.method == known[0].method]
    caches = [c for one in alike if (c := one.cached_tokens_share) is not None]
    return Division(
        method=known[0].method,
        input_share=_mean([one.input_share for one in alike]),
        output_share=_mean([one.output_share for one in alike]),
        idle_share=_mean([one.idle_share for one in alike]),
        cached_tokens_share=_mean(caches) if caches else None,
        detail=known[0].detail,
    )


def busy_shares(division: Division) -> tuple[float, float] | None:
    """Return what input and output bear of a bill that they pay alone; together 1."""
    if division.input_share is None or division.output_share is None:
        return None
    both = division.input_share + division.output_share
    return division.input_share / both, division.output_share / both


def _divided(
    fit: float | None, window: Window, times: _Times | None, cached: float | None
) -> Division:
    if times is None or times.idle_share >= 1:
        return _absent("too_few_samples", "no request was in flight in the window")
    seconds = [window.counters.get(name, 0.0) for name in ("prefill_busy_s", "decode_busy_s")]
    if fit is not None:
        method, share = "phases", fit
    elif min(seconds) > 0:
        method, share = "engine", seconds[0] / sum(seconds)
    else:
        method, share = "client", times.waiting_s / (times.waiting_s + times.streaming_s)
    busy = 1 - times.idle_share
    return Division(
        method=method,  # type: ignore[arg-type]  # one of the three above
        input_share=share * busy,
        output_share=busy - share * busy,
        idle_share=times.idle_share,
        cached_tokens_share=cached,
        detail=WORDS[method],
    )


def _absent(reason: str, detail: str) -> Division:
    return Division(
        method=None,
        input_share=None,
        output_share=None,
        idle_share=None,
        reason=reason,
        detail=detail,
    )


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _by_phases(
    phases: Sequence[PhaseSplit], first: str | None
) -> dict[tuple[str, str, str, str], float]:
    """Return prefill's share of the joules of work, by stack, model, load and workload."""
    found: dict[tuple[str, str, str, str], float] = {}
    for split in sorted(phases, key=lambda split: split.meter != first):
        for part in split.parts:
            work = part.prefill_j + part.decode_j
            key = (split.stack, split.model, split.load, part.workload)
            if work > 0:
                found.setdefault(key, part.prefill_j / work)
    return found


def _cached(evidence: Evidence) -> dict[Place, float]:
    """Return the share of each window's input tokens that a cache held; absent: not told."""
    computed = uncached(evidence.tables)
    rows = evidence.tables.windows.select(*KEY, s=(pl.col("end_ns") - pl.col("start_ns")) / 1e9)
    seconds = {(launch, point): s for launch, point, s in rows.iter_rows()}
    inputs = evidence.points.filter(pl.col("metric") == "input_tok_s").select(*KEY, "value")
    found = {}
    for launch, point, tok_s in inputs.iter_rows():
        left = computed.get((launch, point))
        if tok_s and left is not None:
            found[launch, point] = min(max(1 - left / (tok_s * seconds[launch, point]), 0.0), 1.0)
    return found


def _times(tables: Tables) -> dict[Place, _Times]:
    """Return how the request-seconds in each window divide, and its idle share."""
    start, end = pl.col("start_ns"), pl.col("window_end_ns")
    done = pl.coalesce("end_ns", "last_ns", "window_end_ns")

    def inside(moment: pl.Expr) -> pl.Expr:
        return pl.max_horizontal(pl.min_horizontal(moment, end), start)

    rows = load_requests(tables).with_columns(
        since=inside(pl.col("sent_ns")),
        first=inside(pl.coalesce(pl.col("first_ns"), done)),
        until=inside(done),
    )
    found = {}
    for (launch, point), group in rows.group_by(KEY, maintain_order=True):
        since, first, until = (group[name].to_numpy() for name in ("since", "first", "until"))
        bounds = int(group["start_ns"][0]), int(group["window_end_ns"][0])
        waiting, streaming = float((first - since).sum()), float((until - first).sum())
        if waiting + streaming > 0:
            idle = 1 - covered(since, until) / (bounds[1] - bounds[0])
            found[str(launch), int(str(point))] = _Times(waiting / 1e9, streaming / 1e9, idle)
    return found


def covered(since: NDArray[np.int64], until: NDArray[np.int64]) -> int:
    """Return the length of the union of intervals [since, until)."""
    order = np.argsort(since, kind="stable")
    starts, ends = since[order], np.maximum.accumulate(until[order])
    before = np.concatenate([starts[:1], ends[:-1]])
    return int(np.maximum(ends - np.maximum(starts, before), 0).sum())
