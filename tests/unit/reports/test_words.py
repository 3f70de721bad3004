"""Every sentence of the catalogue, with numbers that can be checked by eye."""

from msgspec.structs import replace
from tests.unit.reports import factory

from inferometer.comparison import (
    Comparison,
    Dropped,
    Missing,
    Prior,
    Ranking,
    Stopped,
    Unranked,
    Value,
)
from inferometer.reasons import listing
from inferometer_reports import stopping, words
from inferometer_reports.verdicts import answer, clause, inverse
from inferometer_reports.view import View


def first(comparison: Comparison) -> Ranking:
    return comparison.rankings[0]


def said(**changes: object) -> str:
    """The clause of the first ranking (throughput, dense) after some changes to it."""
    comparison = factory.comparison()
    return clause(View(comparison), replace(first(comparison), **changes))


def with_rankings(*rankings: Ranking, **changes: object) -> View:
    return View(replace(factory.comparison(), rankings=list(rankings), **changes))


def test_a_lead() -> None:
    assert said() == (
        "vllm 0.32.0 leads: 1.25x (95 % 1.19 to 1.32, n = 3) the output throughput of "
        "transformers 5.19.0"
    )


def test_no_clear_winner_says_what_could_not_be_seen() -> None:
    comparison = factory.comparison()
    moe = next(r for r in comparison.rankings if r.architecture == "moe")
    assert clause(View(comparison), moe) == (
        "no clear winner among vllm 0.32.0 and transformers 5.19.0: ratio 1.02 "
        "(95 % 0.97 to 1.07, n = 3); differences under 6 % could not have been seen"
    )


def test_a_tie_is_not_a_missing_winner() -> None:
    comparison = factory.comparison()
    moe = next(r for r in comparison.rankings if r.architecture == "moe")
    tied = [moe.entries[0], replace(moe.entries[1], verdict="tie")]
    assert clause(View(comparison), replace(moe, entries=tied)) == (
        "a tie of vllm 0.32.0 and transformers 5.19.0: ratio 1.02 (95 % 0.97 to 1.07, n = 3), "
        "equal within the margin"
    )


def test_one_launch_each_gives_no_order() -> None:
    assert said(n_rounds=1) == (
        "one launch each of vllm 0.32.0 and transformers 5.19.0: no interval, so no order"
    )


def test_one_stack_alone() -> None:
    ranking = first(factory.comparison())
    failed = [Unranked(stack="transformers", reason="failed", detail="")]
    assert said(entries=ranking.entries[:1], unranked=failed, separated=False) == (
        "only vllm 0.32.0 was measured: 200 (192 to 208) tok/s, n = 3; "
        "not ranked: failed (transformers 5.19.0)"
    )


def test_nobody_ranked() -> None:
    left_out = [factory.unranked("vllm"), factory.unranked("transformers")]
    assert said(entries=[], unranked=left_out) == (
        "not ranked: no power sensor (vllm 0.32.0 and transformers 5.19.0)"
    )
    assert said(entries=[]) == "not ranked: no result"


def test_no_ranking_at_all_is_explained() -> None:
    no_price = Value(value=None, unit="USD/h", kind="declared", reason="no_price")
    view = with_rankings(price=no_price)
    assert answer(view, "cost", "dense") == "not ranked: no price given."
    assert answer(view, "throughput", "dense") == "not ranked: no result."
    dense = factory.comparison().models[:1]
    assert answer(with_rankings(models=dense), "energy", "moe") == (
        "not ranked: no MoE model was launched."
    )
    missing = [Missing(what="energy by rapl", reason="no_permission", detail="")]
    assert answer(with_rankings(missing=missing), "energy", "dense") == (
        "not ranked: no permission to read the sensor."
    )


def test_two_load_points_get_a_clause_each() -> None:
    ranking = first(factory.comparison())
    view = with_rankings(ranking, replace(ranking, load="16 streams", n_rounds=1))
    text = answer(view, "throughput", "dense")
    assert text == (
        "vllm 0.32.0 leads: at 8 streams 1.25x (95 % 1.19 to 1.32, n = 3) the output throughput "
        "of transformers 5.19.0; one launch each of vllm 0.32.0 and transformers 5.19.0: "
        "no interval, so no order at 16 streams."
    )


def test_load_points_with_the_same_verdict_share_a_clause() -> None:
    moe = next(r for r in factory.comparison().rankings if r.architecture == "moe")
    view = with_rankings(moe, replace(moe, load="16 streams", minimum_detectable_percent=9.0))
    assert answer(view, "throughput", "moe") == (
        "no clear winner among vllm 0.32.0 and transformers 5.19.0: ratio at 8 streams 1.02 "
        "(95 % 0.97 to 1.07, n = 3), at 16 streams 1.02 (95 % 0.97 to 1.07, n = 3)."
    )


def test_many_load_points_are_counted() -> None:
    ranking = first(factory.comparison())
    points = [replace(ranking, load=f"{n} streams") for n in range(4)]
    view = with_rankings(*points, replace(ranking, load="64 streams", separated=False))
    assert answer(view, "throughput", "dense") == (
        "vllm 0.32.0 leads at 4 of 5 load points (1.25x to 1.25x the output throughput of the "
        "second); no clear winner at 1 of 5 load points."
    )


def test_a_load_point_without_a_contest_has_no_verdict() -> None:
    """One stack alone, or none, is not a winner who is not clear."""
    ranking = first(factory.comparison())
    points = [replace(ranking, load=f"{n} streams") for n in range(3)]
    alone = replace(ranking, load="64 streams", entries=ranking.entries[:1])
    nobody = replace(ranking, load="128 streams", entries=[])
    assert answer(with_rankings(*points, alone, nobody), "throughput", "dense") == (
        "vllm 0.32.0 leads at 3 of 5 load points (1.25x to 1.25x the output throughput of the "
        "second); not ranked at 2 of 5 load points."
    )


def test_a_second_meter_that_disagrees_is_named() -> None:
    comparison = factory.comparison()
    rapl, declared = (r for r in comparison.rankings[:4] if r.objective == "energy")
    assert "Another meter" not in answer(View(comparison), "energy", "dense")
    turned = [replace(entry, place=3 - entry.place) for entry in declared.entries]
    view = with_rankings(rapl, replace(declared, entries=turned))
    assert "Another meter says otherwise: declared." in answer(view, "energy", "dense")


def test_simulated_stacks_are_apart() -> None:
    ranking = first(factory.comparison())
    view = with_rankings(ranking, replace(ranking, kind="simulated"))
    text = answer(view, "throughput", "dense")
    assert text.startswith("vllm 0.32.0 leads")
    assert text.endswith("Simulated stacks are ranked apart.")
    assert words.banner(view)
    assert words.banner(View(factory.comparison())) is None


def test_label_of_presets() -> None:
    comparison = factory.comparison()
    assert " ".join(words.label(View(comparison))) == (
        "QUICK LOOK: three short rounds, one load point; for a decision run a full study."
    )
    full = replace(comparison, preset="", rounds_planned=12, rounds_complete=11)
    assert " ".join(words.label(View(full))) == ("STUDY: 11 of 12 rounds complete, one load point.")


def test_kinds_name_the_second_meter() -> None:
    assert words.kinds(View(factory.comparison())).text == (
        "throughput measured, energy measured (second meter: estimated), cost derived."
    )


def test_moe_ratio_says_what_it_can_mean() -> None:
    found = words.moe_to_dense(View(factory.comparison()))
    assert found
    assert found.text.startswith(
        "Output throughput: vllm 0.32.0 0.315x (95 % 0.302 to 0.328, n = 3); transformers 5.19.0"
    )
    assert found.text.endswith("MoE overhead at equal quality, not how a trained MoE model runs.")


def test_a_random_router_is_said_of_its_own_model_alone() -> None:
    base = factory.comparison()
    (moe,) = {ratio.moe for ratio in base.moe_ratios}
    model = next(one for one in base.models if one.name == moe)
    trained = replace(model, name="trained", routing="trained")
    ratios = [*base.moe_ratios, *(replace(one, moe="trained") for one in base.moe_ratios)]
    both = View(replace(base, models=[*base.models, trained], moe_ratios=ratios))
    found = words.moe_to_dense(both)
    assert found
    assert f"The router of {moe} is random" in found.text
    # A twin that the ratios shown are not of says nothing of them.
    alone = View(replace(both.comparison, moe_ratios=ratios[len(base.moe_ratios) :]))
    found = words.moe_to_dense(alone)
    assert found
    assert "random" not in found.text


def test_failing_checks_are_named() -> None:
    comparison = factory.comparison()
    cell = comparison.cells[0]
    bad = replace(cell, checks=[replace(cell.checks[0], verdict="fail")])
    view = View(replace(comparison, cells=[bad]))
    assert words.checks(view).text == "0 of 1 passed; FAILED: littles_law in vllm-dense."


def test_inverse_turns_the_interval_over() -> None:
    turned = inverse(Value(value=0.5, unit="ratio", kind="derived", n=3, low=0.4, high=0.8))
    assert (turned.value, turned.low, turned.high) == (2.0, 1.25, 2.5)
    assert inverse(Value(value=0.0, unit="ratio", kind="derived")).value == 0.0


def test_listing() -> None:
    assert [listing(text) for text in ("", "A", "AB", "ABC")] == ["", "A", "A and B", "A, B and C"]


def test_the_price_stands_at_the_head_with_its_day_and_its_age() -> None:
    base = factory.comparison()
    found = replace(
        base.price, value=2.5, detail="a list, 2026-05-01, on-demand; stale: 143 days old"
    )
    told = words.price(View(replace(base, price=found)))
    assert told is not None
    assert told.text.endswith("USD/h: a list, 2026-05-01, on-demand; stale: 143 days old.")
    nothing = replace(base.price, value=None, reason="no_price")
    assert words.price(View(replace(base, price=nothing))) is None


def test_a_sequential_study_says_why_it_stopped_and_what_stayed_open() -> None:
    stopped = Stopped(
        reason="budget",
        rounds=5,
        most_rounds=8,
        looks=3,
        minutes=41.4,
        minutes_allowed=45,
        ended={"vllm": 3},
        dropped=[
            Dropped(stack=stack, model="dense", workload="short", load="8 streams", rounds=rounds)
            for stack, rounds in (("vllm", 3), ("sglang", 4), ("other", 4))
        ],
        undecided=["a and b: cost, dense, short, 8 streams"],
    )
    comparison = replace(factory.comparison(), rounds_complete=5, rounds_planned=8, stopped=stopped)
    view = View(comparison)
    assert words.label(view).text.startswith("5 of at most 8 rounds, ")
    text = words.how_sure(view).text
    assert text.startswith("5 of at most 8 rounds, every stack launched anew in each")
    stop, undecided = stopping.sequential(view)
    assert stop.lead == "Stopped:"
    assert [it.lead for it in words.context(view)][:3] == ["How sure:", "Stopped:", "Undecided:"]
    assert stop.text.startswith(
        "after 5 of at most 8 rounds and 41 machine-minutes of 45 allowed: the next round would not"
    )
    assert undecided == ("Undecided:", "one pair: a and b: cost, dense, short, 8 streams.")
    text = stop.text
    assert "prior from" not in text
    where = "dense, short, 8 streams after round 4"
    assert f"decided and measured no more: {where} (sglang and other)" in text
    assert "was launched no more after round 3: all its pairs were decided" in text


def test_the_answers_are_those_of_load_points() -> None:
    comparison = factory.comparison()
    elsewhere = [
        replace(ranking, at=at, kind="simulated", metric="capacity", minimum_detectable_percent=1.0)
        for ranking in comparison.rankings
        for at in ("interactivity", "slo")
    ]
    plain = View(comparison)
    view = with_rankings(*elsewhere, *comparison.rankings)
    assert words.answers(view) == words.answers(plain)
    assert words.how_sure(view) == words.how_sure(plain)
    assert words.moe_to_dense(view) == words.moe_to_dense(plain)
    assert [view.kinds_of("energy", primary=it) for it in (True, False)] == [
        ["measured"],
        ["estimated"],
    ]
    second = view.rankings("energy", "dense", primary=False, at="slo")
    assert view.second_opinions(view.rankings("energy", "dense", at="slo")[0]) == second


def test_a_prior_is_named_with_the_launches_it_rests_on() -> None:
    base = factory.comparison()
    stopped = Stopped(
        reason="decided", rounds=2, most_rounds=8, looks=1, minutes=12.2, ended={}, undecided=[]
    )
    few, many = (Prior(launches=n, studies=2, variance=1e-4, df=6) for n in (12, 15))
    rankings = [replace(base.rankings[0], prior=few), replace(base.rankings[1], prior=many)]
    (told,) = stopping.sequential(View(replace(base, stopped=stopped, rankings=rankings)))
    assert (
        "every pair is decided; prior from at least 12 launches in two earlier studies."
        in told.text
    )
    (alone,) = stopping.sequential(View(replace(base, stopped=stopped, rankings=rankings[:1])))
    assert "; prior from 12 launches in two earlier studies." in alone.text


def test_a_server_that_ran_already_was_not_launched_anew() -> None:
    found = factory.comparison()
    attached = [replace(stack, environment={"kind": "url"}) for stack in found.stacks]
    text = words.how_sure(View(replace(found, stacks=attached))).text
    assert "; servers that ran already were not launched anew; windows of" in text
