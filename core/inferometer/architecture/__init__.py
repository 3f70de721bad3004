"""A model's shape from its ``config.json``: parameters, experts, KV bytes, work per step.

Parameters (norms and biases ignored: less than 0.1 % of each family in :data:`FAMILIES`, held to
transformers' own modules by a test). H hidden, V vocabulary, nh and nkv attention and KV heads, hd
head width, I dense MLP width, E experts, k of them per token, Im expert width, Is shared width::

    attention   = 2*H*nh*hd + 2*H*nkv*hd        other mixers: see :mod:`.mixers`
    dense MLP   = 3*H*I
    MoE MLP     = E*3*H*Im + H*E + 3*H*Is       active: k*3*H*Im + H*E + 3*H*Is
    embeddings  = V*H, twice unless input and output share them; all of them count as active

What the file does not say is not guessed: the facts that need it are unknown, and the field is
named. Shapes of tensors then still give the total.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from inferometer.architecture.config import (
    CONTEXT,
    EXPERTS,
    LARGEST_JSON,
    Config,
    MissingError,
    read_json,
)
from inferometer.architecture.families import FAMILIES, family_of
from inferometer.architecture.shape import Layers, Mlp, Shape
from inferometer.architecture.work import (
    Work,
    decode,
    experts_touched,
    kv_elements,
    prefill,
    touched_by,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.architecture.families import Family

__all__ = [
    "FAMILIES",
    "LARGEST_JSON",
    "Config",
    "Shape",
    "Tensors",
    "Work",
    "decode",
    "describe",
    "experts_touched",
    "kv_elements",
    "prefill",
    "read_json",
    "touched_by",
]

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
MOST = 10**15
"""No count of parameters is near it: a file that says more is damaged or hostile."""
SMALL = "norms and biases are left out (less than 0.1 %)"
TEXT = "only the text part is counted, not what reads images or sound"
DRAFT = "layers that draft further tokens are left out; an engine loads them only to speculate"


class Tensors(Struct, frozen=True, kw_only=True):
    """What the headers of the weight files say: elements, and the type most of them have."""

    elements: int
    dtype: str | None
    """None unless most elements are floats of 16 or 32 bits: packed weights cannot be counted."""
    expert_elements: int = 0
    """Elements of tensors that belong to routed experts, by their names."""


def describe(config: Config, tensors: Tensors) -> dict[str, Any]:
    """Return the facts that follow from the configuration and the tensors' shapes."""
    missing: list[str] = []
    dtype = config.dtype or tensors.dtype
    shape, notes = None, []
    try:
        family = family_of(config)
        shape = shape_of(config, family)
        notes = _notes(config, family)
    except MissingError as error:
        missing.append(str(error))
    if shape is not None:
        if max(shape.total_parameters, shape.kv_elements, shape.state_elements) > MOST:
            raise config.wrong("its dimensions", f"multiply to more than {MOST:,} parameters")
        counts = _from_shape(shape, BYTES.get(dtype or ""))
        notes += _disagreement(shape.total_parameters, tensors)
    else:
        counts = _from_tensors(config, tensors, missing)
    return {
        **counts,
        "model_type": config.model_type,
        "shape": shape,
        "approximations": tuple(notes),
        "unknown": tuple(missing),
        "hidden": _unless_missing(lambda: config.hidden),
        "layers": _unless_missing(lambda: config.layers),
        "dtype": dtype,
        "quantization": config.quantization,
        "context_length": config.get(*CONTEXT),
    }


def shape_of(config: Config, family: Family) -> Shape:
    """Return the shape of a model of a known family.

    Raises:
        MissingError: a field that the formulas need is not there.
    """
    numbers = range(config.layers)
    kinds = config.names("layer_types") or [family.pattern(config, it) for it in numbers]
    if len(kinds) < len(numbers):
        raise MissingError("layer_types", "is shorter than the model")
    sparse = _sparse(config, family)
    groups: dict[tuple[str, bool], list[int]] = {}
    for number, kind in zip(numbers, kinds, strict=False):
        if kind not in family.mixers:
            raise MissingError("layer_types", f"names {kind[:50]!r}, of which nothing is known")
        groups.setdefault((kind, sparse(number)), []).append(number)
    tied = "tie_embedding" if "tie_embedding" in config.raw else "tie_word_embeddings"
    return Shape(
        hidden=config.hidden,
        vocabulary=config.one(["vocab_size"]),
        tied=config.flag(tied),
        layers=tuple(
            Layers(
                numbers=tuple(members),
                mixer=family.mixers[kind](config),
                mlp=_moe(config, family) if experts else _dense(config, family),
            )
            for (kind, experts), members in groups.items()
        ),
    )


def _sparse(config: Config, family: Family) -> Callable[[int], bool]:
    rule = family.sparse
    if not config.experts:
        return lambda _: False
    if rule is None:
        field = next(name for name in EXPERTS if config.raw.get(name) is not None)
        raise MissingError(field, f"is set, but {config.model_type!r} has no experts")
    return lambda number: rule(config, number)


def _dense(config: Config, family: Family) -> Mlp:
    return Mlp(parameters=3 * config.hidden * config.one([family.dense_width]))


def _moe(config: Config, family: Family) -> Mlp:
    hidden, width = config.hidden, config.alike(family.expert_width)
    if not width:
        raise MissingError(family.expert_width)
    shared = _shared_width(config, *family.shared) if family.shared else 0
    gate = hidden if shared and family.shared_gate else 0
    return Mlp(
        parameters=hidden * config.experts + 3 * hidden * shared + gate,
        experts=config.experts,
        top_k=config.top_k,
        expert_parameters=3 * hidden * width,
        expert_width=width,
        shared_width=shared,
    )


def _shared_width(config: Config, count: str, width: str) -> int:
    many = int(count) if count.isdecimal() else config.alike(count)
    one = config.alike(width)
    if many is None or one is None:
        raise MissingError(count if many is None else width)
    return many * one


# -- facts -----------------------------------------------------------------------------------------


def _from_shape(shape: Shape, bytes_each: int | None) -> dict[str, Any]:
    experts = [group.mlp for group in shape.layers if group.mlp.experts]
    return {
        "architecture": "moe" if experts else "dense",
        "counted": "formula",
        "total_parameters": shape.total_parameters,
        "active_parameters": shape.active_parameters,
        "embedding_parameters": shape.embedding_parameters,
        "experts": experts[0].experts if experts else None,
        "top_k": experts[0].top_k if experts else None,
        "kv_bytes_per_token": shape.kv_elements * bytes_each if bytes_each else None,
    }


def _from_tensors(config: Config, tensors: Tensors, missing: list[str]) -> dict[str, Any]:
    """Count elements: the total, and what is active if the tensors' names tell the experts."""
    moe = config.has_experts or tensors.expert_elements > 0
    experts, top_k = _routing(config, missing) if moe else (None, None)
    total = tensors.elements if tensors.dtype and tensors.elements else None
    if total is None:
        missing.append("the weights are packed, so their elements are not parameters")
    active = None if moe else total
    if total is not None and experts and top_k and tensors.expert_elements:
        active = total - tensors.expert_elements * (experts - top_k) // experts
    return {
        "architecture": "moe" if moe else "dense",
        "counted": None if total is None else "tensors",
        "total_parameters": total,
        "active_parameters": active,
        "embedding_parameters": None,
        "experts": experts,
        "top_k": top_k,
        "kv_bytes_per_token": None,
    }


def _routing(config: Config, missing: list[str]) -> tuple[int | None, int | None]:
    """Return experts and top-k as far as the file says; what it does not say goes to the list."""
    experts = top_k = None
    try:
        experts = config.experts or None
        if experts:
            top_k = config.top_k
        else:
            missing.append(f"{EXPERTS[0]} is missing")
    except MissingError as error:
        if str(error) not in missing:
            missing.append(str(error))
    return experts, top_k


def _notes(config: Config, family: Family) -> list[str]:
    notes = [SMALL, *family.notes]
    if config.wrapped:
        notes.append(TEXT)
    if config.get("num_nextn_predict_layers"):
        notes.append(DRAFT)
    return notes


def _disagreement(formula: int, tensors: Tensors) -> list[str]:
    """Say it when the weights hold another number of elements than the formulas give."""
    if not tensors.dtype or abs(tensors.elements / formula - 1) <= 1e-3:
        return []
    return [f"the weights hold {tensors.elements:,} elements where the formulas give {formula:,}"]


def _unless_missing(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except MissingError:
        return None
