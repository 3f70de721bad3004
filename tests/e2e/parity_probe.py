"""Answer and score fixed texts with vLLM's own engine, one model after the other, in one process.

Runs in vLLM's environment: ``python parity_probe.py TEXTS OUT NAME=DTYPE=MODEL ...``. TEXTS is a
JSON list of token ids; OUT gets ``NAME.json``: for each text the log-probabilities of its tokens
but the first, and 16 greedy tokens (a study asks for 64, most of the time here). A NAME that begins
with ``int4`` has its linear weights rounded to 15 levels per output channel first, and back to
bfloat16.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ |= {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_PLUGINS": "",
    "HF_HUB_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",  # compiling what gathers log-probabilities takes longer than they
    # threads wait for each other in loops, half of all the time where another process runs beside
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def main(texts: Path, out: Path, variants: list[str]) -> None:
    """Write what each variant says."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415 -- only this needs it

    prompts = [{"prompt_token_ids": ids} for ids in json.loads(texts.read_text(encoding="utf-8"))]
    greedy = SamplingParams(temperature=0, max_tokens=16, ignore_eos=True, prompt_logprobs=0)
    for variant in variants:
        name, dtype, model = variant.split("=", 2)
        with tempfile.TemporaryDirectory() as folder:
            path = coarse(Path(model), Path(folder)) if name.startswith("int4") else Path(model)
            engine = LLM(model=str(path), dtype=dtype, enforce_eager=True, max_model_len=256)
            said = engine.generate(prompts, greedy, use_tqdm=False)
        rows = [
            {
                "logprobs": [
                    scored[token].logprob
                    for token, scored in zip(
                        one.prompt_token_ids[1:], one.prompt_logprobs[1:], strict=True
                    )
                ],
                "token_ids": list(one.outputs[0].token_ids),
            }
            for one in said
        ]
        (out / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
        del engine
        gc.collect()


def coarse(dense: Path, folder: Path) -> Path:
    """Write a copy of ``dense`` whose linear weights are symmetric int4 per output channel."""
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 -- only this needs it

    tensors = load_file(dense / "model.safetensors")
    for name, weight in tensors.items():
        if name.endswith("_proj.weight"):
            wide = weight.float()
            step = wide.abs().amax(dim=-1, keepdim=True) / 7
            tensors[name] = ((wide / step).round().clamp(-7, 7) * step).to(weight.dtype)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for file in dense.glob("*.json"):
        if file.name != "inferometer.json":
            shutil.copyfile(file, folder / file.name)
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
