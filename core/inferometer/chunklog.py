"""The chunk log of a launch: a window's worth of events is too many to hold, so they are added up.

A log is read in blocks; what stays is, for each request and each stretch between two edges of its
load point (a window's, its batches', the engine's counters'), how many events and tokens fell in
it. Every sum over a span whose ends are edges is then a sum of stretches.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from inferometer.errors import UsageError
from inferometer.records import CHUNK, CHUNK_COUNT_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

CHUNK_DTYPE = np.dtype([("request", "<u4"), ("tokens", "<u2"), ("flags", "<u2"), ("t_ns", "<i8")])
"""``records.CHUNK`` as numpy sees it."""
BLOCK = 1 << 17
"""Events read at once: 2 MiB, so that they stay in the processor's cache while worked on."""
EVENTS = pl.Schema(
    {"request": pl.UInt32(), "tokens": pl.UInt16(), "flags": pl.UInt16(), "t_ns": pl.Int64()}
)
COUNTS = pl.Schema(
    {
        "request": pl.Int64(),
        "load_point": pl.Int64(),
        "phase": pl.String(),
        "since_ns": pl.Int64(),
        "until_ns": pl.Int64(),
        "events": pl.Int64(),
        "tokens": pl.Float64(),
        "tokens_known": pl.Boolean(),
    }
)
PAGE_BITS = 10
PAGE_MASK = (1 << PAGE_BITS) - 1
_OPEN = np.iinfo(np.int64)
"""Its ends stand for a stretch that has no edge on one side."""


class _Places(NamedTuple):
    """Which row a request's number has, in two steps, for numbers are dense in a few places."""

    pages: Ints
    """Where the page of a number's upper bits begins in ``table``; the last one is empty."""
    table: Ints


class _Calls(NamedTuple):
    """The requests of one launch by index, and the load points among them by number."""

    number: Ints
    """Their indices, sorted."""
    group: Ints
    """Which load point and phase, as a place in ``groups``."""
    usage: NDArray[np.float64]
    """Output tokens; nan where unknown."""
    groups: Sequence[tuple[int, str]]
    """Load point and phase."""


def count(folder: Path, requests: pl.DataFrame, edges: Mapping[int, Sequence[int]]) -> pl.DataFrame:
    """Return one row a request of this launch and stretch with events in it (:data:`COUNTS`).

    ``requests`` has the fields of :class:`records.Request`; events of no such request are left out.
    ``edges`` are moments by load point. A stretch is half open, ``since_ns <= t < until_ns``, and
    null at an end without edge.

    Where the engine did not count (flag 1), the request's ``output_tokens`` (usage), less what
    its other events hold, is spread evenly over its uncounted events. A request without usage
    (cut, failed) takes the mean tokens per uncounted event of its load point and phase; ``tokens``
    is null when there is none to take. ``tokens_known`` is False for all of these.

    Raises:
        UsageError: the log was cut, or two requests have one index.
    """
    calls = _calls(folder, requests)
    borders = [np.unique(np.array(edges.get(p, ()), np.int64)) for p, _ in calls.groups]
    events, told, blank = _added(folder, calls, borders)
    each = _shares(calls, told.sum(axis=1), blank.sum(axis=1))
    row, stretch = np.nonzero(events)
    group = calls.group[row]
    bounds = np.full((len(borders), events.shape[1] + 1), _OPEN.max)
    bounds[:, 0] = _OPEN.min
    for at, border in enumerate(borders):
        bounds[at, 1 : border.size + 1] = border
    uncounted = blank[row, stretch]
    spread = np.where(uncounted > 0, uncounted * each[row], 0.0)
    phases = pl.Series([phase for _, phase in calls.groups], dtype=pl.String)
    return pl.DataFrame(
        {
            "request": calls.number[row],
            "load_point": np.array([p for p, _ in calls.groups], np.int64)[group],
            "phase": phases.gather(group),
            "since_ns": bounds[group, stretch],
            "until_ns": bounds[group, stretch + 1],
            "events": events[row, stretch],
            "tokens": told[row, stretch] + spread,
            "tokens_known": uncounted == 0,
        },
        schema=COUNTS,
    ).with_columns(
        pl.col("since_ns").replace(_OPEN.min, None),
        pl.col("until_ns").replace(_OPEN.max, None),
        pl.col("tokens").fill_nan(None),
    )


def times(folder: Path, requests: Sequence[int], start_ns: int, end_ns: int) -> Ints:
    """Return when the events of these requests came, ``start_ns <= t < end_ns``, as logged."""
    number = np.unique(np.array(requests, np.int64))
    places = _places(number)
    found, size = np.empty(_length(folder / "chunks.bin"), np.int64), 0
    for block in blocks(folder):
        at = np.ascontiguousarray(block["t_ns"])
        at = at[(at >= start_ns) & (at < end_ns) & (_rows(block, places) < number.size)]
        found[size : size + at.size] = at
        size += at.size
    return found[:size]


def blocks(folder: Path) -> Iterator[NDArray[np.void]]:
    """Yield a launch's log in parts of at most :data:`BLOCK` records; none when it is absent.

    Raises:
        UsageError: the log was cut.
    """
    left = _length(folder / "chunks.bin")
    if not left:
        return
    with (folder / "chunks.bin").open("rb") as file:
        while left > 0:
            block = np.fromfile(file, CHUNK_DTYPE, min(left, BLOCK))
            if not block.size:
                return
            left -= block.size
            yield block


def read_chunks(folder: Path) -> pl.DataFrame:
    """Return a launch's raw events: ``request``, ``tokens``, ``flags``, ``t_ns``.

    For whoever wants them as they came; no analysis needs them all. They are kept as
    ``chunks.parquet`` beside ``chunks.bin`` from the first call on; a copy with another number of
    rows is stale and made again. A read-only directory is no obstacle.
    """
    length, cache = _length(folder / "chunks.bin"), folder / "chunks.parquet"
    kept = _cached(cache, length)
    if kept is not None:
        return kept
    parts = [
        pl.DataFrame({name: np.ascontiguousarray(block[name]) for name in EVENTS}, schema=EVENTS)
        for block in blocks(folder)
    ]
    frame = pl.concat(parts, rechunk=True) if parts else pl.DataFrame(schema=EVENTS)
    if parts:
        _keep(frame, cache)
    return frame


def _length(source: Path) -> int:
    """Return how many records a log holds, 0 when it is absent."""
    if not source.is_file():
        return 0
    size = source.stat().st_size
    if size % CHUNK.size:
        raise UsageError(
            f"{source}: {size} bytes are no whole number of {CHUNK.size}-byte records",
            hint="The file was cut or edited; restore it, or delete its folder to re-measure.",
        )
    return size // CHUNK.size


def _cached(cache: Path, rows: int) -> pl.DataFrame | None:
    if not cache.is_file():
        return None
    try:
        frame = pl.read_parquet(cache)
    except (OSError, pl.exceptions.PolarsError):
        return None
    return frame if frame.height == rows and frame.schema == EVENTS else None


def _keep(frame: pl.DataFrame, cache: Path) -> None:
    temporary = cache.with_name(f".{cache.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        frame.write_parquet(temporary, compression="zstd", statistics=False)
        temporary.replace(cache)


def _calls(folder: Path, requests: pl.DataFrame) -> _Calls:
    columns = requests.select("index", "load_point", "phase", "output_tokens").sort("index")
    index = columns["index"].to_numpy()
    twice = np.flatnonzero(index[1:] == index[:-1])
    if twice.size:
        raise UsageError(
            f"{folder / 'requests.jsonl'}: two requests have index {index[twice[0]]}",
            hint="The file was edited or damaged; restore it, or delete its folder to re-measure.",
        )
    keys = columns.select("load_point", "phase").unique(maintain_order=True).with_row_index("group")
    joined = columns.join(keys, on=["load_point", "phase"], how="left", maintain_order="left")
    usage = columns["output_tokens"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    group = joined["group"].cast(pl.Int64).to_numpy()
    return _Calls(index, group, usage, keys.select("load_point", "phase").rows())


def _places(number: Ints) -> _Places:
    """Return where each of these sorted request numbers is; a log can hold 32 bits of them."""
    rows = np.flatnonzero((number >= 0) & (number < 1 << 32))
    page = number[rows] >> PAGE_BITS
    used = np.unique(page)
    pages = np.full((int(used[-1]) if used.size else -1) + 2, used.size << PAGE_BITS, np.int64)
    pages[used] = np.arange(used.size) << PAGE_BITS
    table = np.full((used.size + 1) << PAGE_BITS, number.size, np.int64)
    table[pages[page] + (number[rows] & PAGE_MASK)] = rows
    return _Places(pages, table)


def _rows(block: NDArray[np.void], places: _Places) -> Ints:
    """Return each event's row among the requests, or their number when its own is not there.

    Events of one request mostly follow each other, so that few are looked up.
    """
    request = np.ascontiguousarray(block["request"])
    heads = np.concatenate([[0], np.flatnonzero(request[1:] != request[:-1]) + 1])
    wanted = request[heads].astype(np.int64)
    page = np.minimum(wanted >> PAGE_BITS, places.pages.size - 1)
    row = places.table[places.pages[page] + (wanted & PAGE_MASK)]
    return np.repeat(row, np.diff(heads, append=request.size))


def _added(folder: Path, calls: _Calls, borders: Sequence[Ints]) -> tuple[Ints, Ints, Ints]:
    """Return events, tokens that were counted and events without a count: [request, stretch]."""
    width = max((border.size for border in borders), default=0) + 1
    size, places = calls.number.size, _places(calls.number)
    group = np.append(calls.group, -1)  # the last row takes the events of no request
    sums = np.zeros((3, (size + 1) * width), np.int64)
    for block in blocks(folder):
        row = _rows(block, places)
        cell = row * width + _stretches(block, group, row, borders)
        heads = np.concatenate([[0], np.flatnonzero(cell[1:] != cell[:-1]) + 1])
        place = cell[heads]
        blank = (block["flags"] & CHUNK_COUNT_UNKNOWN).astype(np.int64)
        told = np.where(blank, 0, block["tokens"]).astype(np.int64)
        np.add.at(sums[0], place, np.diff(heads, append=cell.size))
        np.add.at(sums[1], place, np.add.reduceat(told, heads))
        np.add.at(sums[2], place, np.add.reduceat(blank, heads))
    events, told, blank = sums.reshape(3, size + 1, width)[:, :size]
    return events, told, blank


def _stretches(
    block: NDArray[np.void], group: Ints, row: NDArray[np.intp], borders: Sequence[Ints]
) -> NDArray[np.intp]:
    """Return the number of edges at or before each event; 0 where it is of no request."""
    t_ns = np.ascontiguousarray(block["t_ns"])
    mine = group[row]
    groups = np.unique(mine[np.concatenate([[True], mine[1:] != mine[:-1]])])
    if groups.size == 1 and groups[0] >= 0:
        return np.searchsorted(borders[groups[0]], t_ns, side="right")
    found = np.zeros(t_ns.size, np.intp)
    for one in groups[groups >= 0]:
        part = mine == one
        found[part] = np.searchsorted(borders[one], t_ns[part], side="right")
    return found


def _shares(calls: _Calls, told: Ints, blank: Ints) -> NDArray[np.float64]:
    """Return the tokens of each uncounted event of a request; nan where nothing tells."""
    spread = blank > 0
    rest = np.maximum(calls.usage - told, 0.0)  # nan stays nan
    share = np.where(spread, rest / np.where(spread, blank, 1), np.nan)
    known = spread & ~np.isnan(share)
    size = len(calls.groups)
    weights = np.bincount(calls.group[known], (share * blank)[known], minlength=size)
    events = np.bincount(calls.group[known], blank[known], minlength=size)
    typical = np.where(events > 0, weights / np.where(events > 0, events, 1), np.nan)
    return np.where(np.isnan(share), typical[calls.group], share)
