"""Who is in the batch, by numbers that can be checked by eye."""

from __future__ import annotations

import pytest

from inferometer_plugins.simulator.model import Params
from inferometer_plugins.simulator.scheduler import Batch, Run


def finished(batch: Batch) -> list[int]:
    """Run to the end; return the numbers in the order in which they end."""
    order: list[int] = []
    while (run := batch.plan()) is not None:
        order += batch.done(run.steps)[1]
    return order


def test_one_request_is_read_and_then_decodes_alone() -> None:
    batch = Batch(Params())
    batch.submit(7, prompt=100, output=5)
    assert batch.plan() == Run(decoding=0, prefill=100, steps=1)
    assert batch.done(1) == ([7], [])
    assert batch.stored == 100
    assert batch.plan() == Run(decoding=1, prefill=0, steps=4)
    assert batch.done(3) == ([], [])
    assert batch.stored == 103
    assert batch.plan() == Run(decoding=1, prefill=0, steps=1)
    assert batch.done(1) == ([], [7])
    assert (batch.stored, batch.plan()) == (0, None)


def test_an_answer_of_one_token_ends_with_its_prompt() -> None:
    batch = Batch(Params())
    batch.submit(1, prompt=10, output=1)
    batch.plan()
    assert batch.done(1) == ([1], [1])


def test_a_long_prompt_comes_in_chunks_beside_those_that_decode() -> None:
    batch = Batch(Params(budget=1000, max_seqs=10))
    batch.submit(1, prompt=10, output=100)
    batch.plan()
    batch.done(1)
    batch.submit(2, prompt=2500, output=2)
    chunks = []
    for _ in range(3):
        run = batch.plan()
        assert run is not None
        assert (run.decoding, run.steps) == (1, 1)
        chunks.append(run.prefill)
        joined, _ = batch.done(1)
    assert chunks == [999, 999, 502]
    assert joined == [2]


def test_what_is_left_of_a_step_goes_to_the_next_prompt() -> None:
    batch = Batch(Params(budget=1000, max_seqs=10))
    for number in (1, 2, 3):
        batch.submit(number, prompt=600, output=3)
    run = batch.plan()
    assert run is not None
    assert run.prefill == 1000
    assert batch.done(1) == ([1], [])
    batch.plan()  # 1 decodes; 200 of number 2 are left, 600 of number 3
    assert batch.done(1) == ([2, 3], [])


def test_no_more_sequences_than_there_may_be() -> None:
    batch = Batch(Params(max_seqs=2, budget=100))
    for number in (1, 2, 3):
        batch.submit(number, prompt=4, output=10)
    batch.plan()
    assert batch.done(1)[0] == [1, 2]
    run = batch.plan()
    assert run == Run(decoding=2, prefill=0, steps=9)  # 3 waits until they end


def test_the_youngest_is_preempted_when_the_cache_is_full_and_is_read_again() -> None:
    batch = Batch(Params(kv_tokens=100))
    batch.submit(1, prompt=40, output=20)
    batch.submit(2, prompt=40, output=20)
    batch.plan()
    batch.done(1)
    run = batch.plan()  # 80 stored: ten more steps fill 100
    assert run == Run(decoding=2, prefill=0, steps=10)
    batch.done(10)
    run = batch.plan()
    assert (run, batch.preempted) == (Run(decoding=1, prefill=0, steps=9), 1)
    assert batch.done(9)[1] == [1]
    run = batch.plan()  # 40 of its prompt and 11 made are read again, 9 are left to make
    assert run == Run(decoding=0, prefill=51, steps=1)
    assert batch.done(1) == ([2], [])
    assert batch.plan() == Run(decoding=1, prefill=0, steps=8)


def test_every_request_ends_however_small_the_cache() -> None:
    batch = Batch(Params(kv_tokens=130))
    for number in range(30):
        batch.submit(number, prompt=10 + number, output=60 + number)
    assert sorted(finished(batch)) == list(range(30))
    assert batch.preempted > 0
    assert batch.stored == 0


def test_what_can_never_fit_is_refused() -> None:
    batch = Batch(Params(kv_tokens=100))
    with pytest.raises(ValueError, match="90 \\+ 11 tokens do not fit in a cache of 100"):
        batch.submit(1, prompt=90, output=11)
    with pytest.raises(ValueError, match="at least one token"):
        batch.submit(1, prompt=0, output=1)
    with pytest.raises(ValueError, match="none for prompts"):
        Batch(Params(max_seqs=64, budget=64))


def test_cached_tokens_are_not_read_but_stored() -> None:
    batch = Batch(Params())
    batch.submit(1, prompt=100, output=2, cached=60)
    run = batch.plan()
    assert run is not None
    assert run.prefill == 40
    batch.done(1)
    assert batch.stored == 100


@pytest.mark.parametrize("when", ["waiting", "reading", "decoding"])
def test_a_request_can_be_dropped_at_any_time(when: str) -> None:
    batch = Batch(Params(budget=300, max_seqs=2))
    batch.submit(1, prompt=100, output=3)
    if when == "waiting":
        batch.submit(3, prompt=1, output=1)
    batch.submit(2, prompt=1000, output=9)
    for _ in range({"waiting": 0, "reading": 1, "decoding": 5}[when]):
        run = batch.plan()
        assert run is not None
        batch.done(1)
    assert batch.running == {"waiting": 0, "reading": 2, "decoding": 1}[when]
    batch.drop(2)
    assert 2 not in finished(batch)
    assert (batch.stored, batch.running) == (0, 0)
