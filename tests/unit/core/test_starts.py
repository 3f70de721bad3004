"""How a closed loop begins: with requests of all ages, the same for every stack."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

import pytest

from inferometer import workload
from inferometer.plan import LoadPoint
from inferometer.study import LoadEntry, Protocol, WorkloadEntry
from inferometer.work import work
from inferometer.workloads import starts
from inferometer.workloads.lengths import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIXED = WorkloadEntry(name="w", input_tokens=32, output_tokens=40)
MIXED = WorkloadEntry(
    name="w", input=parse("uniform:min=24,max=40"), output=parse("lognormal:mean=3,sigma=1,max=200")
)
PROTOCOL = Protocol(seed=1, window_s=1.0)


def test_long_requests_are_met_in_proportion_to_their_length(tokenizer: Path) -> None:
    """Uniform over 1 to 99: met at E[L^2] / E[L] = 3283.3 / 50 = 65.7, and at its middle."""
    entry = WorkloadEntry(name="w", input_tokens=32, output=parse("uniform:min=1,max=99"))
    found = starts.running(entry, 4000, "1/0", tokenizer)
    assert mean(each.pair.output_tokens for each in found) == pytest.approx(65.7, abs=1.5)
    ages = [each.made / each.pair.output_tokens for each in found]
    assert mean(ages) == pytest.approx(0.5, abs=0.03)
    assert sum(age < 0.25 for age in ages) == pytest.approx(1000, abs=120)
    assert all(0 <= each.made < each.pair.output_tokens for each in found)


def test_a_fixed_length_is_met_at_every_age(tokenizer: Path) -> None:
    found = starts.running(FIXED, 4000, "1/0", tokenizer)
    assert {each.pair.output_tokens for each in found} == {40}
    assert {each.made for each in found} == set(range(40))


def test_the_start_is_the_same_for_every_stack_and_another_in_each_round(tokenizer: Path) -> None:
    point = LoadPoint(index=0, workload=MIXED, load=LoadEntry(concurrency=8))
    work.cache_clear()
    one = work(tokenizer, point, 0, PROTOCOL)
    work.cache_clear()
    again, later = (work(tokenizer, point, round_, PROTOCOL) for round_ in (0, 1))
    assert one == again
    assert one.sha256() == again.sha256() != later.sha256()
    assert starts.running(MIXED, 8, "1/0", tokenizer) != starts.running(MIXED, 8, "2/0", tokenizer)


@pytest.mark.parametrize("kind", ["bytes", "bos", "metaspace"])
def test_what_is_made_already_is_text_of_its_own_behind_the_prompt(
    path_of: Callable[[str], Path], kind: str
) -> None:
    tokenizer = path_of(kind)
    point = LoadPoint(index=0, workload=FIXED, load=LoadEntry(concurrency=40))
    made = work(tokenizer, point, 0, PROTOCOL)
    begun = [(len(made.prompts.ids[at]), made.output_tokens[at]) for at in made.firsts]
    assert {prompt + output for prompt, output in begun} == {72}  # never longer than it was
    assert min(output for _, output in begun) >= 1
    assert len({prompt for prompt, _ in begun}) > 20
    rest = [at for at in range(len(made.prompts)) if at not in made.firsts]
    assert {(len(made.prompts.ids[at]), made.output_tokens[at]) for at in rest} == {(32, 40)}
    read = workload.load_tokenizer(tokenizer)
    for at in made.firsts:
        assert read.encode(made.prompts.text[at]).ids == made.prompts.ids[at]
    # cold: neither prompts nor what is behind them begin alike
    special = made.prompts.special_tokens
    assert len({tuple(ids[special : special + 12]) for ids in made.prompts.ids}) == len(
        made.prompts
    )
    behind = [tuple(made.prompts.ids[at][32:40]) for at in made.firsts]
    assert len({ids for ids in behind if len(ids) == 8}) == sum(len(ids) == 8 for ids in behind)


def test_what_prompts_share_stays_in_front(tokenizer: Path) -> None:
    entry = WorkloadEntry(
        name="w", input_tokens=64, output_tokens=40, cache="warm", reuse=0.5, prefix_groups=2
    )
    point = LoadPoint(index=0, workload=entry, load=LoadEntry(concurrency=8))
    made = work(tokenizer, point, 0, PROTOCOL)
    assert made.prompts.cache == "warm"
    assert {made.prompts.shared[at] for at in made.firsts} == {32}
    for at in made.firsts:
        assert made.prompts.ids[at][:32] == made.prompts.ids[at % 2][:32]
    assert made.reuse == 0.5  # of the ordinary ones


def test_an_unset_window_has_requests_for_the_shortest_and_for_longer_requests(
    tokenizer: Path,
) -> None:
    protocol = Protocol(seed=1)
    closed = work(
        tokenizer, LoadPoint(index=0, workload=FIXED, load=LoadEntry(concurrency=4)), 0, protocol
    )
    assert len(closed.prompts) == 5 + 60 * 80
    rate = LoadPoint(index=0, workload=FIXED, load=LoadEntry(rate=2.0))
    assert work(tokenizer, rate, 0, protocol).offsets_s[-1] > 320  # 30, 300 and 2 s
