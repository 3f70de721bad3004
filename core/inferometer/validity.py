"""Is a number worth ranking? Named checks of each launch and load point.

A cell (all launches of a stack at one load point) shows the worst verdict of each check over its
launches, and is valid when none failed. Every threshold stands in the check's own ``rule``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl

from inferometer.comparison import Check
from inferometer.metrics.windows import KEY, in_flight, load_requests, population, totals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.tables import Tables

Verdict = Literal["pass", "warn", "fail", "unknown"]
Point = tuple[str, int]
"""Launch id and load point."""
WORST: dict[Verdict, int] = {"fail": 3, "warn": 2, "unknown": 1, "pass": 0}
PARITY = "same work"
"""Name of the check whose failure makes cells incomparable (reason ``parity_failed``)."""


class Evidence(NamedTuple):
    """What the checks of one window look at. ``load`` and ``ended`` are requests."""

    window: dict[str, Any]
    load: pl.DataFrame
    ended: pl.DataFrame
    in_flight: float | None
    open_at_end: int
    works: int
    """Distinct hashes of the work, over the stacks of the round."""
    events: int
    output_tokens: float | None
    tokens_known: bool | None
    counted: pl.DataFrame
    """Finished requests whose events were all counted: ``counted`` against ``output_tokens``."""

    @property
    def finished(self) -> pl.DataFrame:
        """Return the requests that ended well in the window."""
        return self.ended.filter("finished")

    @property
    def concurrency(self) -> int:
        """Return the number of streams asked for."""
        return int(self.window["concurrency"])

    @property
    def length_ns(self) -> int:
        """Return the length of the window."""
        return int(self.window["end_ns"]) - int(self.window["start_ns"])


def judge(tables: Tables) -> dict[Point, list[Check]]:
    """Return the checks of every launch and load point that has a window."""
    return {
        point: [check(evidence) for check in CHECKS]
        for point, evidence in _evidence(tables).items()
    }


def combine(checks: Mapping[Point, Sequence[Check]]) -> list[Check]:
    """Return one check a name: the worst verdict over the launches, and how many share it."""
    names = list(dict.fromkeys(check.name for group in checks.values() for check in group))
    return [
        _worst([(point[0], c) for point, group in checks.items() for c in group if c.name == name])
        for name in names
    ]


def valid(checks: Sequence[Check]) -> bool:
    """Say whether a cell may be ranked: it was checked, and nothing failed."""
    return bool(checks) and all(check.verdict != "fail" for check in checks)


def _worst(found: Sequence[tuple[str, Check]]) -> Check:
    launch, worst = max(found, key=lambda pair: WORST[pair[1].verdict])
    if worst.verdict == "pass" or len(found) == 1:
        return worst
    count = sum(check.verdict == worst.verdict for _, check in found)
    words = f"{count} of {len(found)} launches, first {launch}"
    detail = f"{worst.detail}; {words}" if worst.detail else words
    return Check(
        name=worst.name, rule=worst.rule, value=worst.value, verdict=worst.verdict, detail=detail
    )


def _evidence(tables: Tables) -> dict[Point, Evidence]:
    load = load_requests(tables).partition_by(KEY, as_dict=True, maintain_order=True)
    ended = population(tables).partition_by(KEY, as_dict=True, maintain_order=True)
    counted = _counted(tables).partition_by(KEY, as_dict=True, maintain_order=True)
    flying = {(row[0], row[1]): row for row in in_flight(tables).iter_rows()}
    works = pl.col("work_sha256").n_unique().over("model", "round", "load_point")
    rows = totals(tables, None).with_columns(works=works).iter_rows(named=True)
    empty_load, empty_ended = load_requests(tables).clear(), population(tables).clear()
    found = {}
    for row in rows:
        point = (row["launch"], row["load_point"])
        _, _, mean, still_open = flying.get(point, (*point, None, 0))
        found[point] = Evidence(
            window=row,
            load=load.get(point, empty_load),
            ended=ended.get(point, empty_ended),
            in_flight=mean,
            open_at_end=still_open,
            works=row["works"],
            events=row["events"] or 0,
            output_tokens=row["output_tokens"],
            tokens_known=row["tokens_known"],
            counted=counted.get(point, pl.DataFrame(schema={"counted": pl.Float64})),
        )
    return found


def _counted(tables: Tables) -> pl.DataFrame:
    """Return finished requests with the tokens their events hold, where all were counted."""
    sums = (
        tables.chunks.group_by("launch", "request")
        .agg(counted=pl.col("tokens").sum(), known=pl.col("tokens_known").all())
        .filter("known")
    )
    return (
        population(tables)
        .filter("finished")
        .join(sums, left_on=["launch", "index"], right_on=["launch", "request"], how="inner")
    )


def _length(side: Literal["input", "output"], name: str) -> Callable[[Evidence], Check]:
    rule = f"{side} tokens (usage) equal the pinned length for every finished request"

    def check(seen: Evidence) -> Check:
        tokens = seen.finished[f"{side}_tokens"]
        wrong = (tokens != seen.finished[f"{side}_tokens_expected"]).sum()
        told = tokens.count()
        value = f"{told - wrong} of {tokens.len()} exact"
        if wrong:
            ordered = tokens.drop_nulls().sort().to_list()
            words = f"{ordered[0]} to {ordered[-1]} tokens seen"
            return _check(name, rule, value, "fail", words)
        complete = told == tokens.len() and told > 0
        return _check(name, rule, value, "pass" if complete else "unknown")

    return check


def _same_work(seen: Evidence) -> Check:
    rule = "hash of prompts and lengths equal for all stacks of the round"
    if seen.works > 1:
        value = f"{seen.works} different hashes"
        return _check(PARITY, rule, value, "fail", "parity_failed: the stacks got unequal work")
    return _check(PARITY, rule, seen.window["work_sha256"][:12], "pass")


def _errors(seen: Evidence) -> Check:
    rule = "failed requests < 0.1 % pass, < 1 % warn"
    ended, failed = seen.ended.height, seen.ended.height - seen.finished.height
    if not ended:
        verdict: Verdict = "unknown" if seen.open_at_end else "fail"
        return _check("errors", rule, "no request ended in the window", verdict)
    rate = failed / ended
    verdict = "pass" if rate < 0.001 else "warn" if rate < 0.01 else "fail"
    first = seen.ended.filter(pl.col("finished").not_())["error"].drop_nulls()
    return _check(
        "errors", rule, f"{failed} of {ended}", verdict, str(first[0]) if first.len() else ""
    )


def _under_load(seen: Evidence) -> Check:
    rule = "mean requests in flight within 2 % of asked pass, 5 % warn; load on at the end"
    name = "closed under load"
    if seen.in_flight is None:
        return _check(name, rule, "no requests", "fail")
    value = f"{seen.in_flight:.2f} of {seen.concurrency} in flight"
    if not seen.open_at_end:
        return _check(name, rule, value, "fail", "the load ended before the window did")
    off = abs(seen.in_flight / seen.concurrency - 1)
    return _check(name, rule, value, "pass" if off <= 0.02 else "warn" if off <= 0.05 else "fail")


def _window_length(seen: Evidence) -> Check:
    name, rule = "window length", "window >= 10 mean request times pass, >= 1 warn"
    whole = seen.load.filter((pl.col("status") == "ok") & (pl.col("phase") == "load"))
    if not whole.height:
        return _check(name, rule, "no request finished", "fail", "the window is too short")
    request_ns = float((whole["last_ns"] - whole["sent_ns"]).sum()) / whole.height
    times = seen.length_ns / max(request_ns, 1.0)
    verdict: Verdict = "pass" if times >= 10 else "warn" if times >= 1 else "fail"
    return _check(name, rule, f"{times:.1f} request times", verdict)


def _fresh_prompts(seen: Evidence) -> Check:
    rule = "every request of the load had a prompt of its own"
    sent, distinct = seen.load.height, seen.load["prompt"].n_unique()
    value = f"{distinct} prompts for {sent} requests"
    if distinct == sent:
        return _check("fresh prompts", rule, value, "pass")
    cold = seen.load.height > 0 and seen.load["cached_tokens"].sum() == 0
    cold = cold and seen.finished["cached_tokens"].null_count() == 0
    words = "no cached token was reported" if cold else "a cache may have answered"
    return _check("fresh prompts", rule, value, "warn" if cold else "fail", words)


def _little(seen: Evidence) -> Check:
    """Return the check of Little's law.

    A window cuts the requests at its edges: with streams in step, the count of completions is off
    by up to one a stream. So up to 5 % + streams / completions is a warning and not a failure.
    """
    name, rule = "little's law", "in flight = completions/s x mean latency, within 5 %"
    n = seen.finished.height
    if n < 30 or seen.in_flight is None:
        return _check(name, rule, f"{n} completions, 30 are needed", "unknown")
    busy_ns = int((seen.finished["done_ns"] - seen.finished["sent_ns"]).sum())
    off = busy_ns / seen.length_ns / seen.in_flight - 1
    edge = seen.concurrency / n
    verdict: Verdict = "pass" if abs(off) <= 0.05 else "warn" if abs(off) <= 0.05 + edge else "fail"
    return _check(name, rule, f"{off:+.1%}", verdict)


def _client(seen: Evidence) -> Check:
    rule = "event-loop lag p99 < 5 ms pass, <= 50 ms warn"
    lag = float(seen.window["loop_lag_p99_ms"])
    verdict: Verdict = "pass" if lag < 5 else "warn" if lag <= 50 else "fail"
    cpu = float(seen.window["client_cpu_s"]) / (seen.length_ns / 1e9)
    return _check("client headroom", rule, f"{lag:.2f} ms", verdict, f"client used {cpu:.0%} CPU")


def _counting(seen: Evidence) -> Check:
    name, rule = "token counting", "tokens counted in the stream = usage, within 1 %"
    if not seen.finished.height:
        return _check(name, rule, "no request finished", "unknown")
    counted, usage = seen.counted, 0
    if "output_tokens" in counted.columns:
        usage = int(counted["output_tokens"].sum())
    if not usage:
        return _check(name, rule, "the stream has no counts", "unknown", "usage alone is used")
    off = float(counted["counted"].sum()) / usage - 1
    return _check(name, rule, f"{off:+.2%}", "pass" if abs(off) <= 0.01 else "fail")


def _tokens_per_chunk(seen: Evidence) -> Check:
    name, rule = "tokens per chunk", "one token an event, so that gaps are per token (<= 1.05)"
    if not seen.events or seen.output_tokens is None:
        return _check(name, rule, "no counted events", "unknown")
    mean = seen.output_tokens / seen.events
    words = "" if seen.tokens_known else "apportioned from usage"
    return _check(name, rule, f"{mean:.3f}", "pass" if mean <= 1.05 else "warn", words)


def _cache(seen: Evidence) -> Check:
    warm = seen.window["cache"] == "warm"
    name, rule = "cold cache", "cached prompt tokens: 0 pass, < 1 % warn"
    if warm:
        name = "warm cache"
        rule = "cached prompt tokens: 0.8 to 1.05 of the declared reuse pass, 0.5 to 1.2 warn"
    cached = seen.finished["cached_tokens"]
    if cached.null_count() or not cached.len():
        return _check(name, rule, "unknown", "unknown", "the engine does not say")
    prompt = int(seen.finished["input_tokens_expected"].sum())
    share = int(cached.sum()) / prompt if prompt else 0.0
    if warm:
        return _warm(name, rule, share, float(seen.window["reuse"]))
    verdict: Verdict = "pass" if share == 0 else "warn" if share < 0.01 else "fail"
    return _check(name, rule, f"{share:.2%}", verdict)


def _warm(name: str, rule: str, share: float, declared: float) -> Check:
    """Judge reuse: caches hold whole blocks, so a little less than declared is to be expected."""
    ratio = share / declared if declared else 0.0
    near = 0.8 <= ratio <= 1.05
    verdict: Verdict = "pass" if near else "warn" if 0.5 <= ratio <= 1.2 else "fail"
    return _check(name, rule, f"{share:.2%} of {declared:.2%} declared", verdict)


def _check(name: str, rule: str, value: str, verdict: Verdict, detail: str = "") -> Check:
    return Check(name=name, rule=rule, value=value, verdict=verdict, detail=detail)


CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    _same_work,
    _length("output", "output length"),
    _length("input", "prompt length"),
    _window_length,
    _errors,
    _under_load,
    _fresh_prompts,
    _cache,
    _little,
    _client,
    _counting,
    _tokens_per_chunk,
)
