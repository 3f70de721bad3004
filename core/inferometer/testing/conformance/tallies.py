"""Checks of counters and of the prefix cache, against a fake that counts as the engine does."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inferometer import counters
from inferometer.engine import QUANTITIES
from inferometer.testing.check import Failed, applies, check, checks_of, need
from inferometer.testing.conformance import talk
from inferometer.testing.conformance.kit import OUTPUT_TOKENS, PATIENCE_S, PROMPT_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.engine import CacheReset
    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Fake, Kit

REQUESTS = 3


def _counting(kit: Kit) -> Fake:
    applies(kit.engine.metrics, "it has no counters")
    return kit.fake()


def _wanted(kit: Kit, requests: int = REQUESTS) -> dict[str, float]:
    """Return what so many requests count, as far as the adapter declares it."""
    assert kit.engine.metrics is not None
    prompt = requests * PROMPT_TOKENS
    output = requests * OUTPUT_TOKENS
    right = {
        "prompt_tokens": prompt,
        "prompt_tokens_computed": prompt,
        "prompt_tokens_cached": 0,
        "output_tokens": output,
        "requests_finished": requests,
        "requests_aborted": 0,
        "preemptions": 0,
    }
    declared = {counter.name for counter in kit.engine.metrics.counters}
    return {name: float(value) for name, value in right.items() if name in declared}


def _grown(fake: Fake, send: Callable[[], object]) -> dict[str, float]:
    before = fake.counted()
    send()
    return counters.difference(before, fake.counted(before))


def _ask(fake: Fake, requests: int = REQUESTS) -> None:
    rows = [a.request for a in fake.ask(*(fake.completion(number=i) for i in range(requests)))]
    need(all(row.status == "ok" for row in rows), f"failed: {[r.error for r in rows if r.error]}")


@check
def counters_are_found(kit: Kit) -> None:
    """Every family and label that the adapter declares is on the engine's page."""
    fake = _counting(kit)
    assert kit.engine.metrics is not None
    _ask(fake)
    found = fake.counted()
    lost = [each.source for each in kit.engine.metrics.counters if each.name not in found]
    need(not lost, f"not there: {', '.join(lost)}")


@check
def counters_move_by_what_was_sent(kit: Kit) -> None:
    """Counters grow by exactly the prompt tokens, output tokens and requests that were sent."""
    fake = _counting(kit)
    grown = _grown(fake, lambda: _ask(fake))
    wrong = {name: grown.get(name) for name, by in _wanted(kit).items() if grown.get(name) != by}
    need(not wrong, f"of {REQUESTS} requests: {wrong}, wanted {_wanted(kit)}")


@check
def warm_up_does_not_count(kit: Kit) -> None:
    """What the engine counted before the first request is in no difference."""
    applies(kit.engine.metrics, "it has no counters")
    with kit.started(warm_up=(1000, 2000)) as fake:
        before = fake.counted()
        need(any(value >= 1000 for value in before.values()), f"no warm-up in {before}")
        grown = _grown(fake, lambda: _ask(fake, 1))
        after = {name: grown.get(name) for name in _wanted(kit, 1)}
        need(after == _wanted(kit, 1), f"{after}, wanted {_wanted(kit, 1)}")


@check
def cached_tokens_are_apart(kit: Kit) -> None:
    """Prompt tokens from the cache are counted as cached, and not as computed."""
    fake = _counting(kit)
    with fake.scene(cached=8):
        grown = _grown(fake, lambda: _ask(fake, 1))
    right = {
        "prompt_tokens": PROMPT_TOKENS,
        "prompt_tokens_cached": 8,
        "prompt_tokens_computed": PROMPT_TOKENS - 8,
        "prefix_cache_hits": 8,
        "prefix_cache_queries": PROMPT_TOKENS,
    }
    known = {name: by for name, by in right.items() if name in grown}
    applies("prompt_tokens_cached" in known, "it does not tell cached tokens apart")
    wrong = {name: grown[name] for name, by in known.items() if grown[name] != by}
    need(not wrong, f"8 of {PROMPT_TOKENS} tokens were cached: {wrong}")


@check
def gauges_follow(kit: Kit) -> None:
    """The number of running requests is 1 while one runs, and 0 after it."""
    fake = _counting(kit)
    applies("requests_running" in fake.counted(), "it tells no running requests")
    with _running(fake):
        running = fake.counted()["requests_running"]
    need(running == 1, f"{running} run while one does")
    need(fake.counted()["requests_running"] == 0, "one still runs")


@contextmanager
def _running(fake: Fake) -> Iterator[None]:
    """Have a request answered while the block runs."""
    thread = threading.Thread(target=fake.ask, args=(fake.completion(),))
    with fake.scene(hold=True):
        thread.start()
        until = time.monotonic() + PATIENCE_S
        while not fake.seen()["running"]:
            need(time.monotonic() < until, "the request did not start")
            time.sleep(0.01)
        yield
    thread.join()


@check
def reset_of_counters_seen(kit: Kit) -> None:
    """Counters that begin again in the middle are told as ``counter_reset``, not as numbers."""
    fake = _counting(kit)
    assert kit.engine.metrics is not None
    applies(not kit.engine.metrics.drains, "what drains cannot fall")
    _ask(fake)
    before = fake.counted()
    with fake.scene(restarted=True):
        try:
            counters.difference(before, fake.counted())
        except counters.CounterReset as reset:
            need(any(name in str(reset) for name in QUANTITIES), f"no counter in {reset}")
            return
    raise Failed("counters fell, and a difference was made of them")


# -- the prefix cache ----------------------------------------------------------------------------


def _how(kit: Kit) -> CacheReset:
    how = kit.engine.cache_reset
    applies(how, "it declares none: prompts must differ")
    assert how is not None
    return how


@check
def cache_reset_works(kit: Kit) -> None:
    """The cache reset is called as the engine wants it, and its answer is understood."""
    how, fake = _how(kit), kit.fake()
    need(talk.reset(fake.server, how), f"{how.method} {how.path} is not understood as done")


@check
def cache_reset_refusal_seen(kit: Kit) -> None:
    """A cache reset that the engine refuses while a request runs is not taken for done."""
    how, fake = _how(kit), kit.fake()
    with _running(fake):
        done = talk.reset(fake.server, how)
    need(not done, "refused, and taken for done")


@check
def cache_is_off_or_reset(kit: Kit) -> None:
    """Caches can be cold: prefix caching can be switched off, or the cache be emptied."""
    refused = [
        each.said
        for each in kit.variants(kit.context())
        if (each.term, each.value) == ("prefix_caching", False) and isinstance(each.said, Exception)
    ]
    need(not refused or kit.engine.cache_reset, f"neither: {'; '.join(map(str, refused))}")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
