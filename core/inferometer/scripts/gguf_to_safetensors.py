"""Turn a GGUF file into a model directory (safetensors, bfloat16) that every engine can load.

Runs inside an engine's environment: needs torch, transformers, accelerate, gguf and safetensors,
and nothing of ours. Usage::

    python gguf_to_safetensors.py FILE.gguf OUT

OUT must be an empty directory. Progress goes to stderr (lines that begin with ``progress: ``),
one JSON object to stdout: the versions of the tools, and the number of parameters.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

VOLATILE = ("_name_or_path", "_model_name_or_path", "_from_model_config", "transformers_version")
"""Fields that name a tool or a place, not the model: equal weights shall give equal files."""
GENERATION = ("bos_token_id", "eos_token_id", "pad_token_id")
"""All that stays of the generation defaults. No sampling field: greedy unless a request asks."""


def main(source: Path, out: Path) -> None:
    """Convert ``source`` and write everything an engine reads to ``out``."""
    say("loading torch and transformers")
    import torch  # noqa: PLC0415 -- only this needs it
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415 -- only this needs it

    folder, name = str(source.parent), source.name
    say(f"dequantizing {name}")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    say("writing safetensors")
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    tidy(out)
    tools = {tool: version(tool) for tool in ("torch", "transformers", "gguf", "safetensors")}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"tools": tools, "parameters": parameters}))


def tidy(out: Path) -> None:
    """Drop what names a tool or a place, and write generation defaults without sampling."""
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    write(out / "config.json", {k: v for k, v in config.items() if k not in VOLATILE})
    generation = {name: config[name] for name in GENERATION if name in config}
    write(out / "generation_config.json", {**generation, "do_sample": False})
    path = out / "tokenizer_config.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    for name in ("is_local", "local_files_only", "name_or_path"):
        tokenizer.pop(name, None)
    # GGUF does not say how long a prompt may be; without this the tokenizer claims 10**30.
    write(path, {**tokenizer, "model_max_length": config["max_position_embeddings"]})


def write(path: Path, value: dict[str, object]) -> None:
    """Write readable JSON with sorted keys."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Report progress."""
    print(f"progress: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
