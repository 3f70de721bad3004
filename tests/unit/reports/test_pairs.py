"""The verdicts pair by pair: their level, what looks decided when, what earlier launches said."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory
from tests.unit.reports.figures import value

from inferometer.comparison import Comparison, Dropped, Pair, Prior, Stopped
from inferometer_reports import markdown
from inferometer_reports.sections import pairs
from inferometer_reports.view import View

STOPPED = Stopped(
    reason="budget",
    rounds=5,
    most_rounds=8,
    looks=3,
    minutes=41.4,
    minutes_allowed=45,
    earlier=2,
    ended={},
    dropped=[Dropped(stack="vllm", model="m", workload="chat", load="8 streams", rounds=3)],
    undecided=["vllm and sglang: energy, m, chat, 8 streams"],
)


def pair(rounds: int | None = None) -> Pair:
    return Pair(
        stack="vllm",
        other="sglang",
        verdict="better" if rounds else "undecided",
        ratio=value(1.25, "ratio"),
        rounds=rounds,
    )


def compared(stopped: Stopped | None = None, *, priors: bool = False) -> Comparison:
    base = factory.comparison()
    throughput, energy, *_ = base.rankings
    prior = Prior(launches=12, studies=2, variance=0.01**2, df=6) if priors else None
    rankings = [
        replace(throughput, pairs=[pair(3 if stopped else None)], prior=prior),
        replace(energy, pairs=[pair()]),
    ]
    return replace(base, stopped=stopped, rankings=rankings)


def said(comparison: Comparison) -> str:
    return "\n".join(markdown.lines(pairs.section(View(comparison))))


def test_without_a_pair_there_is_nothing_to_say() -> None:
    assert pairs.section(View(factory.comparison())) == []


def test_the_level_is_of_one_ranking_and_every_pair_is_there() -> None:
    found = said(compared())
    assert "The level of 95 % is that of one ranking" in found
    assert "all its pairs at once. It is not that of the whole report, which has two rank" in found
    rows = [line for line in found.splitlines() if line.startswith("| vllm")]
    assert [row.split(" | ")[3] for row in rows] == ["undecided", "undecided"]
    assert "| throughput: smol-135m, " in rows[0]
    assert "after round" not in found


def test_a_sequential_study_says_all_that_its_looks_did() -> None:
    found = said(compared(STOPPED, priors=True))
    assert "all its pairs and all its looks at once" in found
    assert "and 41 machine-minutes of 45 allowed: the next round would not" in found
    where = "m, chat, 8 streams"
    assert f"was decided at {where} after round 3 and measured there no more." in found
    assert f"- Undecided: vllm and sglang: energy, {where}." in found
    words = "12 launches in two earlier studies: one launch's standard deviation 1.00 %"
    assert f"- Prior from {words}, in one ranking." in found
    words = "- No prior, for want of ten earlier launches, in one ranking."
    assert words in found
    both = compared(STOPPED, priors=True)
    between = [replace(one, at="interactivity") for one in both.rankings]
    assert words in said(replace(both, rankings=[*both.rankings, *between]))
    rows = [line for line in found.splitlines() if line.startswith("| vllm")]
    assert [row.removesuffix(" |").split(" | ")[-1] for row in rows] == ["3", "not decided"]


def test_what_follows_throughput_is_not_said_again() -> None:
    base = compared()
    follows = replace(base.rankings[1], follows_throughput="it does")
    found = said(replace(base, rankings=[base.rankings[0], follows]))
    assert found.count("| vllm") == 1
    assert "are left out." in found
