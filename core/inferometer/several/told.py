"""What is said of directories that are pooled, or are not after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison, Ranking
    from inferometer.several.manifest import Head


PAIRED = (
    "Pairs are formed within rounds, so never across directories; what a directory does to all "
    "stacks alike cancels. Verdicts are about the mean over these directories."
)
FIXED = (
    "The intervals take the number of directories as fixed beforehand: adding days until a "
    "difference shows makes false winners."
)


def not_alike(heads: Sequence[Head], alone: Sequence[Comparison], ranking: Ranking) -> str:
    """Say which ratio differs between directories that otherwise agree."""
    where = (ranking.objective, ranking.meter, ranking.model, ranking.workload, ranking.load)
    said = []
    for head, comparison in zip(heads, alone, strict=True):
        for one in comparison.rankings:
            own = (one.objective, one.meter, one.model, one.workload, one.load)
            if own == where and one.profile == ranking.profile and len(one.entries) > 1:
                told = {entry.stack: entry.value.value or 0.0 for entry in one.entries}
                a, b = (entry.stack for entry in ranking.entries[:2])
                if told.get(a) and told.get(b):
                    said.append(f"{a} over {b} is {told[a] / told[b]:.3g} in {head.name}")
    words = f"{ranking.objective}, {ranking.model}, {ranking.workload}, {ranking.load}"
    names = ", ".join(head.name for head in heads)
    return (
        f"Not pooled: {names} agree in every key, but the ratios of their stacks differ by more "
        f"than launches do ({words}: {'; '.join(said)})."
    )


def remarks(heads: Sequence[Head], *, machine: bool, asked: bool) -> list[str]:
    """Return how to read what was pooled.

    ``machine``: all directories come from one. ``asked``: it could be tested whether the stacks'
    ratios are the same in all.
    """
    found = [PAIRED, FIXED]
    if not asked:
        found.append(
            "Whether the ratios are the same in all directories could not be asked: that takes two "
            "ranked stacks, and two complete rounds in one of them."
        )
    if not machine:
        found.append(
            "Nothing shows that this was one machine, and machines of one model differ: values "
            "other than ratios are means without an interval. Each directory's own stand beside."
        )
    seeds = [head.plan.protocol.seed for head in heads]
    if len(set(seeds)) < len(seeds):
        found.append(
            "Directories with one seed sent the same prompts: what these prompts do counts as "
            "often as they were sent. Give each study a seed of its own."
        )
    return found
