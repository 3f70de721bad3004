"""From a study's workload to requests: the right lengths from the right place, all exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inferometer.errors import UsageError
from inferometer.plan import LoadPoint
from inferometer.study import LoadEntry, Protocol, WorkloadEntry
from inferometer.work import work
from inferometer.workloads import requests
from inferometer.workloads.datasets import Pair
from inferometer.workloads.lengths import parse

if TYPE_CHECKING:
    from pathlib import Path


def test_lengths_come_from_where_the_study_says(tokenizer: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("30,3\n40,4\n")
    fixed = WorkloadEntry(name="w", input_tokens=30, output_tokens=3)
    assert requests.draw(fixed, 2, 1, tokenizer) == [Pair(30, 3)] * 2
    mixed = WorkloadEntry(name="w", input_tokens=30, output=parse("uniform:min=5,max=6"))
    drawn = requests.draw(mixed, 32, 1, tokenizer)
    assert sorted(pair.output_tokens for pair in drawn) == [5] * 16 + [6] * 16
    filed = WorkloadEntry(name="w", file=str(pairs))
    assert set(requests.draw(filed, 2, 1, tokenizer)) == {Pair(30, 3), Pair(40, 4)}
    side = parse(f"empirical:file={pairs}")
    sided = WorkloadEntry(name="w", input_tokens=9, output=side)
    assert {pair.output_tokens for pair in requests.draw(sided, 32, 1, tokenizer)} == {3, 4}
    preset = WorkloadEntry(name="w", preset="chat")
    assert len(set(requests.draw(preset, 32, 1, tokenizer))) > 25
    assert [requests.files(entry) for entry in (fixed, filed, sided)] == [
        [],
        [str(pairs)],
        [str(pairs)],
    ]


def test_a_missing_file_is_named(tokenizer: Path) -> None:
    with pytest.raises(UsageError, match="absent: cannot be read"):
        requests.draw(WorkloadEntry(name="w", file="absent"), 1, 1, tokenizer)


def test_long_prompts_are_fewer_but_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_TOKENS", 100)
    assert len(requests.affordable([Pair(30, 1)] * 9, least=2)) == 3
    assert len(requests.affordable([Pair(30, 1)] * 9, least=5)) == 5
    assert len(requests.affordable([Pair(10, 1)] * 9, least=5)) == 9


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_a_load_point_s_work_is_exact_and_the_same_again(tokenizer: Path, cache: str) -> None:
    entry = WorkloadEntry(
        name="w",
        input=parse("uniform:min=40,max=80"),
        output=parse("uniform:min=2,max=9"),
        cache="warm" if cache == "warm" else "cold",
        reuse=0.5 if cache == "warm" else None,
    )
    point = LoadPoint(index=3, workload=entry, load=LoadEntry(concurrency=2))
    made = work(tokenizer, point, 0, Protocol(seed=1, window_s=1.0))
    assert len(made.prompts) == len(made.output_tokens) == 3 + 660
    assert {len(ids) for ids in made.prompts.ids} == set(range(40, 81))
    assert set(made.output_tokens) == set(range(2, 10))
    assert made.prompts.cache == cache
    assert made.prompts.reuse == pytest.approx(0.5 if cache == "warm" else 0, abs=0.01)
    work.cache_clear()
    assert work(tokenizer, point, 0, Protocol(seed=1, window_s=1.0)) == made
    other = work(tokenizer, point, 1, Protocol(seed=1, window_s=1.0))
    assert other.output_tokens != made.output_tokens
    assert other.prompts.ids[0][:8] != made.prompts.ids[0][:8]
