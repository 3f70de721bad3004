"""Models made with torch, in the environment of the Transformers engine: small ones, in seconds."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import text_of

from inferometer import cli, environment
from inferometer.analyze import analyze
from inferometer.errors import GateError
from inferometer.making import job, sameness
from inferometer.model import inspect
from inferometer_transformers import TransformersServe

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

CONFIG = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "vocab_size": 800,
    "max_position_embeddings": 512,
    "dtype": "bfloat16",
}
SHARD = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import torch, upcycle
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
whole, parts, out = map(pathlib.Path, sys.argv[2:5])
model = AutoModelForCausalLM.from_pretrained(whole, dtype="bfloat16")
model.save_pretrained(parts, max_shard_size="100KB")
assert len(list(parts.glob("*.safetensors"))) > 1
upcycle.SHARD_BYTES = 200_000
upcycle.main(parts, out, 4, 1, 0)
files = sorted(out.glob("*.safetensors"))
assert len(files) > 1, files
found = {name: tensor for file in files for name, tensor in load_file(file).items()}
expected = load_file(sys.argv[5])
assert found.keys() == expected.keys()
assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
AutoModelForCausalLM.from_pretrained(out)
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter that has torch."""
    platform = environment.current_platform("cpu")
    requirements = TransformersServe().requirements(platform)
    return environment.prepare(requirements, platform, environment.cache_root(), print).python


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path, python: Path) -> Path:
    """A folder with ``dense``, of random weights, and ``moe``, its twin of 4 experts, top 1."""
    folder = tmp_path_factory.mktemp("models")
    config = {"model_type": "qwen3", "tie_word_embeddings": True, **CONFIG}
    (folder / "config.json").write_text(json.dumps(config))
    words = ["random", folder / "config.json", "--out", folder / "dense", "--seed", 3]
    run(*words, "--tokenizer", tokenizer.parent, "--python", python)
    words = ["upcycle", folder / "dense", "--out", folder / "moe", "-e", 4, "-k", 1]
    run(*words, "--python", python)
    return folder


def run(*words: object) -> None:
    assert cli.main(["models", *map(str, words)]) == 0


def marker(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "inferometer.json").read_text())
    return found


def test_random_weights_and_a_twin_are_what_their_markers_say(models: Path) -> None:
    dense, twin = (inspect(models / name, models / "cache") for name in ("dense", "moe"))
    assert (dense.architecture, dense.routing) == ("dense", "none")
    assert (twin.architecture, twin.routing) == ("moe", "synthetic")
    assert (twin.experts, twin.top_k) == (4, 1)
    assert marker(models / "dense")["weights"] == "random"
    made = marker(models / "moe")
    assert made["source"] == {"name": "dense", "sha256": dense.sha256}
    assert made["weights"] == "upcycled"
    seen = made["verified"]
    assert seen["agreement"] == 1.0
    assert seen["most_nats"] < 1e-4
    assert seen["dtype"] == "float32"
    assert set(seen["tools"]) == {"torch", "transformers"}


def test_equal_seeds_give_equal_weights(
    models: Path, tmp_path: Path, tokenizer: Path, python: Path
) -> None:
    words = ["random", models / "config.json", "--out", tmp_path / "again", "--seed", 3]
    run(*words, "--tokenizer", tokenizer.parent, "--python", python)
    sha256 = [inspect(it, tmp_path).sha256 for it in (models / "dense", tmp_path / "again")]
    assert sha256[0] == sha256[1]


def test_a_router_whose_weights_do_not_add_up_to_one_is_caught(
    models: Path, tmp_path: Path, python: Path
) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(models / "moe", twin)
    config = json.loads((twin / "config.json").read_text())
    (twin / "config.json").write_text(json.dumps(config | {"norm_topk_prob": False}))
    with (tmp_path / "log").open("w") as log:
        making = job.Job(name="bent", python=python, log=log, progress=print)
        with pytest.raises(GateError, match="bent: the twin does not compute") as raised:
            sameness.check(making, models / "dense", twin, "float32")
    assert "limit 0.001" in raised.value.message


def test_weights_in_several_files_make_the_same_twin(
    models: Path, tmp_path: Path, python: Path
) -> None:
    parts, out = tmp_path / "parts", tmp_path / "out"
    out.mkdir()
    words = [models / "dense", parts, out, models / "moe" / "model.safetensors"]
    done = subprocess.run(
        [str(python), "-c", SHARD, str(job.SCRIPTS), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {path.name for path in out.glob("*.safetensors")}


@pytest.mark.usefixtures("alone")
def test_a_twin_of_one_s_own_is_ranked_as_overhead(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    outcome, _ = measure(text_of(models), tmp_path / "r")
    assert (outcome.finished, outcome.failed) == (4, 0)
    comparison = analyze(tmp_path / "r")
    assert [model.routing for model in comparison.models] == ["none", "synthetic"]
    ratios = [it for it in comparison.moe_ratios if it.metric == "output_tok_s"]
    assert len(ratios) == 2
    for ratio in ratios:
        assert "equal quality by construction (upcycled twin)" in ratio.match
        assert "this is MoE overhead, not a trained MoE" in ratio.match
