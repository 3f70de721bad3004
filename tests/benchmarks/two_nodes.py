"""Real vLLM on two nodes, one of which dies in the middle of a launch.

``python -m tests.benchmarks.two_nodes [RESULTS]``. Two raylets on this machine; a study of vLLM on
the processor and of the simulator, four rounds, so two on each node. While node-2 offers load to
vLLM, and the other node has a launch in flight, too, one of the two raylets is killed (SIGKILL), as
a power cut would end it. What must hold: every launch is whole in the end, one was made again, what
was whole before is untouched, and no process of an engine is left. Two servers share two processors
here, so the figures themselves mean nothing. Takes about a quarter of an hour; vLLM's environment
and the packaged model have to be there, else they are built first.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.programs import module, until, using
from tests.rays import Rays
from tests.studies import DECLARED, PRICE, written

from inferometer.standing import look
from inferometer.store import Store

STUDY = written(
    "two-nodes",
    protocol={
        "rounds": 4,
        "window_s": 10,
        "discard_s": 2,
        "probe": False,
        "idle_s": 0,
        "soak_s": 0,
    },
    price=PRICE,
    engines=[
        {
            "name": "vllm",
            "graphs": False,
            "max_model_len": 1024,
            "extra_env": {"TORCHDYNAMO_DISABLE": "1"},
        },
        {"name": "simulator", "extra_args": ["--noise", "calm"]},
    ],
    models=[{"name": "dense", "packaged": "smollm2-135m"}],
    workloads=[{"name": "short", "input_tokens": 64, "output_tokens": 16}],
    loads=[{"concurrency": 2}],
    meters=[DECLARED],
)
STEP_S = 3600.0


def measured(folder: Path) -> bool:
    """Run the study, kill a node, and say what came of it."""
    study, store = folder / "study.toml", Store(folder / "results")
    study.write_text(STUDY)
    began = time.monotonic()
    with Rays() as rays:
        run = module("tests.e2e.measuring", study, store.root, f"address={rays.address}")
        assert until(lambda: loads(store) or run.poll() is not None, STEP_S, 0.2)
        before = written_at(store)
        said(began, f"node-2 offers load to vLLM; {len(before)} launches whole; a raylet is killed")
        rays.kill(rays.workers[0])
        _, heard = run.communicate()
        said(began, f"the run ended with {run.returncode}")
        sys.stdout.writelines(
            f"  {line}\n" for line in heard.decode().splitlines() if "warn" in line
        )
    records = store.launches()
    real = [each for each in records if each.stack["engine"] == "vllm"]
    held = {
        f"{len(records)} of 8 launches whole": len(records) == 8,
        "one launch at most was lost": heard.decode().count("made again") <= 1,
        f"{len(before)} whole before, untouched": before.items() <= written_at(store).items(),
        f"vLLM ran on {sorted({str(each.node) for each in records})}": len(real) == 4,
        "no process of an engine is left": until(lambda: not using(store.root), 60),
    }
    for each in records:
        said(
            began, f"{each.id}: {each.status} on {each.node}, ready after {each.ready_s or 0:.0f} s"
        )
    for words, holds in held.items():
        print(f"{'ok  ' if holds else 'MISS'} {words}")
    return run.returncode == 0 and all(held.values())


def loads(store: Store) -> bool:
    """Say whether the second node, which has made a launch, offers load to vLLM."""
    if not (store.root / "plan.json").is_file():
        return False
    flying = [each for each in look(store).nodes if each.node == "node-2"]
    return any("vllm" in each.id and each.stage.startswith("short") for each in flying)


def written_at(store: Store) -> dict[str, int]:
    """Return when each whole launch's record was written, ns."""
    return {
        name: (store.folder(name) / "launch.json").stat().st_mtime_ns for name in store.whole_ids()
    }


def said(began: float, text: str) -> None:
    """Print with the seconds since the beginning."""
    print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)


def main(words: list[str]) -> int:
    """Measure into the folder named, or into one that is removed."""
    if words:
        Path(words[0]).mkdir(parents=True)
        return 0 if measured(Path(words[0])) else 1
    with tempfile.TemporaryDirectory(prefix="ir-") as folder:
        return 0 if measured(Path(folder)) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
