import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from inferometer.errors import UsageError
from inferometer.model import ModelFacts, inspect

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 10,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "dtype": "bfloat16",
}
MIXTRAL_8X7B: dict[str, Any] = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 32000,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "torch_dtype": "bfloat16",
}


def safetensors(path: Path, tensors: dict[str, tuple[str, list[int]]], cut: int = 0) -> None:
    """Write a whole file (sparse, so that size costs nothing), ``cut`` bytes short."""
    end = 0
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, (dtype, shape) in tensors.items():
        count = 1
        for size in shape:
            count *= size
        size = count * {"F32": 4, "BF16": 2, "U8": 1}[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end - cut)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    safetensors(model / "model.safetensors", {"a": ("BF16", [3, 5]), "b": ("F32", [1])})
    return model


def facts(folder: Path, config: object) -> ModelFacts:
    (folder / "config.json").write_text(json.dumps(config))
    return inspect(folder, folder.parent / "cache")


def test_a_small_dense_model_by_hand(folder: Path) -> None:
    found = facts(folder, LLAMA)
    # attention 2*8*4*2 + 2*8*2*2 = 192, MLP 3*8*10 = 240, twice 100*8 for the embeddings
    assert found.total_parameters == 3 * (192 + 240) + 1600
    assert found.active_parameters == found.total_parameters
    assert found.kv_bytes_per_token == 2 * 3 * 2 * 2 * 2
    assert found.weights_bytes == (folder / "model.safetensors").stat().st_size
    assert (found.architecture, found.routing, found.counted) == ("dense", "none", "formula")
    assert (found.experts, found.top_k) == (None, None)
    assert (found.hidden, found.layers, found.context_length) == (8, 3, 64)
    assert found.dtype == "bfloat16"


def test_weights_that_disagree_with_the_formulas_are_mentioned(folder: Path) -> None:
    (note,) = facts(folder, LLAMA).approximations[1:]
    assert note == "the weights hold 16 elements where the formulas give 2,896"
    safetensors(folder / "model.safetensors", {"a": ("BF16", [2898])})  # with two norms
    assert len(facts(folder, LLAMA).approximations) == 1


def test_tied_embeddings_count_once(folder: Path) -> None:
    both = facts(folder, LLAMA).total_parameters
    assert both is not None
    assert facts(folder, LLAMA | {"tie_word_embeddings": True}).total_parameters == both - 800


def test_parameters_of_an_unknown_family_are_counted(folder: Path) -> None:
    found = facts(folder, LLAMA | {"model_type": "newcomer"})
    assert (found.total_parameters, found.active_parameters, found.counted) == (16, 16, "tensors")
    assert found.unknown == ("model_type 'newcomer' is not a known family",)
    assert (found.kv_bytes_per_token, found.shape, found.approximations) == (None, None, ())
    assert (found.architecture, found.hidden, found.layers) == ("dense", 8, 3)


def test_names_of_tensors_tell_the_experts_of_an_unknown_family(folder: Path) -> None:
    tensors = {
        "layers.0.mlp.experts.0.up.weight": ("BF16", [10]),
        "layers.0.mlp.experts.1.up.weight": ("BF16", [10]),
        "layers.0.mlp.shared_experts.up.weight": ("BF16", [5]),
    }
    safetensors(folder / "model.safetensors", tensors)
    newcomer = LLAMA | {"model_type": "newcomer", "num_experts": 2}
    found = facts(folder, newcomer | {"num_experts_per_tok": 1})
    assert (found.total_parameters, found.active_parameters) == (25, 15)
    assert (found.architecture, found.routing) == ("moe", "trained")
    found = facts(folder, newcomer)
    assert (found.total_parameters, found.active_parameters) == (25, None)
    assert found.unknown[-1] == "num_experts_per_tok is missing"
    # Without a field, the names alone say that it is no dense model.
    found = facts(folder, LLAMA | {"model_type": "newcomer"})
    assert (found.architecture, found.active_parameters) == ("moe", None)
    assert found.unknown[-1] == "num_local_experts is missing"


def test_packed_weights_of_an_unknown_family_are_not_counted(folder: Path) -> None:
    safetensors(folder / "model.safetensors", {"packed": ("U8", [1000])})
    found = facts(folder, LLAMA | {"model_type": "newcomer"})
    assert (found.total_parameters, found.active_parameters, found.counted) == (None, None, None)
    assert "the weights are packed" in found.unknown[1]


@pytest.mark.parametrize(
    "name",
    [
        *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        "vocab_size",
    ],
)
def test_a_field_that_is_missing_is_named_and_not_guessed(folder: Path, name: str) -> None:
    found = facts(folder, {key: value for key, value in LLAMA.items() if key != name})
    assert found.unknown == (f"{name} is missing",)
    assert (found.counted, found.kv_bytes_per_token, found.shape) == ("tensors", None, None)
    assert facts(folder, LLAMA | {name: None}).unknown == found.unknown


def test_the_type_comes_from_the_weights_if_the_configuration_is_silent(folder: Path) -> None:
    silent = {name: value for name, value in LLAMA.items() if name != "dtype"}
    assert facts(folder, silent).dtype == "bfloat16"
    assert facts(folder, LLAMA | {"dtype": "float8_e4m3fn"}).kv_bytes_per_token is None


@pytest.mark.parametrize(
    ("marker", "moe", "dense"),
    [
        ("{}", ("trained", "trained"), ("none", "trained")),
        ('{"routing": "synthetic"}', ("synthetic", "upcycled"), ("none", "trained")),
        (
            '{"routing": "synthetic", "weights": "upcycled"}',
            ("synthetic", "upcycled"),
            ("none", "upcycled"),
        ),
        (
            '{"routing": "synthetic", "weights": "random"}',
            ("synthetic", "random"),
            ("none", "random"),
        ),
        ('{"routing": "none", "weights": "random"}', ("trained", "random"), ("none", "random")),
    ],
)
def test_a_marker_says_where_router_and_weights_are_from(
    folder: Path, marker: str, moe: tuple[str, str], dense: tuple[str, str]
) -> None:
    (folder / "inferometer.json").write_text(marker)
    for config, expected in ((MIXTRAL_8X7B, moe), (LLAMA, dense)):
        found = facts(folder, config)
        assert (found.routing, found.weights) == expected


def test_the_hash_covers_what_engines_read_and_nothing_else(folder: Path) -> None:
    first = facts(folder, LLAMA).sha256
    (folder / "README.md").write_text("a note")
    (folder / "inferometer.json").write_text("{}")
    assert facts(folder, LLAMA).sha256 == first
    moved = folder.rename(folder.with_name("elsewhere"))
    assert facts(moved, LLAMA).sha256 == first
    (moved / "tokenizer.json").write_text("{}")
    assert facts(moved, LLAMA).sha256 != first


def test_the_hash_of_large_weights_is_kept_in_the_cache_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferometer.model.LARGE", 10)
    before = {file.name for file in folder.iterdir()}
    first = facts(folder, LLAMA).sha256
    assert {file.name for file in folder.iterdir()} == before | {"config.json"}
    (kept,) = [
        file
        for file in (folder.parent / "cache" / "hashes").iterdir()
        if file.read_text() == _sha256(folder / "model.safetensors")
    ]
    assert facts(folder, LLAMA).sha256 == first
    kept.write_text("0" * 64)
    assert facts(folder, LLAMA).sha256 != first, "the kept hash was not used"
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    assert facts(folder, LLAMA).sha256 != first, "a kept hash must not outlive its file"


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_shards_are_those_of_the_index(folder: Path) -> None:
    for name in ("x-1.safetensors", "x-2.safetensors"):
        safetensors(folder / name, {name: ("BF16", [10])})
    index = {"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert facts(folder, LLAMA | {"model_type": "newcomer"}).total_parameters == 20
    (folder / "x-2.safetensors").unlink()
    with pytest.raises(UsageError, match=r"names 'x-2\.safetensors', which is not"):
        facts(folder, LLAMA)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a\0b"])
def test_an_index_cannot_name_files_elsewhere(folder: Path, name: str) -> None:
    safetensors(folder.parent / "secret.safetensors", {"a": ("BF16", [1])})
    index = {"weight_map": {"a": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="not in the directory"):
        facts(folder, LLAMA)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model directory there"):
        inspect(tmp_path / "absent", tmp_path)
    with pytest.raises(UsageError, match=r"no config\.json"):
        inspect(tmp_path, tmp_path)
    with pytest.raises(UsageError, match="no weights") as raised:
        facts(tmp_path, LLAMA)
    assert "safetensors" in raised.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[1]", "null", "[" * 100_000, '{"a": NaN}', "\udcff", '{"model_type": 7}'],
)
def test_a_file_that_is_no_configuration_is_one_clear_error(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=r"config\.json") as raised:
        inspect(folder, folder.parent)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", "8"),
        ("hidden_size", 8.5),
        ("hidden_size", True),
        ("hidden_size", -8),
        ("hidden_size", 0),
        ("hidden_size", [8]),
        ("hidden_size", 10**400),
        ("num_hidden_layers", 10**8),
        ("num_hidden_layers", 1001),
        ("vocab_size", 10**9 + 1),
        ("num_attention_heads", {}),
        ("tie_word_embeddings", "yes"),
        ("layer_types", "full_attention"),
        ("layer_types", ["full_attention", 7, "full_attention"]),
        ("model_type", "x" * 1000),
    ],
)
def test_a_hostile_value_is_refused_by_name(folder: Path, name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name):
        facts(folder, LLAMA | {name: value})


def test_numbers_that_multiply_beyond_reason_are_refused(folder: Path) -> None:
    huge = {"hidden_size": 10**9, "vocab_size": 10**9, "num_hidden_layers": 1_000}
    with pytest.raises(UsageError, match="multiply to more than"):
        facts(folder, LLAMA | huge)


def test_more_active_experts_than_experts_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="more than the 8 experts"):
        facts(folder, MIXTRAL_8X7B | {"num_experts_per_tok": 9})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.example/spec/v1\noid sha256:00\n",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 10) + b'{"a": 123}',
        struct.pack("<Q", 62) + b'{"a": {"dtype": "BF16", "shape": [-1], "data_offsets": [0, 2]}}',
    ],
)
def test_damaged_weights_are_named(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match=r"model\.safetensors: not a whole safetensors file"):
        facts(folder, LLAMA)


def test_weights_that_were_cut_short_are_named(folder: Path) -> None:
    safetensors(folder / "model.safetensors", {"a": ("BF16", [1000])}, cut=1)
    with pytest.raises(UsageError, match="not a whole safetensors file"):
        facts(folder, LLAMA)
