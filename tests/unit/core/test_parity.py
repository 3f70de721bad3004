from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inferometer.parity import compare, match, parities
from inferometer.records import Probe
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path


def probe(prompt: int, ids: list[int], tokens: int = 4) -> Probe:
    return Probe(
        prompt=prompt, prompt_tokens=tokens, text="", token_ids=ids, ids_from="retokenised"
    )


def test_one_flip_counts_once_until_divergence() -> None:
    seen = match([1, 2, 3, 4], [1, 2, 9, 8])
    assert (seen.compared, seen.matching, seen.agreed, seen.identical) == (4, 2, 2, False)


def test_an_answer_that_ends_early_differs_at_its_end() -> None:
    seen = match([1, 2], [1, 2, 3])
    assert (seen.compared, seen.matching, seen.agreed, seen.identical) == (3, 2, 2, False)


def test_shares() -> None:
    left = [probe(0, [1, 2, 3, 4]), probe(1, [1, 2, 3, 4])]
    right = [probe(0, [1, 2, 3, 4]), probe(1, [1, 2, 9, 8]), probe(2, [5])]
    seen = compare("l", "r", left, right)
    assert seen is not None
    assert (seen.prompts, seen.tokens, seen.identical_prompts) == (2, 8, 1)
    assert seen.agreement == 6 / 8
    assert seen.until_divergence == pytest.approx(6 / 7)
    assert "again" in seen.note


def test_other_prompts_are_not_compared() -> None:
    assert compare("l", "r", [probe(0, [1])], [probe(1, [1])]) is None
    assert compare("l", "r", [probe(0, [1])], [probe(0, [1], tokens=9)]) is None


def test_pairs_of_a_study(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 80.0}, models=("dense", "moe"), rounds=1)
    store = write_results(tmp_path / "r", fixture)
    seen = {(p.left, p.right) for p in parities(store, {"moe": "dense"})[0]}
    assert seen == {
        ("a/dense", "b/dense"),
        ("a/moe", "b/moe"),
        ("a/dense", "a/moe"),
        ("b/dense", "b/moe"),
    }


def test_no_probes_no_parity(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1))
    for record in store.launches():
        (store.folder(record.id) / "probes.jsonl").write_bytes(b"")
    assert parities(store, {}) == ([], [])


def test_a_pair_without_a_common_answer_is_named(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1))
    silent = next(r for r in store.launches() if r.stack["id"] == "b")
    (store.folder(silent.id) / "probes.jsonl").write_bytes(b"")
    found, uncompared = parities(store, {})
    assert found == []
    assert uncompared == ["a/dense and b/dense"]
