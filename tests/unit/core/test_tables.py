from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pytest

from inferometer.errors import UsageError
from inferometer.records import CHUNK, LaunchRecord
from inferometer.store import Store, decode, encode
from inferometer.tables import count_tokens, read_chunks, scan
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1))


def edit(store: Store, index: int, **fields: object) -> None:
    record = store.launches()[index]
    path = store.folder(record.id) / "launch.json"
    path.write_bytes(encode(msgspec.structs.replace(decode(path, LaunchRecord), **fields)))


def test_every_frame_says_whose_rows_it_holds(store: Store) -> None:
    tables = scan(store)
    for name in ("launches", "windows", "meters", "requests", "chunks", "readings"):
        frame = getattr(tables, name)
        assert frame.columns[:4] == ["launch", "stack", "model", "round"], name
        assert frame.height > 0, name
    assert tables.launches["simulated"].all()
    assert sorted(tables.launches["stack"]) == ["a", "b"]


def test_an_empty_directory_gives_empty_frames(tmp_path: Path) -> None:
    absent = frozenset({("a", 0), ("b", 0)})
    fixture = Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1, absent=absent)
    tables = scan(write_results(tmp_path / "r", fixture))
    assert tables.launches.height == tables.chunks.height == 0


def test_the_parquet_copy_is_made_once_and_a_stale_one_is_made_again(store: Store) -> None:
    folder = store.folder(store.launches()[0].id)
    first = read_chunks(folder)
    assert (folder / "chunks.parquet").is_file()
    first.head(3).write_parquet(folder / "chunks.parquet")
    assert read_chunks(folder).equals(first)
    (folder / "chunks.parquet").write_bytes(b"not parquet")
    assert read_chunks(folder).equals(first)


def test_a_directory_that_cannot_be_written_is_no_obstacle(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", refuse)
    folder = store.folder(store.launches()[0].id)
    assert read_chunks(folder).height > 0
    assert not (folder / "chunks.parquet").exists()


def test_a_cut_chunk_log_is_refused_by_name(store: Store) -> None:
    path = store.folder(store.launches()[0].id) / "chunks.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UsageError, match=r"chunks\.bin"):
        scan(store)


@pytest.mark.parametrize("name", ["requests", "readings"])
def test_a_damaged_line_is_refused_by_name(store: Store, name: str) -> None:
    path = store.folder(store.launches()[0].id) / f"{name}.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UsageError, match=name):
        scan(store)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("plan_sha256", {"plan_sha256": "f" * 64}),
        ("host_sha256", {"host_sha256": "f" * 64}),
    ],
)
def test_launches_of_another_plan_or_machine_are_not_pooled(
    store: Store, field: str, change: dict[str, object]
) -> None:
    edit(store, 1, **change)
    with pytest.raises(UsageError, match=field):
        scan(store)


def test_an_engine_upgraded_between_rounds_is_not_one_stack(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=2))
    edit(store, 1, stack={**store.launches()[1].stack, "engine_version": "1"})
    with pytest.raises(UsageError, match=r"stack\.engine_version"):
        scan(store)


def test_uncounted_events_share_the_usage() -> None:
    events = pl.DataFrame(
        {
            "launch": ["x"] * 7,
            "request": [0, 0, 0, 1, 1, 2, 2],
            "tokens": [0, 0, 0, 4, 0, 0, 0],
            "flags": [1, 1, 1, 0, 1, 1, 1],
            "t_ns": list(range(7)),
        }
    )
    requests = pl.DataFrame(
        {
            "launch": ["x"] * 3,
            "load_point": [0] * 3,
            "phase": ["load"] * 3,
            "index": [0, 1, 2],
            "output_tokens": [6, 5, None],
        }
    )
    counted = count_tokens(events, requests)
    # 6 over three events; 5 - 4 on the other one; the cut request: the mean, (2 + 2 + 2 + 1) / 4
    assert counted["tokens"].to_list() == [2, 2, 2, 4, 1, 1.75, 1.75]
    assert counted["tokens_known"].to_list() == [False] * 3 + [True] + [False] * 3
    nothing = count_tokens(events.tail(2), requests)
    assert nothing["tokens"].to_list() == [None, None]


def test_a_log_takes_at_most_five_bytes_a_token_and_reads_lazily(tmp_path: Path) -> None:
    """Of 64 streams with a token each 5 ms, give or take 0.2 ms: 16 bytes each in the raw log."""
    draw = random.Random(0)
    rows = []
    for request in range(320):
        t_ns = 10**15 + request * 1_000_003
        for _ in range(128):
            t_ns += round(draw.gauss(5e6, 2e5))
            rows.append((request, 1, 0, t_ns))
    (tmp_path / "chunks.bin").write_bytes(b"".join(CHUNK.pack(*row) for row in rows))
    assert read_chunks(tmp_path).height == len(rows)
    kept = tmp_path / "chunks.parquet"
    assert kept.stat().st_size <= 5 * len(rows)
    tokens = pl.scan_parquet(kept).select(pl.col("tokens").cast(pl.Int64).sum()).collect().item()
    assert tokens == len(rows)
