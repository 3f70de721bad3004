"""Models of random weights, of any configuration that transformers can build."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferometer import __version__, workload
from inferometer.architecture import Config, Tensors, describe, read_json
from inferometer.errors import UsageError
from inferometer.making import room

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.making.job import Job

SCRIPT = "random_weights.py"
TOKENIZER = "tokenizer.json"
BESIDE = (
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "tokenizer.model", "vocab.json", "merges.txt"),
)
"""Files that go with a ``tokenizer.json``, where there are some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is asked for: a ``config.json``, the seed of its weights, a folder with a tokenizer."""

    config: Path
    seed: int
    tokenizer: Path


@dataclass(frozen=True, slots=True)
class Known:
    """What the configuration says: the type of the weights, parameters (None: not known), MoE."""

    dtype: str
    parameters: int | None
    moe: bool


def examine(asked: Drawn) -> Known:
    """Return what the configuration says, or refuse it with the tokenizer (:class:`UsageError`)."""
    config = Config(asked.config)
    facts = describe(config, Tensors(elements=0, dtype=None))
    dtype = facts["dtype"] or "bfloat16"
    if facts["quantization"] is not None or dtype not in room.BYTES:
        raise UsageError(
            f"{asked.config}: weights of {facts['quantization'] or dtype} cannot be drawn",
            hint="Take quantization_config out, and let dtype be bfloat16, float16 or float32.",
        )
    path = asked.tokenizer / TOKENIZER
    words = 1 + max(workload.load_tokenizer(path).get_vocab(with_added_tokens=True).values())
    vocabulary = config.get("vocab_size")
    if vocabulary is not None and words > vocabulary:
        raise UsageError(
            f"{asked.config}: vocab_size is {vocabulary:,}, but {path} has {words:,} tokens",
            hint=f"Raise vocab_size to {words:,}, or give another --tokenizer.",
        )
    return Known(dtype, facts["total_parameters"], facts["architecture"] == "moe")


def draw(job: Job, asked: Drawn, out: Path) -> dict[str, Any]:
    """Make the model in the empty folder ``out`` and return its marker.

    Raises:
        UsageError: configuration or tokenizer will not do.
        MachineError: no room, or transformers cannot build it.
    """
    known = examine(asked)
    if known.parameters is not None:
        size = known.parameters * room.BYTES[known.dtype]
        room.refuse_large(job.name, out, disk=size, memory=2 * size + room.TORCH_BYTES)
    source = out.parent / "source"
    source.mkdir()
    shutil.copyfile(asked.config, source / "config.json")
    most = room.most_parameters(known.dtype)
    made = job.run(SCRIPT, source, out, asked.seed, known.dtype, most)
    copy_tokenizer(asked.tokenizer, out)
    return {
        "made_by": "random weights",
        "inferometer": __version__,
        "config": {"name": asked.config.parent.name, "sha256": _sha256(asked.config)},
        "tokenizer": {
            "name": asked.tokenizer.name,
            "sha256": _sha256(asked.tokenizer / TOKENIZER),
        },
        "seed": asked.seed,
        "routing": "synthetic" if known.moe else "none",
        "weights": "random",
        "made": made,
        "verified": None,
    }


def copy_tokenizer(source: Path, out: Path) -> None:
    """Copy a tokenizer; the longest prompt it claims becomes the model's context."""
    for name in (TOKENIZER, *BESIDE):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    path = out / "tokenizer_config.json"
    context = Config(out / "config.json").get("max_position_embeddings")
    if path.is_file() and context is not None:
        content = read_json(path) | {"model_max_length": context}
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
