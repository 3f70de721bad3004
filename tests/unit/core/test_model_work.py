"""FLOPs and bytes of a step, on numbers that can be checked by eye."""

from __future__ import annotations

import pytest

from inferometer.architecture.shape import Layers, Mixer, MixerKind, Mlp
from inferometer.model import Shape, decode, experts_touched, kv_elements, prefill


def mixer(kind: MixerKind = "attention", **fields: int) -> Mixer:
    numbers = {"parameters": 100, "kv_elements": 8, "decode_flops": 10, "prefill_flops": 10}
    return Mixer(kind=kind, **numbers | fields)  # type: ignore[arg-type]  # numbers, all of them


def model(*layers: Layers) -> Shape:
    return Shape(hidden=4, vocabulary=50, tied=False, layers=layers)


DENSE = Mlp(parameters=300)
EXPERTS = Mlp(parameters=60, experts=4, top_k=1, expert_parameters=1000)


def test_a_dense_step_reads_its_weights_once_and_every_cache() -> None:
    shape = model(Layers(numbers=(0, 1), mixer=mixer(), mlp=DENSE))
    step = decode(shape, batch=3, context=7)
    # 2 layers of 400 and the output matrix of 200; the input embedding is a lookup
    assert step.weight_bytes == 2 * (800 + 200)
    assert step.cache_bytes == 3 * 7 * (2 * 8) * 2
    assert step.flops == 3 * (2 * (800 + 200) + 2 * 10 * 7)
    assert (step.tokens, step.experts_touched) == (3, None)


def test_types_scale_bytes_and_not_flops() -> None:
    shape = model(Layers(numbers=(0,), mixer=mixer(), mlp=DENSE))
    whole = decode(shape, batch=1, context=10)
    small = decode(shape, batch=1, context=10, weight_bytes=0.5, kv_bytes=1.0)
    assert small.weight_bytes == whole.weight_bytes / 4
    assert small.cache_bytes == whole.cache_bytes / 2
    assert small.flops == whole.flops


def test_a_mixture_reads_more_experts_as_the_batch_grows() -> None:
    shape = model(Layers(numbers=(0,), mixer=mixer(), mlp=EXPERTS))
    one, two = (decode(shape, batch=batch, context=0) for batch in (1, 2))
    assert one.experts_touched == 1
    assert one.weight_bytes == 2 * (160 + 200 + 1000)
    assert two.experts_touched == 4 * (1 - 0.75**2) == 1.75
    assert two.weight_bytes == 2 * (160 + 200 + 1750)
    # FLOPs follow the active parameters, whatever the batch
    assert two.flops == 2 * one.flops == 2 * 2 * (160 + 1000 + 200)


@pytest.mark.parametrize(
    ("experts", "top_k", "shares"),
    [
        (8, 2, (25, 90, 99, 100, 100, 100)),
        (128, 8, (6, 40, 64, 87, 98, 100)),
        (256, 8, (3, 22, 40, 64, 87, 98)),
        (384, 8, (2, 16, 29, 49, 74, 93)),
        (128, 1, (1, 6, 12, 22, 39, 63)),
    ],
)
def test_the_share_of_experts_touched(experts: int, top_k: int, shares: tuple[int, ...]) -> None:
    """Mixtral, Qwen3, DeepSeek-V3, Kimi K2 and Llama-4 Maverick at 1 to 128 tokens, in per cent."""
    for tokens, share in zip((1, 8, 16, 32, 64, 128), shares, strict=True):
        assert round(100 * experts_touched(experts, top_k, tokens) / experts) == share


def test_a_window_ends_what_is_kept_read_and_computed() -> None:
    windowed = mixer(attended=5)
    shape = model(Layers(numbers=(0,), mixer=windowed, mlp=DENSE))
    assert decode(shape, batch=1, context=9) == decode(shape, batch=1, context=5)
    assert kv_elements(shape, 9) == 9 * 8, "a choice of tokens still keeps all"
    sliding = model(Layers(numbers=(0,), mixer=mixer_that_forgets(), mlp=DENSE))
    assert (kv_elements(sliding, 3), kv_elements(sliding, 9)) == (3 * 8, 5 * 8)


def mixer_that_forgets() -> Mixer:
    return Mixer(kind="attention", parameters=100, kv_elements=8, attended=5, keeps_all=False)


def test_an_indexer_looks_at_everything() -> None:
    base = model(Layers(numbers=(0,), mixer=mixer(attended=5), mlp=DENSE))
    with_index = mixer(attended=5, index_elements=3, index_flops=7)
    shape = model(Layers(numbers=(0,), mixer=with_index, mlp=DENSE))
    before, after = (decode(it, batch=2, context=9) for it in (base, shape))
    assert after.cache_bytes - before.cache_bytes == 2 * 9 * 3 * 2
    assert after.flops - before.flops == 2 * 9 * 7
    assert kv_elements(shape, 9) == 9 * (8 + 3)


def test_a_state_costs_the_same_at_any_context() -> None:
    recurrent = Mixer(kind="linear", parameters=100, state_elements=20, state_flops=120)
    shape = model(Layers(numbers=(0,), mixer=recurrent, mlp=DENSE))
    short, long = (decode(shape, batch=2, context=context) for context in (1, 1000))
    assert short == long
    assert short.cache_bytes == 2 * 2 * 20 * 2, "read and written"
    assert short.flops == 2 * (2 * (400 + 200) + 120)
    assert kv_elements(shape, 1) == kv_elements(shape, 1000) == 20


def test_a_prompt_is_causal_and_asks_for_one_output() -> None:
    shape = model(Layers(numbers=(0,), mixer=mixer(), mlp=DENSE))
    step = prefill(shape, tokens=4, sequences=2)
    assert step.flops == 2 * (2 * (4 * 400 + 200) + 10 * (1 + 2 + 3 + 4))
    assert (step.tokens, step.cache_bytes) == (8, 0)
    windowed = model(Layers(numbers=(0,), mixer=mixer(attended=2), mlp=DENSE))
    assert prefill(windowed, tokens=4).flops == 2 * (4 * 400 + 200) + 10 * (1 + 2 + 2 + 2)


def test_a_tied_output_matrix_is_still_computed_and_read() -> None:
    layers = Layers(numbers=(0,), mixer=mixer(), mlp=DENSE)
    untied = model(layers)
    tied = Shape(hidden=4, vocabulary=50, tied=True, layers=(layers,))
    assert tied.total_parameters == untied.total_parameters - 200
    assert decode(tied, batch=1, context=3) == decode(untied, batch=1, context=3)
