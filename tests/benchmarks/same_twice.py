"""An A/A study on real vLLM, and the same study with one of the two slowed down on purpose.

Usage: ``python -m tests.benchmarks.same_twice [--rounds 4] [--only same|slower] [--keep FOLDER]``

``same``: one stack under two names, a fixed number of rounds; the verdict is printed as found. Any
but ``better`` is right, and ``better`` comes in at most one study of twenty. ``slower``: one of the
two is stopped for a sixth of the time, in turns of 120 ms, so that its tokens take 20 % longer; a
sequential study of at most eight rounds has to find it, in the right direction, or this exits with
1. Each launch is a whole start of vLLM on the processor: on two cores about a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tests.programs import program
from tests.studies import PRICE, written

from inferometer import environment
from inferometer.analyze import analyze
from inferometer.engine import Unsupported
from inferometer.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison

TURN_S, STOPPED = 0.12, 1 / 6
SLOWER = "slower"
WINDOW_S = 15.0


def main() -> int:
    """Run the studies that were asked for, and say what each found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=("same", SLOWER))
    parser.add_argument("--keep", type=Path, help="folder for the results; else a temporary one")
    asked = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if asked.only != SLOWER:
            study(folder / "same", [entry("a"), entry("b")], rounds=asked.rounds)
        if asked.only != "same":
            slow = entry(SLOWER, python=str(slowed(folder)))
            seen = study(folder / SLOWER, [entry("plain"), slow], rounds=8, sequential=True)
            ranking = next(one for one in seen.rankings if one.objective == "throughput")
            pair = ranking.pairs[0] if ranking.pairs else None
            missed = pair is None or (pair.verdict, pair.other) != ("better", SLOWER)
            print("MISSED: the slower one was not found" if missed else "found, as planted")
    return int(missed)


def entry(alias: str, **more: str) -> dict[str, object]:
    """Return vLLM as the quickstart runs it, under another name."""
    return {"name": "vllm", "alias": alias, "graphs": False, **more}


def study(
    folder: Path, engines: Sequence[dict[str, object]], *, rounds: int, sequential: bool = False
) -> Comparison:
    """Measure, and print what was decided after how many rounds and minutes."""
    tables: dict[str, dict[str, object]] = {"sequential": {"objectives": ["throughput"]}}
    text = written(
        folder.name,
        protocol={"rounds": rounds, "window_s": WINDOW_S},
        price=PRICE,
        engines=engines,
        models=[{"name": "smollm2-135m", "packaged": "smollm2-135m"}],
        workloads=[{"name": "short", "input_tokens": 32, "output_tokens": 16}],
        loads=[{"concurrency": 8}],
        **(tables if sequential else {}),
    )
    file = folder.with_suffix(".toml")
    file.write_text(text)
    began = time.monotonic()
    subprocess.run(
        program("run", file, "--results", folder), check=False, stdout=subprocess.DEVNULL
    )
    seen = analyze(folder)
    print(f"== {folder.name}: {len(engines)} stacks, {(time.monotonic() - began) / 60:.1f} minutes")
    for ranking in seen.rankings:
        if ranking.objective != "throughput" or ranking.at != "load":
            continue
        for one in ranking.entries:
            print(f"{one.stack}: {one.value.value:.1f} tok/s ({one.value.low} to {one.value.high})")
        for pair in ranking.pairs:
            ratio = pair.ratio
            print(
                f"{pair.stack} over {pair.other}: {ratio.value:.4f} ({ratio.low} to {ratio.high}), "
                f"{pair.verdict}; n = {ratio.n}; smallest detectable difference "
                f"{ranking.minimum_detectable_percent or float('nan'):.1f} %"
            )
        for left_out in ranking.unranked:
            print(f"not ranked: {left_out.stack}: {left_out.reason}: {left_out.detail}")
    if seen.stopped is not None:
        print(f"stopped: {seen.stopped}")
    return seen


def slowed(folder: Path) -> Path:
    """Return an interpreter that runs vLLM's, and stops its servers for part of the time."""
    engine = Registry().engines()["vllm"]
    platform, root = environment.current_platform(), environment.cache_root()
    requirements = engine.requirements(platform)
    assert not isinstance(requirements, Unsupported), requirements
    python = environment.prepare(requirements, platform, root, print).python
    path = folder / "python-slowed"
    line = f'exec "{sys.executable}" -m tests.benchmarks.same_twice --throttle "{python}" "$@"'
    checkout = Path(__file__).parents[2]
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *api_server*) ;; *) exec "{python}" "$@" ;; esac\n'
        f'PYTHONPATH="{checkout}${{PYTHONPATH:+:$PYTHONPATH}}"; export PYTHONPATH\n{line}\n'
    )
    path.chmod(0o755)
    return path


def throttle(line: Sequence[str]) -> int:
    """Run a server, and stop it and its children for :data:`STOPPED` of each turn."""
    server = psutil.Popen(list(line))
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    while server.poll() is None:
        time.sleep(TURN_S * (1 - STOPPED))
        told = _each(server, signal.SIGSTOP)
        time.sleep(TURN_S * STOPPED)
        for process in told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
    return int(server.returncode)


def _each(server: psutil.Popen, number: int) -> list[int]:
    told = []
    with contextlib.suppress(psutil.Error):
        for process in [server, *server.children(recursive=True)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
                told.append(process.pid)
    return told


if __name__ == "__main__":
    if sys.argv[1:2] == ["--throttle"]:
        raise SystemExit(throttle(sys.argv[2:]))
    raise SystemExit(main())
