"""Hugging Face ``transformers serve`` (5.19) as an engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from inferometer import hookimpl
from inferometer.engine import Command, FailureClass, Readiness, Requirements, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@dataclass(frozen=True, slots=True)
class TransformersServe:
    """The adapter. Continuous batching is on: without it the server answers one by one."""

    name: str = "transformers"
    simulated: bool = False
    distributions: Sequence[str] = ("transformers",)
    endpoint: str = "/v1/completions"
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = ()

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked CPU environment for x86-64 Linux."""
        if (platform.system, platform.machine, platform.accelerator) != ("linux", "x86_64", "cpu"):
            raise Unsupported(
                f"transformers: no locked requirements for {platform}; "
                "set python = PATH to an interpreter that has transformers[serving]"
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
        refused = {
            "max_model_len": spec.max_model_len,
            "max_num_seqs": spec.max_num_seqs,
            "prefix_caching": spec.prefix_caching,
            "tensor_parallel_size": None if spec.tensor_parallel_size == 1 else "> 1",
        }
        for field_name, value in refused.items():
            if value is not None:
                raise Unsupported(f"transformers: {field_name} has no equivalent in its server")
        if context.profile != "defaults":
            raise Unsupported(f"transformers: profile {context.profile!r} is not available")
        on_cpu = context.platform.accelerator == "cpu"
        argv = [
            *(str(context.python.parent / "transformers"), "serve", str(context.model_path)),
            "--continuous-batching",
            *("--device", "cpu" if on_cpu else "auto", "--dtype", spec.dtype),
            *("--host", context.host, "--port", str(context.port)),
            *("--log-level", "warning"),
        ]
        if on_cpu:
            share = CPU_KV_GIB * 2**30 / context.memory_bytes
            argv += ["--cb-max-memory-percent", f"{min(share, 0.9):.3f}"]
        if spec.graphs:
            argv.append("--compile")
        if spec.seed is not None:
            argv += ["--default-seed", str(spec.seed)]
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


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the adapter."""
    return [TransformersServe()]
