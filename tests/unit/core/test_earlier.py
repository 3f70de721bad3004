"""What earlier studies say of the spread of launches: worked out once, stored, and used."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from inferometer import priors, provenance, rules
from inferometer.analyze import analyze
from inferometer.earlier import priors as priors_of
from inferometer.errors import UsageError
from inferometer.looking import look
from inferometer.looks import Looks
from inferometer.progress import Silent
from inferometer.records import Prior
from inferometer.store import Store
from inferometer.study import Study, parse
from inferometer.testing.results import Fixture, write_results
from inferometer.uncertainty import components, decisions

WOBBLE = {
    **{("a", r): by for r, by in enumerate((1.0, 1.04, 0.96, 1.02, 0.98))},
    **{("b", r): by for r, by in enumerate((1.03, 0.98, 1.0, 0.97, 1.02))},
}
RATES = {"a": 40.0, "b": 80.0}


class Sequential(Fixture):
    """A sequential study that names earlier results."""

    earlier: tuple[str, ...] = ()

    def study_text(self) -> str:
        return super().study_text() + f"[sequential]\nearlier = {json.dumps(self.earlier)}\n"


def sequential(root: Path, *earlier: Path, **options: Any) -> Store:
    base = Fixture(**{"rates": RATES, "rounds": 3, "drift": WOBBLE, **options})
    fixture = Sequential(**{one.name: getattr(base, one.name) for one in fields(base)})
    object.__setattr__(fixture, "earlier", tuple(map(str, earlier)))
    return write_results(root, fixture)


def study_of(store: Store) -> tuple[Study, str]:
    text = store.study_text()
    return parse(text, "study.toml"), text


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that the made-up results are of."""
    monkeypatch.setattr(provenance, "describe_host", dict)


def earlier(tmp_path: Path, name: str = "earlier", **options: Any) -> Store:
    given = {"rates": RATES, "rounds": 5, "drift": WOBBLE, **options}
    return write_results(tmp_path / name, Fixture(**given))


def test_ten_launches_give_a_prior_of_each_metric(tmp_path: Path) -> None:
    before = earlier(tmp_path)
    study, _ = study_of(sequential(tmp_path / "r"))
    found = priors_of(study, [before.root])
    assert [(p.metric, p.meter, p.simulated, p.launches, p.studies) for p in found] == [
        ("bill_usd_per_mtok_output", None, True, 10, 1),
        ("energy_j_per_output_token", "fixture", True, 10, 1),
        ("output_tok_s", None, True, 10, 1),
    ]
    assert {(p.model, p.workload, p.load) for p in found} == {("dense", "small", "4 streams")}
    values = {s: {r: RATES[s] * WOBBLE[s, r] for r in range(5)} for s in RATES}
    known = components.prior([values])
    assert known is not None
    for prior in found:  # a constant over, or times, tokens per second spreads as they do
        assert prior.variance == pytest.approx(known.variance, rel=0.3)
        assert prior.df == 6
    assert math.sqrt(known.variance) == pytest.approx(0.03, rel=0.3)


def test_fewer_say_how_many_and_no_more(tmp_path: Path) -> None:
    before = earlier(tmp_path, rounds=4)
    study, _ = study_of(sequential(tmp_path / "r"))
    found = priors_of(study, [before.root])
    assert {(p.launches, p.variance, p.df) for p in found} == {(8, None, 0.0)}


def test_studies_add_up_and_other_loads_are_not_asked(tmp_path: Path) -> None:
    study, _ = study_of(sequential(tmp_path / "r"))
    two = [
        earlier(tmp_path, "one", rounds=3).root,
        earlier(tmp_path, "two", rounds=3, host_sha256="1" * 64).root,
    ]
    assert {(p.launches, p.studies) for p in priors_of(study, two)} == {(12, 2)}
    other = earlier(tmp_path, "other", concurrency=8)
    assert priors_of(study, [other.root]) == []
    longer = earlier(tmp_path, "longer", output_tokens=20)
    assert priors_of(study, [longer.root]) == []


def test_a_declared_quality_makes_no_other_model(tmp_path: Path) -> None:
    told = 'quality = { name = "Exam", score = 1, low = 0, high = 2, source = "made up" }'
    study, _ = study_of(sequential(tmp_path / "r", model_lines={"dense": told}))
    assert {p.launches for p in priors_of(study, [earlier(tmp_path).root])} == {10}


@pytest.mark.usefixtures("here")
def test_with_a_prior_the_look_after_round_two_decides_and_the_report_repeats(
    tmp_path: Path,
) -> None:
    before = earlier(tmp_path)
    later = frozenset((stack, r) for stack in "ab" for r in range(2, 8))
    store = sequential(tmp_path / "r", before.root, absent=later)
    study, text = study_of(store)
    assert not Looks.of(study, store, Silent()).behind(2)
    assert look(store.root, 2).stop is None

    known = priors.learn(study, text, store)
    assert known is not None
    assert len(known) == 3
    store.put_priors(known)
    assert priors.learn(study, text, store) is None  # asked once
    shutil.rmtree(before.root)

    seen = Looks.of(study, store, Silent())
    assert seen.behind(2)
    assert [(one.rounds, one.stop, one.ended) for one in seen.found] == [(2, "decided", ["a", "b"])]
    compared = analyze(store.root)
    for ranking in compared.rankings:
        assert ranking.prior is not None
        assert (ranking.looks, ranking.prior.launches, ranking.prior.studies) == (1, 10, 1)
        assert [(p.verdict, p.rounds) for p in ranking.pairs] == [("better", 2)]
    assert compared.stopped is not None
    assert compared.stopped.earlier == 1


def test_simulated_launches_say_nothing_of_measured_ones(tmp_path: Path) -> None:
    store = sequential(tmp_path / "r")
    prior = Prior(
        metric="output_tok_s",
        meter=None,
        model="dense",
        workload="small",
        load="4 streams",
        simulated=False,
        launches=12,
        studies=1,
        variance=1e-6,
        df=6,
    )
    store.put_priors([prior])
    assert {ranking.prior for ranking in analyze(store.root).rankings} == {None}


def test_without_earlier_results_nothing_is_asked_or_stored(tmp_path: Path) -> None:
    store = sequential(tmp_path / "r")
    assert priors.learn(*study_of(store), store) is None
    assert not store.has_priors()


def test_another_machine_is_refused_by_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = earlier(tmp_path)
    before.put_host({"gpus": ["NVIDIA A100"], "cores": 8})
    monkeypatch.setattr(provenance, "describe_host", lambda: {"gpus": ["NVIDIA H200"], "cores": 8})
    store = sequential(tmp_path / "r", before.root)
    words = r"accelerators \(gpus in host\.json\): \['NVIDIA A100'\], here \['NVIDIA H200'\]"
    with pytest.raises(UsageError, match=rf"earlier: measured on another machine: {words}"):
        priors.learn(*study_of(store), Store(tmp_path / "new"))


@pytest.mark.usefixtures("here")
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    new, before = Store(tmp_path / "new"), earlier(tmp_path)
    short = earlier(tmp_path, "short", window_s=5)
    with pytest.raises(UsageError, match=r"short: protocol\.window_s is 5\.0, in this study 10"):
        priors.learn(*study_of(sequential(tmp_path / "r1", before.root, short.root)), new)
    shutil.copytree(before.root, tmp_path / "copy")
    twice = sequential(tmp_path / "r2", before.root, tmp_path / "copy")
    with pytest.raises(UsageError, match=r"copy: holds launch r1-.*, which .*earlier holds as"):
        priors.learn(*study_of(twice), new)
    nothing = sequential(tmp_path / "r3", tmp_path / "absent")
    with pytest.raises(UsageError, match=r"absent: no host\.json, so this is not a results"):
        priors.learn(*study_of(nothing), new)
    damaged = next((before.root / "launches").glob("*/requests.jsonl"))
    damaged.write_text("no\n")
    one = sequential(tmp_path / "r4", before.root)
    with pytest.raises(UsageError, match=r"earlier: cannot be analysed: .*requests\.jsonl"):
        priors.learn(*study_of(one), new)


def test_the_measuring_side_looks_when_the_rules_do() -> None:
    known = decisions.RULES
    assert ((known.first, known.last), known.first_with_prior) == (rules.LOOKS, rules.WITH_PRIOR)
