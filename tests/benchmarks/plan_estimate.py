"""Does a plan take what ``inferometer plan`` says?

Usage: ``python -m tests.benchmarks.plan_estimate [RESULTS ...] [--rounds 4] [--window-s 5]``

Without RESULTS a study of the simulated engine is planned and measured: two stacks, two loads. For
it, and for each results directory, what its launches took is held against two estimates: of all
launches from assumptions alone, and of the later half of the rounds from the launches of the
earlier half. Exits with 1 where an estimate from past launches is off by more than a fifth, or what
the launches took lies outside the range of the assumptions. Prints the ratio of both.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.conftest import trained
from tests.programs import program
from tests.studies import PRICE, SHORT, written

from inferometer import journal_records
from inferometer.forecast import past as pasts
from inferometer.forecast.estimate import forecast
from inferometer.forecast.parts import Machine
from inferometer.forecast.past import Past
from inferometer.forecast.values import Span, total
from inferometer.plugins import Registry
from inferometer.store import Store
from inferometer.study import parse
from inferometer.testing.engine import write_model

if TYPE_CHECKING:
    from collections.abc import Collection

    from inferometer.records import LaunchRecord

OFF = 0.2
"""Most by which an estimate from past launches may be off."""


class Held(NamedTuple):
    """What launches took, and what was said before."""

    launches: int
    took_s: float
    said: Span

    @property
    def ratio(self) -> float:
        """Return what was expected over what it took."""
        return self.said.expected / self.took_s

    @property
    def inside(self) -> bool:
        """Say whether the range holds what it took."""
        return self.said.low <= self.took_s <= self.said.high


def main() -> int:
    """Compare; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--window-s", type=float, default=5.0)
    asked = parser.parse_args()
    if asked.results:
        return max(compared(results) for results in asked.results)
    with tempfile.TemporaryDirectory() as temporary:
        return compared(measured(Path(temporary), asked.rounds, asked.window_s))


def measured(folder: Path, rounds: int, window_s: float) -> Path:
    """Measure a study of the simulated engine; return its results."""
    tokenizer = folder / "tokenizer.json"
    trained("bytes").save(str(tokenizer))
    write_model(folder / "dense", tokenizer.read_text())
    text = written(
        "estimate",
        protocol={"rounds": rounds, "window_s": window_s},
        price=PRICE,
        engines=[{"name": "simulator", "alias": "one"}, {"name": "simulator", "alias": "two"}],
        models=[{"name": "dense", "path": folder / "dense"}],
        workloads=[SHORT],
        loads=[{"concurrency": 2}, {"concurrency": 16}],
    )
    file, results = folder / "study.toml", folder / "results"
    file.write_text(text)
    print(subprocess.check_output(program("plan", file), text=True))
    line_ = program("run", file, "--results", results)
    subprocess.run(line_, check=False, capture_output=True)
    return results


def compared(root: Path) -> int:
    """Print what the launches of one results directory took beside what was said of them."""
    store = Store(root)
    study, records = parse(store.study_text(), str(root)), store.launches()
    if not records:
        print(f"== {root}: no whole launch")
        return 1
    machine = machine_of(store, records)
    host = records[0].host_sha256
    known = pasts.read([store], host)
    rounds = 1 + max(record.round for record in records)
    half = (rounds + 1) // 2
    early = Past(tuple(seen for seen in known.launches if seen.round < half))
    print(f"== {root}: {len(records)} whole launches of {rounds} rounds")
    blind = held(records, {it.id: it.seconds for it in forecast(study, machine, Past()).launches})
    line("from assumptions", blind)
    missed = not blind.inside
    later = [record for record in records if record.round >= half]
    if later:
        said = {it.id: it.seconds for it in forecast(study, machine, early).launches}
        learnt = held(later, said)
        line(f"from the first {half} rounds", learnt)
        missed = missed or abs(learnt.ratio - 1) > OFF
    beside(store, records)
    print("MISSED" if missed else "as said")
    return int(missed)


def held(records: Collection[LaunchRecord], said: dict[str, Span]) -> Held:
    """Add up what launches took and what was said of them."""
    took_s = sum(record.ended_ns - record.started_ns for record in records) * 1e-9
    return Held(len(records), took_s, total(said[record.id] for record in records))


def line(words: str, found: Held) -> None:
    """Print one comparison."""
    said = found.said
    print(
        f"{words}: {found.launches} launches took {found.took_s:.1f} s, said {said.expected:.1f} s "
        f"({said.low:.1f} to {said.high:.1f}): ratio {found.ratio:.3f}, "
        f"{'inside' if found.inside else 'outside'} the range"
    )


def beside(store: Store, records: Collection[LaunchRecord]) -> None:
    """Print how long the runs took beside their launches: environments, analysis, failures."""
    events = journal_records.read(store.root)
    begun = [event.t_ns for event in events if event.what == "begun"]
    if len(begun) != 1:
        return
    whole_s = (max(event.t_ns for event in events) - begun[0]) * 1e-9
    took_s = sum(record.ended_ns - record.started_ns for record in records) * 1e-9
    print(f"beside whole launches the run took {whole_s - took_s:.1f} s more, which no plan counts")


def machine_of(store: Store, records: Collection[LaunchRecord]) -> Machine:
    """Return the machine as its records show it."""
    idles = [idle for record in records for idle in record.idles]
    soaks = [record.soak for record in records if record.soak is not None]
    stand_ins = (name for name, engine in Registry().engines().items() if engine.simulated)
    return Machine(
        accelerator="cuda" if store.host().get("gpus") else "cpu",
        idle_s=(idles[0].end_ns - idles[0].start_ns) * 1e-9 if idles else 0.0,
        soak_s=20.0 if soaks else 0.0,
        stand_ins=frozenset(stand_ins),
    )


if __name__ == "__main__":
    sys.exit(main())
