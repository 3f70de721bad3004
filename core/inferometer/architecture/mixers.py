"""The formulas of token mixers, from fields of ``config.json`` to :class:`Mixer` values.

H hidden, nh and nkv attention and KV heads, hd head width. Norms and biases are left out. The
parameter counts follow the modules of transformers 5.19 and are held to them by
``tests/e2e/test_model_facts.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.architecture.shape import Mixer

if TYPE_CHECKING:
    from inferometer.architecture.config import Config

STATE_FLOPS = 6
"""Per element of a recurrent state and token: decay, add an outer product, read by a query."""


def attention(config: Config, *, window: int | None = None, gated: bool = False) -> Mixer:
    """Return grouped-query attention: ``2*H*nh*hd + 2*H*nkv*hd``, ``2*nkv*hd`` kept per token.

    QK^T and AV take ``4*nh*hd`` FLOPs per token attended to. A gated one has a doubled query.
    """
    hidden, width, heads, kv_heads = config.hidden, config.head_width, config.heads, config.kv_heads
    return Mixer(
        kind="attention",
        parameters=hidden * width * ((3 if gated else 2) * heads + 2 * kv_heads),
        kv_elements=2 * kv_heads * width,
        attended=window,
        keeps_all=window is None,
        decode_flops=4 * heads * width,
        prefill_flops=4 * heads * width,
    )


def gated(config: Config) -> Mixer:
    """Return attention whose query projection also makes an output gate."""
    return attention(config, gated=True)


def sliding(config: Config) -> Mixer:
    """Return attention that sees a window of tokens."""
    return attention(config, window=config.one(["sliding_window"]))


def chunked(config: Config) -> Mixer:
    """Return attention within chunks; a chunk is the most a token sees, half of it on average."""
    return attention(config, window=config.get("attention_chunk_size") or None)


def latent(config: Config) -> Mixer:
    """Return multi-head latent attention (MLA), r = ``kv_lora_rank``, dn, dr and dv head widths.

    Parameters ``(q ? H*q + q*nh*(dn+dr) : H*nh*(dn+dr)) + H*(r+dr) + r*nh*(dn+dv) + nh*dv*H``;
    ``r+dr`` kept per token; absorbed decoding ``2*nh*(2r+dr)`` FLOPs per token attended to.
    """
    hidden, heads = config.hidden, config.heads
    rank, query = config.one(["kv_lora_rank"]), config.get("q_lora_rank")
    nope, rope = config.one(["qk_nope_head_dim"]), config.one(["qk_rope_head_dim"])
    value = config.one(["v_head_dim"])
    wide = heads * (nope + rope)
    queries = hidden * query + query * wide if query else hidden * wide
    keys_and_values = hidden * (rank + rope) + rank * heads * (nope + value)
    return Mixer(
        kind="latent",
        parameters=queries + keys_and_values + heads * value * hidden,
        kv_elements=rank + rope,
        decode_flops=2 * heads * (2 * rank + rope),
        prefill_flops=2 * heads * (nope + rope + value),
    )


def indexed(config: Config) -> Mixer:
    """Return latent attention to the ``index_topk`` tokens that an indexer chooses (DeepSeek V3.2).

    The indexer (n heads of width d) adds ``q*n*d + H*d + H*n`` parameters and keeps a key of d per
    token, which it reads for all of the context: ``2*n*d`` FLOPs each.
    """
    base, query = latent(config), config.one(["q_lora_rank"])
    heads, width = config.one(["index_n_heads"]), config.one(["index_head_dim"])
    return Mixer(
        kind="latent",
        parameters=base.parameters + query * heads * width + config.hidden * (width + heads),
        kv_elements=base.kv_elements,
        index_elements=width,
        attended=config.one(["index_topk"]),
        decode_flops=base.decode_flops,
        prefill_flops=base.prefill_flops,
        index_flops=2 * heads * width,
    )


def delta_rule(config: Config) -> Mixer:
    """Return a gated delta-rule layer (Qwen3-Next, Qwen3.5), nv value heads, Kd and Vd all heads.

    ``H*(2Kd+2Vd) + 2*H*nv + (2Kd+Vd)*conv + Vd*H``; the state is one matrix per value head.
    """
    hidden, kernel = config.hidden, config.one(["linear_conv_kernel_dim"])
    heads, width = config.one(["linear_num_value_heads"]), config.one(["linear_value_head_dim"])
    key_width = config.one(["linear_key_head_dim"])
    keys, values = config.one(["linear_num_key_heads"]) * key_width, heads * width
    mixed = 2 * keys + values
    state = heads * key_width * width
    return Mixer(
        kind="linear",
        parameters=hidden * (mixed + values + 2 * heads) + mixed * kernel + values * hidden,
        state_elements=state + mixed * (kernel - 1),
        state_flops=STATE_FLOPS * state,
    )


def lightning(config: Config) -> Mixer:
    """Return lightning attention (MiniMax-01): q, k, v, output gate and output, ``5*H*nh*hd``."""
    wide = config.heads * config.head_width
    state = wide * config.head_width
    return Mixer(
        kind="linear",
        parameters=5 * config.hidden * wide,
        state_elements=state,
        state_flops=STATE_FLOPS * state,
    )


def mamba(config: Config) -> Mixer:
    """Return a Mamba layer (Jamba), di = ``mamba_expand*H``, ds the state, dt the step's rank.

    ``2*H*di + di*(conv+1) + di*(dt+2ds) + dt*di + di + di*ds + di + di*H``.
    """
    hidden, kernel = config.hidden, config.one(["mamba_d_conv"])
    inner, state = config.one(["mamba_expand"]) * hidden, config.one(["mamba_d_state"])
    automatic = config.raw.get("mamba_dt_rank") == "auto"
    rank = -(-hidden // 16) if automatic else config.one(["mamba_dt_rank"])
    selective = inner * (rank + 2 * state) + rank * inner + inner
    return Mixer(
        kind="mamba",
        parameters=3 * hidden * inner + inner * (kernel + 1) + selective + inner * state + inner,
        state_elements=inner * (state + kernel - 1),
        state_flops=STATE_FLOPS * inner * state,
    )


def mamba2(config: Config) -> Mixer:
    """Return a Mamba-2 layer (Granite 4), g groups, di = ``mamba_expand*H``, ds the state.

    With c = di + 2*g*ds channels through the convolution and n heads:
    ``H*(di+c+n) + c*(conv+1) + 3n + di + di*H``.
    """
    hidden, kernel = config.hidden, config.one(["mamba_d_conv"])
    inner, state = config.one(["mamba_expand"]) * hidden, config.one(["mamba_d_state"])
    heads = config.one(["mamba_n_heads"])
    channels = inner + 2 * config.one(["mamba_n_groups"]) * state
    return Mixer(
        kind="mamba2",
        parameters=hidden * (2 * inner + channels + heads)
        + channels * (kernel + 1)
        + 3 * heads
        + inner,
        state_elements=inner * state + channels * (kernel - 1),
        state_flops=STATE_FLOPS * inner * state,
    )


def convolution(config: Config) -> Mixer:
    """Return a short gated convolution (LFM2): ``3*H*H + H*conv + H*H``."""
    hidden, kernel = config.hidden, config.one(["conv_L_cache"])
    return Mixer(
        kind="convolution",
        parameters=4 * hidden * hidden + hidden * kernel,
        state_elements=hidden * (kernel - 1),
    )
