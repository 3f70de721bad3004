"""Fuzz readers: ``python -m tests.fuzz.run [TARGET ...] --inputs N``; exit 1 on a finding.

Guided by coverage where atheris is installed (the extra ``fuzz``), else by chance alone. Each
target runs in a process of its own, which begins with the kept inputs; what is found is written to
``--out`` and belongs, once mended, into ``tests/fuzz/corpus``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.base import Target
    from tests.fuzz.watch import Watched

STREAM, FILE = 1_000_000, 100_000
"""Inputs of a reader of streams and of a file, unless ``--inputs`` says otherwise."""
OURS = ["inferometer", "inferometer_plugins", "inferometer_engines"]
GUIDED_SHARE = 0.3
"""Of the inputs of a guided run: changed by libFuzzer, and as many by :mod:`tests.fuzz.mutate`. The
others are changed from the kept ones, for those that coverage collects are soon beyond parsing."""
GROWTH = 20_000
"""Without guidance: what is kept of the inputs that were not refused, to change further."""


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    os.environ["POLARS_MAX_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before their import
    targets = _targets(asked)
    names = asked.targets or list(targets)
    if unknown := set(names) - set(targets):
        print(f"no such target: {', '.join(sorted(unknown))}; known: {', '.join(targets)}")
        return 2
    found, total, begin = 0, 0, time.monotonic()
    print(
        f"{'target':20} {'inputs':>9} {'refused':>8} {'per s':>7} {'slowest':>8} {'MB':>5} findings"
    )
    for name in names:
        told = _run(targets[name], asked.inputs or _least(targets[name]), asked)
        found += len(told["findings"])
        total += told["inputs"]
        print(
            f"{name:20} {told['inputs']:9,} {told['refused'] / max(told['inputs'], 1):8.0%} "
            f"{told['inputs'] / max(told['seconds'], 1e-9):7,.0f} {told['slowest_s']:6.2f} s "
            f"{told['grown_mb']:5.0f} {len(told['findings'])}",
            flush=True,
        )
        for finding in told["findings"]:
            print(f"  {finding}", flush=True)
    print(f"{total:,} inputs in {time.monotonic() - begin:,.0f} s, {found} findings")
    return 1 if found else 0


def _least(target: Target) -> int:
    return STREAM if target.stream else FILE


def _targets(asked: argparse.Namespace) -> dict[str, Target]:
    """Import the targets, instrumented where they are to be guided."""
    asked.unguided |= find_spec("atheris") is None
    if asked.unguided:
        from tests.fuzz.targets import TARGETS

        return TARGETS
    import atheris

    with atheris.instrument_imports(include=OURS, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    return TARGETS


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--inputs", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0, help="end each target after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unguided", action="store_true", help="do not use atheris")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-findings")
    return parser.parse_args()


def _run(target: Target, inputs: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Fuzz one target in a process of its own and return what it tells."""
    with tempfile.TemporaryDirectory() as folder:
        told, words = Path(folder) / "told.json", Path(folder) / "words"
        pid = os.fork()  # what is instrumented once serves all targets
        if not pid:
            with words.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            try:
                run = _by_chance if asked.unguided else _guided
                run(target, Session(inputs, asked.seconds, asked.seed, asked.out, told))
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        answer: dict[str, Any] = {
            "inputs": 0,
            "refused": 0,
            "seconds": 0,
            "slowest_s": 0,
            "grown_mb": 0,
        }
        if told.is_file():
            answer = json.loads(told.read_text(encoding="utf-8"))
        if status == 0:
            return answer
        last = " | ".join(words.read_text(errors="replace").strip().splitlines()[-3:])
        ended = f"the process ended with {os.waitstatus_to_exitcode(status)}: {last}"
        return {**answer, "findings": [*answer.get("findings", []), ended]}


class Session(NamedTuple):
    """How much to feed one target, and where to write what came of it."""

    inputs: int
    seconds: float
    seed: int
    out: Path
    told: Path


def _guided(target: Target, session: Session) -> None:
    """Let libFuzzer choose, by which lines of ours an input reaches."""
    import atheris
    from tests.fuzz import mutate, watch

    watch.LONGEST_S *= 4  # for what is instrumented
    tell, watched = _teller(target, session)
    parts = target.seeds()
    folder = session.told.parent / "corpus"
    folder.mkdir()
    for number, seed in enumerate(parts):
        (folder / f"{number:04}").write_bytes(seed)

    def one(data: bytes) -> None:
        watched.feed(data)
        if tell():
            _leave()

    def changed(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        share = rng.random()
        if share < GUIDED_SHARE:
            return bytes(atheris.Mutate(data, most))
        if share < 2 * GUIDED_SHARE:
            return mutate.mutate(data, rng, most, target.form, parts)
        return mutate.mutate(rng.choice(parts), rng, most, target.form, parts)

    options = [f"-seed={session.seed}", f"-max_len={target.most}", "-timeout=60", "-verbosity=0"]
    options += ["-rss_limit_mb=2048", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(folder)], one, custom_mutator=changed)
    atheris.Fuzz()


def _by_chance(target: Target, session: Session) -> None:
    from tests.fuzz import mutate

    tell, watched = _teller(target, session)
    rng = random.Random(session.seed)
    parts = target.seeds()
    pool = list(parts)
    for seed in parts:
        watched.feed(seed)
    while not tell():
        data = mutate.mutate(rng.choice(pool), rng, target.most, target.form, parts)
        refused = watched.refused
        watched.feed(data)
        if watched.refused == refused and len(pool) < GROWTH:
            pool.append(data)
    _leave()


def _leave() -> None:
    """End without what libFuzzer would say; files of this process go first."""
    from tests.fuzz import base

    shutil.rmtree(base.place(), ignore_errors=True)
    os._exit(0)


def _teller(target: Target, session: Session) -> tuple[Callable[[], bool], Watched]:
    """Return what says whether to end, and then tells what was found; and what watches."""
    from tests.fuzz import hostile, watch

    watched = watch.Watched(target, session.out / target.name)
    watched.feed(target.seeds()[0])
    begin, before = time.process_time(), watch.peak_kb()
    for _, data in hostile.of(target.name):
        watched.feed(data)

    def tell() -> bool:
        spent = time.process_time() - begin
        late = bool(session.seconds) and spent > session.seconds
        over = watched.inputs >= session.inputs or late
        if over or watched.inputs % 5000 == 0:
            told = {
                "inputs": watched.inputs,
                "refused": watched.refused,
                "seconds": spent,
                "slowest_s": watched.slowest_s,
                "grown_mb": (watch.peak_kb() - before) / 1024,
                "findings": sorted(watched.findings),
            }
            session.told.write_text(json.dumps(told), encoding="utf-8")
        return over

    return tell, watched


if __name__ == "__main__":
    sys.exit(main())
