"""Do two cells say the same? Fixed texts, scored token by token and continued greedily.

Exact equality is the wrong test (batching changes the order of sums). Two figures tell rounding
from other weights, both at equal context: the mean difference of the log-probabilities of the same
tokens, where both engines tell them, and the share of greedy tokens that agree up to the first
difference, where one flip counts once. ``core/decisions/0007-parity-gate.md`` has the measurements
behind the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from inferometer.comparison import Parity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.records import Probe, Score

Cell = tuple[str, str]
"""Stack id and model name."""
MOST_NATS = 0.1
"""Mean |difference of ln p| per token up to which two cells are the same model."""
LEAST_AGREEMENT = 0.90
"""Share of greedy tokens, up to and with each text's first difference, from which they are."""


class Said(NamedTuple):
    """What one cell said of the fixed texts."""

    probes: Sequence[Probe] = ()
    scores: Sequence[Score] = ()


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


def compare(left: Cell, right: Cell, a: Said, b: Said) -> Parity:
    """Compare two cells and judge: one figure beyond its limit is enough to fail."""
    found = Parity(
        left=name(left),
        right=name(right),
        distance_limit=MOST_NATS,
        agreement_limit=LEAST_AGREEMENT,
    )
    found = _scores(_answers(found, a.probes, b.probes), a.scores, b.scores)
    failed = [
        found.distance is not None and found.distance > MOST_NATS,
        found.until_divergence is not None and found.until_divergence < LEAST_AGREEMENT,
    ]
    if found.distance is None and found.until_divergence is None:
        return replace(found, verdict="not comparable", note=_why_not(a, b))
    return replace(found, verdict="fail" if any(failed) else "pass")


def figures(found: Parity) -> str:
    """Return what was seen against its limits, in words."""
    parts = []
    if found.distance is not None:
        parts.append(
            f"ln p of the same tokens differs by {found.distance:.3f} on average over "
            f"{found.positions:,} tokens (limit {MOST_NATS:g})"
        )
    if found.until_divergence is not None:
        parts.append(
            f"{found.until_divergence:.1%} of greedy tokens agree up to the first difference "
            f"(limit {LEAST_AGREEMENT:.0%})"
        )
    return "; ".join(parts) or found.note


def _answers(found: Parity, a: Sequence[Probe], b: Sequence[Probe]) -> Parity:
    other = {probe.prompt: probe for probe in b}
    pairs = [(probe, other[probe.prompt]) for probe in a if probe.prompt in other]
    pairs = [(x, y) for x, y in pairs if None in _lengths(x, y) or len(_lengths(x, y)) == 1]
    matches = [match(*_ids(x, y)) for x, y in pairs]
    tokens = sum(one.compared for one in matches)
    if not tokens:
        return found
    agreed = sum(one.agreed for one in matches)
    flips = sum(not one.identical for one in matches)
    retokenised = any("retokenised" in {x.ids_from, y.ids_from} for x, y in pairs)
    return replace(
        found,
        prompts=len(matches),
        tokens=tokens,
        agreement=sum(one.matching for one in matches) / tokens,
        until_divergence=agreed / (agreed + flips) if agreed + flips else 0.0,
        identical_prompts=len(matches) - flips,
        note="some token ids come from tokenising the text again" if retokenised else "",
    )


def _ids(x: Probe, y: Probe) -> tuple[list[int], list[int]]:
    """Return the token ids of both answers, of the same making."""
    if x.ids_from == y.ids_from == "engine":
        return x.token_ids, y.token_ids
    left, right = (one.token_ids if one.text_ids is None else one.text_ids for one in (x, y))
    return left, right


def _lengths(left: Probe, right: Probe) -> set[int | None]:
    return {left.prompt_tokens, right.prompt_tokens}


def _scores(found: Parity, a: Sequence[Score], b: Sequence[Score]) -> Parity:
    other = {score.text_sha256: score.logprobs for score in b}
    gaps = [
        abs(x - y)
        for score in a
        if len(others := other.get(score.text_sha256, [])) == len(score.logprobs)
        for x, y in zip(score.logprobs, others, strict=True)
    ]
    if gaps:
        return replace(found, distance=sum(gaps) / len(gaps), positions=len(gaps))
    silent = [name for name, rows in ((found.left, a), (found.right, b)) if not rows]
    words = f"no log-probabilities from {' and '.join(silent)}: answers alone are compared"
    note = "; ".join(filter(None, (found.note, words if silent and len(silent) < 2 else "")))
    return replace(found, note=note)


def _why_not(a: Said, b: Said) -> str:
    if not a.probes or not b.probes:
        return "the fixed texts were not answered by both"
    return "no fixed text has the same length in tokens for both"


def name(cell: Cell) -> str:
    """Return a cell's name in reports."""
    return f"{cell[0]}/{cell[1]}"
