from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from inferometer.architecture import Config
from inferometer.precision import bits, served, words
from inferometer.records import Told
from inferometer.study import EngineEntry

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.model import ModelFacts


def said(told: dict[str, str], *, quantization: str | None = None, **asked: Any) -> dict[str, str]:
    facts = SimpleNamespace(dtype="bfloat16", quantization=quantization)
    values = {name: Told(value=value) for name, value in told.items()}
    nothing = {"seed": Told(reason="not_told")}
    return served(values | nothing, EngineEntry(name="e", **asked), cast("ModelFacts", facts))


def test_what_the_engine_says_goes_first() -> None:
    seen = said({"dtype": "torch.float16", "quantization": "fp8", "kv_cache_dtype": "fp8_e5m2"})
    assert seen == {"dtype": "float16", "quantization": "fp8", "kv_cache_dtype": "fp8_e5m2"}
    assert words(seen) == "float16, weights fp8, KV fp8_e5m2"


def test_what_it_does_not_say_was_asked_or_is_the_models() -> None:
    assert said({"kv_cache_dtype": "auto"}) == {"dtype": "bfloat16"}
    assert said({}, dtype="auto", kv_cache_dtype="bfloat16") == {"dtype": "bfloat16"}
    assert said({}, quantization="awq 4-bit")["quantization"] == "awq 4-bit"


def test_the_checkpoint_says_how_many_bits() -> None:
    seen = said({"quantization": "compressed-tensors"}, quantization="x 4-bit")
    assert seen["quantization"] == "compressed-tensors 4-bit"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("float32", 32),
        ("bfloat16", 16),
        ("bfloat16, KV fp8_e4m3", 8),
        ("bfloat16, weights w8a8_fp8", 8),
        ("bfloat16, weights awq_marlin 4-bit", 4),
        ("float16, weights mxfp4", 4),
        ("bfloat16, weights bitsandbytes", 4),
        ("unknown", 16),
    ],
)
def test_bits_of_the_coarsest_part(text: str, expected: int) -> None:
    assert bits(text) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        ({"quant_method": "awq", "bits": 4}, "awq 4-bit"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes 8-bit"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
            },
            "compressed-tensors 4-bit",
        ),
        ({"quant_method": "fp8"}, "fp8"),
        ({"config_groups": ["no"], "bits": "many"}, "quantised"),
    ],
)
def test_a_checkpoint_says_how_it_is_quantised(
    tmp_path: Path, said: object, expected: str | None
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(msgspec.json.encode({"model_type": "llama", "quantization_config": said}))
    assert Config(path).quantization == expected
