"""Load generators under test: how each is installed, called and read.

Peers live in environments of their own, in the cache, built once from the locks in ``peers/``; they
draw prompts with the tokenizer of the packaged SmolLM2 model, for no model hub is within reach.
All of them send prompts of 128 tokens (ours: words) and ask for usage at the end of the answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks.processes import PYTHON

from inferometer import __version__, environment, packaged
from inferometer.engine import Requirements
from inferometer.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

LOCKS = Path(__file__).with_name("peers")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
INPUT = 128


@dataclass(frozen=True, slots=True)
class Load:
    """What every tool is asked to send: ``streams`` (closed loop) or ``rate`` (Poisson)."""

    url: str
    requests: int
    output_tokens: int
    streams: int | None = None
    rate: float | None = None


class Said(NamedTuple):
    """What a tool reports. None where it does not tell."""

    completed: int | None
    failed: int | None
    mean_ttft_ms: float
    p99_ttft_ms: float | None


@dataclass(frozen=True, slots=True)
class Tool:
    """A load generator."""

    name: str
    version: str
    command: Callable[[Load, Path], list[str | Path]]
    read: Callable[[Path], Said]
    variables: dict[str, str] = field(default_factory=lambda: OFFLINE)


def ours(*more: str) -> Tool:
    """Return ourselves; ``more`` are flags of ``inferometer bench``."""

    def command(load: Load, folder: Path) -> list[str | Path]:
        line: list[str | Path] = [Path(PYTHON).with_name("inferometer"), "bench", load.url]
        line += ["--model", "oracle", "--requests", str(load.requests), "--warmup-requests", "1"]
        line += ["--input-tokens", str(INPUT), "--output-tokens", str(load.output_tokens)]
        if load.rate is not None:
            line += ["--rate", f"{load.rate:g}", "--arrivals", "poisson"]
        else:
            line += ["--concurrency", str(load.streams)]
        return [*line, "--seed", "1", "--json", folder / "said.json", *more]

    def read(folder: Path) -> Said:
        said = _json(folder / "said.json")
        times = said["mean_ttft_ms"], said["p99_ttft_ms"]
        return Said(said["completed"], said["failed"], *times)

    return Tool("inferometer", __version__, command, read)


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def peers() -> list[Tool]:
    """Install what is missing and return the three peers; this may take minutes."""
    root, platform = environment.cache_root(), environment.current_platform()
    engine = Registry().engines()["vllm"]
    vllm = environment.prepare(engine.requirements(platform), platform, root, print)
    model = packaged.ensure("smollm2-135m", vllm.python, root, print)
    built = {
        name: environment.prepare(
            Requirements(
                distribution=name,
                lock=(LOCKS / f"{name}.txt").read_text(encoding="utf-8"),
                optional_index=TORCH_CPU_INDEX,
            ),
            platform,
            root,
            print,
        )
        for name in ("aiperf", "guidellm")
    }
    return [
        _vllm_bench(vllm.python, vllm.version, model),
        _aiperf(built["aiperf"].python, built["aiperf"].version, model),
        _guidellm(built["guidellm"].python, built["guidellm"].version, model),
    ]


VLLM_BENCH = """
import sys
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[1:]))
"""


def _vllm_bench(python: Path, version: str, model: Path) -> Tool:
    def command(load: Load, folder: Path) -> list[str | Path]:
        line: list[str | Path] = [python, "-c", VLLM_BENCH, "--backend", "openai"]
        line += ["--base-url", load.url, "--endpoint", "/v1/completions"]
        line += ["--model", model, "--served-model-name", "oracle", "--dataset-name", "random"]
        line += ["--random-input-len", str(INPUT), "--random-range-ratio", "0.0"]
        line += ["--random-output-len", str(load.output_tokens), "--ignore-eos"]
        line += ["--num-prompts", str(load.requests), "--seed", "1", "--disable-tqdm"]
        if load.rate is not None:
            line += ["--request-rate", f"{load.rate:g}"]
        else:
            line += ["--max-concurrency", str(load.streams)]
        line += ["--save-result", "--result-dir", folder, "--result-filename", "said.json"]
        return line

    def read(folder: Path) -> Said:
        said = _json(folder / "said.json")
        times = said["mean_ttft_ms"], said["p99_ttft_ms"]
        return Said(said["completed"], said.get("failed"), *times)

    return Tool("vllm bench serve", version, command, read)


def _aiperf(python: Path, version: str, model: Path) -> Tool:
    def command(load: Load, folder: Path) -> list[str | Path]:
        line: list[str | Path] = [python.with_name("aiperf"), "profile", "-m", "oracle"]
        line += ["--url", load.url, "--endpoint-type", "completions", "--streaming"]
        line += ["--use-server-token-count", "--tokenizer", model, "--ui", "none"]
        line += ["--request-count", str(load.requests), "--isl", str(INPUT)]
        line += ["--isl-stddev", "0", "--osl", str(load.output_tokens), "--osl-stddev", "0"]
        line += ["--num-dataset-entries", str(load.requests), "--random-seed", "1"]
        line += ["--extra-inputs", "ignore_eos:true", "--no-gpu-telemetry"]
        line += ["--no-server-metrics", "--export-level", "summary"]
        if load.rate is not None:
            line += ["--request-rate", f"{load.rate:g}", "--arrival-pattern", "poisson"]
        else:
            line += ["--concurrency", str(load.streams)]
        return [*line, "--artifact-dir", folder / "aiperf"]

    def read(folder: Path) -> Said:
        (file,) = (folder / "aiperf").rglob("profile_export_aiperf.json")
        said = _json(file)
        ttft = said["time_to_first_token"]
        failed = (said.get("error_request_count") or {}).get("avg", 0)
        return Said(int(said["request_count"]["avg"]), int(failed), ttft["avg"], ttft["p99"])

    # told to be offline it takes a path for the name of a repository, which it then lacks
    return Tool("aiperf", version, command, read, variables={})


def _guidellm(python: Path, version: str, model: Path) -> Tool:
    def command(load: Load, folder: Path) -> list[str | Path]:
        line: list[str | Path] = [python.with_name("guidellm"), "run", "--backend"]
        where = f"target={load.url},model=oracle,request_format=/v1/completions"
        profile = f"kind=concurrent,streams={load.streams}"
        if load.rate is not None:
            profile = f"kind=poisson,rate={load.rate:g}"
        line += [f"kind=openai_http,{where}", "--profile", profile]
        line += ["--constraint", f"kind=max_requests,count={load.requests}"]
        line += ["--tokenizer", f"kind=huggingface_auto,model={model}", "--data"]
        line += [f"kind=synthetic_text,prompt_tokens={INPUT},output_tokens={load.output_tokens}"]
        line += ["--output", f"kind=json,path={folder / 'said.json'}"]
        return [*line, "--disable-console-interactive"]

    def read(folder: Path) -> Said:
        (said,) = _json(folder / "said.json")["benchmarks"]
        totals = said["metrics"]["request_totals"]
        ttft = said["metrics"]["time_to_first_token_ms"]["successful"]
        failed = totals["errored"] + totals["incomplete"]
        return Said(totals["successful"], failed, ttft["mean"], ttft["percentiles"]["p99"])

    return Tool("guidellm", version, command, read)
