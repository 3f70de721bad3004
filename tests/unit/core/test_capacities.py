"""What stored searches say: brackets, flags and rankings at the SLO."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from inferometer.analyze import analyze
from inferometer.capacity_records import CapacityProbe, CapacitySearch
from inferometer.comparison import Capacity, Comparison, Ranking
from inferometer.errors import UsageError
from inferometer.records import MeterInfo, Window
from inferometer.store import Store, append_lines, encode, read_lines
from inferometer.testing.results import BEGIN, METER, SECOND, Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TABLES = """
[slo]
ttft_ms = 500.0
tpot_ms = 50.0
[capacity]
low = 1.0
high = 64.0
"""
Ends = tuple[float | None, float | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched(Fixture):
    """A fixture with a study that searches; ``ends`` are passes, fails and flag of each launch."""

    ends: Mapping[tuple[str, int], Ends] = field(default_factory=dict)

    def study_text(self) -> str:
        return Fixture.study_text(self) + TABLES


def probe(rate: float, outcome: str, point: int, start_ns: int) -> CapacityProbe:
    """Return a probe of 20 s in which each request made 10 tokens."""
    return CapacityProbe(
        rate=rate,
        outcome=outcome,  # type: ignore[arg-type]
        good=round(20 * rate) if outcome == "pass" else 0,
        bad=0 if outcome == "pass" else round(20 * rate),
        missed={} if outcome == "pass" else {"ttft_ms": round(20 * rate)},
        output_tokens=200 * rate,
        window=Window(
            load_point=point,
            workload="small",
            load=f"{rate:g} requests/s",
            start_ns=start_ns,
            end_ns=start_ns + 20 * SECOND,
            discarded_ns=0,
            work_sha256="",
            prompts=1,
            client_cpu_s=0.1,
            loop_lag_p99_ms=0.5,
            send_lag_p99_ms=0.5,
        ),
    )


def searched(ends: Ends, start_ns: int) -> CapacitySearch:
    passes, fails, flag = ends
    probes = [probe(passes, "pass", 1, start_ns)] if passes else []
    probes += [probe(fails, "fail", 2, start_ns)] if fails else []
    return CapacitySearch(
        workload="small",
        limits={"ttft_ms": 500.0, "tpot_ms": 50.0},
        share=0.9,
        confidence=0.95,
        low=1.0,
        high=64.0,
        tolerance=0.1,
        budget_s=900.0,
        seconds=600.0,
        passes=passes,
        fails=fails,
        flag=flag,  # type: ignore[arg-type]
        design_effect=4.0,
        probes=probes,
    )


def results(root: Path, **ends: list[Ends]) -> Store:
    """Write results of two rounds with these searches, by stack."""
    return stored(root, ends)


def stored(
    root: Path, ends: Mapping[str, list[Ends]], *, rounds: int = 2, meter: MeterInfo = METER
) -> Store:
    """Write results of these rounds with these searches, by stack."""
    made = {(stack, round_): it for stack, rows in ends.items() for round_, it in enumerate(rows)}
    rates = dict.fromkeys(ends, 100.0)
    fixture = Searched(rates=rates, rounds=rounds, window_s=60, ends=made, meter=meter)
    store = write_results(root, fixture)
    for record in store.launches():
        key = (str(record.stack["id"]), record.round)
        start_ns = BEGIN + record.position * 1000 * SECOND + 5 * SECOND
        append_lines(store.folder(record.id) / "capacity.jsonl", [searched(made[key], start_ns)])
    return store


def compared(tmp_path: Path, **ends: list[Ends]) -> Comparison:
    return analyze(results(tmp_path / "r", **ends).root)


def ranked(seen: Comparison, objective: str) -> Ranking:
    (found,) = (it for it in seen.rankings if it.at == "slo" and it.objective == objective)
    return found


def of(seen: Comparison, stack: str) -> Capacity:
    (found,) = (it for it in seen.capacities if it.stack == stack)
    return found


def test_ends_are_pooled_over_launches(tmp_path: Path) -> None:
    seen = compared(tmp_path, a=[(8, 9, None), (18, 20.25, None)], b=[(4, 4.5, None)] * 2)
    one = of(seen, "a")
    assert one.passes.value == pytest.approx(12)  # sqrt(8 x 18)
    assert one.fails.value == pytest.approx(13.5)
    assert one.rate.value == pytest.approx(math.sqrt(12 * 13.5))
    assert (one.passes.n, one.passes.unit, one.flag) == (2, "req/s", None)
    assert one.slo == "TTFT <= 500 ms and TPOT <= 50 ms"
    assert [launch.round for launch in one.launches] == [0, 1]
    assert of(seen, "b").passes.value == pytest.approx(4)


def test_launches_that_are_all_alike_may_lie_anywhere_in_their_bracket(tmp_path: Path) -> None:
    rate = of(compared(tmp_path, a=[(8, 9, None)] * 2), "a").rate
    assert [rate.low, rate.high] == pytest.approx([8, 9])


def test_brackets_that_overlap_tell_nobody_apart(tmp_path: Path) -> None:
    seen = compared(tmp_path, a=[(10, 11, None)] * 2, b=[(10.4, 11.4, None)] * 2)
    found = ranked(seen, "throughput")
    assert [entry.place for entry in found.entries] == [1, 1]
    assert found.pairs[0].verdict == "undecided"  # and no tie, however alike the launches are
    assert found.load == "at the SLO: 90 % of requests within TTFT <= 500 ms and TPOT <= 50 ms"


def test_brackets_apart_are_ranked_by_capacity_joules_and_dollars(tmp_path: Path) -> None:
    seen = compared(tmp_path, a=[(10, 11, None)] * 2, b=[(20, 22, None)] * 2)
    rate, energy, cost = (ranked(seen, it) for it in ("throughput", "energy", "cost"))
    assert [(e.stack, e.place) for e in rate.entries] == [("b", 1), ("a", 2)]
    assert (rate.metric, rate.entries[0].probability_best) == ("capacity_requests_s", None)
    values = {e.stack: e.value.value for e in energy.entries}
    # 80 W for 20 s over 20 x 10 x 10 and 20 x 20 x 10 tokens
    assert values == {"a": pytest.approx(0.8), "b": pytest.approx(0.4)}
    values = {e.stack: e.value.value for e in cost.entries}
    # 3.6 USD/h are 0.001 USD/s; 100 and 200 tok/s
    assert values == {"a": pytest.approx(10), "b": pytest.approx(5)}
    assert cost.follows_throughput
    assert {it.id for it in seen.metrics} >= {"capacity_requests_s"}


@pytest.mark.parametrize("flag", ["ill_posed", "below_range", "above_range", "budget", "starved"])
def test_a_stack_without_a_bracket_has_no_place_and_a_reason(tmp_path: Path, flag: str) -> None:
    seen = compared(tmp_path, a=[(10, 11, None)] * 2, b=[(4, 9, flag), (4, 4.4, None)])
    found = ranked(seen, "throughput")
    assert [entry.stack for entry in found.entries] == ["a"]
    assert [(it.stack, it.reason) for it in found.unranked] == [("b", flag)]
    assert found.unranked[0].detail == "in 1 of 2 launches"
    assert of(seen, "b").flag == flag


@pytest.mark.parametrize(
    ("flag", "ends"), [("above_range", (64, None)), ("below_range", (None, 1))]
)
def test_one_launch_beyond_the_range_is_not_left_out_of_a_mean(
    tmp_path: Path, flag: str, ends: tuple[float | None, float | None]
) -> None:
    # three launches at 10 to 11 and one known to be far from it: no mean of three says that
    b: list[Ends] = [(10, 11, None)] * 3 + [(*ends, flag)]
    store = stored(tmp_path / "r", {"a": [(10, 11, None)] * 4, "b": b}, rounds=4)
    seen = analyze(store.root)
    (unranked,) = ranked(seen, "throughput").unranked
    assert (unranked.stack, unranked.reason, unranked.detail) == ("b", flag, "in 1 of 4 launches")
    found = of(seen, "b")
    for value in (found.passes, found.fails, found.rate):
        assert (value.value, value.reason, value.detail) == (None, flag, "in 1 of 4 launches")


def test_a_place_shows_a_capacity_no_more_exact_than_its_bracket(tmp_path: Path) -> None:
    seen = compared(tmp_path, a=[(10, 11, None)] * 2, b=[(20, 22, None)] * 2)
    rate, cost = ranked(seen, "throughput"), ranked(seen, "cost")
    ends = {e.stack: (e.value.low, e.value.high) for e in rate.entries}
    assert ends == {"a": pytest.approx((10, 11)), "b": pytest.approx((20, 22))}
    # dollars are those of the rate that passed, whatever lies above it
    assert {e.stack: e.value.low for e in cost.entries} == pytest.approx({"a": 10, "b": 5})


def test_brackets_count_in_the_rounds_that_are_compared(tmp_path: Path) -> None:
    # b has a bracket in rounds 0 and 1 alone, and a's of those rounds reach beyond it
    a: list[Ends] = [(10, 12, None)] * 2 + [(10, 10.1, None)] * 3
    b: list[Ends] = [(11.9, 11.95, None)] * 2 + [(4, 9, "ill_posed")] * 3
    store = stored(tmp_path / "r", {"a": a, "b": b}, rounds=5)
    for record in store.launches():
        if record.stack["id"] == "b" and record.round > 2:
            (store.folder(record.id) / "capacity.jsonl").unlink()
    found = ranked(analyze(store.root), "throughput")
    assert found.n_rounds == 2
    assert [entry.place for entry in found.entries] == [1, 1]


def test_a_search_that_broke_off_says_at_which_rate_and_why(tmp_path: Path) -> None:
    store = results(tmp_path / "r", a=[(10, 11, None)] * 2, b=[(4, None, "failed")] * 2)
    for record in store.launches():
        if record.stack["id"] == "b":
            path = store.folder(record.id) / "capacity.jsonl"
            (one,) = read_lines(path, CapacitySearch)
            path.unlink()
            append_lines(path, [structs.replace(one, failure="at 8 requests/s: it died")])
    (unranked,) = ranked(analyze(store.root), "throughput").unranked
    assert (unranked.stack, unranked.reason) == ("b", "failed")
    assert unranked.detail == "in 2 of 2 launches: at 8 requests/s: it died"


@pytest.mark.parametrize("ends", [(-4.0, 5.0, None), (5.0, 4.0, None), (5.0, 5.0, None)])
def test_ends_that_are_no_bracket_are_none(tmp_path: Path, ends: Ends) -> None:
    seen = compared(tmp_path, a=[(10, 11, None)] * 2, b=[ends] * 2)
    assert [(it.stack, it.reason) for it in ranked(seen, "throughput").unranked] == [
        ("b", "ill_posed")
    ]


def test_joules_of_a_meter_whose_clock_stepped_are_refused_at_the_slo_too(tmp_path: Path) -> None:
    meter = structs.replace(
        METER, kind="measured", instrument="counter", period_s=1.0, update_ms=50.0
    )
    ends: dict[str, list[Ends]] = {"a": [(10, 11, None)] * 2, "b": [(20, 22, None)] * 2}
    store = stored(tmp_path / "r", ends, meter=meter)
    assert {e.stack for e in ranked(analyze(store.root), "energy").entries} == {"a", "b"}
    for record in store.launches():
        path = store.folder(record.id) / "capacity.jsonl"
        (one,) = read_lines(path, CapacitySearch)
        stepped = [
            structs.replace(it, window=structs.replace(it.window, clock_step_ms=100.0))
            for it in one.probes
        ]
        path.unlink()
        append_lines(path, [structs.replace(one, probes=stepped)])
    found = ranked(analyze(store.root), "energy")
    assert {it.stack: it.reason for it in found.unranked} == dict.fromkeys("ab", "clock_unsure")


def test_a_launch_that_was_not_searched_says_so(tmp_path: Path) -> None:
    store = results(tmp_path / "r", a=[(10, 11, None)] * 2, b=[(10, 11, None)] * 2)
    for record in store.launches():
        if record.stack["id"] == "b":
            (store.folder(record.id) / "capacity.jsonl").unlink()
    one = of(analyze(store.root), "b")
    assert (one.rate.reason, one.rate.detail) == ("not_run", "no launch was searched")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = results(tmp_path / "r", a=[(10, 11, None)] * 2)
    path = store.folder(store.launches()[0].id) / "capacity.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UsageError, match=r"capacity\.jsonl"):
        analyze(store.root)


def test_stacks_whose_work_was_invalid_are_not_ranked_at_the_slo(tmp_path: Path) -> None:
    store = results(tmp_path / "r", a=[(10, 11, None)] * 2, b=[(20, 22, None)] * 2)
    for record in store.launches():
        if record.stack["id"] == "b":
            late = [structs.replace(it, send_lag_p99_ms=99.0) for it in record.windows]
            path = store.folder(record.id) / "launch.json"
            path.write_bytes(encode(structs.replace(record, windows=late)))
    found = ranked(analyze(store.root), "throughput")
    assert [(it.stack, it.reason) for it in found.unranked] == [("b", "starved")]
