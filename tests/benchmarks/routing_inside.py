"""Which experts each token of each engine step took, told by vLLM's own capture hook.

Runs in vLLM's interpreter, by :mod:`tests.benchmarks.routing`. Usage::

    python routing_inside.py MODEL PROMPTS.json TOKENS BATCH...

Prints one line of JSON a batch: ``batch``, and ``steps``: for each decode step that had exactly
BATCH sequences, for each MoE layer, for each token, the experts that it took.

The engine runs in this process, so that its routers can be reached; vLLM's server returns routed
experts on accelerators only (``--enable-return-routed-experts`` wants a runner that needs Triton).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"


def main(model: str, prompts: list[str], tokens: int, batches: list[int]) -> None:
    """Run each batch once and print what was routed."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415 -- the variable above first

    llm = LLM(model, dtype="bfloat16", enforce_eager=True, max_model_len=1024, max_num_seqs=64)
    calls: list[tuple[int, list[list[int]]]] = []
    layers = llm.apply_model(lambda module: bind(module, calls))[0]
    params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
    for batch in batches:
        calls.clear()
        llm.generate(prompts[:batch], params, use_tqdm=False)
        print(json.dumps({"batch": batch, "steps": steps(calls, layers, batch)}), flush=True)


def bind(module, calls: list) -> int:
    """Have every MoE layer's router tell; return how many there are."""
    from vllm.model_executor.layers.fused_moe.layer import MoERunner  # noqa: PLC0415 -- as above

    runners = [each for each in module.modules() if isinstance(each, MoERunner)]
    for number, runner in enumerate(runners):
        runner.router.set_capture_fn(
            lambda ids, number=number: calls.append((number, ids.tolist()))
        )
    return len(runners)


def steps(calls: list, layers: int, batch: int) -> list:
    """Return the steps in which every layer saw ``batch`` tokens: decode steps of all sequences."""
    found, row = [], []
    for number, ids in calls:
        row = [ids] if number == 0 else [*row, ids]
        if number == layers - 1 and len(row) == layers and len(ids) == batch:
            found.append(row)
    return found


if __name__ == "__main__":
    texts = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    main(sys.argv[1], texts, int(sys.argv[3]), [int(batch) for batch in sys.argv[4:]])
