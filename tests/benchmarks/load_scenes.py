"""Ours and its peers on four loads, against a server that knows the truth.

Usage: ``python -m tests.benchmarks.load_scenes [--scenes abcd] [--runs 1] [--peers] [--alone]``

Every tool meets a fresh oracle in a process of its own; both share the machine. Scene a runs ours
and three peers, the others ours alone unless ``--peers``; ``--alone`` leaves the peers out of all.
TTFT true and reported (their difference is the client's bias), tok/s delivered (all tokens / first
arrival to last write, by the oracle's clock) and its share of what the schedule allows; then the
tool's processor seconds and resident memory from its start to its end, all its processes together.
Exit status 1 when ours misses a target.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import processes, tools
from tests.benchmarks.tools import Load, Said, Tool
from tests.benchmarks.truth import facts, mean, p99

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A load and a schedule; ``most`` and ``least`` are the targets for ours."""

    title: str
    ttft_ms: float
    itl_ms: float
    requests: int
    tokens: int
    streams: int | None = None
    rate: float | None = None
    most: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)

    def allowed_tok_s(self) -> float:
        """Return the tok/s of a client that loses no time: whole waves, or the rate's own span."""
        answer_s = (self.ttft_ms + self.itl_ms * (self.tokens - 1)) * 1e-3
        if self.rate is not None:
            span_s = self.requests / self.rate + answer_s
        else:
            span_s = math.ceil(self.requests / (self.streams or 1)) * answer_s
        return self.requests * self.tokens / span_s


SCENES = {
    "a": Scene(
        title="64 streams x 200 tok/s: TTFT 20 ms, then 5 ms a token, 2,000 requests of 128",
        ttft_ms=20,
        itl_ms=5,
        requests=2000,
        tokens=128,
        streams=64,
        most={"bias_ms": 1.0, "cpu_s": 5.0, "memory_mb": 200.0, "failed": 0},
        least={"share": 0.99},
    ),
    "b": Scene(
        title="512 streams x 40 tok/s: TTFT 100 ms, then 25 ms a token, 4,096 requests of 128",
        ttft_ms=100,
        itl_ms=25,
        requests=4096,
        tokens=128,
        streams=512,
        most={"bias_ms": 3.0, "bias_p99_ms": 12.0, "cpu_s": 12.0, "failed": 0},
    ),
    "c": Scene(
        title="4,096 streams x 2 tok/s: TTFT 500 ms, then 500 ms a token, 8,192 requests of 32",
        ttft_ms=500,
        itl_ms=500,
        requests=8192,
        tokens=32,
        streams=4096,
        most={"failed": 0},
    ),
    "d": Scene(
        title="1,000 requests/s, Poisson: TTFT 20 ms, then 5 ms a token, 20,000 requests of 4",
        ttft_ms=20,
        itl_ms=5,
        requests=20_000,
        tokens=4,
        rate=1000.0,
        most={"failed": 0},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one tool did in one scene. ``failed`` counts what the oracle did not see end well."""

    scene: str
    tool: str
    version: str
    completed: int
    failed: int
    true_ttft_ms: float
    said_ttft_ms: float
    bias_ms: float
    bias_p99_ms: float
    tok_s: float
    share: float
    cpu_s: float
    memory_mb: float
    wall_s: float
    oracle_cpu_s: float


def measure(key: str, tool: Tool, folder: Path) -> Row | None:
    """Run one tool in one scene; None when it failed, with the end of its log printed."""
    scene = SCENES[key]
    options = {"ttft_ms": str(scene.ttft_ms), "itl_ms": str(scene.itl_ms)}
    options |= {"tokens": str(scene.tokens), "as_asked": "true"}
    log = folder / "log.txt"
    with processes.oracle(folder, options) as served:
        load = Load(served.url, scene.requests, scene.tokens, scene.streams, scene.rate)
        done = processes.run(tool.command(load, folder), log, tool.variables, TIMEOUT_S)
    try:
        said: Said = tool.read(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"{tool.name}: status {done.status}, no result: {error!r}", flush=True)
        print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), flush=True)
        return None
    true = facts(served.truth[-scene.requests :])  # a warm-up comes first
    return Row(
        scene=key,
        tool=tool.name,
        version=tool.version,
        completed=true.completed,
        failed=max(scene.requests - true.completed, said.failed or 0),
        true_ttft_ms=mean(true.ttft),
        said_ttft_ms=said.mean_ttft_ms,
        bias_ms=said.mean_ttft_ms - mean(true.ttft),
        bias_p99_ms=math.nan if said.p99_ttft_ms is None else said.p99_ttft_ms - p99(true.ttft),
        tok_s=true.tok_s,
        share=true.tok_s / scene.allowed_tok_s(),
        cpu_s=done.cpu_s,
        memory_mb=done.peak_bytes / 1e6,
        wall_s=done.wall_s,
        oracle_cpu_s=served.cpu_s,
    )


HEAD = (
    f"{'tool':<24} {'true TTFT':>9} {'reported':>9} {'bias':>8} {'bias p99':>9} "
    f"{'tok/s':>7} {'share':>7} {'CPU s':>7} {'MB':>6} {'failed':>6} {'oracle CPU':>10}"
)


def line(row: Row) -> str:
    """Return one line of the table."""
    return (
        f"{row.tool + ' ' + row.version:<24} {row.true_ttft_ms:>9.2f} {row.said_ttft_ms:>9.2f} "
        f"{row.bias_ms:>+8.2f} {row.bias_p99_ms:>+9.2f} {row.tok_s:>7.0f} {row.share:>7.2%} "
        f"{row.cpu_s:>7.2f} {row.memory_mb:>6.0f} {row.failed:>6} {row.oracle_cpu_s:>10.2f}"
    )


def missed(row: Row) -> Iterator[str]:
    """Yield the targets that ours missed."""
    scene, values = SCENES[row.scene], asdict(row)
    for name, bound in scene.most.items():
        if abs(values[name]) > bound:
            yield f"scene {row.scene}: {name} is {values[name]:.4g}, at most {bound:g} wanted"
    for name, bound in scene.least.items():
        if values[name] < bound:
            yield f"scene {row.scene}: {name} is {values[name]:.4g}, at least {bound:g} wanted"


def play(key: str, players: Sequence[Tool], runs: int) -> Iterator[Row]:
    """Run a scene, with the tools in turn and every second time in reverse."""
    print(f"\nScene {key}: {SCENES[key].title}")
    print(f"The schedule allows {SCENES[key].allowed_tok_s():,.0f} tok/s.\n{HEAD}", flush=True)
    for run in range(runs):
        for tool in players if run % 2 == 0 else reversed(players):
            with tempfile.TemporaryDirectory() as name:
                row = measure(key, tool, Path(name))
            if row is not None:
                print(line(row), flush=True)
                yield row
            elif tool.name == players[0].name:
                raise SystemExit(f"scene {key}: {tool.name} did not finish")


def main() -> int:
    """Install first, then measure scene by scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="abcd")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--peers", action="store_true", help="in every scene, not only a")
    parser.add_argument("--alone", action="store_true", help="ours only")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    mine = tools.ours()
    wanted = not options.alone and (options.peers or "a" in options.scenes)
    others = tools.peers() if wanted else []
    rows: list[Row] = []
    for key in options.scenes:
        together = others if options.peers or key == "a" else []
        rows += play(key, [mine, *together], options.runs)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    misses = [text for row in rows if row.tool == mine.name for text in missed(row)]
    print("\n" + ("\n".join(misses) or "Ours met every target."))
    return bool(misses)


if __name__ == "__main__":
    sys.exit(main())
