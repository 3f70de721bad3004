"""How long does the analysis of a large study take, and how much memory?

Made-up launches of two stacks, one whose events have token counts and one whose events do not; each
holds a closed loop, closed under load, an energy counter and a power sensor that sees a quarter of
the time. A child process analyses the directory, prints a digest of what it found and its own peak
memory (of all its resident pages, files mapped into memory among them).

    python -m tests.benchmarks.large_analysis [--requests 1000000] [--tokens 256] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from inferometer.analyze import analyze
from inferometer.chunklog import CHUNK_DTYPE
from inferometer.records import Device, LaunchRecord, MeterInfo, Reading, Request
from inferometer.store import append_lines, decode, encode
from inferometer.testing.results import BEGIN, METER, SECOND, Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from inferometer.records import Window

SECONDS, GIB = 60.0, 6.0
STEP_NS, JITTER_NS, FIRST_NS = 20_000_000, 2_000_000, 60_000_000
"""Between two tokens of a stream, give or take, and before the first."""
SENSOR = MeterInfo(
    name="sensor",
    scope="L0",
    kind="measured",
    method="made up: sees 25 ms of every 100 ms",
    instrument="power",
    devices=[Device(name="device-0", power_limit_w=700.0)],
    update_ms=100.0,
    averaged_ms=25.0,
    seen_share=0.25,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What to make up: launches of one window, each with so many requests of so many tokens."""

    requests: int
    """Of one launch, about: some are cut or never sent when the window closes."""
    tokens: int
    rounds: int = 4
    streams: int = 512
    seed: int = 1


def write(root: Path, world: World) -> tuple[int, int]:
    """Write the results directory; return how many requests and chunks it holds."""
    fixture = Fixture(rates={"counted": 40.0, "uncounted": 80.0}, rounds=world.rounds, window_s=2)
    store = write_results(root, fixture)
    requests = chunks = 0
    for record in store.launches():
        rng = np.random.default_rng((world.seed, record.position))
        counted = record.stack["id"] == "counted"
        folder = store.folder(record.id)
        made = _Load(world, rng, BEGIN + record.position * 1000 * SECOND)
        window = made.window(record.windows[0])
        for name in ("requests.jsonl", "chunks.bin", "readings.jsonl"):
            (folder / name).unlink()
        append_lines(folder / "requests.jsonl", made.rows(counted=counted))
        append_lines(folder / "readings.jsonl", _readings(made))
        with (folder / "chunks.bin").open("wb") as file:
            for block in made.blocks(counted=counted):
                block.tofile(file)
        changed = structs.replace(
            decode(folder / "launch.json", LaunchRecord),
            windows=[window],
            meters=[METER, SENSOR],
            ended_ns=made.end_ns,
        )
        (folder / "launch.json").write_bytes(encode(changed))
        requests += made.sent.size
        chunks += int(made.held.sum())
    return requests, chunks


class _Load:
    """A closed loop: each stream sends its next request the moment the last one ended."""

    def __init__(self, world: World, rng: np.random.Generator, begin_ns: int) -> None:
        each = -(-world.requests // world.streams)
        gaps = rng.integers(
            STEP_NS - JITTER_NS, STEP_NS + JITTER_NS, (world.streams, each, world.tokens)
        )
        gaps[:, :, 0] += FIRST_NS
        gaps[:, 0, 0] += rng.integers(0, SECOND, world.streams)
        times = begin_ns + np.cumsum(gaps.reshape(world.streams, -1), axis=1).reshape(gaps.shape)
        self.begin_ns, self.end_ns = begin_ns, int(times[:, -1, -1].min())
        sent = np.concatenate(
            [np.full((world.streams, 1), begin_ns), times[:, :-1, -1]], axis=1
        ).ravel()
        order = np.argsort(sent, kind="stable")
        order = order[sent[order] < self.end_ns]
        self.streams, self.tokens = world.streams, world.tokens
        self.stream = order // each
        self.sent = sent[order]
        self.times = times.reshape(-1, world.tokens)
        self.order = order
        self.held: NDArray[np.int64] = np.concatenate(
            [(self.times[part] < self.end_ns).sum(axis=1) for part in self._parts()]
        )

    def _parts(self) -> Iterator[NDArray[np.int64]]:
        yield from np.array_split(self.order, max(1, self.order.size // 8192))

    def window(self, like: Window) -> Window:
        """Return the window, closed under load, with what the engine counted in it."""
        start = self.begin_ns + (self.end_ns - self.begin_ns) // 10
        seen = sum(
            int(((self.times[part] >= start) & (self.times[part] < self.end_ns)).sum())
            for part in self._parts()
        )
        return structs.replace(
            like,
            concurrency=self.streams,
            start_ns=start,
            end_ns=self.end_ns,
            discarded_ns=start - self.begin_ns,
            prompts=self.sent.size,
            counters={"output_tokens": float(seen)},
            counters_start_ns=start,
            counters_end_ns=self.end_ns,
        )

    def rows(self, *, counted: bool) -> Iterator[Request]:
        """Yield the requests, numbered as they were sent."""
        first = self.times[self.order, 0].tolist()
        last = self.times[self.order, self.held - 1].tolist()
        columns = (self.stream.tolist(), self.sent.tolist(), first, last, self.held.tolist())
        for index, (stream, sent, first_ns, last_ns, held) in enumerate(zip(*columns, strict=True)):
            whole = held == self.tokens
            yield Request(
                index=index,
                load_point=0,
                phase="load",
                stream=stream,
                prompt=index,
                intended_ns=sent,
                sent_ns=sent,
                first_ns=first_ns if held else None,
                last_ns=last_ns if held else None,
                end_ns=last_ns if whole else self.end_ns,
                status="ok" if whole else "cut",
                http_status=200,
                finish_reason="length" if whole else None,
                input_tokens_expected=20,
                output_tokens_expected=self.tokens,
                input_tokens=20 if whole else None,
                output_tokens=self.tokens if whole else None,
                cached_tokens=0 if whole else None,
                chunks=held,
                tokens_from="ids" if counted else "none",
                output_sha256=f"{index:064x}" if whole else None,
            )

    def blocks(self, *, counted: bool) -> Iterator[NDArray[np.void]]:
        """Yield the chunk log in parts: the events of one request after those of another."""
        at = 0
        for part in self._parts():
            times = self.times[part]
            inside = times < self.end_ns
            block = np.zeros(int(inside.sum()), CHUNK_DTYPE)
            block["request"] = np.repeat(np.arange(at, at + part.size), inside.sum(axis=1))
            block["tokens"], block["flags"] = (1, 0) if counted else (0, 1)
            block["t_ns"] = times[inside]
            at += part.size
            yield block


def _readings(made: _Load) -> Iterator[Reading]:
    for t_ns in range(made.begin_ns - SECOND, made.end_ns + 2 * SECOND, SECOND // 2):
        joules = 400.0 * (t_ns - made.begin_ns + SECOND) / SECOND
        yield Reading(meter=METER.name, device="device-0", t_ns=t_ns, value=joules, unit="J")
    for t_ns in range(made.begin_ns - SECOND, made.end_ns + 2 * SECOND, SECOND // 10):
        yield Reading(meter=SENSOR.name, device="device-0", t_ns=t_ns, value=400.0, unit="W")


def measure(root: Path) -> dict[str, float]:
    """Analyse ``root`` here and return seconds, peak GiB and a digest of what was found."""
    begin = time.perf_counter()
    found = analyze(root)
    seconds = time.perf_counter() - begin
    speeds = {
        f"{cell.stack} {name}": float(value.value or 0.0)
        for cell in found.cells
        for name, value in cell.values.items()
        if name in {"output_tok_s", "tpot_ms"}
    }
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        **speeds,
        "seconds": seconds,
        "processor seconds": usage.ru_utime + usage.ru_stime,
        "GiB": usage.ru_maxrss / 2**20,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the study, analyse it in a child, print what it took; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary one)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        world = World(requests=options.requests // 8, tokens=options.tokens)
        begin = time.perf_counter()
        requests, chunks = write(Path(folder) / "r", world)
        made_s = time.perf_counter() - begin
        print(f"made {requests:,} requests, {chunks:,} chunks in {made_s:.0f} s", flush=True)
        line = [sys.executable, "-m", "tests.benchmarks.large_analysis", "--measure"]
        child = subprocess.run(
            [*line, f"{folder}/r"], check=True, stdout=subprocess.PIPE, text=True
        )
    found = json.loads(child.stdout)
    for name, value in found.items():
        print(f"{name:<28} {value:,.2f}")
    missed = found["seconds"] > SECONDS or found["GiB"] > GIB
    print(f"targets: {SECONDS:g} s, {GIB:g} GiB: {'MISSED' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
