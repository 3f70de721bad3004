"""A comparison, looked up the way a report asks: by label, by objective, by architecture."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from inferometer.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.comparison import (
        Architecture,
        At,
        Cell,
        Check,
        Comparison,
        Kind,
        MetricInfo,
        Objective,
        RankEntry,
        Ranking,
        Value,
    )

HOLLOW: tuple[Kind, ...] = ("estimated", "simulated", "declared", "interpolated")
"""Kinds of number that nobody measured."""
ARCHITECTURES: tuple[Architecture, ...] = ("dense", "moe")
ARCHITECTURE_WORDS = {"dense": "dense", "moe": "MoE"}
ARCHITECTURE_TITLES = {"dense": "Dense", "moe": "MoE"}


class View:
    """Read-only look-ups over one comparison."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self._labels = {stack.id: stack.label or stack.id for stack in comparison.stacks}
        self._metrics = {metric.id: metric for metric in comparison.metrics}

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """Cells by id."""
        return {cell.id: cell for cell in self.comparison.cells}

    @cached_property
    def points(self) -> list[tuple[str, str]]:
        """Distinct (workload, load), in order of appearance."""
        return list(dict.fromkeys((cell.workload, cell.load) for cell in self.comparison.cells))

    @cached_property
    def architectures(self) -> list[Architecture]:
        """Architectures that the study has a model of."""
        found = {model.architecture for model in self.comparison.models}
        return [architecture for architecture in ARCHITECTURES if architecture in found]

    def label(self, stack: str) -> str:
        """Return the short name of a stack."""
        return self._labels.get(stack, stack)

    def metric(self, id_: str) -> MetricInfo | None:
        """Return a metric's definition by id; ``metric@meter`` finds the metric."""
        return self._metrics.get(id_.partition("@")[0])

    def metric_title(self, id_: str, *, unit: bool = True) -> str:
        """Return ``Energy per output token (J/token, rapl)`` for ``metric@meter``."""
        name, _, meter = id_.partition("@")
        info = self.metric(name)
        title = tr(info.title) if info else name
        unit_words = unit_name(info.unit) if unit and info else ""
        words = ", ".join(word for word in (unit_words, meter) if word)
        return f"{title} ({words})" if words else title

    @cached_property
    def profiles(self) -> list[str]:
        """Profiles of the stacks, each with rankings of its own."""
        return list(dict.fromkeys(ranking.profile for ranking in self.comparison.rankings))

    def profile_words(self, profile: str) -> str:
        """Return ``, profile equalized`` where there is more than one; else nothing."""
        return tr(", profile {profile}", profile=profile) if len(self.profiles) > 1 else ""

    def compressed(self, ranking: Ranking) -> bool:
        """Say whether the weights of some stack of a ranking are smaller than those of another."""
        found = [entry.compression for entry in ranking.entries]
        found += [item.compression for item in ranking.unranked]
        return any(times not in {None, 1.0} for times in found)

    def rankings(
        self,
        objective: Objective,
        architecture: Architecture,
        *,
        primary: bool = True,
        profile: str | None = None,
        at: At = "load",
    ) -> list[Ranking]:
        """Return the rankings of one question, one per profile, model and operating point."""
        return [
            ranking
            for ranking in self.comparison.rankings
            if ranking.objective == objective
            and ranking.architecture == architecture
            and ranking.primary == primary
            and profile in {None, ranking.profile}
            and ranking.at == at
        ]

    def second_opinions(self, ranking: Ranking) -> list[Ranking]:
        """Return the other meters' rankings of the same question at the same operating point."""
        others = self.rankings(
            ranking.objective, ranking.architecture, primary=False, at=ranking.at
        )
        return [other for other in others if place_of(other) == place_of(ranking)]

    def troubles(self) -> Iterator[tuple[Cell, Check]]:
        """Yield every check that did not pass: failures first, then unknown, then warnings."""
        for verdict in ("fail", "unknown", "warn"):
            for cell in self.comparison.cells:
                for check in cell.checks:
                    if check.verdict == verdict:
                        yield cell, check

    def kinds_of(self, objective: Objective, *, primary: bool) -> list[Kind]:
        """Return the kinds of number behind an objective's rankings at load points."""
        return sorted(
            {
                ranking.kind
                for architecture in ARCHITECTURES
                for ranking in self.rankings(objective, architecture, primary=primary)
                if ranking.entries
            }
        )

    @cached_property
    def kinds(self) -> set[Kind]:
        """Every kind of number in the comparison."""
        return {value.kind for value in self._values()} | {
            ranking.kind for ranking in self.comparison.rankings
        }

    def apart(self, ranking: Ranking) -> str:
        """Return ``simulated, `` of such a ranking where others are not; else nothing."""
        both = {one.kind == "simulated" for one in self.comparison.rankings} == {True, False}
        return tr("simulated, ") if both and ranking.kind == "simulated" else ""

    def _values(self) -> Iterator[Value]:
        for cell in self.comparison.cells:
            yield from cell.values.values()
        for ranking in self.comparison.rankings:
            for entry in ranking.entries:
                yield entry.value
                yield entry.ratio_to_best
        for ratio in self.comparison.moe_ratios:
            yield ratio.ratio


def place_of(ranking: Ranking) -> tuple[str, str, str, str]:
    """Return what tells rankings of one question apart: profile, model, workload and load."""
    return ranking.profile, ranking.model, ranking.workload, ranking.load


def by_place(ranking: Ranking) -> list[RankEntry]:
    """Return the entries from best to worst, ties in the order given."""
    return sorted(ranking.entries, key=lambda entry: entry.place)


def leaders(ranking: Ranking) -> list[RankEntry]:
    """Return the entries that share the first place."""
    entries = by_place(ranking)
    return [entry for entry in entries if entry.place == entries[0].place]


def key_of(metric: str, meter: str | None) -> str:
    """Return the key of a cell's value: ``metric`` or ``metric@meter``."""
    return f"{metric}@{meter}" if meter else metric


def place_words(ranking: Ranking, entry: RankEntry) -> str:
    """Return ``1``, ``=1`` when shared, or ``?`` when one launch each allows no order."""
    if ranking.n_rounds < 2 and len(ranking.entries) > 1:
        return "?"
    shared = sum(other.place == entry.place for other in ranking.entries) > 1
    return f"{'=' if shared else ''}{entry.place}"


def unit_name(unit: str) -> str:
    """Return a unit as printed: ``fraction`` for 1, and the dollar in letters.

    ``$`` starts mathematics in some Markdown viewers.
    """
    return tr("fraction") if unit == "1" else unit.replace("US$", "USD").replace("$", "USD")
