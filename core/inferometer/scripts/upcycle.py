"""Make the mixture-of-experts twin of a dense Llama model by sparse upcycling.

Runs inside an engine's environment: needs torch and safetensors, and nothing of ours. Usage::

    python upcycle.py DENSE OUT EXPERTS TOP_K SEED

DENSE is a Llama model directory with one ``model.safetensors``; OUT must be an empty directory.
The result is a Mixtral checkpoint in the naming of the hub: every layer's MLP is copied into each
of EXPERTS experts (gate_proj -> w1, down_proj -> w2, up_proj -> w3), and a router is drawn from a
seeded normal distribution with standard deviation 1/sqrt(hidden), so that its logits have about
unit variance for normalised inputs and tokens spread over all experts.

Why the twin computes the same function. A Mixtral layer returns, for hidden state x::

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
from pathlib import Path

NAMES = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
LLAMA_ONLY = ("mlp_bias", "attention_bias", "pretraining_tp")


def main(dense: Path, out: Path, experts: int, top_k: int, seed: int) -> None:
    """Write the twin of ``dense`` to ``out``."""
    say("loading torch")
    import torch  # noqa: PLC0415 -- only this needs it
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 -- only this needs it

    config = json.loads((dense / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] != "llama" or config.get("mlp_bias"):
        sys.exit(f"error: {dense}: not a Llama model without MLP biases")
    say(f"copying every MLP into {experts} experts")
    tensors = {}
    for name, tensor in load_file(dense / "model.safetensors").items():
        for target in targets(name, experts):
            tensors[target] = tensor.clone()  # safetensors refuses tensors that share memory
    if config.get("tie_word_embeddings"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    generator = torch.Generator().manual_seed(seed)
    hidden = config["hidden_size"]
    for layer in range(config["num_hidden_layers"]):
        router = torch.randn(experts, hidden, generator=generator) * hidden**-0.5
        name = f"model.layers.{layer}.block_sparse_moe.gate.weight"
        tensors[name] = router.to(torch.bfloat16)
    say("writing safetensors")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    for file in dense.iterdir():
        if file.name not in {"model.safetensors", "config.json", "inferometer.json"}:
            shutil.copyfile(file, out / file.name)
    text = json.dumps(mixtral(config, experts, top_k), indent=2, sort_keys=True)
    (out / "config.json").write_text(text + "\n", encoding="utf-8")
    print(json.dumps({"parameters": sum(tensor.numel() for tensor in tensors.values())}))


def targets(name: str, experts: int) -> list[str]:
    """Return the names under which a dense tensor stands in the twin."""
    if ".mlp." not in name:
        return [name]
    layer, rest = name.split(".mlp.")
    weight = NAMES[rest.removesuffix(".weight")]
    return [f"{layer}.block_sparse_moe.experts.{e}.{weight}.weight" for e in range(experts)]


def mixtral(config: dict[str, object], experts: int, top_k: int) -> dict[str, object]:
    """Return the twin's configuration."""
    kept = {name: value for name, value in config.items() if name not in LLAMA_ONLY}
    return kept | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_local_experts": experts,
        "num_experts_per_tok": top_k,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "output_router_logits": False,
        "router_jitter_noise": 0.0,
    }


def say(text: str) -> None:
    """Report progress."""
    print(f"progress: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]))
