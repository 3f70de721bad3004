"""What profile ``tuned`` may try of vLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.engine import Knob, release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.engine import LaunchContext

GUIDE = "docs.vllm.ai, configuration/optimization"
MOST_SEQS = {"cpu": 128, "cuda": 256, "rocm": 256}
"""Least default of max_num_seqs (``EngineArgs.get_batch_defaults``); large cards have more."""
ATTENTION = {"cuda": ("FLASHINFER", "FLASH_ATTN"), "rocm": ("ROCM_AITER_FA", "TRITON_ATTN")}
"""One of them may be what the engine takes by itself."""


def on_cpu(context: LaunchContext) -> bool:
    """Say whether it is the CPU build, which knows and needs other flags."""
    return context.platform.accelerator == "cpu"


def knobs_of(context: LaunchContext) -> Iterator[Knob]:
    """Yield the knobs, the most promising first.

    Left out: no chunked prefill (vLLM itself warns of crashes and wrong output), asynchronous
    scheduling (on already), levels of optimization (-O3 equals the default).
    """
    accelerator, streams = context.platform.accelerator, context.streams or 1
    world = context.spec.tensor_parallel_size * context.spec.pipeline_parallel_size
    usual = MOST_SEQS[accelerator] * (world if on_cpu(context) else 1)
    sizes = (4096, 512) if on_cpu(context) else (16384, 32768, 4096)
    # A step must have room for a token of every request.
    least = max(context.spec.max_num_seqs or usual, streams)
    yield Knob(
        name="max_num_batched_tokens",
        values=tuple(size for size in sizes if size >= least),
        why=f"larger steps prefill more at once, smaller ones disturb decoding less ({GUIDE})",
    )
    seqs = (streams if streams > usual else 0, streams // 2)
    yield Knob(
        name="max_num_seqs",
        values=tuple(size for size in seqs if size not in {0, usual}),
        why=f"a larger batch shares each reading of the weights, a smaller one the cache ({GUIDE})",
    )
    if on_cpu(context):
        why = "without compilation: a small model may gain nothing from it"
        yield Knob(name="graphs", values=(False,), why=why)
        return
    if release(context.version) >= release("0.13.0"):
        why = "kernels differ by card and by length of the context (AttentionBackendEnum)"
        yield Knob(name="attention_backend", values=ATTENTION[accelerator], why=why)
    if context.moe and release(context.version) >= release("0.17.0"):
        why = "kernels of the experts differ by card and precision (KernelConfig.moe_backend)"
        values = ("flashinfer_cutlass", "triton") if accelerator == "cuda" else ("triton", "aiter")
        yield Knob(name="moe_backend", values=values, why=why)
    if streams <= 32 and release(context.version) >= release("0.20.0"):
        yield Knob(
            name="performance_mode",
            values=("interactivity",),
            flags={"interactivity": ("--performance-mode", "interactivity")},
            why="a graph for every small batch, without padding (VllmConfig.performance_mode)",
        )
