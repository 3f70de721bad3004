"""Quux as a report format of Inferometer: every ranking as lines of plain text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inferometer import hookimpl
from inferometer.comparison import Comparison, Ranking, Value


@dataclass(frozen=True)
class QuuxRenderer:
    """What ``inferometer report --format quux`` writes."""

    name: str = "quux"

    def render(self, comparison: Comparison) -> Mapping[str, bytes]:
        """Return file name -> content; the same comparison gives the same bytes."""
        text = "".join(f"{plain(line)}\n" for line in lines(comparison))
        return {"quux.txt": text.encode()}


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield the report, line by line."""
    labels = {stack.id: stack.label for stack in comparison.stacks}
    yield comparison.title
    for ranking in comparison.rankings:
        yield ""
        yield heading(ranking)
        for entry in ranking.entries:
            place = f"{entry.place_low}-{entry.place_high}"
            yield f"{place:>5}  {labels[entry.stack]}: {number(entry.value)}"
        for left in ranking.unranked:
            yield f"    -  {labels[left.stack]}: {left.reason}, {left.detail}"
    yield ""
    yield f"Stacks: {', '.join(labels.values())}"
    for warning in comparison.warnings:
        yield f"Warning: {warning}"


def heading(ranking: Ranking) -> str:
    """Return what a ranking is of."""
    meter = f" by {ranking.meter}" if ranking.meter else ""
    return f"{ranking.objective}{meter}: {ranking.model}, {ranking.workload}, {ranking.load}"


def number(value: Value) -> str:
    """Return a number with its unit, its interval and its kind; an absent one is its reason."""
    if value.value is None:
        return str(value.reason)
    between = "" if value.low is None else f" ({value.low:.4g} to {value.high:.4g})"
    return f"{value.value:.4g} {value.unit}{between}, {value.kind}"


def plain(text: str) -> str:
    """Return text without what a terminal would obey: an engine says some of it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@hookimpl
def inferometer_renderers() -> list[QuuxRenderer]:
    """Return the report formats of this plugin."""
    return [QuuxRenderer()]
