"""A sequential study on the oracle: it stops when all is decided, and resumes as it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import text_of
from tests.studies import oracle

from inferometer.analyze import analyze
from inferometer.looking import look
from inferometer.looks import Looks
from inferometer.store import Store

pytestmark = [pytest.mark.usefixtures("cache", "alone"), pytest.mark.waiting]


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
