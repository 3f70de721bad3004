"""Every family, against published totals and against sums that can be done by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.architecture import FAMILIES, Config, Tensors, describe
from inferometer.architecture.families import ALIASES
from inferometer.errors import UsageError
from inferometer.model import Shape

MODELS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "models.json").read_text(encoding="utf-8")
)
PUBLISHED = sorted(name for name in MODELS if "published_shape_b" in MODELS[name])


def described(folder: Path, config: object) -> dict[str, Any]:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return describe(Config(path), Tensors(elements=0, dtype=None))


def golden(folder: Path, name: str, **changes: object) -> dict[str, Any]:
    return described(folder, MODELS[name]["config"] | changes)


def shape(folder: Path, name: str, **changes: object) -> Shape:
    found = golden(folder, name, **changes)["shape"]
    assert isinstance(found, Shape)
    return found


def test_every_family_has_a_golden_configuration() -> None:
    named = {MODELS[name]["config"]["model_type"] for name in MODELS}
    assert {ALIASES.get(name, name) for name in named} == set(FAMILIES)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_golden_configuration_is_known(tmp_path: Path, name: str) -> None:
    found = golden(tmp_path, name)
    assert found["unknown"] == ()
    assert found["counted"] == "formula"
    assert found["approximations"][0].startswith("norms and biases")
    layers = [it for group in found["shape"].layers for it in group.numbers]
    assert sorted(layers) == list(range(found["layers"]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_totals(tmp_path: Path, name: str) -> None:
    """Totals and active parameters as published, in billions, rounded as they are there."""
    total, active = MODELS[name]["published_shape_b"]
    found = golden(tmp_path, name)
    assert rounded(found["total_parameters"], total) == total
    assert rounded(found["active_parameters"], active) == active
    assert found["architecture"] == "moe"


def rounded(parameters: int, like: str) -> str:
    return f"{parameters / 1e9:.{len(like.partition('.')[2])}f}"


def test_a_small_mixture_by_hand(tmp_path: Path) -> None:
    config = {
        "model_type": "deepseek_v3",
        "vocab_size": 10,
        "hidden_size": 4,
        "n_routed_experts": 6,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 5,
        "q_lora_rank": 3,
        "kv_lora_rank": 2,
        "qk_nope_head_dim": 2,
        "qk_rope_head_dim": 1,
        "v_head_dim": 2,
        "moe_intermediate_size": 2,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
        "dtype": "bfloat16",
    }
    found = described(tmp_path, config)
    # queries 4*3 + 3*2*(2+1) = 30, keys and values 4*(2+1) + 2*2*(2+2) = 28, output 2*2*4 = 16
    attention = 30 + 28 + 16
    # dense 3*4*5 = 60; expert 3*4*2 = 24; router 4*6 = 24; shared 24
    assert found["total_parameters"] == 3 * attention + 60 + 2 * (6 * 24 + 24 + 24) + 80
    assert found["active_parameters"] == 3 * attention + 60 + 2 * (2 * 24 + 24 + 24) + 80
    assert found["embedding_parameters"] == 80
    assert found["kv_bytes_per_token"] == 3 * (2 + 1) * 2
    assert (found["experts"], found["top_k"]) == (6, 2)
    experts = next(group.mlp for group in found["shape"].layers if group.mlp.experts)
    assert (experts.expert_width, experts.shared_width) == (2, 2)
    assert found["shape"].moe_layers == (1, 2)


def test_latent_attention_keeps_one_small_vector(tmp_path: Path) -> None:
    assert golden(tmp_path, "deepseek_v3")["kv_bytes_per_token"] == 70_272


@pytest.mark.parametrize(
    ("name", "changes", "sparse"),
    [
        ("mixtral", {}, range(32)),
        ("qwen3_moe", {"decoder_sparse_step": 16}, [15, 31, 47]),
        ("qwen3_moe", {"mlp_only_layers": [0, *range(3, 48)]}, [1, 2]),
        ("deepseek_v3", {"first_k_dense_replace": 59}, [59, 60]),
        ("deepseek_v3", {"moe_layer_freq": 30}, [30, 60]),
        ("deepseek_v32", {"mlp_layer_types": ["dense"] * 60 + ["sparse"]}, [60]),
        ("llama4", {"moe_layers": [3, 5]}, [3, 5]),
        ("llama4", {"interleave_moe_layer_step": 24}, [23, 47]),
        ("jamba", {"expert_layer_period": 16, "expert_layer_offset": 4}, [4, 20]),
        ("ernie4_5_moe", {"moe_layer_start_index": 26}, [26, 27]),
        ("ernie4_5_moe", {"moe_layer_end_index": 2}, [1, 2]),
        ("ernie4_5_moe", {"moe_layer_interval": 9}, [8, 17, 26]),
        ("lfm2_moe", {"num_dense_layers": 31}, [31]),
        ("llama", {}, []),
    ],
)
def test_which_layers_have_experts(
    tmp_path: Path, name: str, changes: dict[str, Any], sparse: list[int]
) -> None:
    assert shape(tmp_path, name, **changes).moe_layers == tuple(sparse)


def kinds(found: Shape, kind: str) -> list[int]:
    return sorted(it for each in found.layers if each.mixer.kind == kind for it in each.numbers)


def windows(found: Shape) -> list[int]:
    return sorted(it for each in found.layers if each.mixer.attended for it in each.numbers)


@pytest.mark.parametrize(
    ("name", "changes", "seeing_less"),
    [
        ("llama", {}, []),
        ("mistral", {}, list(range(32))),
        ("mistral", {"sliding_window": None}, []),
        ("qwen2", {}, []),
        ("qwen3, windows", {}, list(range(14, 28))),
        ("gemma2", {}, list(range(0, 26, 2))),
        ("gemma3", {}, [it for it in range(26) if it % 6 != 5]),
        ("olmo3", {}, [it for it in range(32) if it % 4 != 3]),
        ("gpt_oss", {"layer_types": None}, list(range(0, 36, 2))),
        ("llama4", {}, [it for it in range(48) if it % 4 != 3]),
        ("llama4", {"no_rope_layers": [0] * 47 + [1]}, [47]),
        ("deepseek_v32", {}, list(range(61))),
    ],
)
def test_which_layers_see_less_than_everything(
    tmp_path: Path, name: str, changes: dict[str, Any], seeing_less: list[int]
) -> None:
    assert windows(shape(tmp_path, name, **changes)) == seeing_less


@pytest.mark.parametrize(
    ("name", "attention"),
    [
        ("qwen3_next", list(range(3, 48, 4))),
        ("qwen3_5_moe", list(range(3, 40, 4))),
        ("minimax", list(range(1, 32, 2))),
        ("jamba", [4, 12, 20, 28]),
        ("granitemoehybrid", [5, 13, 21, 29]),
        ("lfm2_moe", list(range(3, 32, 4))),
    ],
)
def test_which_layers_of_a_hybrid_keep_kv(tmp_path: Path, name: str, attention: list[int]) -> None:
    found = shape(tmp_path, name)
    assert kinds(found, "attention") == attention
    assert found.state_elements > 0
    (group,) = (each for each in found.layers if each.mixer.kind == "attention")
    assert found.kv_elements == group.mixer.kv_elements * len(attention)


@pytest.mark.parametrize("experts", [0, 1, None])
def test_at_most_one_expert_is_dense(tmp_path: Path, experts: int | None) -> None:
    found = golden(tmp_path, "mixtral", num_local_experts=experts)
    assert (found["architecture"], found["experts"], found["top_k"]) == ("dense", None, None)


@pytest.mark.parametrize(
    ("name", "changes", "unknown"),
    [
        ("mixtral", {"num_experts_per_tok": None}, "num_experts_per_tok is missing"),
        ("qwen3_moe", {"moe_intermediate_size": None}, "moe_intermediate_size is missing"),
        ("deepseek_v3", {"n_shared_experts": None}, "n_shared_experts is missing"),
        ("deepseek_v3", {"kv_lora_rank": None}, "kv_lora_rank is missing"),
        ("deepseek_v3", {"first_k_dense_replace": None}, "first_k_dense_replace is missing"),
        ("jamba", {"attn_layer_offset": None}, "attn_layer_offset is missing"),
        ("jamba", {"mamba_d_state": None}, "mamba_d_state is missing"),
        ("minimax", {"layer_types": None}, "layer_types is missing"),
        ("llama", {"layer_types": ["mamba"] * 32}, "layer_types names 'mamba'"),
        ("llama", {"layer_types": ["full_attention"]}, "layer_types is shorter"),
        ("llama", {"num_experts": 8}, "num_experts is set, but 'llama' has no experts"),
        ("llama", {"hidden_size": 4097}, "head_dim is missing"),
        ("hunyuan_v1_moe", {"moe_topk": [8, 4]}, "moe_topk differs between layers"),
        ("hunyuan_v1_moe", {"num_experts": [64, 32]}, "num_experts differs between layers"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_guessed(
    tmp_path: Path, name: str, changes: dict[str, Any], unknown: str
) -> None:
    found = golden(tmp_path, name, **changes)
    assert found["unknown"][0].startswith(unknown)
    assert {found[fact] for fact in ("total_parameters", "active_parameters", "shape")} == {None}
    moe = name != "llama" or "num_experts" in changes
    assert found["architecture"] == ("moe" if moe else "dense")


def test_a_field_that_is_not_there_at_all_is_missing(tmp_path: Path) -> None:
    config = dict(MODELS["mixtral"]["config"])
    del config["num_key_value_heads"]
    assert described(tmp_path, config)["unknown"][0] == "num_key_value_heads is missing"


def test_lists_of_one_number_per_layer_are_read(tmp_path: Path) -> None:
    found = golden(tmp_path, "hunyuan_v1_moe", moe_topk=[8] * 32)
    assert found["top_k"] == 8
    with pytest.raises(UsageError, match="moe_topk"):
        golden(tmp_path, "hunyuan_v1_moe", moe_topk=["8"] * 32)


def test_the_text_part_of_a_wrapper_is_described_and_said_to_be_a_part(tmp_path: Path) -> None:
    text = MODELS["llama4"]["config"]
    found = described(tmp_path, {"model_type": "llama4", "text_config": text})
    assert found["total_parameters"] == golden(tmp_path, "llama4")["total_parameters"]
    assert any("only the text part" in note for note in found["approximations"])


def test_drafting_layers_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    assert any("draft" in note for note in golden(tmp_path, "deepseek_v3")["approximations"])
    assert not any("draft" in note for note in golden(tmp_path, "mixtral")["approximations"])


def test_a_tied_hybrid_calls_it_by_another_name(tmp_path: Path) -> None:
    assert shape(tmp_path, "lfm2_moe").tied
    assert not shape(tmp_path, "lfm2_moe", tie_embedding=False).tied
