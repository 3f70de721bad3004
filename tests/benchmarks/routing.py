"""How many experts a decode step touches: counted on vLLM, against what even routing would touch.

Usage::

    python -m tests.benchmarks.routing --python INTERPRETER --model DIR [--tokens N] [BATCH ...]

INTERPRETER is that of an environment with vLLM (on a processor its server returns no routed
experts, so the engine runs in the child, and its routers are asked). Prompts are sentences of this
project's own documents. For each batch, over all decode steps with exactly that many sequences:
experts touched per MoE layer as counted; expected of even routing, ``E(1-(1-k/E)^B)``; and
expected of the shares that the experts really had, layer by layer, ``sum of 1-(1-p)^B``. What is
then left is that tokens of a step are alike: ``alike`` is 1 minus counted over the last.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from inferometer.model import experts_touched, touched_by

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("routing_inside.py")
VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}

Steps = list[list[list[list[int]]]]
"""Step, MoE layer, token, the experts that it took."""


class Row(NamedTuple):
    """One batch: experts per MoE layer and step."""

    batch: int
    steps: int
    counted: float
    even: float
    skewed: float


def row(batch: int, steps: Steps, experts: int, top_k: int) -> Row:
    """Return what was counted in ``steps``, and what is expected with their batch."""
    counted, skewed = [], []
    for layer in range(len(steps[0])):
        seen = [step[layer] for step in steps]
        counted += [len({expert for token in tokens for expert in token}) for tokens in seen]
        taken = [expert for tokens in seen for token in tokens for expert in token]
        made = sum(len(tokens) for tokens in seen)
        skewed.append(touched_by([taken.count(each) / made for each in range(experts)], batch))
    even = experts_touched(experts, top_k, batch)
    return Row(batch, len(steps), statistics.fmean(counted), even, statistics.fmean(skewed))


def prompts(count: int) -> list[str]:
    """Return sentences from the documents, each of another place."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))]
    found = [
        sentence
        for text in texts
        for sentence in re.findall(r"(?<=\. )[A-Z][^.|`\n]{60,200}\.", text)
    ]
    return found[:: max(1, len(found) // count)][:count]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.routing")
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("batches", type=int, nargs="*", default=[1, 4, 16])
    given = parser.parse_args(argv)
    config = json.loads((given.model / "config.json").read_text(encoding="utf-8"))
    experts, top_k = config["num_local_experts"], config["num_experts_per_tok"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(prompts(max(given.batches)), file)
        file.flush()
        command = [given.python, INSIDE, given.model, file.name, given.tokens, *given.batches]
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, **VARIABLES},
            text=True,
        )
    print(f"{experts} experts, {top_k} a token: experts touched per layer and decode step")
    print("batch  steps  counted  even   off     by shares  off     alike")
    for line in done.stdout.splitlines():
        if not line.startswith('{"batch"'):
            continue
        told = json.loads(line)
        one = row(told["batch"], told["steps"], experts, top_k)
        print(
            f"{one.batch:5}  {one.steps:5}  {one.counted:7.3f}  {one.even:5.3f} "
            f"{one.even / one.counted - 1:+7.1%}  {one.skewed:9.3f} "
            f"{one.skewed / one.counted - 1:+7.1%}  {1 - one.counted / one.skewed:6.1%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
