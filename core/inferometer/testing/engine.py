"""The oracle as an engine: the whole pipeline in seconds, with no engine and no GPU.

Register it with :class:`inferometer.plugins.Registry` (see :func:`registry`); ``extra_args`` of a
study's ``[[engines]]`` become the oracle's options, faults included. What it measures is marked
``simulated`` and never ranks with measured results.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from inferometer.engine import (
    Adapter,
    ApiKey,
    Command,
    Counter,
    FailureClass,
    Metrics,
    Readiness,
    Requirements,
    Unsupported,
)
from inferometer.hooks import GROUP, hookimpl
from inferometer.plugins import Registry
from inferometer.testing.options import KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.engine import Completion, Engine, LaunchContext, Platform

READINESS = Readiness(path="/health", deadline_s=20.0)
KEY = ApiKey(variable=KEY_VARIABLE)
FAILURES = (FailureClass(r"unrecognized arguments", "bad_flag", "Correct extra_args."),)

METRICS = Metrics(
    counters=(
        Counter("oracle:prompt_tokens_total", "prompt_tokens"),
        Counter("oracle:generation_tokens_total", "output_tokens"),
        Counter("oracle:request_success_total", "requests_finished"),
    )
)


@dataclass(frozen=True, slots=True)
class OracleEngine(Adapter):
    """Serves the oracle from the interpreter that a study names."""

    name: str = "oracle"
    simulated: bool = True
    distributions: Sequence[str] = ("inferometer",)
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = ("/v1/models",)
    metrics: Metrics | None = METRICS
    api_key: ApiKey | None = KEY

    def requirements(self, platform: Platform) -> Requirements:
        """Refuse: it has no environment of its own."""
        raise Unsupported(f"oracle: nothing to install on {platform}", remedy="Set python = PATH.")

    def command(self, context: LaunchContext) -> Command:
        """Return the oracle's command line; ``extra_args`` are its options."""
        program = (str(context.python), "-m", "inferometer.testing.oracle")
        where = ("--port", str(context.port), "--model", context.model_name)
        return Command(argv=(*program, *where, *context.spec.extra_args))

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return a plain streaming completion body."""
        return {
            "model": completion.model,
            "prompt": list(completion.prompt_ids),
            "max_tokens": completion.output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the stand-in."""
    return [OracleEngine()]


def registry() -> Registry:
    """Return the installed plugins and the oracle engine."""
    oracle = EntryPoint(name="oracle", value=__name__, group=GROUP)
    return Registry([*entry_points(group=GROUP), oracle])


def write_model(folder: Path, tokenizer: str, *, experts: int = 0) -> Path:
    """Write a model directory with no meaningful weights: enough for the oracle.

    ``tokenizer`` is the text of a ``tokenizer.json``; ``experts`` > 0 makes it a MoE model.
    """
    folder.mkdir(parents=True)
    config: dict[str, Any] = {
        "model_type": "mixtral" if experts else "llama",
        "architectures": ["MixtralForCausalLM" if experts else "LlamaForCausalLM"],
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }
    if experts:
        config |= {"num_local_experts": experts, "num_experts_per_tok": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + b"\0\0\0\0"
    (folder / "model.safetensors").write_bytes(weights)
    return folder
