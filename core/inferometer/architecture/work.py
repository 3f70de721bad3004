"""The work of one engine step, from a model's shape: FLOPs, and bytes read, by batch and context.

A roofline's two numbers, and so a lower bound: activations, the KV of the new token, padding and
anything read twice are left out, and expert loads are even. Linear FLOPs are ``2 *`` the
parameters that work on a token without the input embedding (a lookup); the output matrix counts
once per position whose logits are needed. Experts touched by B tokens in a layer, of E with k
active, under uniform independent routing: ``E * (1 - (1 - k/E)**B)``. Real routing is skewed and
touches fewer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.architecture.shape import Mixer, Shape


class Work(Struct, frozen=True, kw_only=True):
    """One step, all of its sequences together. Divide by ``tokens`` for the work per token."""

    tokens: float
    """Tokens that the step computes: one per sequence when decoding, the prompts in prefill."""
    flops: float
    weight_bytes: float
    cache_bytes: float
    """KV read for earlier tokens, and recurrent states read and written."""
    experts_touched: float | None
    """Expected number per MoE layer; None for a dense model."""


def experts_touched(experts: int, top_k: int, tokens: float) -> float:
    """Return how many of a layer's experts some token of a step is expected to need."""
    return experts * touched_by([top_k / experts], tokens)


def touched_by(shares: Sequence[float], tokens: float) -> float:
    """Return how many experts ``tokens`` tokens are expected to need, given each expert's share.

    ``sum of 1 - (1 - p)**B``, with p the share of tokens that take an expert: of a router that
    is not even. Even shares of k/E give :func:`experts_touched`, and no others give as many.
    Tokens are taken to be independent; those of a step that are alike touch fewer.
    """
    return sum(1 - math.pow(1 - share, tokens) for share in shares)


def kv_elements(shape: Shape, context: int) -> int:
    """Return what the cache holds for one sequence of ``context`` tokens, states included."""
    return shape.sum((_kept(group.mixer, context), group) for group in shape.layers)


def decode(
    shape: Shape, *, batch: float, context: float, weight_bytes: float = 2.0, kv_bytes: float = 2.0
) -> Work:
    """Return the work of one decode step: one new token for each of ``batch`` sequences.

    Args:
        shape: the model.
        batch: sequences in the step, of ``context`` tokens each; both may be means.
        context: tokens that the cache holds per sequence.
        weight_bytes: bytes per parameter (2 in bf16; 0.5 and a bit in 4 bits).
        kv_bytes: bytes per element of KV cache and state.

    """
    per_token = 2.0 * (_linear(shape) + shape.output_parameters)
    read = 0.0
    for group in shape.layers:
        mixer, layers = group.mixer, len(group.numbers)
        seen = _seen(mixer, context)
        per_token += layers * (mixer.decode_flops * seen + mixer.index_flops * context)
        per_token += layers * mixer.state_flops
        read += layers * (mixer.kv_elements * seen + mixer.index_elements * context)
        read += layers * 2 * mixer.state_elements
    return _work(shape, batch, batch * per_token, weight_bytes, batch * read * kv_bytes)


def prefill(shape: Shape, *, tokens: int, sequences: int = 1, weight_bytes: float = 2.0) -> Work:
    """Return the work of reading ``sequences`` prompts of ``tokens`` tokens each, causally.

    Token number t attends to t tokens (itself with them), at most to a window; logits are made
    once per prompt. Keys and values stay on the chip: no cache is read.
    """
    one = 2.0 * (tokens * _linear(shape) + shape.output_parameters)
    pairs = tokens * (tokens + 1) / 2
    for group in shape.layers:
        mixer, layers = group.mixer, len(group.numbers)
        seen = min(tokens, mixer.attended) if mixer.attended is not None else tokens
        within = seen * (seen + 1) / 2 + (tokens - seen) * seen
        one += layers * (mixer.prefill_flops * within + mixer.index_flops * pairs)
        one += layers * mixer.state_flops * tokens
    return _work(shape, sequences * tokens, sequences * one, weight_bytes, 0.0)


def _work(
    shape: Shape, tokens: float, flops: float, weight_bytes: float, cache_bytes: float
) -> Work:
    touched, weights = None, float(shape.output_parameters)
    for group in shape.layers:
        mlp, layers = group.mlp, len(group.numbers)
        weights += layers * (group.mixer.parameters + mlp.parameters)
        if mlp.experts:
            touched = experts_touched(mlp.experts, mlp.top_k, tokens)
            weights += layers * touched * mlp.expert_parameters
    return Work(
        tokens=tokens,
        flops=flops,
        weight_bytes=weights * weight_bytes,
        cache_bytes=cache_bytes,
        experts_touched=touched,
    )


def _linear(shape: Shape) -> int:
    return shape.active_parameters - shape.embedding_parameters


def _seen(mixer: Mixer, context: float) -> float:
    return context if mixer.attended is None else min(context, mixer.attended)


def _kept(mixer: Mixer, context: int) -> int:
    kept = context if mixer.keeps_all or mixer.attended is None else min(context, mixer.attended)
    return mixer.state_elements + mixer.kv_elements * kept + mixer.index_elements * context
