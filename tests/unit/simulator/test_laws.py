"""How long steps take, by hand."""

from __future__ import annotations

import pytest

from inferometer_plugins.simulator.laws import Hardware, Line, Linear, Roofline, Sizes, steepest

GPU = Hardware(
    flops_s=1e12,
    bytes_s=1e11,
    memory_bytes=10e9,
    flops_share=0.5,
    bytes_share=0.5,
    usable_share=0.9,
)
DENSE = Sizes(always_bytes=5e9, flops_per_token=5e9, kv_bytes_per_token=1e5)
MOE = Sizes(
    always_bytes=1e9,
    flops_per_token=2e9,
    kv_bytes_per_token=1e5,
    experts=8,
    top_k=2,
    expert_bytes=5e8,
)


def test_linear() -> None:
    law = Linear(a_s=4, b_s=3, c_s=2, d_s=1)
    assert law.lines(decoding=2, prefill=5) == (Line(15, 2),)


def test_roofline_is_memory_for_one_sequence_and_arithmetic_for_a_prompt() -> None:
    law = Roofline(hardware=GPU, sizes=DENSE, overhead_s=0.0)
    memory, arithmetic = law.lines(decoding=1, prefill=0)
    assert memory.fixed_s == pytest.approx(0.1)  # 5 GB at 50 GB/s
    assert memory.context_s == pytest.approx(2e-6)  # 100 kB at 50 GB/s
    assert arithmetic == pytest.approx((0.01, 0))  # 5 GFLOP at 500 GFLOP/s
    memory, arithmetic = law.lines(decoding=0, prefill=1000)
    assert memory.fixed_s == pytest.approx(0.1)
    assert arithmetic.fixed_s == pytest.approx(10)


def test_cache_is_what_the_weights_leave() -> None:
    assert Roofline(hardware=GPU, sizes=DENSE).kv_tokens() == 40_000  # (9 - 5) GB / 100 kB
    assert Roofline(hardware=GPU, sizes=MOE).kv_tokens() == 40_000  # 1 + 8 * 0.5 are 5, too
    large = Sizes(always_bytes=9.1e9, flops_per_token=1, kv_bytes_per_token=1)
    with pytest.raises(ValueError, match="do not fit"):
        Roofline(hardware=GPU, sizes=large).kv_tokens()


def test_a_mixture_reads_few_experts_for_one_token_and_nearly_all_for_many() -> None:
    assert MOE.read_bytes(1) == pytest.approx(1e9 + 2 * 5e8)
    assert MOE.read_bytes(2) == pytest.approx(1e9 + 3.5 * 5e8)  # 8 * (1 - 0.75 ** 2)
    assert MOE.read_bytes(32) == pytest.approx(MOE.weight_bytes, rel=0.001)
    assert DENSE.read_bytes(1) == DENSE.read_bytes(32)
    assert DENSE.read_bytes(1) / MOE.read_bytes(1) == pytest.approx(2.5)


@pytest.mark.parametrize(("stored", "line", "steps"), [(100, 0, 10), (900, 0, 5), (2000, 1, 10)])
def test_steps_go_along_a_line_until_another_is_above(stored: int, line: int, steps: int) -> None:
    lines = (Line(1.0, 0.0), Line(0.0, 0.001))  # they cross at 1000 tokens
    found = steepest(lines, stored, decoding=20, steps=10)
    assert found == (lines[line], steps)
