"""What accelerators can do, by the name the driver gives them: data, with sources and date.

Peaks of one device. FLOP/s are of dense matrices: NVIDIA prints most of its figures *with
sparsity*, which is twice that; AMD prints both. ``flops`` goes by the type that is computed in;
``bfloat16`` stands for ``float16`` too, which all of these compute as fast. ``tdp_w`` is the usual
limit, used only where a meter tells none. Where sources differ in bandwidth, the larger, so that
shares err low. A device that is not here has no roofline, and the gate
says ``unknown``; a figure without a source is left out, and what needs it is unknown.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Peak(NamedTuple):
    """Memory bandwidth in bytes/s, watts, FLOP/s by type, memory in bytes, keys of ``SOURCES``."""

    bytes_s: float
    tdp_w: float | None = None
    flops: Mapping[str, float] = MappingProxyType({})
    memory_bytes: float | None = None
    source: str = "resellers"


SEEN = "2026-11-22"
SOURCES = {
    "catalogue": "S. Bekman, Machine Learning Engineering, compute/accelerator/README.md at commit "
    "744d01e (2026-08-22), tables without sparsity, memory and power, each row with the maker's "
    "page",
    "torchtitan": "PyTorch torchtitan, torchtitan/tools/utils.py at commit 0258167 (NVIDIA H100 "
    "page, halved for sparsity); bandwidth, memory and power from the catalogue",
    "brief": "NVIDIA H100 PCIe product brief PB-11133-001_v02 (2022-11) for bandwidth and power; "
    "FLOP/s and memory from the catalogue",
    "ultra": "NVIDIA, Inside NVIDIA Blackwell Ultra (per-GPU table) for memory and bandwidth, as "
    "quoted; FLOP/s and power from the catalogue",
    "ada": "NVIDIA L4, L40 and L40S data sheets as quoted by resellers, halved where with sparsity",
    "resellers": "makers' data sheets as quoted by resellers, cloud vendors and model catalogues; "
    "where they differ the larger",
}
"""Where a row is from. ``catalogue`` reads: https://github.com/stas00/ml-engineering."""
T, G = 1e12, 1e9
HOPPER = {"bfloat16": 989 * T, "fp8": 1979 * T}
GRACE = {"bfloat16": 2500 * T, "fp8": 5000 * T}
CDNA3 = {"bfloat16": 1307 * T, "fp8": 2610 * T}
AMPERE = {"bfloat16": 312 * T}
VOLTA = {"float16": 125 * T}
PEAKS = {
    "NVIDIA GB300": Peak(8.0 * T, 1400, {**GRACE, "fp4": 15000 * T}, 288 * G, "ultra"),
    "NVIDIA B300 SXM6 AC": Peak(
        8.0 * T, 1000, {"bfloat16": 2250 * T, "fp8": 4500 * T}, 288 * G, "catalogue"
    ),
    "NVIDIA GB200": Peak(8.0 * T, 1200, {**GRACE, "fp4": 10000 * T}, 186 * G, "catalogue"),
    "NVIDIA B200": Peak(
        8.0 * T,
        1000,
        {"bfloat16": 2250 * T, "fp8": 4500 * T, "fp4": 9000 * T},
        180 * G,
        "catalogue",
    ),
    "NVIDIA H200": Peak(4.8 * T, 700, HOPPER, 141 * G, "catalogue"),
    "NVIDIA GH200 480GB": Peak(4.0 * T, None, HOPPER, 96 * G, "catalogue"),
    "NVIDIA H100 80GB HBM3": Peak(3.35 * T, 700, HOPPER, 80 * G, "catalogue"),
    "NVIDIA H100 NVL": Peak(3.9 * T, 400, {"bfloat16": 835 * T}, 94 * G, "torchtitan"),
    "NVIDIA H100 PCIe": Peak(2.0 * T, 350, {"bfloat16": 756 * T, "fp8": 1513 * T}, 80 * G, "brief"),
    "NVIDIA A100-SXM4-80GB": Peak(2.039 * T, 400, AMPERE, 80 * G, "catalogue"),
    "NVIDIA A100-SXM4-40GB": Peak(1.555 * T, 400, AMPERE, 40 * G),
    "NVIDIA A100 80GB PCIe": Peak(1.935 * T, 300, AMPERE, 80 * G, "catalogue"),
    "NVIDIA L40S": Peak(0.864 * T, 350, {"bfloat16": 362 * T, "fp8": 733 * T}, 48 * G, "catalogue"),
    "NVIDIA L40": Peak(0.864 * T, 300, {"bfloat16": 181 * T, "fp8": 362 * T}, 48 * G, "ada"),
    "NVIDIA L4": Peak(0.3 * T, 72, {"bfloat16": 121 * T, "fp8": 242.5 * T}, 24 * G, "ada"),
    "NVIDIA A10G": Peak(0.6 * T),
    "Tesla T4": Peak(0.32 * T, 70, {"float16": 65 * T}, 16 * G),
    "Tesla V100-SXM2-32GB": Peak(0.9 * T, 300, VOLTA, 32 * G),
    "Tesla V100-SXM2-16GB": Peak(0.9 * T, 300, VOLTA, 16 * G),
    "AMD Instinct MI300X": Peak(5.3 * T, 750, CDNA3, 192 * G, "catalogue"),
    "AMD Instinct MI325X": Peak(6.0 * T, 1000, CDNA3, 256 * G, "catalogue"),
    "AMD Instinct MI350X": Peak(8.0 * T, 1000, {}, 288 * G, "catalogue"),
    "AMD Instinct MI355X": Peak(
        8.0 * T,
        1400,
        {"bfloat16": 2500 * T, "fp8": 5000 * T, "fp4": 10100 * T},
        288 * G,
        "catalogue",
    ),
}


def of(model: str) -> Peak | None:
    """Return what a device can do; None for one that is not known."""
    known = {name.lower(): peak for name, peak in PEAKS.items()}
    return known.get(" ".join(model.split()).lower())
