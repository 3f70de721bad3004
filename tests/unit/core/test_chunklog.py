"""Events added up between edges: as few rows as there are requests, and nothing lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from inferometer import chunklog
from inferometer.chunklog import CHUNK_DTYPE, EVENTS, count, read_chunks, times
from inferometer.errors import UsageError
from inferometer.records import CHUNK
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EVENT = tuple[int, int, int, int]
"""Request, tokens, flags, time."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=1))
    return store.folder(store.launches()[0].id)


def log(folder: Path, events: Sequence[EVENT]) -> Path:
    (folder / "chunks.bin").write_bytes(b"".join(CHUNK.pack(*event) for event in events))
    return folder


def requests(*usage: int | None, points: Sequence[int] = (), phase: str = "load") -> pl.DataFrame:
    """Return a request for each of ``usage``, numbered from 0."""
    return pl.DataFrame(
        {
            "index": range(len(usage)),
            "load_point": points or [0] * len(usage),
            "phase": [phase] * len(usage),
            "output_tokens": pl.Series(usage, dtype=pl.Int64),
        }
    )


def rows(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    columns = ["request", "since_ns", "until_ns", "events", "tokens", "tokens_known"]
    return frame.select(columns).rows()


def test_events_fall_between_the_edges_at_or_before_and_after_them(tmp_path: Path) -> None:
    seen = [9, 10, 19, 20, 29, 30, 31]
    log(tmp_path, [(0, 1 << place, 0, t_ns) for place, t_ns in enumerate(seen)])
    found = count(tmp_path, requests(127), {0: [10, 30, 20, 20]})
    assert rows(found) == [
        (0, None, 10, 1, 1, True),
        (0, 10, 20, 2, 2 + 4, True),
        (0, 20, 30, 2, 8 + 16, True),
        (0, 30, None, 2, 32 + 64, True),
    ]
    assert rows(count(tmp_path, requests(127), {})) == [(0, None, None, 7, 127, True)]


def test_events_of_no_request_are_left_out(tmp_path: Path) -> None:
    log(tmp_path, [(5, 1, 0, 1), (0, 2, 0, 1), (2**32 - 1, 1, 0, 2), (0, 4, 0, 3)])
    assert rows(count(tmp_path, requests(6), {})) == [(0, None, None, 2, 6, True)]
    assert count(tmp_path, requests(), {0: [1]}).height == 0


def test_a_request_may_have_any_number_and_its_events_are_found(tmp_path: Path) -> None:
    numbers = [-(2**63), -1, 1023, 1024, 2**32 - 1, 2**32 + 1023, 2**63 - 1]
    log(tmp_path, [(n, 1, 0, 0) for n in (0, 1023, 1024, 2047, 2048, 2**31, 2**32 - 1)])
    sent = requests(*[1] * 7).with_columns(index=pl.Series(numbers))
    assert count(tmp_path, sent, {})["request"].to_list() == [1023, 1024, 2**32 - 1]


def test_each_load_point_has_its_own_edges(tmp_path: Path) -> None:
    log(tmp_path, [(0, 1, 0, 5), (1, 1, 0, 5), (0, 1, 0, 15), (1, 1, 0, 15)])
    found = count(tmp_path, requests(2, 2, points=[0, 7]), {0: [10], 7: [5, 6]})
    assert rows(found) == [
        (0, None, 10, 1, 1, True),
        (0, 10, None, 1, 1, True),
        (1, 5, 6, 1, 1, True),
        (1, 6, None, 1, 1, True),
    ]


def test_uncounted_events_share_the_usage(tmp_path: Path) -> None:
    kinds = [(0, 0, 1), (0, 0, 1), (0, 0, 1), (1, 4, 0), (1, 0, 1), (2, 0, 1), (2, 0, 1)]
    log(tmp_path, [(*kind, t_ns) for t_ns, kind in enumerate(kinds)])
    # 6 over three events; 5 - 4 on the other one; the cut request: the mean, (2 + 2 + 2 + 1) / 4
    found = count(tmp_path, requests(6, 5, None), {0: [1, 4]})
    assert rows(found) == [
        (0, None, 1, 1, 2, False),
        (0, 1, 4, 2, 4, False),
        (1, 1, 4, 1, 4, True),
        (1, 4, None, 1, 1, False),
        (2, 4, None, 2, 3.5, False),
    ]
    less = count(tmp_path, requests(6, 3, None), {})  # usage below what was counted: none is left
    assert less["tokens"].to_list() == [6, 4, pytest.approx(2 * 6 / 4)]
    nothing = count(tmp_path, requests(None, 5, None, points=[0, 0, 1]), {})
    assert nothing["tokens"].to_list() == [3, 5, None]


def plain(events: np.ndarray, sent: pl.DataFrame, edges: dict[int, list[int]]) -> pl.DataFrame:
    """Count event by event, all of them in one frame."""
    by_request = ["request"]
    known = (pl.col("flags") & 1) == 0
    bounds = pl.DataFrame(
        [
            (point, since, until)
            for point, ends in edges.items()
            for since, until in zip([None, *sorted(ends)], [*sorted(ends), None], strict=True)
        ],
        schema={"load_point": pl.Int64, "since_ns": pl.Int64, "until_ns": pl.Int64},
        orient="row",
    )
    frame = pl.DataFrame({name: np.ascontiguousarray(events[name]) for name in EVENTS})
    told = pl.col("tokens").cast(pl.Int64)
    each = (
        frame.with_columns(pl.col("request").cast(pl.Int64), known=known)
        .join(sent.rename({"index": "request"}), on="request", how="inner")
        .with_columns(
            rest=pl.col("output_tokens") - told.filter(pl.col("known")).sum().over(by_request),
            blank=(~pl.col("known")).sum().over(by_request),
        )
        .with_columns(
            share=pl.when(~pl.col("known")).then(pl.col("rest").clip(0) / pl.col("blank"))
        )
        .with_columns(typical=pl.col("share").mean().over("load_point", "phase"))
        .with_columns(worth=pl.when("known").then(told).otherwise(pl.coalesce("share", "typical")))
    )
    inside = (pl.col("since_ns").is_null() | (pl.col("t_ns") >= pl.col("since_ns"))) & (
        pl.col("until_ns").is_null() | (pl.col("t_ns") < pl.col("until_ns"))
    )
    keys = ["request", "load_point", "phase", "since_ns", "until_ns"]
    return (
        each.join(bounds, on="load_point", how="inner")
        .filter(inside)
        .group_by(keys)
        .agg(
            events=pl.len().cast(pl.Int64),
            tokens=pl.when(pl.col("worth").has_nulls().not_()).then(pl.col("worth").sum()),
            tokens_known=pl.col("known").all(),
        )
        .sort("request", "since_ns", nulls_last=False)
    )


@pytest.mark.parametrize("by_time", [False, True], ids=["request by request", "as they came"])
def test_two_million_events_are_counted_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_time: bool
) -> None:
    """20,000 requests at three load points; shares are whole, so that sums are exact."""
    monkeypatch.setattr(chunklog, "BLOCK", 300_007)
    rng = np.random.default_rng(7)
    size = 20_000
    number = np.sort(rng.choice(30_000_000, size, replace=False))  # of three load points
    held = rng.integers(1, 200, size)
    mute = rng.random(size) < 0.5  # no event of these was counted
    events = np.zeros(held.sum(), CHUNK_DTYPE)
    events["request"] = np.repeat(number, held)
    events["tokens"] = rng.integers(1, 5, events.size)
    events["flags"] = np.repeat(mute, held)
    events["tokens"][events["flags"] == 1] = 0
    events["t_ns"] = 10**15 + rng.integers(0, 10**9, events.size)
    told = np.add.reduceat(events["tokens"].astype(np.int64), np.cumsum(held) - held)
    usage = np.where(mute, 3 * held, told)
    cut = rng.random(size) < 0.1  # these have no usage, and take three an event as well
    sent = pl.DataFrame(
        {
            "index": number,
            "load_point": number // 10_000_000,
            "phase": rng.choice(["load", "stagger"], size),
            "output_tokens": pl.Series(usage.tolist()).zip_with(
                pl.Series(~cut), pl.Series([None] * size, dtype=pl.Int64)
            ),
        }
    ).sample(fraction=1.0, shuffle=True, seed=1)
    sent = sent.filter(pl.col("index") % 97 != 0)  # the events of some have no request
    events = events[np.argsort(events["t_ns"])] if by_time else events
    events.tofile(tmp_path / "chunks.bin")
    edges = {p: sorted((10**15 + rng.integers(0, 10**9, 3 + p)).tolist()) for p in range(3)}
    assert events.size > 1_900_000
    assert count(tmp_path, sent, edges).equals(plain(events, sent, edges))


def test_times_are_those_of_the_requests_asked_for(tmp_path: Path) -> None:
    log(tmp_path, [(0, 1, 0, 5), (1, 1, 0, 6), (2, 1, 0, 7), (1, 1, 0, 8), (1, 1, 0, 9)])
    assert times(tmp_path, [1, 2, 9], 6, 9).tolist() == [6, 7, 8]
    assert times(tmp_path, [], 0, 99).tolist() == []
    assert times(tmp_path / "absent", [1], 0, 99).tolist() == []


def test_two_requests_of_one_index_are_refused(tmp_path: Path) -> None:
    twice = pl.concat([requests(1), requests(2)])
    with pytest.raises(UsageError, match=r"requests\.jsonl: two requests have index 0"):
        count(log(tmp_path, [(0, 1, 0, 0)]), twice, {})


def test_the_parquet_copy_is_made_once_and_a_stale_one_is_made_again(folder: Path) -> None:
    first = read_chunks(folder)
    assert (folder / "chunks.parquet").is_file()
    first.head(3).write_parquet(folder / "chunks.parquet")
    assert read_chunks(folder).equals(first)
    (folder / "chunks.parquet").write_bytes(b"not parquet")
    assert read_chunks(folder).equals(first)


def test_a_directory_that_cannot_be_written_is_no_obstacle(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", refuse)
    assert read_chunks(folder).height > 0
    assert not (folder / "chunks.parquet").exists()


def test_a_log_takes_at_most_five_bytes_a_token_and_reads_lazily(tmp_path: Path) -> None:
    """Of 64 streams with a token each 5 ms, give or take 0.2 ms: 16 bytes each in the raw log."""
    draw = random.Random(0)
    events = []
    for request in range(320):
        t_ns = 10**15 + request * 1_000_003
        for _ in range(128):
            t_ns += round(draw.gauss(5e6, 2e5))
            events.append((request, 1, 0, t_ns))
    assert read_chunks(log(tmp_path, events)).height == len(events)
    kept = tmp_path / "chunks.parquet"
    assert kept.stat().st_size <= 5 * len(events)
    tokens = pl.scan_parquet(kept).select(pl.col("tokens").cast(pl.Int64).sum()).collect().item()
    assert tokens == len(events)
