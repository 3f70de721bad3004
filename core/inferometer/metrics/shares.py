"""What belongs to a meter's joules in a window: peak, idle, the host's part, carbon, noise.

Each column comes with ``_reason`` (null where there is a number) and ``_detail``; ``_kind`` where a
declared value made it an estimate.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from inferometer.energy import carbon, idle, power
from inferometer.energy.account import counted
from inferometer.energy.edges import LEAST_UPDATES, plain
from inferometer.metrics.energy import energies, read_meters
from inferometer.metrics.steadiness import courses
from inferometer.metrics.windows import KEY
from inferometer.tables import batch_edges
from inferometer.uncertainty.batches import ratio_of_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.declared import Energy
    from inferometer.energy.idle import Baseline
    from inferometer.energy.series import Series
    from inferometer.metrics.energy import Meters, Place
    from inferometer.metrics.steadiness import Course
    from inferometer.records import MeterInfo
    from inferometer.tables import Tables

_COLUMNS = ("peak_w", "net_bare_j", "net_loaded_j", "host_j", "carbon_g", "energy_noise")
_SCHEMA: dict[str, Any] = {
    f"{name}{part}": pl.Float64 if part == "" else pl.String
    for name in _COLUMNS
    for part in ("", "_reason", "_detail", "_kind")
}


class _Around(NamedTuple):
    """What every row is computed with."""

    bounds: Mapping[tuple[str, int], tuple[int, int]]
    """Start and end of each window, ns."""
    meters: Meters
    bases: Mapping[tuple[str, str, str], Baseline]
    declared: Energy | None
    courses: Mapping[Place, Course]
    """Of the tokens in each window."""


class _Found(NamedTuple):
    """One column's value, or the reason why there is none."""

    value: float | None
    reason: str | None = None
    detail: str = ""
    kind: str | None = None


def by_meter(tables: Tables, declared: Energy | None = None) -> pl.DataFrame:
    """Return the rows of :func:`energies` with the columns of this module."""
    frame = energies(tables)
    if frame.is_empty():
        return frame.with_columns(**{n: pl.lit(None, dtype=t) for n, t in _SCHEMA.items()})
    meters = read_meters(tables)
    columns = tables.windows.select(*KEY, "start_ns", "end_ns").iter_rows()
    bounds = {(launch, point): (start, end) for launch, point, start, end in columns}
    around = _Around(bounds, meters, baselines(tables, meters), declared, courses(tables))
    places: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        places.setdefault((row["launch"], row["load_point"]), []).append(row)
    added = [
        _row(row, places[row["launch"], row["load_point"]], around)
        for row in frame.iter_rows(named=True)
    ]
    return frame.hstack(pl.DataFrame(added, schema=_SCHEMA, orient="row"))


def baselines(tables: Tables, known: Meters) -> dict[tuple[str, str, str], Baseline]:
    """Return each meter's account of its launch's idle stretches, by launch, meter and state."""
    stretches = {
        (row[0], row[1]): (row[2], row[3])
        for row in tables.idles.select("launch", "state", "start_ns", "end_ns").iter_rows()
    }
    return {
        (launch, info.name, state): idle.baseline(
            state,
            stretches.get((launch, state)),
            info,
            known.series.get((launch, info.name), {}),
        )
        for launch, infos in known.infos.items()
        for info in infos
        for state in ("bare", "loaded")
    }


def _row(
    row: Mapping[str, Any], beside: Sequence[Mapping[str, Any]], around: _Around
) -> tuple[Any, ...]:
    """Return the columns of one row of :func:`energies`, in the order of the schema.

    ``beside`` are the rows of all meters of the window.
    """
    launch, meter, joules = row["launch"], row["meter"], row["energy_j"]
    if joules is None:
        none = _Found(None, row["energy_j_reason"], row["energy_j_detail"])
        return (*none,) * len(_COLUMNS)
    bounds = around.bounds[launch, row["load_point"]]
    window_s = (bounds[1] - bounds[0]) / 1e9
    info = next(one for one in around.meters.infos[launch] if one.name == meter)
    found = [_peak(info, around.meters.series.get((launch, meter), {}), bounds)]
    for state in ("bare", "loaded"):
        if info.follows_throughput:
            found.append(_Found(None, "no_baseline", "a constant tells no idle from load"))
            continue
        net = idle.net(joules, window_s, around.bases[launch, meter, state])
        found.append(_Found(net.energy_j, net.reason, net.detail))
    found.append(_host(row, beside, window_s, around.declared))
    carbon_g = carbon.grams(joules, row["scope"], around.declared)
    found.append(_Found(*carbon_g, kind="estimated"))
    found.append(_noise(info, around, launch, row["load_point"]))
    return tuple(part for one in found for part in one)


def _peak(
    info: MeterInfo, found: Mapping[str, Sequence[Series]], bounds: tuple[int, int]
) -> _Found:
    devices = [found[name][0] for name in counted(info, found) if name in found]
    watts = power.peak_w(devices, *bounds)
    if watts is None:
        return _Found(None, "coverage_low", "no reading in every second of the window")
    return _Found(watts, detail="mean of the highest second")


def _noise(info: MeterInfo, around: _Around, launch: str, load_point: int) -> _Found:
    """Return half the 95 % interval of joules per token as the window's batches tell it, relative.

    Between batches nobody watches for ticks, so each of them must hold many of the sensor's values.
    """
    course, bounds = around.courses[launch, load_point], around.bounds[launch, load_point]
    wrong = course.refusal
    if wrong is not None:
        return _Found(None, *wrong)
    coarse_s = max(info.update_ms or 0.0, info.averaged_ms or 0.0) / 1e3
    edges_ns = batch_edges(*bounds)
    if (edges_ns[1] - edges_ns[0]) / 1e9 < LEAST_UPDATES * coarse_s:
        words = f"a fifth of it holds fewer than {LEAST_UPDATES} values of the sensor"
        return _Found(None, "window_short", words)
    found = around.meters.series.get((launch, info.name), {})
    devices = [found[name][0] for name in counted(info, found) if name in found]
    joules = [
        sum(plain(device, start, end).energy_j or 0.0 for device in devices)
        for start, end in pairwise(edges_ns)
    ]
    if min(joules) <= 0:
        return _Found(None, "bad_reading", "no joules in a fifth of the window")
    seen = ratio_of_sums(joules, course.batches)
    return _Found(((seen.high or seen.value) - seen.value) / seen.value)


def _host(
    row: Mapping[str, Any],
    beside: Sequence[Mapping[str, Any]],
    window_s: float,
    declared: Energy | None,
) -> _Found:
    """Return the host's joules beside an accelerator's: measured, else declared, else modelled."""
    if row["scope"] != "L0" or row["boundary"] == "module":
        return _Found(None, "other_boundary", "only beside a meter of the accelerators alone")
    hosts = [
        other
        for other in beside
        if other["scope"] == "L1"
        and other["boundary"] != "module"
        and other["energy_j"] is not None
    ]
    said = carbon.host_j(window_s, declared)
    measured = [other for other in hosts if other["meter_kind"] == "measured"]
    if not measured and said.value is not None:
        return _Found(*said, kind="estimated")
    for other in (*measured, *hosts):
        words = f"host: {other['meter']} ({other['boundary'] or 'L1'}, {other['meter_kind']})"
        kind = None if other["meter_kind"] == "measured" else "estimated"
        return _Found(other["energy_j"], None, words, kind)
    return _Found(*said)
