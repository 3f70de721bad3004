"""One decode step of a launch: what it must read and compute, from what was recorded of its model.

From the model's shape (:mod:`inferometer.architecture.work`), which launches record; from the
totals alone where an older one does not: then every active parameter counts two FLOPs a token
(the input embedding with them, attention left out), and all layers have the same experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferometer.architecture import Shape, Work, decode, experts_touched

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_SHAPE = (
    "without the model's shape, which was not recorded: two FLOPs for each active parameter, "
    "attention left out"
)
KV_BYTES = {"fp8": 1, "int8": 1}
OWN_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


class Split(NamedTuple):
    """How a step is spread: whole copies of the model, and whether experts are shared by them."""

    replicas: int = 1
    shared_experts: bool = False
    """Expert parallel over the replicas: the tokens of all of them meet each expert together."""


ALONE = Split()


def step(
    model: Mapping[str, Any],
    weights_bytes: float,
    *,
    sequences: float,
    context: float,
    split: Split = ALONE,
    kv_type: str = "",
) -> Work:
    """Return the work of one decode step of ``sequences`` over all accelerators.

    Args:
        model: :attr:`inferometer.records.LaunchRecord.model`.
        weights_bytes: of all weights as served (:func:`inferometer.precision.served_bytes`).
        sequences: in one step, those of all replicas together; a mean, so it need not be whole.
        context: tokens that the cache holds for each.
        split: every replica reads all weights, but experts that are shared once.
        kv_type: type of the cache's numbers where it is not the model's own.

    """
    each = max(1.0, sequences / split.replicas)
    shape = _shape(model)
    narrow = kv_width(model, kv_type)
    if shape is None:
        one = _by_totals(model, weights_bytes, each, context * narrow)
    else:
        per = weights_bytes / shape.total_parameters
        width = narrow * OWN_BYTES.get(str(model.get("dtype") or ""), 2)
        one = decode(shape, batch=each, context=context, weight_bytes=per, kv_bytes=width)
    if split.replicas == 1:
        return one
    weights = one.weight_bytes * split.replicas
    touched = one.experts_touched
    if split.shared_experts and touched is not None:
        met = experts_touched(*_routing(model, shape), each * split.replicas)
        expert_bytes = _expert_bytes(model, weights_bytes, shape)
        weights = (one.weight_bytes - touched * expert_bytes) * split.replicas + met * expert_bytes
        touched = met
    return Work(
        tokens=each * split.replicas,
        flops=one.flops * split.replicas,
        weight_bytes=weights,
        cache_bytes=one.cache_bytes * split.replicas,
        experts_touched=touched,
    )


def has_shape(model: Mapping[str, Any]) -> bool:
    """Say whether the launch recorded its model layer by layer."""
    return _shape(model) is not None


def kv_width(model: Mapping[str, Any], kv_type: str) -> float:
    """Return bytes per number of the cache over those of the model's own type."""
    own = OWN_BYTES.get(str(model.get("dtype") or ""), 2)
    known = KV_BYTES | OWN_BYTES
    return next((width for name, width in known.items() if name in kv_type), own) / own


def _shape(model: Mapping[str, Any]) -> Shape | None:
    """Return the recorded shape; None for none, or for one that makes no sense."""
    try:
        found = msgspec.convert(model.get("shape"), Shape)
    except (msgspec.ValidationError, TypeError):
        return None
    mlps = [each.mlp for each in found.layers]
    sane = all(0 < mlp.top_k <= mlp.experts for mlp in mlps if mlp.experts)
    return found if mlps and sane and found.total_parameters > 0 else None


def _routing(model: Mapping[str, Any], shape: Shape | None) -> tuple[int, int]:
    """Return how many experts a MoE layer has, and how many of them a token takes."""
    if shape is not None:
        mlp = next(each.mlp for each in reversed(shape.layers) if each.mlp.experts)
        return mlp.experts, mlp.top_k
    return int(model["experts"]), int(model["top_k"])


def _expert_bytes(model: Mapping[str, Any], weights_bytes: float, shape: Shape | None) -> float:
    """Return the bytes of one expert of every layer together."""
    if shape is not None:
        experts = shape.sum((each.mlp.expert_parameters, each) for each in shape.layers)
        return experts * weights_bytes / shape.total_parameters
    total, active = float(model["total_parameters"]), float(model["active_parameters"])
    idle = int(model["experts"]) - int(model["top_k"])
    return (total - active) / idle * weights_bytes / total


def _by_totals(
    model: Mapping[str, Any], weights_bytes: float, batch: float, context: float
) -> Work:
    total, active = model.get("total_parameters"), model.get("active_parameters")
    experts, top_k = model.get("experts"), model.get("top_k")
    read, touched = weights_bytes, None
    if total and active and experts and top_k and experts > top_k:
        touched = experts_touched(experts, top_k, batch)
        read -= (experts - touched) * _expert_bytes(model, weights_bytes, None)
    return Work(
        tokens=batch,
        flops=2.0 * batch * float(active or total or 0),
        weight_bytes=read,
        cache_bytes=batch * context * float(model.get("kv_bytes_per_token") or 0),
        experts_touched=touched,
    )
