"""The table of accelerators: every figure has its source, and none is with sparsity."""

from __future__ import annotations

import pytest

from inferometer.roofline import accelerators
from inferometer.roofline.accelerators import PEAKS, SOURCES, Peak


@pytest.mark.parametrize("name", PEAKS)
def test_figures_are_plausible_and_have_a_source(name: str) -> None:
    peak = PEAKS[name]
    assert peak.source in SOURCES
    assert 0.3e12 <= peak.bytes_s <= 10e12
    assert peak.tdp_w is None or 70 <= peak.tdp_w <= 1400
    assert peak.memory_bytes is None or 16e9 <= peak.memory_bytes <= 288e9
    for rate in peak.flops.values():
        assert 60 <= rate / peak.bytes_s <= 2000  # FLOP a byte
    if {"bfloat16", "fp8"} <= set(peak.flops):
        assert peak.flops["fp8"] == pytest.approx(2 * peak.flops["bfloat16"], rel=0.02)


def test_flops_are_without_sparsity() -> None:
    """NVIDIA prints 1,979 for an H100's bfloat16 and 3,958 for its fp8, both with sparsity."""
    assert PEAKS["NVIDIA H100 80GB HBM3"].flops == {"bfloat16": 989e12, "fp8": 1979e12}
    assert PEAKS["NVIDIA H100 PCIe"].flops["bfloat16"] < PEAKS["NVIDIA H100 NVL"].flops["bfloat16"]
    assert PEAKS["NVIDIA B200"].flops["bfloat16"] == 2250e12


def test_names_are_the_drivers() -> None:
    assert accelerators.of("nvidia  h200") == PEAKS["NVIDIA H200"]
    assert accelerators.of("NVIDIA H200 NVL") is None
    assert accelerators.of("") is None


def test_a_row_needs_its_bandwidth_alone() -> None:
    assert Peak(1e12).flops == {}
