"""Ours against ``vllm bench serve`` on one running vLLM server: output tok/s and mean TPOT.

Usage: ``python tests/benchmarks/vllm_bench_parity.py [--runs 3] [--requests 48]``

Both send the same number of requests of 128 tokens in, 64 out, at 8 streams, in turn. Ours is
computed from the stored rows with the peer's span (first send to last event) and formulas: output
tokens of completed requests over the span; mean over requests of (E2E - TTFT) / (tokens - 1).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import environment, packaged, store, workload
from inferometer.engine import LaunchContext, LaunchSpec
from inferometer.launch import scrubbed, serve
from inferometer.load.driver import LoadPlan, drive
from inferometer.load.http import Target
from inferometer.plugins import Registry
from inferometer.point import request_bodies
from inferometer.ports import lease
from inferometer.records import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.engine import Engine
    from inferometer.launch import Server

STREAMS, INPUT, OUTPUT = 8, 128, 64
PEER = """
import sys
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[1:]))
"""


def figures(rows: Sequence[Request]) -> tuple[float, float]:
    """Return (output tok/s, mean TPOT in ms) of completed requests, as the peer defines them."""
    done = [row for row in rows if row.status == "ok" and row.phase == "load"]
    span_s = (max(row.end_ns or 0 for row in done) - min(row.sent_ns for row in done)) / 1e9
    tokens = sum(row.output_tokens or 0 for row in done)
    tpot = [
        ((row.last_ns or 0) - (row.first_ns or 0)) / 1e6 / ((row.output_tokens or 0) - 1)
        for row in done
    ]
    return tokens / span_s, statistics.mean(tpot)


def ours(
    server: Server, engine: Engine, model: Path, requests: int, seed: int, folder: Path
) -> tuple[float, float]:
    """Send the load with our generator, store the rows, and compute from what was stored."""
    work = workload.build(model / "tokenizer.json", INPUT, requests + STREAMS + 1, seed)
    bodies = request_bodies(engine, str(model), work, [OUTPUT] * len(work))
    target = Target(host=server.host, port=server.port, path=engine.endpoint)
    plan = LoadPlan(concurrency=STREAMS, requests=requests, warmup_requests=1)
    result = drive(target, bodies.__getitem__, plan)
    file = folder / f"ours-{seed}.jsonl"
    store.append_lines(file, result.requests)
    return figures(store.read_lines(file, Request))


def peer(
    server: Server, python: Path, model: Path, requests: int, seed: int, folder: Path
) -> tuple[float, float]:
    """Run ``vllm bench serve`` from the engine's environment; return its own figures."""
    name = f"peer-{seed}.json"
    line = [str(python), "-c", PEER, "--backend", "openai", "--endpoint", "/v1/completions"]
    line += ["--host", server.host, "--port", str(server.port), "--model", str(model)]
    line += ["--dataset-name", "random", "--random-input-len", str(INPUT)]
    line += ["--random-output-len", str(OUTPUT), "--random-range-ratio", "0.0"]
    line += ["--num-prompts", str(requests), "--max-concurrency", str(STREAMS), "--ignore-eos"]
    line += ["--temperature", "0", "--seed", str(seed), "--disable-tqdm", "--save-result"]
    line += ["--result-dir", str(folder), "--result-filename", name]
    subprocess.run(line, check=True, env=scrubbed({}), stdout=subprocess.DEVNULL)
    said = json.loads((folder / name).read_text())
    assert said["completed"] == requests, said
    assert said["total_output_tokens"] == requests * OUTPUT, said
    return said["output_throughput"], said["mean_tpot_ms"]


def main() -> int:
    """Start one server, alternate the two clients, print each run and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--requests", type=int, default=48)
    options = parser.parse_args()
    root = environment.cache_root()
    engine = Registry().engines()["vllm"]
    platform = environment.current_platform()
    built = environment.prepare(engine.requirements(platform), platform, root, print)
    model = packaged.ensure("smollm2-135m", built.python, root, print)
    with tempfile.TemporaryDirectory() as name, lease(root / "ports", "127.0.0.1") as port:
        folder = Path(name)
        context = LaunchContext(
            python=built.python,
            version=built.version,
            model_path=model,
            model_name=str(model),
            host="127.0.0.1",
            port=port,
            platform=platform,
            spec=LaunchSpec(graphs=False, max_model_len=2048),
            profile="defaults",
            cores=2,
            memory_bytes=0,
        )
        with serve(
            engine.command(context),
            host="127.0.0.1",
            port=port,
            readiness=engine.readiness,
            failures=engine.failures,
            folder=folder,
        ) as server:
            mine, theirs = [], []
            for run in range(options.runs):
                mine.append(ours(server, engine, model, options.requests, run, folder))
                theirs.append(
                    peer(server, built.python, model, options.requests, 100 + run, folder)
                )
                print(
                    f"run {run + 1}: ours {mine[-1][0]:.2f} tok/s, TPOT {mine[-1][1]:.2f} ms;"
                    f" vllm bench {theirs[-1][0]:.2f} tok/s, TPOT {theirs[-1][1]:.2f} ms",
                    flush=True,
                )
    for index, label in enumerate(("output tok/s", "mean TPOT")):
        ratio = statistics.mean(r[index] for r in mine) / statistics.mean(r[index] for r in theirs)
        print(f"{label}: ours / vllm bench {built.version} = {ratio:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
