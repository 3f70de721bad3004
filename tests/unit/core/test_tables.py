from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from inferometer.errors import UsageError
from inferometer.records import LaunchRecord
from inferometer.store import Store, decode, encode
from inferometer.tables import scan
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
    for name in ("launches", "windows", "meters", "requests", "counts", "readings"):
        frame = getattr(tables, name)
        assert frame.columns[:4] == ["launch", "stack", "model", "round"], name
        assert frame.height > 0, name
    assert tables.launches["simulated"].all()
    assert sorted(tables.launches["stack"]) == ["a", "b"]


def test_an_empty_directory_gives_empty_frames(tmp_path: Path) -> None:
    absent = frozenset({("a", 0), ("b", 0)})
    fixture = Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1, absent=absent)
    tables = scan(write_results(tmp_path / "r", fixture))
    assert tables.launches.height == tables.counts.height == 0


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


def test_a_number_too_large_for_a_column_is_refused_by_name(store: Store) -> None:
    path = store.folder(store.launches()[0].id) / "requests.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"stream":0', b'"stream":%d' % 10**30))
    with pytest.raises(UsageError, match=r"requests\.jsonl"):
        scan(store)


def test_two_requests_of_one_index_are_refused(store: Store) -> None:
    path = store.folder(store.launches()[0].id) / "requests.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"index":1,', b'"index":0,'))
    with pytest.raises(UsageError, match=r"requests\.jsonl: two requests have index 0"):
        scan(store)
