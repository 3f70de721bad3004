"""Make the mixture-of-experts twin of a dense model by sparse upcycling.

Runs inside an engine's environment: needs torch and safetensors, and nothing of ours. Usage::

    python upcycle.py DENSE OUT EXPERTS TOP_K SEED

DENSE is a model directory with safetensors, in one file or several; OUT must be an empty directory.
A Llama or Mistral model becomes a Mixtral checkpoint, a Qwen3 model a Qwen3-MoE checkpoint, in the
naming of the hub: every layer's MLP is copied into each of EXPERTS experts, and a router is drawn
from a seeded normal distribution with standard deviation 1/sqrt(hidden), so that its logits have
about unit variance for normalised inputs and tokens spread over all experts.

Why the twin computes the same function. Such a layer returns, for hidden state x::

    y(x) = sum over e in top-k of w_e(x) * f_e(x),   w = softmax(router logits), renormalised over
                                                         the chosen k, so sum of w_e(x) = 1

All experts are copies of the dense MLP, f_e = f, hence y(x) = f(x) * sum of w_e(x) = f(x), for
every x, every router and every k. Everything outside the MLPs is copied unchanged; an output
matrix that the dense model shares with its embeddings is written out, because Mixtral has no shared
one and not every engine looks (SGLang 0.5.23 would leave it at zero). In floating point the two
differ by the rounding of the weights w_e and of the sum, no more.

So the pair differs in work (routing, EXPERTS times the MLP bytes, k times the MLP arithmetic) at
equal quality. Its routing is synthetic: how tokens spread says nothing about a trained router.

Method: Komatsuzaki et al., "Sparse Upcycling", 2022, section 3 (there with further training).
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

W123 = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
LLAMA_ONLY = ("mlp_bias", "attention_bias", "pretraining_tp")
INDEX = "model.safetensors.index.json"
SHARD_BYTES = 4 << 30
"""Bytes after which a new file begins; so many are in memory at once, and a dense tensor."""


def main(dense: Path, out: Path, experts: int, top_k: int, seed: int) -> None:
    """Write the twin of ``dense`` to ``out``."""
    say("loading torch")
    import torch  # noqa: PLC0415 -- only this needs it

    config = json.loads((dense / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") not in TWINS:
        sys.exit(f"error: {dense}: model_type {config.get('model_type')!r} has no twin here")
    family, layer_name, convert = TWINS[config["model_type"]]
    config = complete(config)
    say(f"copying every MLP into {experts} experts")
    shards = Shards(out)
    dtype = None
    for name, tensor in tensors(dense):
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue  # the embeddings are written in its place
        for target in targets(name, experts, family):
            shards.add(target, tensor)
            dtype = tensor.dtype if target != name else dtype
        if name == "model.embed_tokens.weight" and config.get("tie_word_embeddings"):
            shards.add("lm_head.weight", tensor)
    generator = torch.Generator().manual_seed(seed)
    hidden = config["hidden_size"]
    for layer in range(config["num_hidden_layers"]):
        router = torch.randn(experts, hidden, generator=generator) * hidden**-0.5
        shards.add(f"model.layers.{layer}.{layer_name}.gate.weight", router.to(dtype))
    say("writing safetensors")
    shards.close()
    for file in dense.iterdir():
        if file.is_file() and goes_along(file.name):
            shutil.copyfile(file, out / file.name)
    text = json.dumps(convert(config, experts, top_k), indent=2, sort_keys=True)
    (out / "config.json").write_text(text + "\n", encoding="utf-8")
    tools = {tool: version(tool) for tool in ("torch", "safetensors")}
    print(json.dumps({"tools": tools, "parameters": shards.elements}))


NOT_COPIED = {"config.json", "inferometer.json"}
WEIGHTS = (
    ".index.json",
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".gguf",
    ".h5",
    ".msgpack",
    ".onnx",
)
"""The dense weights once more, in other formats: they would be the twin's by mistake."""
DENSE = {
    "llama": {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048},
    "mistral": {"num_key_value_heads": 8, "rms_norm_eps": 1e-6, "sliding_window": 4096},
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128},
}
"""What transformers takes for a dense model's fields that its file leaves out, where the twin's
family has another default."""
THETA = 10_000.0
"""Likewise of the rotary embedding, in all three families."""


def goes_along(name: str) -> bool:
    """Say whether a file of the dense model goes with its twin, such as the tokenizer."""
    return name not in NOT_COPIED and not name.endswith(WEIGHTS)


def complete(config: dict[str, object]) -> dict[str, object]:
    """Return a dense model's configuration with what its file leaves to the family's defaults."""
    found = {**DENSE[config["model_type"]], **config}
    if found.get("num_key_value_heads") is None:
        found["num_key_value_heads"] = found["num_attention_heads"]
    theta = found.get("rope_theta") or THETA
    if found.get("rope_parameters"):
        found["rope_parameters"] = {"rope_theta": theta, **found["rope_parameters"]}
    else:
        found["rope_theta"] = theta
    return found


def targets(name: str, experts: int, family: str = "mixtral") -> list[str]:
    """Return the names under which a dense tensor stands in the twin."""
    if ".mlp." not in name:
        return [name]
    layer, rest = name.split(".mlp.")
    part = rest.removesuffix(".weight")
    if family == "mixtral":
        block, weight = f"{layer}.block_sparse_moe", W123[part]
    else:
        block, weight = f"{layer}.mlp", part
    return [f"{block}.experts.{e}.{weight}.weight" for e in range(experts)]


def mixtral(config: dict[str, object], experts: int, top_k: int) -> dict[str, object]:
    """Return the configuration of a Llama or Mistral model's twin."""
    kept = {name: value for name, value in config.items() if name not in LLAMA_ONLY}
    return kept | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_local_experts": experts,
        "num_experts_per_tok": top_k,
        "sliding_window": config.get("sliding_window"),
        "tie_word_embeddings": False,
        "output_router_logits": False,
        "router_jitter_noise": 0.0,
    }


def qwen3_moe(config: dict[str, object], experts: int, top_k: int) -> dict[str, object]:
    """Return the configuration of a Qwen3 model's twin."""
    return config | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "num_experts": experts,
        "num_experts_per_tok": top_k,
        "moe_intermediate_size": config["intermediate_size"],
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "tie_word_embeddings": False,
        "output_router_logits": False,
    }


TWINS = {
    "llama": ("mixtral", "block_sparse_moe", mixtral),
    "mistral": ("mixtral", "block_sparse_moe", mixtral),
    "qwen3": ("qwen3_moe", "mlp", qwen3_moe),
}
"""Dense family -> naming of the experts, the block that holds them, the twin's configuration."""


def tensors(folder: Path):
    """Yield name and tensor of everything an engine loads from ``folder``, in order of name."""
    from safetensors import safe_open  # noqa: PLC0415 -- only this needs it

    index = folder / INDEX
    if index.is_file():
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    else:
        names, one = {}, folder / "model.safetensors"
        for path in [one] if one.is_file() else sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                names |= dict.fromkeys(file.keys(), path.name)
    for place in sorted(set(names.values())):
        with safe_open(folder / place, framework="pt") as file:
            for name in sorted(file.keys()):
                if names.get(name) == place:
                    yield name, file.get_tensor(name)


class Shards:
    """Safetensors files written as they fill, with an index where they are more than one."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.elements = 0
        self.written = []
        self.total_bytes = 0
        self.held = {}
        self.held_bytes = 0

    def add(self, name: str, tensor) -> None:
        """Take a tensor, copied: safetensors refuses tensors that share memory."""
        size = tensor.numel() * tensor.element_size()
        if self.held and self.held_bytes + size > SHARD_BYTES:
            self.flush()
        self.held[name] = tensor.clone()
        self.held_bytes += size
        self.total_bytes += size
        self.elements += tensor.numel()

    def flush(self) -> None:
        """Write what is held."""
        from safetensors.torch import save_file  # noqa: PLC0415 -- only this needs it

        path = self.out / f"part-{len(self.written)}.safetensors"
        save_file(self.held, path, metadata={"format": "pt"})
        self.written.append((path, list(self.held)))
        self.held, self.held_bytes = {}, 0

    def close(self) -> None:
        """Write the rest, and give the files the names of the hub."""
        self.flush()
        count = len(self.written)
        if count == 1:
            self.written[0][0].rename(self.out / "model.safetensors")
            return
        places = {}
        for number, (path, names) in enumerate(self.written, 1):
            name = f"model-{number:05d}-of-{count:05d}.safetensors"
            path.rename(self.out / name)
            places |= dict.fromkeys(names, name)
        content = {"metadata": {"total_size": self.total_bytes}, "weight_map": places}
        text = json.dumps(content, indent=2, sort_keys=True)
        (self.out / INDEX).write_text(text + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Report progress."""
    print(f"progress: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]))
