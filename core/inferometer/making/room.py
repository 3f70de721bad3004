"""Whether a model has room, before hours go into it: on the disk, and in memory."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import psutil

from inferometer import provenance
from inferometer.errors import MachineError

if TYPE_CHECKING:
    from pathlib import Path

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
TORCH_BYTES = 1 << 30
"""What an interpreter takes that has torch and transformers loaded."""
SPARE = 1.2
"""A model in memory takes that many times its weights: activations, what is copied on the way."""


def memory_bytes() -> int:
    """Return the memory that is available now, within the limit of a container."""
    limit = int(provenance.describe_host()["memory_gib"]) << 30
    return min(int(psutil.virtual_memory().available), limit)


def needed_bytes(parameters: int, dtype: str) -> int:
    """Return the memory that a model takes while a script has it, in bytes."""
    return int(parameters * BYTES[dtype] * SPARE) + TORCH_BYTES


def most_parameters(dtype: str) -> int:
    """Return how many parameters there is memory for, drawn and then copied to be saved."""
    return max(int((memory_bytes() - TORCH_BYTES) / (2 * BYTES[dtype])), 0)


def refuse_large(name: str, place: Path, *, disk: int, memory: int) -> None:
    """Refuse what cannot fit.

    Args:
        name: the model.
        place: a folder on the disk that it goes to.
        disk: bytes of its weights.
        memory: bytes that making it takes.

    Raises:
        MachineError: says what it takes and what there is.

    """
    free, available = shutil.disk_usage(place).free, memory_bytes()
    if disk > free:
        raise MachineError(
            f"{name}: its weights take {disk / 1e9:,.1f} GB, and {place} has {free / 1e9:,.1f} GB",
            hint="Free space, give another place with --out, or take a smaller model.",
        )
    if memory > available:
        raise MachineError(
            f"{name}: making it takes {memory / 1e9:,.1f} GB of memory, of which "
            f"{available / 1e9:,.1f} GB are available",
            hint="Free memory, use a larger machine, or take a smaller model or fewer experts.",
        )
