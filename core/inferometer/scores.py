"""The figure that a search compares: output tok/s or joules per output token of one trial.

Plain Python, because measuring loads no table library. The definitions are those of the report: a
token counts where its event fell, and joules are those between the window's bounds.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from inferometer import checks, store
from inferometer.records import CHUNK, CHUNK_COUNT_UNKNOWN
from inferometer.tuning import BATCHES, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from inferometer.comparison import Kind
    from inferometer.records import LaunchRecord, MeterInfo, Reading, Request, Window
    from inferometer.study import Tuning

UNDER_LOAD = ("load", "stagger")
BUSY = {
    "quiet machine": "disturbed",
    "closed under load": "starved",
    "delivered concurrency": "starved",
    "loop lag": "starved",
    "send lag": "starved",
    "client cpu": "starved",
}
"""Checks that fail on a busy machine, whatever the engine does, with the reason they stand for."""
Chunk = tuple[int, int, int, int]


class Figure(NamedTuple):
    """What is compared, before it has a value."""

    metric: str
    unit: str
    kind: Kind
    meter: str | None = None

    def absent(self, reason: str, detail: str) -> Score:
        """Return it without a value."""
        return Score(**self._asdict(), reason=reason, detail=detail)

    def of(self, amounts: Sequence[float], per: Sequence[float]) -> Score:
        """Return sum(amounts) / sum(per) with its relative standard error over the batches.

        Delta method for a ratio: the spread of ``amount - value * per`` over the batches.
        """
        if sum(per) <= 0 or sum(amounts) <= 0:
            return self.absent("too_few_samples", "nothing was counted in the window")
        value = sum(amounts) / sum(per)
        off = [amount - value * n for amount, n in zip(amounts, per, strict=True)]
        spread = statistics.stdev(off) / math.sqrt(len(off)) / statistics.fmean(amounts)
        return Score(**self._asdict(), value=value, spread=spread)


def score(folder: Path, record: LaunchRecord, tuning: Tuning) -> Score:
    """Return the figure of a trial that was stored in ``folder``, or why it has none.

    A window in which a validity check fails has none: it would not be ranked either.
    """
    infos = _meters(record, tuning) if tuning.objective == "energy" else []
    figure = _figure(record, tuning, infos)
    if record.failure is not None:
        return figure.absent(record.failure.reason, record.failure.message)
    window = record.windows[0]
    requests = store.requests(folder)
    chunks = list(CHUNK.iter_unpack((folder / "chunks.bin").read_bytes()))
    found = checks.judge(checks.observe(window, requests, chunks))
    broken = [check for check in found if check.verdict == "fail"]
    if broken:
        # On a busy machine others fail for its sake.
        worst = min(broken, key=lambda check: check.name not in BUSY)
        reason = BUSY.get(worst.name, "failed")
        return figure.absent(reason, f"check {worst.name!r} fails: {worst.value}")
    tokens = tokens_by_batch(window, requests, chunks)
    if tuning.objective == "throughput":
        seconds = (window.end_ns - window.start_ns) * 1e-9
        return figure.of(tokens, [seconds / BATCHES] * BATCHES)
    if not infos:
        return figure.absent("no_sensor", "no meter of this study could be read")
    joules = joules_by_batch(window, store.readings(folder), infos[0])
    if joules is None:
        return figure.absent("coverage_low", "readings do not reach over the whole window")
    return figure.of(joules, tokens)


def _meters(record: LaunchRecord, tuning: Tuning) -> list[MeterInfo]:
    """Return the meters that were read and may be meant, in the study's order."""
    return [
        info for info in record.meters if info.reason is None and tuning.meter in {None, info.name}
    ]


def _figure(record: LaunchRecord, tuning: Tuning, infos: Sequence[MeterInfo]) -> Figure:
    kind: Kind = "measured"
    meter = tuning.meter
    if tuning.objective == "energy" and infos:
        kind = "measured" if infos[0].kind == "measured" else "estimated"
        meter = infos[0].name
    if record.environment.get("kind") == "simulated":
        kind = "simulated"
    if tuning.objective == "throughput":
        return Figure("output_tok_s", "tok/s", kind)
    return Figure("energy_j_per_output_token", "J/token", kind, meter)


def tokens_by_batch(
    window: Window, requests: Iterable[Request], chunks: Iterable[Chunk]
) -> list[float]:
    """Return the output tokens in each of :data:`BATCHES` equal parts of the window.

    Events whose engine did not count their tokens share what usage states for their request; those
    of a request without usage count as the mean of the others.
    """
    load = {r.index: r for r in requests if r.phase in UNDER_LOAD}
    counted, blank = dict.fromkeys(load, 0), dict.fromkeys(load, 0)
    events = [chunk for chunk in chunks if chunk[0] in load]
    for index, tokens, flags, _ in events:
        if flags & CHUNK_COUNT_UNKNOWN:
            blank[index] += 1
        else:
            counted[index] += tokens
    share = _shares(load, counted, blank)
    found = [0.0] * BATCHES
    length = (window.end_ns - window.start_ns) / BATCHES
    for index, tokens, flags, t_ns in events:
        if window.start_ns <= t_ns < window.end_ns:
            place = min(int((t_ns - window.start_ns) / length), BATCHES - 1)
            found[place] += share[index] if flags & CHUNK_COUNT_UNKNOWN else tokens
    return found


def _shares(
    load: Mapping[int, Request], counted: Mapping[int, int], blank: Mapping[int, int]
) -> dict[int, float]:
    """Return the tokens that each uncounted event of a request stands for."""
    known = {
        index: max(request.output_tokens - counted[index], 0) / blank[index]
        for index, request in load.items()
        if blank[index] and request.output_tokens is not None
    }
    events = sum(blank[index] for index in known)
    mean = sum(share * blank[index] for index, share in known.items()) / events if events else 0.0
    return {index: known.get(index, mean) for index in load}


def joules_by_batch(
    window: Window, readings: Iterable[Reading], meter: MeterInfo
) -> list[float] | None:
    """Return one meter's joules in each part of the window, over its devices; None: not covered.

    Counters are interpolated between readings; watts are summed up by the trapezoid rule first.
    """
    devices: dict[str, list[Reading]] = {}
    left_out = {device.name for device in meter.devices if device.left_out}
    for reading in readings:
        if reading.meter == meter.name and reading.device not in left_out:
            devices.setdefault(reading.device, []).append(reading)
    step = (window.end_ns - window.start_ns) / BATCHES
    edges = [window.start_ns + step * part for part in range(BATCHES + 1)]
    total = [0.0] * BATCHES
    for rows in devices.values():
        rows.sort(key=lambda row: row.t_ns)
        if len(rows) < 2 or rows[0].t_ns > edges[0] or rows[-1].t_ns < edges[-1]:
            return None
        at = [_interpolated(rows, _cumulative(rows), edge) for edge in edges]
        for part in range(BATCHES):
            total[part] += at[part + 1] - at[part]
    return total if devices else None


def _cumulative(rows: Sequence[Reading]) -> list[float]:
    if rows[0].unit == "J":
        return [row.value for row in rows]
    found = [0.0]
    for before, after in pairwise(rows):
        seconds = (after.t_ns - before.t_ns) * 1e-9
        found.append(found[-1] + (before.value + after.value) / 2 * seconds)
    return found


def _interpolated(rows: Sequence[Reading], joules: Sequence[float], t_ns: float) -> float:
    after = min(max(bisect_right(rows, t_ns, key=lambda row: row.t_ns), 1), len(rows) - 1)
    low, high = rows[after - 1].t_ns, rows[after].t_ns
    if high == low:
        return joules[after]
    share = (t_ns - low) / (high - low)
    return joules[after - 1] + (joules[after] - joules[after - 1]) * share
