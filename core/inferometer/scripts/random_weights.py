"""Make a model of random weights from a configuration.

Runs inside an engine's environment: needs torch and transformers, and nothing of ours. Usage::

    python random_weights.py CONFIG OUT SEED DTYPE MOST

CONFIG is a directory with ``config.json``; OUT must be an empty directory. The weights are what
transformers itself draws for a model that is to be trained, from SEED. More than MOST parameters
are refused before any memory is taken: the model is first built without (torch's meta device).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

VOLATILE = ("_name_or_path", "_from_model_config", "transformers_version")
"""Fields that name a tool or a place, not the model: equal weights shall give equal files."""
GENERATION = ("bos_token_id", "eos_token_id", "pad_token_id")


def main(source: Path, out: Path, seed: int, dtype: str, most: int) -> None:
    """Draw the weights and write everything but a tokenizer to ``out``."""
    say("loading torch and transformers")
    import torch  # noqa: PLC0415 -- only this needs it
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415 -- only this needs it

    try:
        config = AutoConfig.from_pretrained(source)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        sys.exit(f"error: transformers {version('transformers')} cannot build it: {first(error)}")
    parameters = sum(parameter.numel() for parameter in empty.parameters())
    if parameters > most:
        sys.exit(f"error: {parameters:,} parameters, room for {most:,}")
    say(f"drawing {parameters:,} parameters")
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    say("writing safetensors")
    model.save_pretrained(out)
    saved = json.loads((out / "config.json").read_text(encoding="utf-8"))
    write(out / "config.json", {k: v for k, v in saved.items() if k not in VOLATILE})
    generation = {name: saved[name] for name in GENERATION if saved.get(name) is not None}
    write(out / "generation_config.json", {**generation, "do_sample": False})
    tools = {tool: version(tool) for tool in ("torch", "transformers", "safetensors")}
    print(json.dumps({"tools": tools, "parameters": parameters}))


def write(path: Path, value: dict[str, object]) -> None:
    """Write readable JSON with sorted keys."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def first(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def say(text: str) -> None:
    """Report progress."""
    print(f"progress: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
