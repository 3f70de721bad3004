"""``inferometer models``, with scripts that need no torch."""

from __future__ import annotations

import errno
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from inferometer import cli, packaged
from inferometer.making import job, room
from inferometer.making.drawn import Drawn, copy_tokenizer, examine
from inferometer.making.twins import parameters
from inferometer.model import inspect
from inferometer.testing.engine import write_model

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
UPCYCLE = """
import json, pathlib, shutil, sys
dense, out, *rest = sys.argv[1:]
for file in pathlib.Path(dense).iterdir():
    if file.name != "inferometer.json":
        shutil.copyfile(file, pathlib.Path(out) / file.name)
config = json.loads((pathlib.Path(out) / "config.json").read_text())
config |= {"model_type": "mixtral", "num_local_experts": int(rest[0])}
config |= {"num_experts_per_tok": int(rest[1])}
(pathlib.Path(out) / "config.json").write_text(json.dumps(config))
print(json.dumps({"seed": int(rest[2])}))
"""
ANSWER = """
import json, pathlib, sys
model, texts, out = map(pathlib.Path, sys.argv[1:4])
config = json.loads((model / "config.json").read_text())
off = OFF if "num_local_experts" in config else 0.0
rows = [
    {"logprobs": [-1.0 - off] * (len(text) - 1), "token_ids": [7] * int(sys.argv[5])}
    for text in json.loads(texts.read_text())
]
out.write_text(json.dumps(rows))
print(json.dumps({}))
"""
DRAW = """
import json, pathlib, shutil, sys
source, out = map(pathlib.Path, sys.argv[1:3])
shutil.copyfile(source / "config.json", out / "config.json")
shutil.copyfile("WEIGHTS", out / "model.safetensors")
print(json.dumps({"arguments": sys.argv[3:5]}))
"""


@pytest.fixture
def dense(tmp_path: Path, tokenizer: Path, monkeypatch: Patch) -> Path:
    """A dense model directory; the scripts are fakes, and folders given are below tmp_path."""
    folder = write_model(tmp_path / "small", tokenizer.read_text())
    change(folder, vocab_size=800)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "gguf_to_safetensors.py").write_text("")
    (scripts / "upcycle.py").write_text(UPCYCLE)
    (scripts / "answer.py").write_text(ANSWER.replace("OFF", "0.0"))
    weights = str(folder / "model.safetensors")
    (scripts / "random_weights.py").write_text(DRAW.replace("WEIGHTS", weights))
    monkeypatch.setattr(job, "SCRIPTS", scripts)
    monkeypatch.setattr(job, "NEEDED", ("json",))
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


def change(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def models(*words: object) -> int:
    return cli.main(["models", *map(str, words)])


def upcycle(dense: Path, *words: object) -> int:
    return models("upcycle", dense, "--python", sys.executable, *words)


# -- twins -----------------------------------------------------------------------------------------


def test_a_twin_is_made_checked_and_says_of_what(dense: Path, capsys: Capture) -> None:
    assert upcycle(dense, "--experts", 4, "--top-k", 2, "--seed", 7) == 0
    said = capsys.readouterr()
    twin = Path(said.out.strip())
    assert twin == dense.parent / "small-e4k2"
    assert 'twin_of = "small"' in said.err
    assert "the same function: over 1,008 tokens ln p differs by 0" in said.err
    marker = json.loads((twin / "inferometer.json").read_text())
    assert (marker["routing"], marker["weights"]) == ("synthetic", "upcycled")
    assert (marker["experts"], marker["top_k"], marker["seed"]) == (4, 2, 7)
    assert marker["made"] == {"seed": 7}
    assert marker["source"]["name"] == "small"
    facts = inspect(twin, dense.parent / "cache")
    assert (facts.routing, facts.weights, facts.experts) == ("synthetic", "upcycled", 4)
    assert not (twin.parent / "small-e4k2.making.log").exists()


@pytest.mark.parametrize("off", ["0.002", "float('nan')"])
def test_a_twin_that_answers_otherwise_leaves_nothing(
    dense: Path, capsys: Capture, off: str
) -> None:
    (job.SCRIPTS / "answer.py").write_text(ANSWER.replace("OFF", off))
    before = sorted(dense.parent.iterdir())
    assert upcycle(dense, "-e", 4, "-k", 1) == 3
    assert "small-e4k1: the twin does not compute what its dense" in capsys.readouterr().err
    assert [path for path in sorted(dense.parent.iterdir()) if path.name != "cache"] == before


@pytest.mark.parametrize(
    ("experts", "top_k", "says"),
    [
        (1, 1, "--experts 1: a mixture has 2 to 1,024"),
        (0, 1, "--experts 0"),
        (4, 5, "--top-k 5: a token goes to 1 to 4 of 4"),
        (4, 0, "--top-k 0"),
    ],
)
def test_experts_that_make_no_mixture_are_refused(
    dense: Path, capsys: Capture, experts: int, top_k: int, says: str
) -> None:
    assert upcycle(dense, "-e", experts, "-k", top_k) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model_type": "qwen2"}, "model_type 'qwen2' has no twin"),
        ({"attention_bias": True}, "attention_bias is set, and a Mixtral model has none"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"model_type": "qwen3", "use_sliding_window": True}, "use_sliding_window is set"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "its weights are awq 4-bit"),
        (
            {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
            "is a mixture of experts already",
        ),
    ],
)
def test_a_model_without_such_a_twin_is_refused_by_name(
    dense: Path, capsys: Capture, fields: dict[str, Any], says: str
) -> None:
    change(dense, **fields)
    assert upcycle(dense, "-e", 4, "-k", 2) == 2
    said = capsys.readouterr().err
    assert f"{dense}: {says}" in said
    assert "llama, mistral, qwen3" in said


def test_without_a_tokenizer_nothing_can_be_checked(dense: Path, capsys: Capture) -> None:
    (dense / "tokenizer.json").unlink()
    assert upcycle(dense, "-e", 4, "-k", 2) == 2
    assert "tokenizer.json: missing, so the twin cannot be checked" in capsys.readouterr().err


def test_a_log_of_somebody_else_is_left_alone(dense: Path) -> None:
    other = dense.parent / "small-e4k2.log"
    other.write_text("mine")
    assert upcycle(dense, "-e", 4, "-k", 2) == 0
    assert other.read_text() == "mine"


def test_a_folder_that_holds_something_is_left_alone(dense: Path, capsys: Capture) -> None:
    assert upcycle(dense, "-e", 4, "-k", 2, "--out", dense) == 2
    assert f"{dense}: something is there already" in capsys.readouterr().err
    assert upcycle(dense, "-e", 4, "-k", 2, "--out", dense.parent / "no" / "where") == 2
    assert "no such folder" in capsys.readouterr().err


def test_an_interpreter_without_torch_is_refused(
    dense: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(job, "NEEDED", ("json", "no_such_module"))
    assert upcycle(dense, "-e", 4, "-k", 2) == 6
    assert "no interpreter that has json, no_such_module" in capsys.readouterr().err
    assert models("upcycle", dense, "-e", 4, "-k", 2) == 6
    said = capsys.readouterr().err
    assert "no engine's environment here has" in said
    assert "inferometer engines install NAME" in said


def test_a_script_that_fails_keeps_its_log(dense: Path, capsys: Capture) -> None:
    (job.SCRIPTS / "upcycle.py").write_text("import sys; sys.exit('error: no such layer')")
    assert upcycle(dense, "-e", 4, "-k", 2) == 6
    assert "upcycle.py failed: no such layer" in capsys.readouterr().err
    assert "no such layer" in (dense.parent / "small-e4k2.making.log").read_text()
    assert not (dense.parent / "small-e4k2").exists()


def test_a_place_that_cannot_be_written_is_named_with_the_way_out(
    dense: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    def read_only(**_: object) -> str:
        raise OSError(errno.EROFS, "Read-only file system", "/media/x")

    monkeypatch.setattr(tempfile, "mkdtemp", read_only)
    assert upcycle(dense, "-e", 4, "-k", 2) == 6
    said = capsys.readouterr().err
    assert "/media/x: cannot be written: Read-only file system" in said
    assert "--out" in said
    assert "INFEROMETER_CACHE" not in said


def test_a_twin_has_e_mlps_a_router_and_its_own_output_matrix(dense: Path) -> None:
    """H 8, I 16, 2 layers, vocabulary 800: an MLP has 384 parameters, attention 256."""
    shape = inspect(dense, dense.parent / "cache").shape
    assert shape is not None
    assert shape.total_parameters == 2 * (256 + 384) + 6400
    assert parameters(shape, 4) == 2 * (256 + 4 * 384 + 4 * 8) + 2 * 6400


def test_what_has_no_room_is_refused_before_it_is_begun(
    dense: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(room, "memory_bytes", lambda: 1 << 20)
    assert upcycle(dense, "-e", 4, "-k", 2) == 6
    said = capsys.readouterr().err
    assert "small-e4k2: making it takes 1.1 GB of memory, of which 0.0 GB are available" in said


# -- random weights --------------------------------------------------------------------------------


def draw(config: Path, tokenizer: Path, out: str = "drawn") -> int:
    words = ("--out", out, "--tokenizer", tokenizer, "--python", sys.executable, "--seed", 5)
    return models("random", config, *words)


@pytest.mark.parametrize("experts", [0, 4])
def test_random_weights_are_marked(
    dense: Path, capsys: Capture, tokenizer: Path, experts: int
) -> None:
    moe = write_model(dense.parent / "moe", tokenizer.read_text(), experts=experts)
    change(moe, vocab_size=800)
    assert draw(moe / "config.json", dense) == 0
    out = Path(capsys.readouterr().out.strip())
    marker = json.loads((out / "inferometer.json").read_text())
    assert marker["weights"] == "random"
    assert marker["routing"] == ("synthetic" if experts else "none")
    assert marker["made"] == {"arguments": ["5", "bfloat16"]}
    assert (out / "tokenizer.json").read_text() == tokenizer.read_text()
    facts = inspect(out, dense.parent / "cache")
    assert (facts.routing, facts.weights) == ("synthetic" if experts else "none", "random")
    assert models("describe", out) == 0
    assert "bfloat16, drawn at random" in capsys.readouterr().out


def test_a_vocabulary_smaller_than_the_tokenizer_is_refused(dense: Path, capsys: Capture) -> None:
    change(dense, vocab_size=799)
    assert draw(dense, dense) == 2
    said = capsys.readouterr().err
    assert "vocab_size is 799, but" in said
    assert "has 800 tokens" in said


def test_quantised_weights_are_not_drawn(dense: Path, capsys: Capture) -> None:
    change(dense, quantization_config={"quant_method": "fp8"})
    assert draw(dense, dense) == 2
    assert "weights of fp8 cannot be drawn" in capsys.readouterr().err


def test_a_model_too_large_for_the_machine_is_refused_by_its_formula(
    dense: Path, capsys: Capture
) -> None:
    change(dense, hidden_size=2**17, intermediate_size=2**20, num_hidden_layers=500)
    change(dense, num_attention_heads=1024, num_key_value_heads=1024)
    assert draw(dense, dense) == 6
    assert "drawn: its weights take 4" in capsys.readouterr().err  # (4 H^2 + 3 H I) L 2 bytes
    known = examine(Drawn(config=dense / "config.json", seed=0, tokenizer=dense))
    assert known.parameters == 500 * (4 * 2**34 + 3 * 2**37) + 800 * 2**17


def test_a_tokenizer_claims_no_more_than_the_model_s_context(dense: Path) -> None:
    (dense / "tokenizer_config.json").write_text('{"model_max_length": 9000}')
    out = dense.parent / "out"
    out.mkdir()
    (out / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}')
    copy_tokenizer(dense, out)
    assert json.loads((out / "tokenizer_config.json").read_text()) == {"model_max_length": 512}


# -- showing ---------------------------------------------------------------------------------------


def test_the_list_says_what_is_made_and_what_is_left_of_older_recipes(
    dense: Path, capsys: Capture
) -> None:
    for name in (packaged.PACKAGED["smollm2-135m"].folder, "smollm2-135m-moe-0123456789abcdef"):
        folder = dense.parent / "cache" / "models" / name
        folder.mkdir(parents=True)
        (folder / "inferometer.json").write_text("{}")
    assert models("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [(row["name"], row["state"]) for row in rows] == [
        ("smollm2-135m", "made"),
        ("smollm2-135m-moe", "not made"),
        ("smollm2-135m-moe", "older recipe"),
    ]
    assert models("list") == 0
    assert "models prepare smollm2-135m-moe" in " ".join(capsys.readouterr().out.split())
    assert models("prepare", "smollm2-135m") == 0
    assert Path(capsys.readouterr().out.strip()).name == packaged.PACKAGED["smollm2-135m"].folder


def test_a_model_is_described_in_words_and_numbers(
    dense: Path, tokenizer: Path, capsys: Capture
) -> None:
    """H 8, I 16, 2 layers, 2 of 4 experts, vocabulary 64, tied: in bfloat16, 2 bytes each."""
    write_model(dense.parent / "moe", tokenizer.read_text(), experts=4)
    assert models("describe", "./moe", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["facts"]["total_parameters"] == 2 * (256 + 4 * 384 + 4 * 8) + 512
    one, eight, _, many = found["steps"]
    assert (one["tokens"], one["experts_touched"]) == (1, 2.0)
    assert one["weight_bytes_per_token"] == 2 * (2 * (256 + 2 * 384 + 4 * 8) + 512)
    assert eight["experts_touched"] == 4 * (1 - 0.5**8)
    assert many["weight_bytes_per_token"] == pytest.approx(2 * 4160 / 128)
    assert models("describe", "./moe") == 0
    words = capsys.readouterr().out
    assert "mixture of experts, 4 experts, 2 for each token; mixtral, 2 layers" in words
    assert ["32", "4.0", "of", "4", "0.0", "MB"] in [line.split() for line in words.splitlines()]


def test_a_marker_that_somebody_else_wrote_does_no_harm(dense: Path, capsys: Capture) -> None:
    marker = {"made_by": "a\x1b[31mb", "verified": {"positions": "many"}, "source": 3}
    (dense / "inferometer.json").write_text(json.dumps(marker))
    assert models("describe", dense) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "its marker does not say how" in said


def test_what_is_no_model_is_named(dense: Path, capsys: Capture) -> None:
    assert models("describe", "smollm2-135m") == 2
    assert "models prepare smollm2-135m" in capsys.readouterr().err
    assert models("describe", "./absent") == 2
    assert "absent: no such folder" in capsys.readouterr().err
    assert models("describe", "smollm") == 2
    assert "Did you mean 'smollm2-135m'" in capsys.readouterr().err
    assert models("prepare", "smollm") == 2
    assert "no packaged model named 'smollm'" in capsys.readouterr().err
