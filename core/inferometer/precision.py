"""What numbers a stack computes with: type of the activations, of the weights, of the KV cache."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.model import ModelFacts
    from inferometer.records import LaunchRecord, Told
    from inferometer.study import EngineEntry

NAMES = ("dtype", "quantization", "kv_cache_dtype")
OWN = {"", "auto", "none", "null"}
"""Words for the model's own type."""
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
COUNTS = {2, 3, 4, 5, 6, 8, 16, 32}
UNKNOWN_BITS = 4
"""Of a quantisation whose name does not tell: never taken for the finer one."""


def served(said: Mapping[str, Told], entry: EngineEntry, facts: ModelFacts) -> dict[str, str]:
    """Return ``dtype``, and ``quantization`` and ``kv_cache_dtype`` where not the model's own.

    What the engine says goes before what it was asked for, and that before what the checkpoint's
    ``config.json`` says.
    """
    wanted = asked(entry)
    own = {"dtype": facts.dtype, "quantization": facts.quantization}
    found = {}
    for name in NAMES:
        value = said[name].value if name in said else None
        sources = (str(value or ""), wanted.get(name), own.get(name))
        found[name] = next((word for word in map(plain, sources) if word), "")
    stated = re.search(r"\d+-bit", facts.quantization or "")
    if stated and not found["quantization"].endswith(stated[0]):
        found["quantization"] += f" {stated[0]}"
    if found["kv_cache_dtype"] == found["dtype"]:
        found["kv_cache_dtype"] = ""
    return {name: word for name, word in found.items() if word}


def served_bytes(record: LaunchRecord) -> int | None:
    """Return the bytes of the weights as served: those of the files, cast to another float type.

    None where an engine quantised them while loading: then nobody said.
    """
    model, seen = record.model, record.precision
    size, own = model.get("weights_bytes"), str(model.get("dtype") or "")
    if not isinstance(size, int) or not seen:
        return size if isinstance(size, int) else None
    if model.get("quantization"):
        return size
    if seen.get("quantization"):
        return None
    dtype = seen.get("dtype", own)
    if dtype == own:
        return size
    widths = (BYTES.get(dtype), BYTES.get(own))
    return size * widths[0] // widths[1] if widths[0] and widths[1] else None


def asked(entry: EngineEntry) -> dict[str, str]:
    """Return what a study asks for; what it leaves open is missing, ``auto`` stays."""
    values = {name: getattr(entry, name) for name in NAMES}
    if values["kv_cache_dtype"] in {"auto", entry.dtype}:
        values["kv_cache_dtype"] = None
    return {name: value for name, value in values.items() if value}


def plain(word: str | None) -> str:
    """Return a type's name without the library in front; empty for the model's own."""
    word = (word or "").removeprefix("torch.").strip()
    return "" if word.lower() in OWN else word[:64]


def words(precision: Mapping[str, str]) -> str:
    """Return ``bfloat16``, or ``bfloat16, weights awq, KV fp8`` where the parts differ."""
    parts = [precision.get("dtype", "")]
    for name, title in (("quantization", "weights"), ("kv_cache_dtype", "KV")):
        if precision.get(name):
            parts.append(f"{title} {precision[name]}")
    return ", ".join(part for part in parts if part)


def bits(text: str) -> int:
    """Return the bits of the coarsest part that ``text`` (as of :func:`words`) names."""
    first, *others = text.split(", ")
    found = [_bits(first, 16)]
    found += [_bits(part, UNKNOWN_BITS if part.startswith("weights") else 16) for part in others]
    return min(found)


def _bits(part: str, otherwise: int) -> int:
    """Return the smallest count of bits in a name such as ``w4a16``, ``fp8_e4m3``, ``float32``."""
    name = re.sub(r"e\dm\d\w*", "", part.lower())
    known = [int(count) for count in re.findall(r"\d+", name) if int(count) in COUNTS]
    return min(known, default=otherwise)
