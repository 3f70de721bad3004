"""What to do with a round that was split over two nodes: how often equal stacks are told apart.

Two nodes take pairs of rounds in turn. Node 2 is lost in the middle of one of its rounds: what was
to come there runs on node 1, so that one round has launches on both. Three equal stacks; a launch
scatters by 1 %, a round by 2 %; every launch on node 2 is slower by the node's effect. Four ways to
judge the rounds:

``ignore``   as if there were no nodes
``drop``     rounds fixed beforehand: the split round counts for nothing
``additive`` stack + block by least squares, where a block is a round on a node (Tukey-Kramer)
``none``     nothing was lost: what there would have been

And the same for a sequential study, looked at after every round from the third on. Prints Markdown
tables: studies with a false winner, and the mean half width of a pair. Then how often nodes are
said to disagree when some stack gains something of its own on each (standard deviation ``gain``).

    python -m tests.benchmarks.node_blocks [studies]
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer import nodes, stats
from inferometer.uncertainty import decisions
from inferometer.uncertainty.blocks import disagreement
from inferometer.uncertainty.components import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

STACKS, LAUNCH, ROUND = 3, 0.01, 0.02
MOST = 0.06
"""Studies in which equal stacks may be told apart: 5 % and chance."""
ByBlock = dict[str, dict[int, float]]


class Judged(NamedTuple):
    """Whether some pair was told apart, and the mean half width (log units)."""

    false: bool
    half: float


def study(rng: Generator, rounds: int, effect: float, *, lost: bool) -> ByBlock:
    """Return stack -> block -> log value of one study."""
    home = [round_ // 2 % 2 for round_ in range(rounds)]
    theirs = [round_ for round_ in range(rounds) if home[round_]]
    where, cut = int(rng.choice(theirs)), int(rng.integers(1, STACKS))
    found: ByBlock = {f"s{stack}": {} for stack in range(STACKS)}
    order = rng.permutation(STACKS)
    for round_ in range(rounds):
        level = rng.normal(0, ROUND)
        order = order[::-1] if round_ % 2 else rng.permutation(STACKS)
        on = [home[round_]] * STACKS
        if lost and round_ == where:
            on = [1] * cut + [0] * (STACKS - cut)
        elif lost and round_ > where:
            on = [0] * STACKS
        most = max(set(on), key=lambda node: (on.count(node), -node))
        for stack, node in zip(order, on, strict=True):
            block = round_ + nodes.APART * (node != most)
            value = level - effect * node + rng.normal(0, LAUNCH)
            found[f"s{stack}"][block] = value
    return found


def ignoring(values: ByBlock) -> ByBlock:
    """Return the values by round, whatever node they are of."""
    return {s: {nodes.round_of(b): y for b, y in own.items()} for s, own in values.items()}


def dropping(values: ByBlock) -> ByBlock:
    """Return the values of the blocks that are complete."""
    whole = stats.complete_rounds(values)
    return {s: {b: own[b] for b in whole} for s, own in values.items()}


def fixed(values: ByBlock) -> Judged:
    """Judge all pairs at 95 % by the layout of stacks and blocks, complete or not.

    Where blocks are complete this is what :mod:`inferometer.uncertainty.order` says.
    """
    fit = layout(values)
    assert fit is not None
    sd, quantile = math.sqrt(fit.left / fit.df), stats.range_quantile(0.95, STACKS, fit.df)
    false, halves = False, []
    for i, j in combinations(range(STACKS), 2):
        one, other = values[fit.stacks[i]], values[fit.stacks[j]]
        own = np.array([one[b] - other[b] for b in one.keys() & other.keys()])
        spread = max(sd, float(own.std(ddof=1)) / math.sqrt(2)) if own.size > 1 else sd
        width = float(fit.unit[i, i] + fit.unit[j, j] - 2 * fit.unit[i, j])
        half = quantile * spread * math.sqrt(width / 2)
        false |= abs(float(fit.means[i] - fit.means[j])) > half
        halves.append(half)
    return Judged(false, float(np.mean(halves)))


def sequential(values: ByBlock) -> Judged:
    """Judge all pairs as a study does that looks after every round."""
    levels = {s: {b: math.exp(y) for b, y in own.items()} for s, own in values.items()}
    last = len({nodes.round_of(b) for own in values.values() for b in own})
    rules = replace(decisions.RULES, last=last)
    found = decisions.decide(levels, higher_is_better=True, rules=rules, draws=0)
    ends = [(p.ratio.low, p.ratio.high) for p in found.pairs]
    halves = [math.log(high / low) / 2 for low, high in ends if low and high]
    return Judged(any(p.verdict == "better" for p in found.pairs), float(np.mean(halves)))


def rates(
    judge: Callable[[ByBlock], Judged], rounds: int, effect: float, studies: int
) -> dict[str, tuple[float, float]]:
    """Return by way the share of false winners and the mean half width (log units)."""
    rng = np.random.default_rng(1)
    seen: dict[str, list[Judged]] = {"none": [], "ignore": [], "drop": [], "additive": []}
    for _ in range(studies):
        seen["none"].append(judge(study(rng, rounds, effect, lost=False)))
        values = study(rng, rounds, effect, lost=True)
        seen["ignore"].append(judge(ignoring(values)))
        seen["drop"].append(judge(dropping(values)))
        seen["additive"].append(judge(values))
    return {
        way: (sum(j.false for j in found) / studies, float(np.mean([j.half for j in found])))
        for way, found in seen.items()
    }


def told(gain: float, rounds: int, studies: int) -> float:
    """Return the share of studies on two nodes in which the nodes are said to disagree."""
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(studies):
        parts = [
            rng.normal(0, gain, STACKS)
            + rng.normal(0, ROUND, (rounds // 2, 1))
            + rng.normal(0, LAUNCH, (rounds // 2, STACKS))
            for _ in range(2)
        ]
        p = disagreement(parts)
        found += p is not None and p <= 0.05
    return found / studies


def main(studies: int) -> int:
    """Print the tables; return 1 when equal stacks are told apart too often by what is used."""
    missed = 0
    for judge, used in ((fixed, "drop"), (sequential, "additive")):
        print(f"\n{judge.__name__}: false winners (%), half width (%)\n")
        print("| rounds | node 2 slower by (%) | nothing lost | ignore | drop | additive |")
        print("|---|---|---|---|---|---|")
        for rounds in (4, 6, 8):
            for effect in (0.0, 0.03, 0.1):
                found = rates(judge, rounds, effect, studies)
                shown = [f"{100 * f:.1f}, {100 * math.expm1(h):.2f}" for f, h in found.values()]
                print(f"| {rounds} | {100 * effect:g} | {' | '.join(shown)} |", flush=True)
                missed |= found[used][0] > MOST
    print("\n| rounds | gain (%) | nodes disagree (%) |\n|---|---|---|")
    for rounds in (4, 8):
        for gain in (0.0, 0.01, 0.03):
            print(f"| {rounds} | {100 * gain:g} | {100 * told(gain, rounds, studies):.1f} |")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000))
