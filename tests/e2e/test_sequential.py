"""Sequential studies: they stop, and leave out, what is decided, and resume as they stopped."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import PROTOCOL, text_of
from tests.studies import SHORT, oracle, written

from inferometer.analyze import analyze
from inferometer.looking import look
from inferometer.looks import Looks
from inferometer.measure import Bench
from inferometer.plan import Launch
from inferometer.records import LaunchRecord
from inferometer.store import Store
from inferometer_plugins.simulator.model import SILENT, Params

pytestmark = pytest.mark.usefixtures("cache", "alone")


def test_it_ends_with_the_round_after_which_every_pair_is_decided(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process, which judges as on a quiet machine.
    monkeypatch.setattr(Looks, "_look", lambda self, rounds: look(self.store.root, rounds))
    fast, slow = oracle("--itl-ms", "2", alias="fast"), oracle("--itl-ms", "6", alias="slow")
    text = text_of(model_files, engines=(fast, slow), only="dense", meters=(), rounds=8)
    text += '\n[sequential]\nobjectives = ["throughput"]\n'
    outcome, _ = measure(text, tmp_path / "r")
    (only,) = Store(tmp_path / "r").looks()
    assert (only.rounds, only.stop, only.ended) == (3, "decided", ["fast", "slow"])
    assert (outcome.planned, outcome.finished, outcome.failed) == (6, 6, 0)

    seen = analyze(tmp_path / "r")
    assert seen.missing == [item for item in seen.missing if item.what == "energy"]
    ranking = next(r for r in seen.rankings if r.objective == "throughput")
    assert [(entry.stack, entry.place) for entry in ranking.entries] == [("fast", 1), ("slow", 2)]
    assert {stack.id for stack in seen.stacks} == {"fast", "slow"}

    again, _ = measure(text, tmp_path / "r")
    assert again == outcome
    assert len(Store(tmp_path / "r").launches()) == 6
    assert json.loads((tmp_path / "r" / "looks.jsonl").read_text())["rounds"] == 3


SEATS = {"wide": 256, "narrow": 2}
"""Requests that each engine works on at once: with two streams they are alike, but that they take
turns in being a tenth slower; with eight, six wait at one of them."""


def test_a_load_point_that_is_decided_is_left_out_also_after_an_interruption(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Looks, "_look", lambda self, rounds: look(self.store.root, rounds))
    results, law = tmp_path / "r", {name: tmp_path / f"{name}.json" for name in SEATS}
    text = written(
        "uneven",
        protocol=PROTOCOL | {"rounds": 4},
        sequential={"objectives": ["throughput"]},
        engines=[
            {"name": "simulator", "alias": name, "extra_args": ["--params", str(file)]}
            for name, file in law.items()
        ],
        models=[{"name": "dense", "path": model_files / "dense"}],
        workloads=[SHORT],
        loads=[{"concurrency": 2}, {"concurrency": 8}],
    )
    store, launch, left = Store(results), Bench.measure, [7]

    def interrupted(bench: Bench, planned: Launch) -> LaunchRecord:
        if len(store.launches()) in left:
            raise KeyboardInterrupt
        slow = 1.1 if (planned.stack == "wide") is (planned.round % 2 == 0) else 1.0
        params = Params(noise=SILENT, slowdown=slow, max_seqs=SEATS[planned.stack])
        law[planned.stack].write_bytes(msgspec.json.encode(params))
        return launch(bench, planned)

    monkeypatch.setattr(Bench, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(text, results)
    (first,) = store.looks()
    assert (first.rounds, first.ended, first.stop, len(first.undecided)) == (3, [], None, 1)
    assert {(one.stack, tuple(one.load_points)) for one in first.decided} == {
        ("narrow", (1,)),
        ("wide", (1,)),
    }

    left.clear()
    outcome, _ = measure(text, results)
    assert (outcome.planned, outcome.finished) == (8, 8)
    assert [(found.rounds, found.stop) for found in store.looks()] == [(3, None), (4, "rounds")]
    last = [record for record in store.launches() if record.round == 3]
    assert [[window.load for window in record.windows] for record in last] == [["2 streams"]] * 2
    assert {(one.load, one.reason, one.rounds) for r in last for one in r.left_out} == {
        ("8 streams", "decided", 3)
    }
    seen = analyze(results)
    assert not [item for item in seen.missing if item.reason not in {"no_price", "no_sensor"}]
    assert {cell.load: len(cell.launches) for cell in seen.cells} == {
        "2 streams": 4,
        "8 streams": 3,
    }
    orders = {r.load: r for r in seen.rankings if r.objective == "throughput"}
    assert [(e.stack, e.place) for e in orders["8 streams"].entries] == [("wide", 1), ("narrow", 2)]
    assert [e.place for e in orders["2 streams"].entries] == [1, 1]
