"""Which dense and MoE models are compared, what is equal between them, and who is kept out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import KeptOut, ModelPair
from inferometer.matching.matches import Subject, matches
from inferometer.reasons import listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Match, Model

WORDS = {
    "total_parameters": "total parameters",
    "active_parameters": "active parameters",
    "memory": "memory",
    "quality": "quality",
}


def pairs(models: Sequence[Model]) -> list[tuple[Model, Model]]:
    """Return (dense, MoE): a twin with its own dense model, a trained MoE with every trained dense.

    A router that was drawn, or weights that were, make no model that anybody would serve.
    """
    dense = [model for model in models if model.architecture == "dense"]
    return [
        (left, right)
        for right in models
        if right.architecture == "moe"
        for left in dense
        if (right.twin_of == left.name and right.weights != "random")
        or (right.twin_of is None and _trained(left) and _trained(right))
    ]


def is_twin(moe: Model, dense: Model) -> bool:
    """Say whether a MoE model computes the same function as a dense one by its making.

    ``twin_of`` alone is the study's word for what is compared; copied weights are what makes it so.
    """
    return moe.twin_of == dense.name and moe.weights == "upcycled"


def _trained(model: Model) -> bool:
    return model.routing != "synthetic" and model.weights == "trained"


def kept_out(models: Sequence[Model]) -> list[KeptOut]:
    """Return the models that take no part beside trained ones."""
    names = {model.name for model in models if model.architecture == "dense"}
    return [
        KeptOut(model=model.name, reason=_reason(model), detail=_detail(model, names))
        for model in models
        if not _trained(model)
    ]


def _reason(model: Model) -> str:
    return "synthetic_routing" if model.routing == "synthetic" else "random_weights"


def _detail(model: Model, dense: set[str]) -> str:
    if model.architecture == "dense":
        return "random weights answer nothing: it has no quality that a trained model could match"
    if model.weights == "random" and model.twin_of is not None:
        return "its weights are random: it computes no dense model's function to be compared with"
    if model.twin_of in dense:
        return f"compared with {model.twin_of}, its own dense model, alone: MoE overhead"
    if model.twin_of is not None:
        return f"its own dense model, {model.twin_of}, did not run: there is nothing it compares to"
    return "it is no twin of a dense model here, so there is nothing it compares to"


def subject(
    model: Model, *, weights_bytes: int | None = None, accelerators: int | None = None
) -> Subject:
    """Return what matches are made of: ``weights_bytes`` as served, else those of the files."""
    return Subject(
        name=model.name,
        total_parameters=model.total_parameters,
        active_parameters=model.active_parameters,
        weights_bytes=weights_bytes if weights_bytes is not None else model.weights_bytes,
        accelerators=accelerators,
        quality=model.quality,
        twin_of=model.twin_of if model.weights == "upcycled" else None,
    )


def model_pairs(
    models: Sequence[Model],
    accelerators: Mapping[tuple[str, str], int],
    sizes: Mapping[tuple[str, str], int],
) -> list[ModelPair]:
    """Return every pair with its matches.

    ``accelerators`` and ``sizes`` (bytes of the weights as served) are by stack and model. They
    count for a model that all stacks serve alike; else its files say how many bytes it has.
    """
    return [
        ModelPair(
            dense=dense.name,
            moe=moe.name,
            matches=found,
            overhead=is_twin(moe, dense),
            statement=_statement(dense, moe, found),
        )
        for dense, moe in pairs(models)
        for found in [matches(*(_served(model, accelerators, sizes) for model in (dense, moe)))]
    ]


def _served(
    model: Model,
    accelerators: Mapping[tuple[str, str], int],
    sizes: Mapping[tuple[str, str], int],
) -> Subject:
    alike = [
        numbers.pop() if len(numbers) == 1 else None
        for known in (sizes, accelerators)
        for numbers in [{number for (_, name), number in known.items() if name == model.name}]
    ]
    return subject(model, weights_bytes=alike[0], accelerators=alike[1])


def _statement(dense: Model, moe: Model, found: Sequence[Match]) -> str:
    """Say what ratios of a pair say and what not."""
    if is_twin(moe, dense):
        words = f"{moe.name} computes the same function as {dense.name}, so the ratios show what "
        words += "routing and the experts' bytes cost at equal quality"
        drawn = "; its router is random, so they say nothing of a trained MoE model"
        return f"{words}{drawn if moe.routing == 'synthetic' else ''}."
    equal = [WORDS[one.kind] for one in found if one.holds]
    apart = [WORDS[one.kind] for one in found if one.holds is False]
    unknown = [WORDS[one.kind] for one in found if one.holds is None]
    parts = [f"equal in {listing(equal)}" if equal else "equal in nothing that is known"]
    parts += [f"not in {listing(apart)}"] if apart else []
    parts += [f"not known in {listing(unknown)}"] if unknown else []
    words = f"{moe.name} and {dense.name} are {', '.join(parts)}"
    if "quality" in equal:
        return f"{words}: the ratios compare two models that answer equally well by that score."
    return f"{words}: the ratios compare their running, not what their answers are worth."


def match_words(
    dense: Model,
    moe: Model,
    found: Sequence[Match],
    dense_precision: str = "",
    moe_precision: str = "",
) -> str:
    """Say which matches of a pair hold, and where each was served in a precision of its own."""
    if is_twin(moe, dense):
        words = "the same function: equal quality by construction (upcycled twin)"
        if moe.routing == "synthetic":
            words += "; the routing is synthetic, so this is MoE overhead, not a trained MoE"
    else:
        equal = [WORDS[one.kind] for one in found if one.holds]
        words = f"equal in {listing(equal)}" if equal else "nothing matched"
        if "quality" not in equal:
            words += ", quality differs" if found[-1].holds is False else ", quality unknown"
        words += (
            f": {_count(moe.active_parameters)} active of {_count(moe.total_parameters)} "
            f"parameters against {_count(dense.total_parameters)}"
        )
    if dense_precision and moe_precision and dense_precision != moe_precision:
        words += f"; NOT the precision: {moe_precision} over {dense_precision}"
    return words


def _count(parameters: int | None) -> str:
    return "unknown" if parameters is None else f"{parameters:,}"
