"""A model's shape from its ``config.json``: parameters, experts, KV bytes.

``config.json`` is a stranger's file: every number is checked before it is used.

Parameters (norms and biases ignored; against transformers' own counts the error is at most 0.04 %
for the families in :data:`COUNTED`). H hidden, V vocabulary, nh and nkv attention and KV heads, hd
head width, I dense MLP width, E experts, k of them per token, Im expert width, Is shared width::

    attention (GQA)  = 2*H*nh*hd + 2*H*nkv*hd
    attention (MLA)  = (q ? H*q + q*nh*(dn+dr) : H*nh*(dn+dr)) + H*(r+dr) + r*nh*(dn+dv) + nh*dv*H
    dense MLP        = 3*H*I
    MoE MLP          = E*3*H*Im + H*E + 3*H*Is        active: k*3*H*Im + H*E + 3*H*Is
    embeddings       = V*H, twice unless input and output share them; all of them count as active
    KV bytes/token   = bytes * layers with attention * 2*nkv*hd;  MLA: bytes * layers * (r+dr)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COUNTED = (
    *(
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "mixtral",
        "qwen2_moe",
        "qwen3_moe",
        "olmoe",
        "gpt_oss",
    ),
    *("deepseek_v2", "deepseek_v3", "glm4_moe", "llama4", "llama4_text", "phimoe", "granitemoe"),
    *("minimax_m2", "ernie4_5_moe"),
)
"""Model types whose parameters the formulas give; of others the tensors' shapes are counted."""

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
TOP_K = ("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token")
SHARED_WIDTH = ("shared_expert_intermediate_size", "shared_intermediate_size")
SHARED_COUNT = ("n_shared_experts", "moe_num_shared_experts")
HIDDEN = ("hidden_size", "n_embd", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_head")
CONTEXT = ("max_position_embeddings", "n_positions", "model_max_length", "seq_length")

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
LARGEST = 10**9
"""No dimension of a real model is near it."""
MOST = 10**15
"""Nor any count of parameters: a file that says more is damaged or hostile."""
MOST_LAYERS = 10_000
LARGEST_JSON = 64 << 20


class Tensors(Struct, frozen=True, kw_only=True):
    """What the headers of the weight files say: elements, and the type most of them have."""

    elements: int
    dtype: str | None


def describe(config: Config, tensors: Tensors) -> dict[str, Any]:
    """Return the facts that follow from the configuration and the tensors' shapes."""
    layers = config.one(LAYERS, most=MOST_LAYERS)
    sparse = moe_layers(config, layers)
    dense_mlp, expert, rest = mlp_parameters(config)
    total = layers * attention_parameters(config) + embedding_parameters(config)
    total += (layers - sparse) * dense_mlp + sparse * (config.experts * expert + rest)
    idle = sparse * (config.experts - config.top_k) * expert
    # Packed weights (4 bits, for example) have no element per parameter, and no float type.
    counted = config.model_type not in COUNTED and tensors.dtype and tensors.elements > idle
    if counted:
        total = tensors.elements
    dtype = config.dtype or tensors.dtype
    kv = kv_elements(config, layers)
    if max(total, kv) > MOST:
        raise config.wrong("its dimensions", f"multiply to more than {MOST:,} parameters")
    return {
        "architecture": "moe" if sparse else "dense",
        "model_type": config.model_type,
        "total_parameters": total,
        "active_parameters": total - idle,
        "counted": "tensors" if counted else "formula",
        "experts": config.experts if sparse else None,
        "top_k": config.top_k if sparse else None,
        "hidden": config.one(HIDDEN),
        "layers": layers,
        "kv_bytes_per_token": kv * BYTES[dtype] if dtype in BYTES else None,
        "dtype": dtype,
        "context_length": config.get(*CONTEXT),
    }


# -- formulas --------------------------------------------------------------------------------


def attention_parameters(config: Config) -> int:
    """Return the parameters of one attention layer."""
    hidden, heads = config.one(HIDDEN), config.one(HEADS)
    rank = config.get("kv_lora_rank")
    if not rank:
        width = config.head_width
        return 2 * hidden * heads * width + 2 * hidden * config.kv_heads * width
    nope, rope = config.one(["qk_nope_head_dim"]), config.one(["qk_rope_head_dim"])
    value, query = config.one(["v_head_dim"]), config.get("q_lora_rank")
    wide = heads * (nope + rope)
    queries = hidden * query + query * wide if query else hidden * wide
    keys_and_values = hidden * (rank + rope) + rank * heads * (nope + value)
    return queries + keys_and_values + heads * value * hidden


def mlp_parameters(config: Config) -> tuple[int, int, int]:
    """Return the parameters of a dense MLP, of one expert, and of the rest of a MoE layer."""
    hidden = config.one(HIDDEN)
    width = config.get("intermediate_size", "n_inner") or 4 * hidden
    if not config.experts:
        return 3 * hidden * width, 0, 0
    expert = config.get("moe_intermediate_size") or width
    shared = config.get(*SHARED_WIDTH) or (config.get(*SHARED_COUNT) or 0) * expert
    dense = width
    if config.model_type.startswith("llama4"):  # one shared expert; a wider MLP in dense layers
        shared, dense = expert, config.get("intermediate_size_mlp") or width
    return 3 * hidden * dense, 3 * hidden * expert, hidden * config.experts + 3 * hidden * shared


def embedding_parameters(config: Config) -> int:
    """Return the parameters of input and output embeddings."""
    one = config.one(["vocab_size"]) * config.one(HIDDEN)
    return one if config.flag("tie_word_embeddings") else 2 * one


def kv_elements(config: Config, layers: int) -> int:
    """Return the numbers that one token leaves in the KV cache."""
    if rank := config.get("kv_lora_rank"):
        return layers * (rank + config.one(["qk_rope_head_dim"]))
    kinds = config.names("layer_types")
    if kinds:
        layers = sum(kind.endswith("attention") and "linear" not in kind for kind in kinds)
    elif period := config.get("attn_layer_period"):
        offset = config.get("attn_layer_offset") or 0
        layers = sum(layer % period == offset for layer in range(layers))
    return layers * 2 * config.kv_heads * config.head_width


def moe_layers(config: Config, layers: int) -> int:
    """Return how many layers have experts."""
    if not config.experts:
        return 0
    if kinds := config.names("mlp_layer_types"):
        return sum(kind == "sparse" for kind in kinds)
    if listed := config.indexes("moe_layers"):
        return len(listed)
    last = config.get("moe_layer_end_index")
    first = config.get("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers") or 0
    step = config.get(
        "decoder_sparse_step",
        "moe_layer_freq",
        "moe_layer_interval",
        "interleave_moe_layer_step",
        "expert_layer_period",
    )
    # Three conventions for the layer a period starts at: its own offset, 0 (DeepSeek), the last.
    offset = config.get("expert_layer_offset")
    if offset is None:
        offset = 0 if config.get("moe_layer_freq") else (step or 1) - 1
    span = range(first, layers if last is None else min(layers, last + 1))
    chosen = {layer for layer in span if layer % (step or 1) == offset % (step or 1)}
    return len(chosen - set(config.indexes("mlp_only_layers")))


# -- the file --------------------------------------------------------------------------------------


class Config:
    """A model's ``config.json``, unwrapped to its text part; every access is checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        raw = read_json(path)
        text = raw.get("text_config")
        inner = text.items() if isinstance(text, dict) else ()
        self.raw = raw | {name: value for name, value in inner if value is not None}
        model_type = self.raw.get("model_type")
        if not isinstance(model_type, str) or not 0 < len(model_type) <= 100:
            raise self.wrong("model_type", "is not a name")
        self.model_type = model_type
        # Some configurations of dense models carry an expert count of 0, 1 or null.
        experts = self.get(*EXPERTS) or 0
        self.experts = experts if experts > 1 else 0
        self.top_k = self.one(TOP_K) if self.experts else 0
        if self.top_k > self.experts:
            raise self.wrong(TOP_K[0], f"{self.top_k} is more than the {self.experts} experts")

    def wrong(self, name: str, problem: str) -> UsageError:
        """Return the error for one field."""
        return UsageError(
            f"{self.path}: {name} {problem}",
            hint="The file is damaged, or of a kind unknown here; compare it with the original.",
        )

    def get(self, *names: str, most: int = LARGEST) -> int | None:
        """Return the first of ``names`` that is set, as a whole number; null counts as unset."""
        for name in names:
            value = self.raw.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise self.wrong(name, f"is not a whole number from 0 to {most:,}")
            return value
        return None

    def one(self, names: Sequence[str], most: int = LARGEST) -> int:
        """Return the first of ``names`` that is set; it must be there, and at least 1."""
        value = self.get(*names, most=most)
        if not value:
            raise self.wrong(names[0], "is missing" if value is None else "is 0")
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value; unset is False."""
        value = self.raw.get(name)
        if not isinstance(value, bool | None):
            raise self.wrong(name, "is neither true nor false")
        return bool(value)

    def names(self, name: str) -> list[str]:
        """Return a list of names, one per layer; unset is empty."""
        return [value for value in self._list(name) if isinstance(value, str)]

    def indexes(self, name: str) -> list[int]:
        """Return a list of layer numbers; unset is empty."""
        return [value for value in self._list(name) if isinstance(value, int)]

    def _list(self, name: str) -> list[Any]:
        value = self.raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MOST_LAYERS:
            raise self.wrong(name, f"is not a list of at most {MOST_LAYERS:,} items")
        return value

    @property
    def kv_heads(self) -> int:
        """Return the KV heads; unset means as many as attention heads."""
        return self.get("num_key_value_heads") or self.one(HEADS)

    @property
    def head_width(self) -> int:
        """Return the width of one attention head."""
        return self.get("head_dim") or self.one(HIDDEN) // self.one(HEADS)

    @property
    def dtype(self) -> str | None:
        """Return the type the weights are meant to be used in."""
        value = self.raw.get("dtype", self.raw.get("torch_dtype"))
        return value.removeprefix("torch.") if isinstance(value, str) else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stranger wrote, or raise :class:`UsageError` naming the file."""
    hint = "Compare it with the model's original, or download the model again."
    if not path.is_file():
        raise UsageError(f"{path.parent}: no {path.name}, so this is no model directory", hint=hint)
    try:
        with path.open("rb") as file:  # what is longer is cut off, so it will not decode
            return msgspec.json.decode(file.read(LARGEST_JSON), type=dict[str, Any])
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as a JSON object: {error}", hint=hint) from error
