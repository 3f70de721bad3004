"""Fuzz readers: ``python -m tests.fuzz.run [TARGET ...] --inputs N``; exit 1 on a finding.

Where atheris is installed (the extra ``fuzz``), a tenth of the inputs is guided by which lines of
ours they reach; the others are changed from those that this found, and from the kept ones, by
chance and at ten times the speed. Each target runs in a process of its own. What is found is
written to ``--out`` and belongs, once mended, into ``tests/fuzz/corpus``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
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
GUIDED_SHARE = 0.1
BY_LIBRARY = 0.3
"""Of guided inputs: changed by libFuzzer, and as many by :mod:`tests.fuzz.mutate`. The others are
changed from the kept ones, for those that coverage collects are soon beyond parsing."""
GROWTH = 20_000
"""Inputs that were not refused and are kept to be changed further."""
NOTHING = {"inputs": 0, "refused": 0, "seconds": 0.0, "slowest_s": 0.0, "grown_mb": 0.0}


class Session(NamedTuple):
    """How much to feed one target, where inputs are collected and findings written."""

    inputs: int
    seconds: float
    seed: int
    out: Path
    told: Path
    collected: Path


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    os.environ["POLARS_MAX_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before their import
    if asked.collect:
        return _collect(asked)
    from tests.fuzz.targets import TARGETS

    asked.targets = asked.targets or list(TARGETS)
    if unknown := set(asked.targets) - set(TARGETS):
        print(f"no such target: {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
        return 2
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        asked.collect, begin = Path(folder), time.monotonic()
        if not asked.unguided and find_spec("atheris"):
            subprocess.run(_guided_line(asked), stderr=subprocess.DEVNULL, check=False)
            print(f"guided by coverage: {time.monotonic() - begin:,.0f} s", flush=True)
        all_told = [_show(name, _both(TARGETS[name], asked)) for name in asked.targets]
    total = sum(told["inputs"] for told in all_told)
    found = sum(len(told["findings"]) for told in all_told)
    print(f"{total:,} inputs in {time.monotonic() - begin:,.0f} s, {found} findings")
    return 1 if found else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--inputs", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0, help="end each target after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unguided", action="store_true", help="do not use atheris")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-findings")
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _guided_line(asked: argparse.Namespace) -> list[str]:
    """Return the command of the guided part: what it imports is instrumented, and slow."""
    line = [sys.executable, "-m", "tests.fuzz.run", *asked.targets, f"--collect={asked.collect}"]
    line += [f"--inputs={asked.inputs}", f"--seconds={asked.seconds}", f"--seed={asked.seed}"]
    return [*line, f"--out={asked.out}"]


def _collect(asked: argparse.Namespace) -> int:
    """Run the guided part of each target."""
    import atheris

    with atheris.instrument_imports(include=OURS, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

    for name in asked.targets:
        inputs = round(_inputs(TARGETS[name], asked) * GUIDED_SHARE)
        _run(_guided, TARGETS[name], _session(name, inputs, asked, "guided"))
    return 0


def _both(target: Target, asked: argparse.Namespace) -> dict[str, Any]:
    """Return what the guided part told, and the part by chance that makes up the inputs."""
    first = _told(_session(target.name, 0, asked, "guided"))
    inputs = max(1, _inputs(target, asked) - first["inputs"])
    session = _session(target.name, inputs, asked, "chance")
    _run(_by_chance, target, session)
    second = _told(session)
    sums = {key: first[key] + second[key] for key in ("inputs", "refused", "seconds", "findings")}
    return {key: max(first[key], second[key]) for key in NOTHING} | sums


def _inputs(target: Target, asked: argparse.Namespace) -> int:
    return asked.inputs or (STREAM if target.stream else FILE)


def _session(name: str, inputs: int, asked: argparse.Namespace, part: str) -> Session:
    told = asked.collect / f"{name}.{part}"
    folder = asked.collect / name
    return Session(inputs, asked.seconds, asked.seed, asked.out, told, folder)


def _show(name: str, told: dict[str, Any]) -> dict[str, Any]:
    share, rate = told["refused"] / max(told["inputs"], 1), told["inputs"] / (told["seconds"] or 1)
    print(
        f"{name:20} {told['inputs']:9,} inputs, {share:4.0%} refused, {rate:7,.0f}/s, "
        f"slowest {told['slowest_s']:5.2f} s, grew {told['grown_mb']:4.0f} MB, "
        f"{len(told['findings'])} findings",
        *told["findings"],
        sep="\n  ",
        flush=True,
    )
    return told


def _run(run: Callable[[Target, Session], None], target: Target, session: Session) -> None:
    """Fuzz one target in a process of its own, which may end in any way."""
    words = session.told.with_suffix(".words")
    pid = os.fork()  # what is imported once serves all targets
    if not pid:
        with words.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            run(target, session)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if status:
        answer = _told(session)
        last = " | ".join(words.read_text(errors="replace").strip().splitlines()[-3:])
        ended = f"the process ended with {os.waitstatus_to_exitcode(status)}: {last}"
        answer["findings"] = [*answer["findings"], ended]
        session.told.write_text(json.dumps(answer), encoding="utf-8")


def _told(session: Session) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(session.told.read_text(encoding="utf-8"))
    except FileNotFoundError:
        answer = {**NOTHING, "findings": []}
    return answer


def _guided(target: Target, session: Session) -> None:
    """Let libFuzzer choose."""
    import atheris
    from tests.fuzz import mutate, watch

    watch.LONGEST_S *= 4  # for what is instrumented
    tell, watched = _teller(target, session)
    parts = target.seeds()
    session.collected.mkdir()
    for number, seed in enumerate(parts):
        (session.collected / f"{number:04}").write_bytes(seed)

    def one(data: bytes) -> None:
        watched.feed(data)
        if tell():
            _leave()

    def changed(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        share = rng.random()
        if share < BY_LIBRARY:
            return bytes(atheris.Mutate(data, most))
        begin = data if share < 2 * BY_LIBRARY else rng.choice(parts)
        return mutate.mutate(begin, rng, most, target.form, parts)

    options = [f"-seed={session.seed}", f"-max_len={target.most}", "-timeout=60", "-verbosity=0"]
    options += ["-rss_limit_mb=2048", f"-artifact_prefix={session.collected}/"]
    atheris.Setup([sys.argv[0], *options, str(session.collected)], one, custom_mutator=changed)
    atheris.Fuzz()


def _by_chance(target: Target, session: Session) -> None:
    from tests.fuzz import hostile, mutate

    tell, watched = _teller(target, session)
    for _, data in hostile.of(target.name):
        watched.feed(data)
    rng = random.Random(session.seed)
    parts = target.seeds()
    pool = list(parts)
    for seed in [*parts, *(path.read_bytes() for path in sorted(session.collected.glob("*")))]:
        _fed(watched, seed, pool)
    while not tell():
        begin = rng.choice(pool if rng.random() < 0.5 else parts)
        _fed(watched, mutate.mutate(begin, rng, target.most, target.form, parts), pool)
    _leave()


def _fed(watched: Watched, data: bytes, pool: list[bytes]) -> None:
    """Feed an input; one that is not refused may be changed further."""
    refused = watched.refused
    watched.feed(data)
    if watched.refused == refused and len(pool) < GROWTH:
        pool.append(data)
        watched.held += sys.getsizeof(data)


def _leave() -> None:
    """End without what libFuzzer would say; files of this process go first."""
    from tests.fuzz import base

    shutil.rmtree(base.place(), ignore_errors=True)
    os._exit(0)


def _teller(target: Target, session: Session) -> tuple[Callable[[], bool], Watched]:
    """Return what says whether to end, and then tells what was found; and what watches."""
    from tests.fuzz import watch

    watched = watch.Watched(target, session.out / target.name)
    watched.feed(target.seeds()[0])
    begin = time.process_time()

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
                "grown_mb": watched.grown_kb / 1024,
                "findings": sorted(watched.findings),
            }
            session.told.write_text(json.dumps(told), encoding="utf-8")
        return over

    return tell, watched


if __name__ == "__main__":
    sys.exit(main())
