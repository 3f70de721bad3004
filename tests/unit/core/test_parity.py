from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inferometer.parities import parities
from inferometer.parity import (
    LEAST_AGREEMENT,
    MOST_NATS,
    Said,
    compare,
    match,
)
from inferometer.records import Probe, Score
from inferometer.testing.results import Fixture, write_results

L, R = ("l", "m"), ("r", "m")


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


def said(*probes: Probe, scores: list[Score] | None = None) -> Said:
    return Said(probes, scores or [])


def test_shares() -> None:
    left = said(probe(0, [1, 2, 3, 4]), probe(1, [1, 2, 3, 4]))
    right = said(probe(0, [1, 2, 3, 4]), probe(1, [1, 2, 9, 8]), probe(2, [5]))
    seen = compare(L, R, left, right)
    assert (seen.prompts, seen.tokens, seen.identical_prompts) == (2, 8, 1)
    assert seen.agreement == 6 / 8
    assert seen.until_divergence == pytest.approx(6 / 7)
    assert "again" in seen.note


def test_other_prompts_are_not_compared() -> None:
    assert compare(L, R, said(probe(0, [1])), said(probe(1, [1]))).verdict == "not comparable"
    seen = compare(L, R, said(probe(0, [1])), said(probe(0, [1], tokens=9)))
    assert (seen.verdict, seen.agreement) == ("not comparable", None)
    assert "length" in seen.note


def score(text: str, *logprobs: float) -> Score:
    return Score(prompt=0, text_sha256=text, logprobs=list(logprobs))


@pytest.mark.parametrize(("gap", "verdict"), [(0.09, "pass"), (0.11, "fail")])
def test_distance_decides_where_both_tell(gap: float, verdict: str) -> None:
    same = probe(0, [1, 2, 3, 4])
    left = said(same, scores=[score("a", -1.0, -2.0), score("b", -1.0)])
    right = said(same, scores=[score("a", -1.0 - gap, -2.0 + gap), score("c", -9.0)])
    seen = compare(L, R, left, right)
    assert seen.distance == pytest.approx(gap)
    assert (seen.positions, seen.verdict) == (2, verdict)


def test_answers_decide_too() -> None:
    """Prefill may be right and decoding wrong."""
    scores = [score("a", -1.0)]
    left, right = said(probe(0, [1, 2]), scores=scores), said(probe(0, [1, 9]), scores=scores)
    seen = compare(L, R, left, right)
    assert (seen.distance, seen.verdict) == (0.0, "fail")


def test_one_engine_without_log_probabilities_is_said() -> None:
    left = said(probe(0, [1] * 40), scores=[score("a", -1.0)])
    seen = compare(L, R, left, said(probe(0, [1] * 40)))
    assert (seen.distance, seen.verdict) == (None, "pass")
    assert "no log-probabilities from r/m: answers alone are compared" in seen.note


def test_texts_are_compared_as_both_would_tokenise_them() -> None:
    told = msgspec.structs.replace(probe(0, [7, 8]), ids_from="engine", text_ids=[1, 2, 3])
    assert compare(L, R, said(told), said(probe(0, [1, 2, 3]))).agreement == 1.0


def test_pairs_of_a_study(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 80.0}, models=("dense", "moe"), rounds=1)
    store = write_results(tmp_path / "r", fixture)
    seen = {(p.left, p.right) for p in parities(store, {"moe": "dense"})}
    assert seen == {
        ("a/dense", "b/dense"),
        ("a/moe", "b/moe"),
        ("a/dense", "a/moe"),
        ("b/dense", "b/moe"),
    }


def test_an_answer_without_text_is_not_compared_by_its_ids_with_one_that_has_only_text() -> None:
    silent = Probe(
        prompt=0, prompt_tokens=4, text="", token_ids=[2, 2], ids_from="engine", text_ids=[]
    )
    both = (probe(1, [1, 2]), probe(1, [1, 2]))
    seen = compare(L, R, said(silent, both[0]), said(probe(0, []), both[1]))
    assert (seen.tokens, seen.agreement, seen.identical_prompts) == (2, 1.0, 2)


def test_no_probes_no_parity(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1))
    for record in store.launches():
        (store.folder(record.id) / "probes.jsonl").write_bytes(b"")
    assert parities(store, {}) == []


def test_a_pair_without_a_common_answer_is_named(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1))
    silent = next(r for r in store.launches() if r.stack["id"] == "b")
    (store.folder(silent.id) / "probes.jsonl").write_bytes(b"")
    (pair,) = parities(store, {})
    assert (pair.left, pair.right, pair.verdict) == ("a/dense", "b/dense", "not comparable")
    assert "not answered by both" in pair.note


GOLDEN = Path(__file__).parents[2] / "golden" / "parity"


def real(name: str) -> Said:
    """What vLLM 0.32.0 said on CPU (``core/decisions/0007-parity-gate.md``)."""
    return Said(
        [msgspec.json.decode(line, type=Probe) for line in lines(name, "probes")],
        [msgspec.json.decode(line, type=Score) for line in lines(name, "scores")],
    )


def lines(name: str, kind: str) -> list[bytes]:
    return (GOLDEN / f"vllm-{name}.{kind}.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize(
    ("other", "verdict", "distance", "agreement"),
    [
        ("float32", "pass", 0.0385, 0.992),
        ("moe-twin", "pass", 0.0469, 0.989),
        ("int4", "fail", 1.0622, 0.600),
    ],
)
def test_real_engines_are_judged_right_by_either_figure(
    other: str, verdict: str, distance: float, agreement: float
) -> None:
    whole, coarse = real("bfloat16"), real(other)
    seen = compare(L, R, whole, coarse)
    assert seen.distance == pytest.approx(distance, abs=1e-3)
    assert seen.until_divergence == pytest.approx(agreement, abs=1e-3)
    assert seen.positions == 16 * 127
    for by in (
        seen,
        compare(L, R, whole, coarse._replace(scores=[])),
        compare(L, R, Said(scores=whole.scores), Said(scores=coarse.scores)),
    ):
        assert by.verdict == verdict
    for limit, worst in ((MOST_NATS, 0.0469), (1 - LEAST_AGREEMENT, 0.026)):
        assert worst * 2 < limit  # room above rounding
    assert MOST_NATS * 10 < 1.0622
    assert (1 - LEAST_AGREEMENT) * 3 < 1 - 0.600
