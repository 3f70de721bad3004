"""What an interpolation may be off by goes into every interval and every verdict on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferometer.numbers import percent
from inferometer.uncertainty import decisions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Pair, RankEntry, Ranking, Value


def widened(found: Ranking, slack: Mapping[str, float]) -> Ranking:
    """Return a ranking whose verdicts allow for ``slack``, by stack (log units).

    A pair that was decided is so only if it still is with both slacks added to its half width.
    Chances of best are of launches alone, so there are none.
    """
    own = {entry.stack: slack[entry.stack] for entry in found.entries}
    pairs = [_pair(pair, own[pair.stack] + own[pair.other]) for pair in found.pairs]
    best = next((entry.stack for entry in found.entries if entry.verdict == "best"), None)
    entries = [_entry(entry, pairs, own, best, len(own)) for entry in found.entries]
    seen = found.minimum_detectable_percent
    if seen is not None and own:
        seen = math.expm1(math.log1p(seen / 100) + 2 * max(own.values())) * 100
    return replace(
        found,
        pairs=pairs,
        entries=entries,
        separated=len(entries) > 1 and sum(entry.place == 1 for entry in entries) == 1,
        minimum_detectable_percent=seen,
        slack=own,
    )


def _pair(pair: Pair, slack: float) -> Pair:
    ratio = _wider(pair.ratio, slack)
    if pair.verdict == "undecided" or not ratio.value or not ratio.low or not ratio.high:
        return replace(pair, ratio=ratio)
    half = max(math.log(ratio.high / ratio.value), math.log(ratio.value / ratio.low))
    verdict = decisions.verdict(abs(math.log(ratio.value)), half)
    rounds = None if verdict == "undecided" else pair.rounds
    return replace(pair, ratio=ratio, verdict=verdict, rounds=rounds)


def _entry(
    entry: RankEntry, pairs: list[Pair], slack: Mapping[str, float], best: str | None, stacks: int
) -> RankEntry:
    name = entry.stack
    better = sum(pair.verdict == "better" and pair.other == name for pair in pairs)
    worse = sum(pair.verdict == "better" and pair.stack == name for pair in pairs)
    against = next((it for it in pairs if {it.stack, it.other} == {name, best}), None)
    words = f"interpolated to within {percent(math.expm1(slack[name]) * 100)}"
    value = _wider(entry.value, slack[name])
    entry = replace(
        entry,
        place=1 + better,
        place_low=1 + better,
        place_high=stacks - worse,
        value=replace(value, detail="; ".join(filter(None, (value.detail, words)))),
        probability_best=None,
    )
    if against is None or best is None:
        return entry
    behind = against.verdict == "better" and against.stack == best
    return replace(
        entry,
        ratio_to_best=_wider(entry.ratio_to_best, slack[name] + slack[best]),
        verdict="behind" if behind else "tie" if against.verdict == "tie" else "undecided",
    )


def _wider(value: Value, slack: float) -> Value:
    if value.low is None or value.high is None:
        return value
    return replace(value, low=value.low * math.exp(-slack), high=value.high * math.exp(slack))
