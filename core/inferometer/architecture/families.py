"""Model families: what their ``config.json`` calls things, and which layer is of which kind.

A family is data: one record in :data:`FAMILIES`, by ``model_type``. Where a published file leaves a
field out, ``defaults`` holds what transformers 5.19 takes for it (its configuration classes), since
that is what the authors' own code runs. Nothing else is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from inferometer.architecture import mixers
from inferometer.architecture.config import MissingError
from inferometer.architecture.shape import Mixer

if TYPE_CHECKING:
    from inferometer.architecture.config import Config

Pattern = Callable[["Config", int], str]
Sparse = Callable[["Config", int], bool]

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
ATTENTION: Mapping[str, Callable[[Config], Mixer]] = MappingProxyType(
    {FULL: mixers.attention, SLIDING: mixers.sliding}
)


# -- which layer mixes how, where the file has no ``layer_types`` -------------------------------


def full(_config: Config, _layer: int) -> str:
    """Every layer sees everything."""
    return FULL


def windowed(config: Config, _layer: int) -> str:
    """Every layer has the window, if there is one."""
    return SLIDING if config.get("sliding_window") else FULL


def late_windows(config: Config, layer: int) -> str:
    """From ``max_window_layers`` on layers have the window, if it is switched on (Qwen)."""
    used = config.flag("use_sliding_window") and config.get("sliding_window")
    return SLIDING if used and layer >= config.need("max_window_layers") else FULL


def early_windows(config: Config, layer: int) -> str:
    """Every second layer before ``max_window_layers`` has the window, if it is on (Qwen2-MoE)."""
    used = config.flag("use_sliding_window") and config.get("sliding_window")
    return SLIDING if used and not layer % 2 and layer < config.need("max_window_layers") else FULL


def switched_windows(config: Config, _layer: int) -> str:
    """Every layer has the window, if it is switched on (Qwen3-MoE)."""
    return SLIDING if config.flag("use_sliding_window") and config.get("sliding_window") else FULL


def last_windows(config: Config, layer: int) -> str:
    """From ``max_window_layers`` on layers have the window (dots1)."""
    windowed = config.get("sliding_window") and layer >= config.need("max_window_layers")
    return SLIDING if windowed else FULL


def every(period: int, kind: str, field: str = "") -> Pattern:
    """Return the rule that every ``period``-th layer is full, the others of another kind."""

    def pattern(config: Config, layer: int) -> str:
        step = (config.get(field) if field else None) or period
        return kind if (layer + 1) % step else FULL

    return pattern


def rope_chunks(config: Config, layer: int) -> str:
    """Layers with rotary positions attend within chunks (Llama 4)."""
    listed = config.indexes("no_rope_layers")
    if listed and layer >= len(listed):
        raise MissingError("no_rope_layers", "is shorter than the model")
    rotary = listed[layer] if listed else (layer + 1) % config.one(["no_rope_layer_interval"])
    return "chunked_attention" if rotary else FULL


def attention_period(config: Config, layer: int) -> str:
    """One layer in a period is attention, the others Mamba (Jamba)."""
    period, offset = config.one(["attn_layer_period"]), config.need("attn_layer_offset")
    return FULL if layer % period == offset else LINEAR


def must_say(_config: Config, _layer: int) -> str:
    """Refuse: nothing but ``layer_types`` tells."""
    raise MissingError("layer_types")


# -- which layer has experts -----------------------------------------------------------------------


def always(_config: Config, _layer: int) -> bool:
    """Every layer has experts."""
    return True


def qwen_steps(config: Config, layer: int) -> bool:
    """Give experts to the last of every ``decoder_sparse_step`` not in ``mlp_only_layers``."""
    step = config.one(["decoder_sparse_step"])
    return not (layer + 1) % step and layer not in config.indexes("mlp_only_layers")


def after_dense(config: Config, layer: int) -> bool:
    """After ``first_k_dense_replace`` layers, every ``moe_layer_freq``-th (DeepSeek, GLM, dots)."""
    if kinds := config.names("mlp_layer_types"):
        if layer >= len(kinds):
            raise MissingError("mlp_layer_types", "is shorter than the model")
        return kinds[layer] == "sparse"
    period = config.get("moe_layer_freq") or 1
    return layer >= config.need("first_k_dense_replace") and not layer % period


def interleaved(config: Config, layer: int) -> bool:
    """``moe_layers``, else the last of every ``interleave_moe_layer_step`` (Llama 4)."""
    if listed := config.indexes("moe_layers"):
        return layer in listed
    return not (layer + 1) % config.one(["interleave_moe_layer_step"])


def expert_period(config: Config, layer: int) -> bool:
    """One layer in ``expert_layer_period``, at its offset (Jamba)."""
    return layer % config.one(["expert_layer_period"]) == config.need("expert_layer_offset")


def expert_span(config: Config, layer: int) -> bool:
    """From start to end index, the last of every interval; an end of -1 is the last (ERNIE)."""
    last = config.raw.get("moe_layer_end_index")
    end = config.layers - 1 if last == -1 else config.need("moe_layer_end_index")
    inside = config.need("moe_layer_start_index") <= layer <= end
    return inside and not (layer + 1) % config.one(["moe_layer_interval"])


def after_dense_layers(config: Config, layer: int) -> bool:
    """After ``num_dense_layers`` (LFM2)."""
    return layer >= config.need("num_dense_layers")


# -- the families ----------------------------------------------------------------------------------


class Family(Struct, frozen=True, kw_only=True):
    """How to read one family. Field names are those of its published ``config.json``."""

    mixers: Mapping[str, Callable[[Config], Mixer]] = ATTENTION
    """By kind of layer, as ``layer_types`` or ``pattern`` name it."""
    pattern: Pattern = full
    sparse: Sparse | None = None
    """Which layers have experts; None: the family has none."""
    dense_width: str = "intermediate_size"
    expert_width: str = "intermediate_size"
    shared: tuple[str, str] | None = None
    """Shared experts: the field (or literal number) of how many, and the field of one's width."""
    shared_gate: bool = False
    """The shared expert's output passes a gate of H parameters."""
    defaults: Mapping[str, object] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    """What is an approximation in this family."""


MULTI_HEAD = {"num_key_value_heads": None}
"""Unset means as many KV heads as attention heads."""
TIED = {"tie_word_embeddings": True}
STATE = "the arithmetic of recurrent states is an estimate (6 FLOPs per element)"
CHUNKS = "a chunk counts as a window of its whole length"
INDEXER = "index keys count at the type of the cache; engines may keep them in fewer bits"

QWEN2 = Family(pattern=late_windows, defaults={"num_key_value_heads": 32, "max_window_layers": 28})
DELTA = Family(
    mixers={FULL: mixers.gated, LINEAR: mixers.delta_rule},
    pattern=every(4, LINEAR, "full_attention_interval"),
    defaults={"head_dim": 256},
    notes=(STATE,),
)
DEEPSEEK = Family(
    mixers={FULL: mixers.latent},
    sparse=after_dense,
    expert_width="moe_intermediate_size",
    shared=("n_shared_experts", "moe_intermediate_size"),
)
STEPS = {"decoder_sparse_step": 1, "mlp_only_layers": []}
GEMMA = TIED | {"head_dim": 256}
GEMMA3 = {"vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4}

DENSE: dict[str, Family] = {
    "llama": Family(defaults=MULTI_HEAD),
    "mistral": Family(pattern=windowed, defaults={"sliding_window": 4096}),
    "qwen2": QWEN2,
    "qwen3": replace(QWEN2, defaults={**QWEN2.defaults, "head_dim": 128}),
    "qwen3_5": DELTA,
    "gemma": Family(defaults=GEMMA),
    "gemma2": Family(pattern=every(2, SLIDING), defaults=GEMMA),
    "gemma3_text": Family(
        pattern=every(6, SLIDING, "sliding_window_pattern"), defaults=GEMMA | GEMMA3
    ),
    "phi3": Family(pattern=windowed, defaults=MULTI_HEAD),
    "granite": Family(defaults=MULTI_HEAD),
    "glm": Family(defaults={"head_dim": 128}),
    "glm4": Family(defaults={"head_dim": 128}),
    "olmo2": Family(defaults=MULTI_HEAD),
    "olmo3": Family(pattern=every(4, SLIDING), defaults=MULTI_HEAD),
    "ernie4_5": Family(defaults=TIED | {"head_dim": 128}),
    "hunyuan_v1_dense": Family(defaults=MULTI_HEAD),
}

MOE: dict[str, Family] = {
    "mixtral": Family(pattern=windowed, sparse=always),
    "qwen2_moe": Family(
        pattern=early_windows,
        sparse=qwen_steps,
        expert_width="moe_intermediate_size",
        shared=("1", "shared_expert_intermediate_size"),
        shared_gate=True,
        defaults=STEPS | {"max_window_layers": 28},
    ),
    "qwen3_moe": Family(
        pattern=switched_windows,
        sparse=qwen_steps,
        expert_width="moe_intermediate_size",
        defaults=STEPS,
    ),
    "qwen3_next": replace(
        DELTA,
        sparse=qwen_steps,
        expert_width="moe_intermediate_size",
        shared=("1", "shared_expert_intermediate_size"),
        shared_gate=True,
        defaults={**DELTA.defaults, **STEPS},
    ),
    "qwen3_5_moe": replace(
        DELTA,
        sparse=always,
        expert_width="moe_intermediate_size",
        shared=("1", "shared_expert_intermediate_size"),
        shared_gate=True,
    ),
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "deepseek_v32": replace(
        DEEPSEEK,
        mixers={FULL: mixers.indexed, "indexed_attention": mixers.indexed},
        notes=(INDEXER,),
    ),
    "glm4_moe": replace(DEEPSEEK, mixers=ATTENTION),
    "dots1": replace(
        DEEPSEEK, mixers=ATTENTION, pattern=last_windows, defaults={"max_window_layers": 62}
    ),
    "gpt_oss": Family(pattern=every(2, SLIDING), sparse=always, defaults={"head_dim": 64}),
    "llama4_text": Family(
        mixers={FULL: mixers.attention, "chunked_attention": mixers.chunked},
        pattern=rope_chunks,
        sparse=interleaved,
        dense_width="intermediate_size_mlp",
        shared=("1", "intermediate_size"),
        defaults={"no_rope_layer_interval": 4, "head_dim": 128},
        notes=(CHUNKS,),
    ),
    "olmoe": Family(sparse=always, defaults=MULTI_HEAD),
    "phimoe": Family(pattern=windowed, sparse=always),
    "minimax": Family(
        mixers={**ATTENTION, LINEAR: mixers.lightning},
        pattern=must_say,
        sparse=always,
        notes=(STATE,),
    ),
    "minimax_m2": Family(sparse=always, defaults={"head_dim": 128}),
    "granitemoe": Family(sparse=always, defaults=MULTI_HEAD),
    "granitemoehybrid": Family(
        mixers={
            "attention": mixers.attention,
            FULL: mixers.attention,
            "mamba": mixers.mamba2,
            LINEAR: mixers.mamba2,
        },
        pattern=must_say,
        sparse=always,
        dense_width="shared_intermediate_size",
        shared=("1", "shared_intermediate_size"),
        defaults=MULTI_HEAD,
        notes=(STATE,),
    ),
    "jamba": Family(
        mixers={FULL: mixers.attention, LINEAR: mixers.mamba},
        pattern=attention_period,
        sparse=expert_period,
        notes=(STATE,),
    ),
    "ernie4_5_moe": Family(
        sparse=expert_span,
        expert_width="moe_intermediate_size",
        shared=("moe_num_shared_experts", "moe_intermediate_size"),
        defaults=TIED | {"moe_layer_interval": 1, "moe_layer_end_index": -1},
    ),
    "lfm2_moe": Family(
        mixers={FULL: mixers.attention, "conv": mixers.convolution},
        pattern=must_say,
        sparse=after_dense_layers,
        expert_width="moe_intermediate_size",
        defaults=TIED,
    ),
    "hunyuan_v1_moe": Family(
        sparse=always,
        shared=("num_shared_expert", "intermediate_size"),
        defaults=MULTI_HEAD | {"num_shared_expert": 1},
    ),
}

FAMILIES: Mapping[str, Family] = MappingProxyType(DENSE | MOE)
"""By ``model_type``."""
ALIASES = {
    "llama4": "llama4_text",
    "gemma3": "gemma3_text",
    "qwen3_5_text": "qwen3_5",
    "qwen3_5_moe_text": "qwen3_5_moe",
    "kimi_k2": "deepseek_v3",
}
"""Other names of a family: wrappers with a vision tower, and models with another's code."""


def family_of(config: Config) -> Family:
    """Return the family of a configuration, its defaults filled in.

    Raises:
        MissingError: nothing is known of this ``model_type``.
    """
    name = ALIASES.get(config.model_type, config.model_type)
    found = FAMILIES.get(name)
    if found is None:
        raise MissingError("model_type", f"{config.model_type!r} is not a known family")
    config.assume(found.defaults)
    return found
