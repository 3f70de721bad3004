"""Make the result files that the importers' tests read: each peer against the oracle.

Usage: ``python -m tests.benchmarks.peer_files [--out tests/golden/importers]``

Eight requests of twelve tokens in two streams; the first event comes after 40 ms, and each brings
three tokens, 10 ms a token: so gaps between events (30 ms) are not times of tokens. Paths, prompts
and what no importer looks at are cut out of the files.

SGLang's file is not made here, since its client needs the whole engine: with the environment and
the stubs of docs/how-to/sglang-lane.md, and a module ``datasets`` that holds nothing, the same load
was sent by ``python -m sglang.bench_serving --backend vllm-chat --dataset-name random-ids
--random-input-len 64 --random-output-len 12 --random-range-ratio 1 --num-prompts 8
--max-concurrency 2 --output-details`` (0.5.23).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks import processes, tools

OPTIONS = {"ttft_ms": "40", "itl_ms": "10", "tokens": "12", "tokens_per_chunk": "3"}
CUT = ("http_", "effective_", "active_", "usage_", "tokens_in", "credit_")
"""Beginnings of AIPerf's metrics that are left out."""


def asked(tool: tools.Tool) -> tools.Tool:
    """Return a peer that also writes what it knows of each request."""

    def command(load: tools.Load, folder: Path) -> list[str | Path]:
        line = tool.command(load, folder)
        if tool.name == "vllm bench serve":
            line += ["--save-detailed", "--percentile-metrics", "ttft,tpot,itl,e2el"]
            line += ["--metric-percentiles", "50,90,99"]
        return ["records" if word == "summary" else word for word in line]

    return replace(tool, command=command)


def clean(value: Any, folder: Path) -> Any:
    """Return a JSON value without this machine's paths: of each only the end is left."""
    if isinstance(value, dict):
        return {key: clean(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item, folder) for item in value]
    if not isinstance(value, str):
        return value
    roots = "|".join(re.escape(str(root)) for root in (folder, Path.home()))
    return re.sub(rf"(?:{roots})(?:/[^\s'\"/]+)*/", "", value)


def cut(name: str, said: Any) -> Any:
    """Return what an importer looks at, and enough around it to be a file of its tool."""
    if name == "aiperf":
        return {key: value for key, value in said.items() if not key.startswith(CUT)}
    if name == "guidellm":
        said["metadata"]["platform"] = "Linux"
        (benchmark,) = said["benchmarks"]
        for kind in ("image", "video", "audio", "tool_call", "text"):
            benchmark["metrics"].pop(kind)
        for request in benchmark["requests"]["successful"]:
            request["request_args"] = None
    return said


def main() -> int:
    """Run each peer once and write its files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("tests/golden/importers"))
    out: Path = parser.parse_args().out
    for tool in map(asked, tools.peers()):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            with processes.oracle(folder, OPTIONS | {"as_asked": "true"}) as served:
                load = tools.Load(served.url, requests=8, output_tokens=12, streams=2)
                done = processes.run(
                    tool.command(load, folder), folder / "log.txt", tool.variables, 300
                )
            if done.status:
                raise SystemExit((folder / "log.txt").read_text(errors="replace"))
            keep(tool.name, folder, out)
    return 0


def keep(name: str, folder: Path, out: Path) -> None:
    """Write what a peer left in ``folder`` into ``out``."""
    found = {
        "vllm bench serve": {"vllm-bench.json": "said.json"},
        "guidellm": {"guidellm.json": "said.json"},
        "aiperf": {
            f"aiperf/{file}": f"aiperf/{file}"
            for file in ("profile_export_aiperf.json", "profile_export.jsonl")
        },
    }[name]
    for target, source in found.items():
        path = out / target
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (folder / source).read_text(encoding="utf-8").splitlines()
        texts = lines if source.endswith(".jsonl") else ["".join(lines)]
        cleaned = [cut(name, clean(json.loads(text), folder)) for text in texts]
        path.write_text("".join(json.dumps(one) + "\n" for one in cleaned), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
