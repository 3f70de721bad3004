"""Do two cells say the same? Agreement of greedy answers to fixed prompts.

Exact equality is the wrong test (batching changes the order of sums), so two shares are given:
positions that match, and tokens up to the first difference, where one flip counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import Parity
from inferometer.records import Probe
from inferometer.tables import model_name, read_rows, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.store import Store

Cell = tuple[str, str]
"""Stack id and model name."""


class Match(NamedTuple):
    """Two answers to one prompt, token by token."""

    compared: int
    matching: int
    agreed: int
    """Tokens before the first difference."""
    identical: bool


def match(left: Sequence[int], right: Sequence[int]) -> Match:
    """Compare two answers. Of unequal lengths, the end of the shorter is the first difference."""
    same = [a == b for a, b in zip(left, right, strict=False)]
    agreed = same.index(False) if False in same else len(same)
    return Match(
        compared=max(len(left), len(right)),
        matching=sum(same),
        agreed=agreed,
        identical=list(left) == list(right),
    )


def compare(left: str, right: str, a: Sequence[Probe], b: Sequence[Probe]) -> Parity | None:
    """Return the agreement on the prompts both answered; None when there is none in common."""
    other = {probe.prompt: probe for probe in b}
    pairs = [(probe, other[probe.prompt]) for probe in a if probe.prompt in other]
    pairs = [(x, y) for x, y in pairs if None in _lengths(x, y) or len(_lengths(x, y)) == 1]
    matches = [match(x.token_ids, y.token_ids) for x, y in pairs]
    tokens = sum(found.compared for found in matches)
    if not tokens:
        return None
    agreed = sum(found.agreed for found in matches)
    flips = sum(not found.identical for found in matches)
    retokenised = any("retokenised" in {x.ids_from, y.ids_from} for x, y in pairs)
    return Parity(
        left=left,
        right=right,
        prompts=len(matches),
        tokens=tokens,
        agreement=sum(found.matching for found in matches) / tokens,
        until_divergence=agreed / (agreed + flips) if agreed + flips else 0.0,
        identical_prompts=len(matches) - flips,
        note="some token ids come from tokenising the text again" if retokenised else "",
    )


def _lengths(left: Probe, right: Probe) -> set[int | None]:
    return {left.prompt_tokens, right.prompt_tokens}


def parities(store: Store, twins: Mapping[str, str]) -> tuple[list[Parity], list[str]]:
    """Compare one model across stacks, and each twin with its dense model on one stack.

    Returns the comparisons, and the pairs in words that have no answered prompt in common.
    ``twins`` maps a MoE model's name to the dense one's. The first launch with probes counts.
    """
    answers = _answers(store)
    if not answers:  # nobody was asked
        return [], []
    found, uncompared = [], []
    cells = {(stack_id(record), model_name(record)) for record in store.launches()}
    for left, right in _pairs(sorted(cells), twins):
        parity = compare(_name(left), _name(right), answers.get(left, ()), answers.get(right, ()))
        if parity is None:
            uncompared.append(f"{_name(left)} and {_name(right)}")
        else:
            found.append(parity)
    return found, uncompared


def _answers(store: Store) -> dict[Cell, Sequence[Probe]]:
    answers: dict[Cell, Sequence[Probe]] = {}
    for record in sorted(store.launches(), key=lambda r: (r.round, r.position)):
        cell = (stack_id(record), model_name(record))
        if cell not in answers and (probes := read_rows(store.folder(record.id), "probes", Probe)):
            answers[cell] = probes
    return dict(sorted(answers.items()))


def _pairs(cells: Sequence[Cell], twins: Mapping[str, str]) -> Iterator[tuple[Cell, Cell]]:
    for index, left in enumerate(cells):
        for right in cells[index + 1 :]:
            if left[1] == right[1]:
                yield left, right
    for stack, model in cells:
        dense = (stack, twins.get(model, ""))
        if dense in cells:
            yield dense, (stack, model)


def _name(cell: Cell) -> str:
    return f"{cell[0]}/{cell[1]}"
