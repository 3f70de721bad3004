"""Count parameters as transformers' own modules have them. Runs in an engine's environment.

    python meta_models.py MODELS.json

Builds each configuration of ``tests/golden/models.json`` on torch's meta device (shapes, no
memory) and prints one JSON object: name -> ``total``, ``active``, ``kv_elements`` (per token),
``moe_layers`` and ``seeing_less`` (numbers of layers; null where the configuration has no list of
their types), or ``error``. Active leaves out of each module called ``experts`` all but top-k of its
experts; the KV elements are the widths of what makes keys and values. Nothing of Inferometer is
used.
"""

import json
import re
import sys
from pathlib import Path

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

LAYER = re.compile(r"layers\.(\d+)\.")


def build(config):
    """Return the model on the meta device and its configuration."""
    fields = {name: value for name, value in config.items() if name != "model_type"}
    made = CONFIG_MAPPING[config["model_type"]](**fields)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(made), made


def routed(model):
    """Return the modules that hold routed experts, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if name.endswith(".experts") and any(True for _ in module.parameters())
    }


def idle(model, config):
    """Return the parameters of experts that a token does not use."""
    idle = 0
    for module in routed(model).values():
        (experts,) = {parameter.shape[0] for parameter in module.parameters()}
        elements = sum(parameter.numel() for parameter in module.parameters())
        idle += elements * (experts - config.num_experts_per_tok) // experts
    return idle


def seeing_less(config):
    """Return the layers that attend to a window, a chunk or a choice of tokens."""
    kinds = getattr(config, "layer_types", None)
    short = ("sliding", "chunked", "indexed")
    return kinds and [number for number, kind in enumerate(kinds) if kind.startswith(short)]


def kv_elements(model):
    """Return the elements one token leaves behind, summed over the layers."""
    kept = 0
    for name, module in model.named_modules():
        parent, _, last = name.rpartition(".")
        if last in {"k_proj", "v_proj", "kv_a_proj_with_mqa"} or name.endswith("indexer.wk"):
            kept += module.out_features
        elif last == "qkv_proj" and hasattr(model.get_submodule(parent), "o_proj"):
            kept += module.out_features - model.get_submodule(parent).o_proj.in_features
    return kept


def count(config):
    """Return the counts of one configuration, or what went wrong."""
    try:
        model, made = build(config)
        total = sum(parameter.numel() for parameter in model.parameters())
        return {
            "total": total,
            "active": total - idle(model, made),
            "kv_elements": kv_elements(model),
            "moe_layers": sorted({int(LAYER.search(name)[1]) for name in routed(model)}),
            "seeing_less": seeing_less(made),
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    models = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({name: count(entry["config"]) for name, entry in models.items()}))
