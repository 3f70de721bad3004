"""The mixture-of-experts twin of a dense model: what can have one, how large it is, making it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferometer import __version__
from inferometer.architecture import Config
from inferometer.errors import UsageError
from inferometer.making import room, sameness
from inferometer.model import inspect

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.architecture import Shape
    from inferometer.making.job import Job
    from inferometer.model import ModelFacts

FAMILIES = {"llama": "Mixtral", "mistral": "Mixtral", "qwen3": "Qwen3-MoE"}
"""Dense ``model_type`` -> what its twin is. Both sides have the same attention, and no biases."""
MOST_EXPERTS = 1024
SCRIPT = "upcycle.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """What is asked for: a dense model directory, and the experts and router of its twin."""

    dense: Path
    name: str
    """Of the dense model."""
    experts: int
    top_k: int
    seed: int

    @property
    def title(self) -> str:
        """Return a name for the twin."""
        return f"{self.name}-e{self.experts}k{self.top_k}"


def examine(asked: Twin, cache_root: Path) -> ModelFacts:
    """Return the dense model's facts, or say why it can have no such twin (:class:`UsageError`)."""
    if not 2 <= asked.experts <= MOST_EXPERTS:
        raise UsageError(
            f"--experts {asked.experts}: a mixture has 2 to {MOST_EXPERTS:,} experts",
            hint="One expert is the dense model itself: give 2 or more.",
        )
    if not 1 <= asked.top_k <= asked.experts:
        raise UsageError(
            f"--top-k {asked.top_k}: a token goes to 1 to {asked.experts} of "
            f"{asked.experts} experts",
            hint="Give a smaller --top-k, or more --experts.",
        )
    config = Config(asked.dense.expanduser().absolute() / "config.json")
    facts = inspect(asked.dense, cache_root)
    if (why := _why_none(config, facts)) is not None:
        raise UsageError(
            f"{asked.dense}: {why}",
            hint=f"Upcycling takes dense models of the families {', '.join(FAMILIES)}, in 16 or "
            "32 bits, without biases.",
        )
    if not (asked.dense / "tokenizer.json").is_file():
        raise UsageError(
            f"{asked.dense / 'tokenizer.json'}: missing, so the twin cannot be checked",
            hint="Save the tokenizer with the model (tokenizer.save_pretrained).",
        )
    return facts


def parameters(shape: Shape, experts: int) -> int:
    """Return the parameters of the twin: E MLPs a layer, a router, an output matrix of its own."""
    mlps = shape.sum((group.mlp.parameters, group) for group in shape.layers)
    routers = shape.sum((shape.hidden * experts, group) for group in shape.layers)
    output = shape.output_parameters if shape.tied else 0
    return shape.total_parameters + (experts - 1) * mlps + routers + output


def upcycle(job: Job, asked: Twin, out: Path, cache_root: Path) -> dict[str, Any]:
    """Make the twin in the empty folder ``out``, check it, and return its marker.

    Raises:
        UsageError: the dense model can have no such twin.
        GateError: the twin does not compute the same.
        MachineError: no room, or a script failed.
    """
    facts = examine(asked, cache_root)
    assert facts.shape is not None
    assert facts.dtype is not None
    count = parameters(facts.shape, asked.experts)
    room.refuse_large(
        job.name,
        out,
        disk=count * room.BYTES[facts.dtype],
        memory=room.needed_bytes(count, facts.dtype),
    )
    made = job.run(SCRIPT, asked.dense, out, asked.experts, asked.top_k, asked.seed)
    dtype = sameness.choose_dtype(facts.dtype, count)
    verified = sameness.check(job, asked.dense, out, dtype)
    return {
        "made_by": "sparse upcycling",
        "inferometer": __version__,
        "source": {"name": asked.name, "sha256": facts.sha256},
        "experts": asked.experts,
        "top_k": asked.top_k,
        "seed": asked.seed,
        "routing": "synthetic",
        "weights": "upcycled",
        "made": made,
        "verified": verified,
    }


def _why_none(config: Config, facts: ModelFacts) -> str | None:
    """Return why a model can have no twin, None if it can."""
    biases = [name for name in ("mlp_bias", "attention_bias") if config.raw.get(name)]
    act = config.raw.get("hidden_act", "silu")
    kind = FAMILIES.get(facts.model_type)
    packed = facts.quantization or facts.dtype or "of no known type"
    faults = (
        (facts.architecture == "moe", "is a mixture of experts already"),
        (kind is None, f"model_type {facts.model_type!r} has no twin that computes the same"),
        (biases, f"{' and '.join(biases)} is set, and a {kind} model has none"),
        (
            kind == "Qwen3-MoE" and config.raw.get("use_sliding_window"),
            f"use_sliding_window is set, and a {kind} model slides in other layers",
        ),
        (act != "silu", f"hidden_act is {act!r}, and engines run a {kind} model's with 'silu'"),
        (facts.quantization or facts.dtype not in room.BYTES, f"its weights are {packed}"),
        (facts.shape is None, f"its shape is unknown: {'; '.join(facts.unknown)}"),
    )
    return next((words for holds, words in faults if holds), None)
