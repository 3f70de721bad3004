"""What accelerators can do, by the name the driver gives them: data, with source and date.

Bandwidth is the maker's peak, to one device; ``tdp_w`` its usual limit, used only where a meter
tells none. A device that is not here has no roofline, and the gate says ``unknown``.
"""

from __future__ import annotations

from typing import NamedTuple


class Peak(NamedTuple):
    """Memory bandwidth in bytes/s, and watts."""

    bytes_s: float
    tdp_w: float | None = None


SEEN = "2026-11-22"
SOURCE = (
    "makers' data sheets as quoted by resellers, cloud vendors and model catalogues; where they "
    "differ (B200: 7.7 or 8.0 TB/s) the larger"
)
PEAKS = {
    "NVIDIA B200": Peak(8.0e12, 1000),
    "NVIDIA H200": Peak(4.8e12, 700),
    "NVIDIA H100 80GB HBM3": Peak(3.35e12, 700),
    "NVIDIA A100-SXM4-80GB": Peak(2.039e12, 400),
    "NVIDIA A100-SXM4-40GB": Peak(1.555e12, 400),
    "NVIDIA A100 80GB PCIe": Peak(1.935e12),
    "NVIDIA L40S": Peak(0.864e12, 350),
    "NVIDIA L40": Peak(0.864e12, 300),
    "NVIDIA L4": Peak(0.3e12),
    "NVIDIA A10G": Peak(0.6e12),
    "Tesla T4": Peak(0.32e12, 70),
    "Tesla V100-SXM2-32GB": Peak(0.9e12, 300),
    "Tesla V100-SXM2-16GB": Peak(0.9e12, 300),
    "AMD Instinct MI300X": Peak(5.3e12, 750),
    "AMD Instinct MI325X": Peak(6.0e12),
    "AMD Instinct MI350X": Peak(8.0e12, 1000),
    "AMD Instinct MI355X": Peak(8.0e12, 1400),
}


def of(model: str) -> Peak | None:
    """Return what a device can do; None for one that is not known."""
    known = {name.lower(): peak for name, peak in PEAKS.items()}
    return known.get(" ".join(model.split()).lower())
