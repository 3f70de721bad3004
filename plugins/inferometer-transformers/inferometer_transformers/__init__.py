"""Hugging Face ``transformers serve`` (5.19) as an engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from inferometer import hookimpl
from inferometer.engine import (
    Adapter,
    Command,
    FailureClass,
    Knob,
    Readiness,
    Requirements,
    Unsupported,
    translated,
    valued,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.engine import Completion, Engine, LaunchContext, Platform

CPU_KV_GIB = 2
"""KV cache on CPU, in GiB, as a share of memory. Left alone, the server takes 90 % of the machine
and spends most of a minute touching it when the first request comes (measured with 5.19)."""
READINESS = Readiness(path="/health", deadline_s=300.0)
FAILURES = (
    FailureClass(
        r"address already in use", "port_in_use", "Run again: another port will be chosen."
    ),
    FailureClass(
        r"out of memory|DefaultCPUAllocator",
        "out_of_memory",
        "Free memory on the device, or choose a smaller model.",
    ),
    FailureClass(
        r"does not recognize this architecture|Unrecognized model",
        "unsupported",
        "Choose a model this transformers version knows.",
    ),
    FailureClass(r"No such option", "bad_flag", "Correct extra_args."),
)


BLOCK = 256
"""Tokens in one block of its KV cache, said aloud where a capacity in tokens is asked for."""


@dataclass(frozen=True, slots=True)
class TransformersServe(Adapter):
    """The adapter. Continuous batching is on: without it the server answers one by one."""

    name: str = "transformers"
    distributions: Sequence[str] = ("transformers",)
    versions: Sequence[str] = ("5.19.0",)
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    request_fields: frozenset[str] = frozenset(
        ("model", "prompt", "max_tokens", "temperature", "stream", "generation_config")
    )
    known_failures: ClassVar[Mapping[str, str]] = {
        "cache-is-off-or-reset": "its server shares prefixes between requests and has no option "
        "against it; the prompts of a study differ from their first token on",
    }

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked CPU environment for x86-64 Linux."""
        if (platform.system, platform.machine, platform.accelerator) != ("linux", "x86_64", "cpu"):
            raise Unsupported(
                f"transformers: no locked requirements for {platform}",
                remedy="Set python = PATH to an interpreter that has transformers[serving].",
            )
        lock = files("inferometer_transformers") / "requirements-linux-x86_64-cpu.txt"
        return Requirements(
            lock=lock.read_text(encoding="utf-8"),
            distribution="transformers",
            optional_index="https://download.pytorch.org/whl/cpu",
        )

    def command(self, context: LaunchContext) -> Command:
        """Return ``transformers serve`` with one forced model."""
        spec = context.spec
        flags = translated("transformers", spec, WORDS)
        on_cpu = context.platform.accelerator == "cpu"
        argv = [
            *(str(context.python.parent / "transformers"), "serve", str(context.model_path)),
            "--continuous-batching",
            *("--device", "cpu" if on_cpu else "auto"),
            *(part for words in flags for part in words),
            *("--host", context.host, "--port", str(context.port)),
            *("--log-level", "warning"),
        ]
        if on_cpu and spec.kv_cache_tokens is None:
            share = CPU_KV_GIB * 2**30 / context.memory_bytes
            argv += ["--cb-max-memory-percent", f"{min(share, 0.9):.6f}"]
        return Command(argv=(*argv, *spec.extra_args), env=dict(spec.extra_env))

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the body: text, greedy, exact length; no other field is accepted."""
        return {
            "model": completion.model,
            "prompt": completion.prompt_text,
            "max_tokens": completion.output_tokens,
            "temperature": 0,
            "stream": completion.stream,
            "generation_config": json.dumps({"eos_token_id": -1, "do_sample": False}),
        }

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        """Return the size of a step, and on a GPU the attention kernels.

        Left out: ``--compile``, which chooses a cache that continuous batching does not use.
        """
        step = Knob(
            name="max_num_batched_tokens",
            values=(512, 2048),
            why="its attention masks grow with the square of the default of 8192 (PagedAttention"
            "MemoryHandler.attention_mask_bytes)",
        )
        if context.platform.accelerator == "cpu":
            return [step]
        why = "needs no mask; the kernels are a package of their own"
        return [step, Knob(name="attention_backend", values=("flash_attention_2",), why=why)]


def _kv_tokens(tokens: int) -> Sequence[str]:
    if tokens % BLOCK:
        raise Unsupported(
            f"transformers: kv_cache_tokens comes in blocks of {BLOCK}, not {tokens}",
            remedy=f"Choose a multiple of {BLOCK}.",
        )
    return ("--cb-block-size", str(BLOCK), "--cb-num-blocks", str(tokens // BLOCK))


WORDS: Mapping[str, Callable[[Any], Sequence[str]]] = {
    "dtype": valued("--dtype"),
    "max_num_batched_tokens": valued("--cb-max-batch-tokens"),
    "kv_cache_tokens": _kv_tokens,
    "graphs": lambda on: ("--compile",) if on else (),
    "quantization": valued("--quantization"),
    "attention_backend": valued("--attn-implementation"),
    "seed": valued("--default-seed"),
}
"""Its words for the terms of a launch; every other term is refused by name."""


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the adapter."""
    return [TransformersServe()]
