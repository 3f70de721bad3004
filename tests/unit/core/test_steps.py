"""Bytes and FLOPs of a decode step, from a shape or from totals; numbers to check by eye."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inferometer.architecture.shape import Layers, Mixer, Mlp, Shape
from inferometer.roofline.steps import Split, has_shape, step

# Two layers of 100 attention parameters and 4 experts of 200, of which 1 works; router of 10;
# output matrix of 10 x 5, not tied to the input. Total 2 * (100 + 10 + 800) + 100 = 1920.
SHAPE = Shape(
    hidden=5,
    vocabulary=10,
    tied=False,
    layers=(
        Layers(
            numbers=(0, 1),
            mixer=Mixer(kind="attention", parameters=100, kv_elements=8, decode_flops=20),
            mlp=Mlp(parameters=10, experts=4, top_k=1, expert_parameters=200),
        ),
    ),
)
MODEL: dict[str, Any] = {
    "dtype": "bfloat16",
    "total_parameters": 1920,
    "active_parameters": 720,
    "experts": 4,
    "top_k": 1,
    "kv_bytes_per_token": 32,
    "shape": msgspec.to_builtins(SHAPE),
}
BYTES = 2 * 1920.0


def test_one_sequence_reads_what_works_on_its_token() -> None:
    work = step(MODEL, BYTES, sequences=1, context=10)
    assert work.experts_touched == 1
    assert work.weight_bytes == 2 * (50 + 2 * (100 + 10 + 200))  # no input embedding: a lookup
    assert work.cache_bytes == 10 * 2 * 8 * 2
    assert work.flops == 2 * (50 + 2 * 310) + 2 * 20 * 10


def test_two_sequences_touch_more_experts_and_compute_twice() -> None:
    work = step(MODEL, BYTES, sequences=2, context=10)
    assert work.experts_touched == pytest.approx(1.75)  # 4 * (1 - (3/4)**2)
    assert work.weight_bytes == pytest.approx(2 * (50 + 2 * (110 + 1.75 * 200)))
    assert work.flops == 2 * step(MODEL, BYTES, sequences=1, context=10).flops
    assert work.tokens == 2


def test_weights_and_cache_have_the_width_that_they_are_served_in() -> None:
    whole = step(MODEL, BYTES, sequences=1, context=10)
    half = step(MODEL, BYTES / 2, sequences=1, context=10, kv_type="fp8_e4m3")
    assert half.weight_bytes == whole.weight_bytes / 2
    assert half.cache_bytes == whole.cache_bytes / 2
    assert half.flops == whole.flops
    cast = step(MODEL, 2 * BYTES, sequences=1, context=10, kv_type="float32")
    assert cast.cache_bytes == 2 * whole.cache_bytes


def test_replicas_read_all_weights_each_for_their_own_sequences() -> None:
    one = step(MODEL, BYTES, sequences=2, context=10)
    two = step(MODEL, BYTES, sequences=4, context=10, split=Split(replicas=2))
    assert two.weight_bytes == 2 * one.weight_bytes
    assert two.cache_bytes == 2 * one.cache_bytes
    assert two.experts_touched == one.experts_touched


@pytest.mark.parametrize("shape", [True, False])
def test_experts_that_replicas_share_meet_the_tokens_of_all(shape: bool) -> None:
    model = {**MODEL, "experts": None} if shape else {**MODEL, "shape": None}
    apart = step(model, BYTES, sequences=2, context=0, split=Split(replicas=2))
    shared = step(model, BYTES, sequences=2, context=0, split=Split(2, shared_experts=True))
    assert apart.experts_touched == 1
    assert shared.experts_touched == pytest.approx(1.75)
    # instead of one expert twice, 1.75 once: of 2 layers, 200 parameters of 2 bytes each
    assert apart.weight_bytes - shared.weight_bytes == pytest.approx(0.25 * 2 * 200 * 2)


def test_without_a_shape_the_totals_stand_in() -> None:
    older = {key: value for key, value in MODEL.items() if key != "shape"}
    work = step(older, BYTES, sequences=1, context=10)
    assert not has_shape(older)
    assert work.weight_bytes == 2 * 720  # the input embedding with them
    assert work.cache_bytes == 320
    assert work.flops == 2 * 720


@pytest.mark.parametrize(
    "shape",
    [
        "a string",
        {"hidden": 5, "vocabulary": 10, "tied": False, "layers": []},
        {**msgspec.to_builtins(SHAPE), "hidden": -5000},
    ],
)
def test_a_shape_that_makes_no_sense_is_not_used(shape: object) -> None:
    assert not has_shape({**MODEL, "shape": shape})
    broken = msgspec.to_builtins(SHAPE)
    broken["layers"][0]["mlp"]["top_k"] = 9
    assert not has_shape({**MODEL, "shape": broken})
