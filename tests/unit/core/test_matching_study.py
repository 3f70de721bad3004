"""Dense against MoE in whole studies: pairs, interactions, order, and who is kept out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inferometer.analyze import analyze
from inferometer.comparison import Architectures, Comparison, Model, MoeRatio
from inferometer.errors import StudyError
from inferometer.matching.matches import matches
from inferometer.matching.pairs import match_words, model_pairs, subject
from inferometer.records import LaunchRecord, Told
from inferometer.store import decode, encode
from inferometer.study import dump, parse
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.store import Store

TWO = {"a": 40.0, "b": 80.0}
TRAINED: dict[str, Any] = {
    "architecture": "moe",
    "routing": "trained",
    "weights": "trained",
    "twin_of": None,
}
SPARSE = TRAINED | {"total_parameters": 30_000, "active_parameters": 3_000, "weights_bytes": 60_000}
LARGE = {"total_parameters": 32_000, "active_parameters": 32_000, "weights_bytes": 64_000}
SMALL = {"total_parameters": 3_000, "active_parameters": 3_000, "weights_bytes": 6_000}


def make(tmp_path: Path, **options: Any) -> Store:
    return write_results(tmp_path / "r", Fixture(**{"rates": TWO, **options}))


def of(seen: Comparison) -> Architectures:
    assert seen.architectures is not None
    return seen.architectures


def speed(seen: Comparison) -> list[MoeRatio]:
    return [one for one in seen.moe_ratios if one.metric == "output_tok_s"]


def test_the_ratio_says_who_is_better_and_where(tmp_path: Path) -> None:
    seen = analyze(make(tmp_path, models=("dense", "moe")).root)
    for one in seen.moe_ratios:
        assert (one.at, one.better, one.dense_load, one.moe_load) == ("load", "dense", "", "")
    (pair,) = of(seen).pairs
    assert pair.overhead
    assert [match.holds for match in pair.matches] == [False, False, False, True]
    assert "say nothing of a trained MoE model" in pair.statement
    assert of(seen).kind == "simulated"
    assert of(seen).why_not == ""


def test_one_stack_gains_more_and_the_order_turns_round(tmp_path: Path) -> None:
    # a: 40 and 20 tok/s; b: 80 and 80 / 2 / 4 = 10. A quicker round is quicker for all four.
    both = {(stack, 1): 1.5 for stack in TWO}
    store = make(tmp_path, models=("dense", "moe"), gains={("b", "moe"): 0.25}, drift=both)
    seen = of(analyze(store.root))
    found = {one.metric: one for one in seen.interactions}
    assert found["output_tok_s"].ratio.value == pytest.approx(4)
    assert found["output_tok_s"].ratio.low == pytest.approx(4)
    assert found["energy_j_per_output_token"].ratio.value == pytest.approx(0.25)
    assert {one.gains_more for one in seen.interactions} == {"a"}
    assert {(one.stack, one.other) for one in seen.interactions} == {("a", "b")}
    changes = {one.metric: one for one in seen.order_changes}
    change = changes["output_tok_s"]
    assert change.dense_ratio.value == pytest.approx(0.5)
    assert change.moe_ratio.value == pytest.approx(2)
    assert {one.changed for one in seen.order_changes} == {True}


def test_the_same_gain_changes_no_order_and_favours_nobody(tmp_path: Path) -> None:
    seen = of(analyze(make(tmp_path, models=("dense", "moe")).root))
    assert {one.gains_more for one in seen.interactions} == {""}
    assert [one.ratio.value for one in seen.interactions] == pytest.approx([1, 1, 1])
    assert {one.changed for one in seen.order_changes} == {False}


def test_one_round_is_never_sure(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"), rounds=1, gains={("b", "moe"): 0.25})
    seen = analyze(store.root)
    assert {one.better for one in seen.moe_ratios} == {"undecided"}
    assert {one.gains_more for one in of(seen).interactions} == {""}
    assert {one.changed for one in of(seen).order_changes} == {None}


def test_loads_give_three_operating_points(tmp_path: Path) -> None:
    # ms to the first token and between tokens: 100, 50 and 25 tok/s/user, half of it for the MoE
    paces = {streams: {"a": (ms, ms)} for streams, ms in ((1, 10.0), (4, 20.0), (16, 40.0))}
    seen = analyze(make(tmp_path, rates={"a": 1}, models=("dense", "moe"), paces=paces).root)
    found = {(one.at, one.load): one for one in speed(seen)}
    assert [at for at, _ in found] == [*["load"] * 3, "interactivity", "best"]
    assert found["load", "4 streams"].ratio.value == pytest.approx(0.5)
    best = found["best", "each at its best"]
    assert (best.dense_load, best.moe_load) == ("16 streams", "16 streams")
    (equal,) = [one for one in speed(seen) if one.at == "interactivity"]
    assert equal.interactivity is not None
    assert 25 <= equal.interactivity <= 50  # what both reach: the MoE at most 50, dense at least 25
    assert equal.ratio.kind == "simulated"
    assert equal.ratio.value is not None
    assert equal.ratio.value < 0.5  # as quick for a user, the MoE serves far fewer of them
    assert equal.better == "dense"


def test_a_trained_moe_meets_every_trained_dense_model_and_its_answer_depends(
    tmp_path: Path,
) -> None:
    quality = 'quality = {{ name = "Exam", score = {}, low = {}, high = {}, source = "made up" }}'
    store = make(
        tmp_path,
        models=("large", "small", "sparse"),
        slower={"large": 4.0, "sparse": 2.0},
        facts={"large": LARGE, "small": SMALL, "sparse": SPARSE},
        model_lines={
            "large": quality.format(70, 68, 72),
            "small": quality.format(40, 38, 42),
            "sparse": quality.format(69, 67, 71),
        },
    )
    seen = analyze(store.root)
    held = {
        pair.dense: [match.kind for match in pair.matches if match.holds] for pair in of(seen).pairs
    }
    assert held == {
        "large": ["total_parameters", "memory", "quality"],
        "small": ["active_parameters"],
    }
    assert not any(pair.overhead for pair in of(seen).pairs)
    assert [model.quality.score for model in seen.models if model.quality] == [70, 40, 69]
    assert "equal in total parameters, memory and quality: 3,000 active" in speed(seen)[0].match
    # twice as fast as the dense model of its size, half as fast as that of its active size
    (one,) = [
        one for one in of(seen).dependences if (one.stack, one.metric) == ("a", "output_tok_s")
    ]
    assert [(f.dense, f.match, f.better) for f in one.findings] == [
        ("large", "total_parameters", "moe"),
        ("large", "memory", "moe"),
        ("large", "quality", "moe"),
        ("small", "active_parameters", "dense"),
    ]
    assert [f.ratio.value for f in one.findings] == pytest.approx([2, 2, 2, 0.5])
    assert (one.depends, one.point_only) == (True, False)
    assert of(seen).kept_out == []


def test_synthetic_and_random_models_never_stand_beside_trained_ones(tmp_path: Path) -> None:
    store = make(
        tmp_path,
        models=("dense", "moe", "sparse", "noise", "drawn"),
        facts={
            "sparse": SPARSE,
            "noise": SPARSE | {"routing": "synthetic", "weights": "random"},
            "drawn": LARGE | {"weights": "random"},
        },
    )
    seen = analyze(store.root)
    together = {(pair.dense, pair.moe, pair.overhead) for pair in of(seen).pairs}
    assert together == {("dense", "moe", True), ("dense", "sparse", False)}
    assert {(one.dense, one.moe) for one in seen.moe_ratios} == {pair[:2] for pair in together}
    for one in of(seen).dependences:
        assert {finding.dense for finding in one.findings} <= {"dense"}
    assert [(one.model, one.reason) for one in of(seen).kept_out] == [
        ("moe", "synthetic_routing"),
        ("noise", "synthetic_routing"),
        ("drawn", "random_weights"),
    ]
    assert "compared with dense, its own dense model, alone" in of(seen).kept_out[0].detail
    assert "it is no twin of a dense model here" in of(seen).kept_out[1].detail
    # no ranking has two models, so none sets them beside each other either
    assert {ranking.model for ranking in seen.rankings} >= {"noise", "drawn", "sparse"}
    assert encode(msgspec.json.decode(encode(seen), type=Comparison)) == encode(seen)


def change(store: Store, stack: str, **fields: Any) -> None:
    """Write other fields into every launch of a stack."""
    for record in store.launches():
        if record.stack["id"] == stack:
            path = store.folder(record.id) / "launch.json"
            path.write_bytes(encode(msgspec.structs.replace(record, **fields)))


def test_the_studys_word_alone_makes_no_twin(tmp_path: Path) -> None:
    # Its weights were learnt: nothing but a score can say that it answers as well as "dense".
    store = make(
        tmp_path, models=("dense", "sparse"), facts={"sparse": SPARSE | {"twin_of": "dense"}}
    )
    seen = analyze(store.root)
    (pair,) = of(seen).pairs
    assert not pair.overhead
    assert {match.kind: match.holds for match in pair.matches}["quality"] is None
    assert "same function" not in pair.statement
    assert "quality unknown" in speed(seen)[0].match


def test_random_weights_are_nobodys_twin(tmp_path: Path) -> None:
    drawn = SPARSE | {"routing": "synthetic", "weights": "random", "twin_of": "dense"}
    seen = analyze(make(tmp_path, models=("dense", "noise"), facts={"noise": drawn}).root)
    assert (of(seen).pairs, seen.moe_ratios) == ([], [])
    (out,) = of(seen).kept_out
    assert out.reason == "synthetic_routing"
    assert out.detail.startswith("its weights are random")


def test_stacks_that_answer_otherwise_gain_nothing_over_each_other(tmp_path: Path) -> None:
    # "b" says something else for the trained MoE: its own ratio stands, but not beside a's.
    store = make(tmp_path, models=("dense", "sparse"), facts={"sparse": SPARSE})
    for record in store.launches():
        path = store.folder(record.id) / "probes.jsonl"
        if (record.stack["id"], record.model["name"]) == ("b", "sparse") and path.exists():
            path.write_bytes(path.read_bytes().replace(b"[1,2,3,4]", b"[5,6,7,8]"))
    seen = analyze(store.root)
    assert {(one.stack, one.ratio.reason) for one in seen.moe_ratios} == {("a", None), ("b", None)}
    assert of(seen).interactions
    for one in of(seen).interactions:
        assert (one.ratio.value, one.ratio.reason) == (None, "parity_failed")
        assert "on sparse: its answers differ" in one.ratio.detail
        assert one.gains_more == ""
    assert {one.moe_ratio.reason for one in of(seen).order_changes} == {"parity_failed"}
    assert {one.changed for one in of(seen).order_changes} == {None}


def test_at_its_best_a_refused_stack_has_no_order_either(tmp_path: Path) -> None:
    # No ranking is at each stack's best, so nothing but the refusal itself keeps it out.
    paces = {n: {"a": (ms, ms), "b": (ms, ms)} for n, ms in ((1, 10.0), (4, 20.0))}
    store = make(tmp_path, models=("dense", "sparse"), facts={"sparse": SPARSE}, paces=paces)
    for record in store.launches():
        path = store.folder(record.id) / "probes.jsonl"
        if (record.stack["id"], record.model["name"]) == ("b", "sparse") and path.exists():
            path.write_bytes(path.read_bytes().replace(b"[1,2,3,4]", b"[5,6,7,8]"))
    best = [one for one in of(analyze(store.root)).order_changes if one.at == "best"]
    assert best
    assert {one.moe_ratio.reason for one in best} == {"parity_failed"}
    assert {one.dense_ratio.value is None for one in best} == {False}


def test_a_simulated_stack_does_not_choose_the_speed_of_a_real_one(tmp_path: Path) -> None:
    # Both models: 25 to 50 tok/s/user on "a", 62 to 125 on "b", which alone reaches 100.
    paces = {
        streams: {"a": (ms, ms), "b": (ms / 2.5, ms / 2.5)}
        for streams, ms in ((1, 10.0), (4, 20.0), (16, 40.0))
    }
    store = make(tmp_path, models=("dense", "moe"), paces=paces)
    change(store, "a", environment={"kind": "venv"})
    found = {one.stack: one for one in speed(analyze(store.root)) if one.at == "interactivity"}
    assert found["b"].interactivity == 100
    assert found["a"].interactivity is not None
    assert 25 <= found["a"].interactivity <= 50
    assert found["a"].ratio.value is not None


def test_accelerators_match_the_memory_in_the_words_of_a_ratio_too() -> None:
    dense = model("dense", "dense", 8e9, weights_bytes=16_000_000_000)
    moe = model("sparse", "moe", 30e9, weights_bytes=60_000_000_000)
    each = [subject(one, accelerators=1) for one in (dense, moe)]
    words = match_words(dense, moe, matches(*each))
    assert words.startswith("equal in memory, quality unknown")
    words = match_words(dense, moe, matches(subject(dense), subject(moe)))
    assert words.startswith("nothing matched, quality unknown")


def test_a_pair_has_the_bytes_that_all_stacks_serve_else_those_of_its_files() -> None:
    dense = model("dense", "dense", 32e9, weights_bytes=64_000_000_000)
    moe = model("sparse", "moe", 30e9, weights_bytes=60_000_000_000)
    sizes = {("a", "dense"): 32_000_000_000, ("b", "dense"): 32_000_000_000}
    (pair,) = model_pairs([dense, moe], {}, sizes)
    assert (pair.matches[2].dense, pair.matches[2].holds) == (32e9, False)
    (pair,) = model_pairs([dense, moe], {}, sizes | {("b", "dense"): 64_000_000_000})
    assert (pair.matches[2].dense, pair.matches[2].holds) == (64e9, True)


def model(name: str, architecture: Any, parameters: float, **more: Any) -> Model:
    return Model(
        name=name,
        architecture=architecture,
        total_parameters=int(parameters),
        active_parameters=int(parameters),
        precision="bfloat16",
        sha256="0" * 64,
        **more,
    )


@pytest.mark.parametrize(
    ("models", "facts", "words"),
    [
        (("dense",), {}, "no MoE model ran"),
        (("sparse",), {"sparse": SPARSE}, "no dense model ran"),
        (
            ("dense", "noise"),
            {"noise": SPARSE | {"routing": "synthetic"}},
            "no MoE model that ran has a dense one that it may be compared with",
        ),
    ],
)
def test_one_architecture_cannot_answer(
    tmp_path: Path, models: tuple[str, ...], facts: dict[str, Any], words: str
) -> None:
    seen = analyze(make(tmp_path, models=models, facts=facts).root)
    assert of(seen).why_not == words
    assert (seen.moe_ratios, of(seen).pairs, of(seen).knobs) == ([], [], [])


def test_what_was_planned_and_not_seen_is_named(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"))
    for record in store.launches():
        if record.model["name"] == "moe":
            (store.folder(record.id) / "launch.json").unlink()
    assert of(analyze(store.root)).why_not == "no MoE model ran; planned and not seen: moe"


def test_knobs_are_as_told_else_as_asked(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"), rates={"a": 40.0})
    for record in store.launches():
        path = store.folder(record.id) / "launch.json"
        changed = msgspec.structs.replace(
            decode(path, LaunchRecord),
            asked={"tensor_parallel_size": 2, "max_num_seqs": 64},
            windows=[
                msgspec.structs.replace(window, requests_running=3.0 + record.round)
                for window in record.windows
            ],
            told={"max_num_seqs": Told(value=32 + record.round % 2), "moe_backend": Told()},
        )
        path.write_bytes(encode(changed))
    first, second = of(analyze(store.root)).knobs
    assert (first.stack, first.model, second.model) == ("a", "dense", "moe")
    assert first.settings["tensor_parallel_size"] == "2 (asked)"
    assert first.settings["expert_parallel_size"] == "1 (not asked)"
    assert sorted(first.settings["max_num_seqs"].split(" or ")) == ["32", "33"]
    assert first.settings["moe_backend"] == "not told"
    assert first.running == {"small, 4 streams": 4.0}  # the mean of 3, 4 and 5


def test_nothing_is_known_of_a_server_that_was_asked_nothing(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"), rates={"a": 40.0})
    change(store, "a", asked={}, environment={"kind": "url"})
    assert {knobs.settings["tensor_parallel_size"] for knobs in of(analyze(store.root)).knobs} == {
        "not told"
    }


def test_a_stack_that_failed_has_an_interaction_with_its_reason(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"), failed=frozenset({("b", i) for i in range(3)}))
    seen = of(analyze(store.root))
    assert {one.ratio.reason for one in seen.interactions} == {"failed"}
    assert {one.changed for one in seen.order_changes} == {None}


STUDY = """
name = "s"
[[engines]]
name = "vllm"
[[models]]
name = "m"
path = "m"
quality = {{ {} }}
[[workloads]]
name = "w"
input_tokens = 8
output_tokens = 8
[[loads]]
concurrency = 1
"""


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ('name = "Exam", score = 1.0', "source"),
        ('name = "Exam", score = nan, source = "s"', "must be a finite number"),
        ('name = "Exam", score = 1, low = 0.5, source = "s"', "needs both 'low' and 'high'"),
        ('name = "Exam", score = 3, low = 1, high = 2, source = "s"', "needs low <= score <= high"),
        ('name = "Exam", score = "x", source = "s"', "number"),
    ],
)
def test_a_quality_that_says_nothing_is_refused(told: str, words: str) -> None:
    with pytest.raises(StudyError, match=r"models\[0\].quality") as caught:
        parse(STUDY.format(told), "study.toml")
    assert words in str(caught.value)


def test_a_quality_survives_being_written_and_its_absence_changes_no_hash() -> None:
    told = 'name = "Exam", score = 2, low = 1, high = 3, source = "s"'
    study = parse(STUDY.format(told), "study.toml")
    assert parse(dump(study), "again") == study
    plain = parse(STUDY.replace("quality = {{ {} }}\n", ""), "study.toml")
    assert b"quality" not in encode(plain)
