"""Who may be ranked: only stacks that serve the same model, as far as their answers show.

For each model one stack is the reference: among those of the finest precision the one that agrees
with most others of it, then the nearest to them. Where stacks of that precision disagree and no
more than half of them agree with any one, nothing says which is right, and none that differs from
another is ranked. Whoever differs from the reference is shown, and not ranked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.parity import figures, name
from inferometer.precision import bits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer.comparison import Parity
    from inferometer.parity import Cell


class Server(NamedTuple):
    """What stands at the gate: precision in words, and whether it is a stand-in."""

    precision: str
    simulated: bool = False


class Refusal(NamedTuple):
    """Why a cell is not ranked."""

    reason: str
    detail: str


class _Pairs:
    """The comparisons of one model, found from either side."""

    def __init__(self, parity: Iterable[Parity]) -> None:
        self._found = {frozenset((pair.left, pair.right)): pair for pair in parity}

    def of(self, one: Cell, other: Cell) -> Parity | None:
        return self._found.get(frozenset((name(one), name(other))))

    def verdicts(self, one: Cell, others: Iterable[Cell], verdict: str) -> list[Parity]:
        pairs = (self.of(one, other) for other in others if other != one)
        return [pair for pair in pairs if pair is not None and pair.verdict == verdict]


def refusals(parity: Sequence[Parity], servers: Mapping[Cell, Server]) -> dict[Cell, Refusal]:
    """Return the cells that may not be ranked, from all comparisons and all measured cells."""
    pairs = _Pairs(parity)
    groups: dict[tuple[str, bool], list[Cell]] = {}
    for cell in sorted(servers):
        groups.setdefault((cell[1], servers[cell].simulated), []).append(cell)
    return dict(found for cells in groups.values() for found in _refused(pairs, cells, servers))


def _refused(
    pairs: _Pairs, cells: Sequence[Cell], servers: Mapping[Cell, Server]
) -> Iterator[tuple[Cell, Refusal]]:
    first = reference(pairs, cells, servers)
    for cell in cells:
        if cell == first:
            continue
        pair = pairs.of(first, cell) if first else None
        if first is None:
            failed = pairs.verdicts(cell, cells, "fail")
            if failed:
                yield cell, _disagreement(cell, failed)
        elif pair is not None and pair.verdict == "fail":
            words = f"its answers differ from those of {first[0]}: {figures(pair)}"
            yield cell, Refusal("parity_failed", words)
        elif pair is None or pair.verdict != "pass":
            own, other = servers[cell].precision, servers[first].precision
            if own != other:
                why = pair.note if pair else "no greedy probe was sent (protocol.probe)"
                words = f"computes with {own}, {first[0]} with {other}: {why}"
                yield cell, Refusal("not_compared", words)


def reference(pairs: _Pairs, cells: Sequence[Cell], servers: Mapping[Cell, Server]) -> Cell | None:
    """Return the cell the others are held to; None when nothing says which of them is right."""
    heard = [
        cell for cell in cells if any(pairs.verdicts(cell, cells, it) for it in ("pass", "fail"))
    ] or cells
    finest = max(bits(servers[cell].precision) for cell in heard)
    peers = [cell for cell in heard if bits(servers[cell].precision) == finest]

    def standing(cell: Cell) -> tuple[int, int, float, Cell]:
        passed = pairs.verdicts(cell, peers, "pass")
        gaps = [pair.distance or 0.0 for pair in passed]
        nearness = sum(gaps) / len(gaps) if gaps else 0.0
        return -len(passed), len(pairs.verdicts(cell, peers, "fail")), nearness, cell

    best = min(peers, key=standing)
    friends, enemies = -standing(best)[0], standing(best)[1]
    return None if enemies and friends + 1 <= enemies else best


def _disagreement(cell: Cell, failed: Sequence[Parity]) -> Refusal:
    own = name(cell)
    others = [pair.left if pair.right == own else pair.right for pair in failed]
    stacks = ", ".join(other.partition("/")[0] for other in others)
    words = f"its answers differ from those of {stacks}, and nothing says which are right: "
    return Refusal("parity_failed", words + figures(failed[0]))
