"""Which points nobody beats in everything, and how sure that is; what weights would choose.

No score: a normalised one lets a stack that is added or dropped swap the others. A point's value
in each criterion stays its own.

Sources: non-domination over draws after the attainment functions of Grunert da Fonseca and
Fonseca, 2001; weights by SMAA (Lahdelma, Hokkanen and Salminen, EJOR 106, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Points = Mapping[str, Mapping[int, Sequence[float]]]
    """Point -> round -> its value in each criterion, all positive."""

DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A point of the plane: its geometric means, whether it is on the front, and how surely.

    ``probability`` is the share of draws in which no other point is at least as good in every
    criterion and better in one; None when a point has fewer than two rounds.
    """

    name: str
    values: tuple[float, ...]
    on_front: bool
    probability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMap:
    """What weights would choose, over weights spread evenly: shares of first places, and where.

    ``cells`` are (weights, winner) on a regular grid of the simplex; between two neighbours with
    different winners the choice turns.
    """

    first: dict[str, float]
    cells: tuple[tuple[tuple[float, ...], str], ...]


def nondominated(merit: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows nobody dominates; ``merit`` is (..., points, criteria), more is better."""
    one, other = merit[..., :, None, :], merit[..., None, :, :]
    dominated = ((other >= one).all(axis=-1) & (other > one).any(axis=-1)).any(axis=-1)
    return np.logical_not(dominated)


def front(
    points: Points,
    higher_is_better: Sequence[bool],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Candidate]:
    """Return every point with its probability of being on the front.

    Draws are of the means of logs, from a t posterior with the launches' own covariance. One
    number a round is shared by all points, so what the round did to all of them cancels in the
    comparison, as it does in a paired ratio.

    Raises:
        ValueError: a value that has no logarithm, or the wrong number of criteria.
    """
    logs = {name: _logs(rounds, len(higher_is_better)) for name, rounds in points.items()}
    if not logs:
        return []
    sign = np.where(np.asarray(higher_is_better), 1.0, -1.0)
    means = np.array([rows.mean(axis=0) for rows in logs.values()])
    on_front = nondominated(means * sign)
    shares: list[float | None] = [None] * len(logs)
    if min(map(len, logs.values())) > 1:
        drawn = _draws(points, logs, draws, np.random.default_rng(seed))
        shares = [float(share) for share in _share(drawn * sign)]
    return [
        Candidate(
            name=name,
            values=tuple(float(v) for v in np.exp(means[i])),
            on_front=bool(on_front[i]),
            probability=shares[i],
        )
        for i, name in enumerate(logs)
    ]


def _logs(rounds: Mapping[int, Sequence[float]], criteria: int) -> NDArray[np.float64]:
    rows = np.array([rounds[r] for r in sorted(rounds)], dtype=float)
    if rows.ndim != 2 or rows.shape[1] != criteria or (rows <= 0).any():
        raise ValueError(f"a point needs {criteria} positive values in each round")
    return np.asarray(np.log(rows), dtype=float)


def _draws(
    points: Points,
    logs: Mapping[str, NDArray[np.float64]],
    draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return (draws, points, criteria): ``mean + sum(z_r (row_r - mean)) / sqrt(n (n-1)) / w``.

    With ``z`` standard normal, one for each round, the sum has the covariance of the mean; ``w``
    is ``sqrt(chi2(n-1) / (n-1))``, one for each draw, from the fewest rounds of any point.
    """
    every = sorted({r for rounds in points.values() for r in rounds})
    normal = rng.standard_normal((draws, len(every)))
    least = min(map(len, logs.values()))
    scale = np.sqrt(rng.chisquare(least - 1, draws) / (least - 1))
    drawn = []
    for name, rows in logs.items():
        n = len(rows)
        z = normal[:, [every.index(r) for r in sorted(points[name])]]
        moved = z @ (rows - rows.mean(axis=0)) / np.sqrt(n * (n - 1)) / scale[:, None]
        drawn.append(rows.mean(axis=0) + moved)
    return np.stack(drawn, axis=1)


def _share(merit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of draws each point is on the front of, some draws at a time."""
    size = max(1, 4_000_000 // (merit.shape[1] ** 2 * merit.shape[2]))
    parts = [merit[i : i + size] for i in range(0, len(merit), size)]
    counts = np.sum([nondominated(part).sum(axis=0) for part in parts], axis=0)
    return np.asarray(counts / len(merit), dtype=float)


def weights_map(
    points: Points,
    higher_is_better: Sequence[bool],
    *,
    steps: int = 20,
    draws: int = DRAWS,
    seed: int = 0,
) -> WeightMap:
    """Return which point each weighting of the criteria would choose; only made on request.

    A point's score is its weighted mean of logs, so halving one criterion weighs the same
    whatever its unit, and no other point moves it. ``first``: over ``draws`` weights, uniform on
    the simplex. ``cells``: weights in steps of ``1 / steps``.

    Raises:
        ValueError: as :func:`front`, or no point at all.
    """
    names = list(points)
    if not names:
        raise ValueError("there is no point to weigh")
    sign = np.where(np.asarray(higher_is_better), 1.0, -1.0)
    means = sign * np.array([_logs(points[n], len(sign)).mean(axis=0) for n in names])
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.ones(len(sign)), draws)
    chosen = np.argmax(drawn @ means.T, axis=1)
    grid = np.array(_simplex(len(sign), steps)) / steps
    winners = np.argmax(grid @ means.T, axis=1)
    return WeightMap(
        first={name: float((chosen == i).mean()) for i, name in enumerate(names)},
        cells=tuple(
            (tuple(float(w) for w in weights), names[i])
            for weights, i in zip(grid, winners, strict=True)
        ),
    )


def _simplex(parts: int, total: int) -> list[tuple[int, ...]]:
    """Return every way to write ``total`` as ``parts`` whole numbers, none negative."""
    if parts == 1:
        return [(total,)]
    return [
        (first, *rest) for first in range(total + 1) for rest in _simplex(parts - 1, total - first)
    ]
