"""What a notebook shows of results: the study, and who is where at each load point."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from inferometer.numbers import with_interval
from inferometer.reasons import reason_words
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Comparison, Ranking

HEAD = ("Objective", "Model", "Workload", "Load", "Place", "Stack", "Value (95 % interval)", "Unit")


def html(comparison: Comparison) -> str:
    """Return a few lines and a table of the first meters' places at load points."""
    labels = {stack.id: stack.label for stack in comparison.stacks}
    found = [it for it in comparison.rankings if it.primary and it.at == "load"]
    rows = [row for ranking in found for row in _rows(ranking, labels)]
    parts = [f"<h3>{_text(comparison.title or 'Untitled study')}</h3>", _facts(comparison)]
    if any(ranking.kind == "simulated" for ranking in found):
        parts.append("<p><strong>SIMULATED: no engine was measured.</strong></p>")
    parts.append(_table(rows) if rows else "<p>Nothing is ranked in these results.</p>")
    return f"<div>{''.join(parts)}</div>"


def _facts(comparison: Comparison) -> str:
    rounds = f"{comparison.rounds_complete} of {comparison.rounds_planned} rounds"
    ended = comparison.created or "at an unknown time"
    stacks, models = len(comparison.stacks), len(comparison.models)
    counts = f"stacks: {stacks}; models: {models}"
    gaps = f"missing: {len(comparison.missing)}" if comparison.missing else ""
    facts = (comparison.preset, counts, rounds, f"last launch ended {ended}", gaps)
    return f"<p>{_text('; '.join(fact for fact in facts if fact))}</p>"


def _rows(ranking: Ranking, labels: dict[str, str]) -> Iterator[Sequence[str]]:
    where = (ranking.objective, ranking.model, ranking.workload, ranking.load)
    places = [entry.place for entry in ranking.entries]
    for entry in sorted(ranking.entries, key=lambda entry: entry.place):
        shared = "=" if places.count(entry.place) > 1 else ""
        told = ranking.n_rounds > 1 or len(places) < 2
        yield (
            *where,
            f"{shared}{entry.place}" if told else "?",
            labels.get(entry.stack, entry.stack),
            with_interval(entry.value),
            entry.value.unit,
        )
    for one in ranking.unranked:
        name = labels.get(one.stack, one.stack)
        yield (*where, "none", name, f"n/a ({reason_words(one.reason)})", "")


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in HEAD)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return escape(plain(text))
