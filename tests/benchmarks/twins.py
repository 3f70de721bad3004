"""Does a twin say what its dense model says, on real engines?

For E in {4, 8} and k in {1, 2} a twin of the packaged dense model is made by `inferometer models
upcycle`, which checks it. Then vLLM (its own engine, on the processor) and transformers continue
20 texts of 64 tokens by 64 greedy tokens and score their tokens, dense and twin alike. Prints, for
each engine and twin, the greedy tokens that agree position by position and the log-probability
distance, and ends with 1 when float32 agrees by less than 98 % or differs by more than the limit
of the parity gate.

    python -m tests.benchmarks.twins [--dtype float32] [--twins 4:1,4:2,8:1,8:2] [--folder DIR]

With ``--dtype bfloat16`` nothing is judged: near ties turn by rounding alone, and greedy texts part
from there on, so that the share of equal positions says little. With ``--folder`` twins are kept
there, and found again. Engines run one at a time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inferometer import environment, packaged, workload
from inferometer.installing import clean_variables
from inferometer.making import sameness
from inferometer.making.job import OFFLINE, SCRIPTS
from inferometer.parity import MOST_NATS, Said, compare, match
from inferometer.plugins import Registry

PROBE = Path(__file__).parents[1] / "e2e" / "parity_probe.py"
PROMPTS = 20
TOKENS = 64
LEAST = 0.98


def python_of(engine: str) -> Path:
    """Return the interpreter of an engine's environment, built now if it is not there."""
    platform = environment.current_platform("cpu")
    requirements = Registry().engines()[engine].requirements(platform)
    return environment.prepare(requirements, platform, environment.cache_root(), print).python


def make(experts: int, top_k: int, folder: Path) -> Path:
    """Make one twin by the command, unless it is there; return its directory."""
    out = folder / f"e{experts}k{top_k}"
    if not out.is_dir():
        command = [sys.executable, "-m", "inferometer", "models", "upcycle", "smollm2-135m"]
        command += ["--experts", str(experts), "--top-k", str(top_k), "--out", str(out)]
        subprocess.run(command, check=True)
    return out


def vllm(python: Path, model: Path, texts: Path, folder: Path, dtype: str) -> None:
    """Have vLLM answer the texts into ``folder/answer.json``."""
    words = [str(python), str(PROBE), str(texts), str(folder), f"answer={dtype}={model}"]
    run(words)


def transformers(python: Path, model: Path, texts: Path, folder: Path, dtype: str) -> None:
    """Have transformers answer the texts into ``folder/answer.json``."""
    out = folder / "answer.json"
    run([str(python), str(SCRIPTS / "answer.py"), str(model), str(texts), str(out), dtype, "64"])


def run(words: list[str]) -> None:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=clean_variables() | OFFLINE
    )
    if done.returncode:
        sys.exit(f"{words[1]}: status {done.returncode}\n{done.stderr[-3000:]}")


ENGINES = {"vllm": vllm, "transformers": transformers}


def judge(engine: str, twin: str, dense: Said, said: Said, dtype: str) -> bool:
    """Print one line and say whether it is within the limits."""
    seen = compare((engine, "dense"), (engine, twin), dense, said)
    pairs = list(zip(dense.probes, said.probes, strict=True))
    matches = [match(left.token_ids, right.token_ids) for left, right in pairs]
    equal, tokens = sum(it.matching for it in matches), sum(it.compared for it in matches)
    distance = seen.distance if seen.distance is not None else float("nan")
    print(
        f"{engine:12} {dtype:8} {twin}: {equal}/{tokens} greedy tokens agree "
        f"({equal / tokens:.2%}; {seen.until_divergence:.2%} up to the first difference), "
        f"ln p differs by {distance:.2g} on average over {seen.positions} tokens",
        flush=True,
    )
    return equal / tokens >= LEAST and distance <= MOST_NATS


def main() -> int:
    """Make the twins, ask the engines, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--twins", default="4:1,4:2,8:1,8:2", metavar="E:K,...")
    parser.add_argument("--engines", default=",".join(ENGINES), metavar="NAME,...")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="twins-"))
    folder.mkdir(parents=True, exist_ok=True)
    maker = python_of("transformers")
    dense = packaged.ensure("smollm2-135m", maker, environment.cache_root(), print)
    kinds = [tuple(map(int, it.split(":"))) for it in asked.twins.split(",")]
    models = {"dense": dense} | {f"E={e} k={k}": make(e, k, folder) for e, k in kinds}
    prompts = workload.build(dense / "tokenizer.json", TOKENS, PROMPTS, seed=0, salt="twins").ids
    texts = folder / "texts.json"
    texts.write_text(json.dumps(prompts))
    fine = True
    for engine in asked.engines.split(","):
        python, said = python_of(engine), {}
        for name, model in models.items():
            started = time.monotonic()
            ENGINES[engine](python, model, texts, folder, asked.dtype)
            answers = json.loads((folder / "answer.json").read_text())
            said[name] = sameness.rows(answers, prompts)
            print(f"{engine} {name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
            if name != "dense":
                fine &= judge(engine, name, said["dense"], said[name], asked.dtype)
    if asked.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    if asked.dtype == "float32":
        print("within the limits" if fine else "BEYOND the limits")
        return 0 if fine else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
