"""Fit :class:`Linear` to what a real engine did: from its steps, or from several load points."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import nnls

from inferometer_plugins.simulator.laws import Linear

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROUNDS = 3


class Row(NamedTuple):
    """A step, or the mean of many: sequences, their tokens, prompt tokens, seconds.

    ``starts`` is 1 (or its share of the steps) where the seconds also hold what a request takes
    before its first step: the way there, tokenising.
    """

    decoding: float
    context: float
    prefill: float
    seconds: float
    starts: float = 0.0
    weight: float = 1.0


class Fit(NamedTuple):
    """A law with the standard error of a, b, c and d in seconds, and what it does not explain."""

    law: Linear
    errors_s: tuple[float, float, float, float]
    residual_share: float
    """Root mean square of the residuals, each over the time that the law expects."""
    start_s: float = 0.0
    """What a request takes before its first step; 0 where no row tells."""


def point(streams: int, prompt: float, output: float, tok_s: float) -> Row:
    """Return the mean step of a closed loop, from what a client sees of it.

    Holds where no request waits: ``streams`` within the most sequences there may be, prompts
    within the budget of a step, lengths nearly alike. Every stream then gets a token a step.
    """
    return Row(
        decoding=streams * (1 - 1 / output),
        context=streams * (1 - 1 / output) * (prompt + output / 2),
        prefill=streams * prompt / output,
        seconds=streams / tok_s,
    )


def fit(rows: Iterable[Row], *, positive: bool = False) -> Fit:
    """Return the least-squares law; relative errors count alike, for noise is in proportion.

    ``positive`` forbids parameters below 0, as an engine that is to be simulated needs it; the
    standard errors are those without that bound.

    Raises:
        ValueError: fewer than five rows, or they do not tell the four parameters apart.

    """
    table = np.asarray(list(rows), float).reshape(-1, 6)
    if len(table) < 5:
        raise ValueError(f"{len(table)} rows: four parameters and their errors take five at least")
    seconds, starts, weight = table[:, 3], table[:, 4], table[:, 5] / table[:, 5].mean()
    columns = np.column_stack([np.ones(len(table)), table[:, :3]])
    if starts.any():
        columns = np.column_stack([columns, starts])
    expected = seconds
    for _ in range(ROUNDS):  # weights from what was seen would favour rows that were fast by chance
        scale = np.sqrt(weight) / expected
        found, spread, left = _weighted(columns * scale[:, None], seconds * scale)
        if positive and (found < 0).any():
            size = np.abs(columns).max(axis=0) + (columns == 0).all(axis=0)
            found = nnls(columns / size * scale[:, None], seconds * scale)[0] / size
            left = (seconds - columns @ found) * scale
        expected = np.maximum(columns @ found, 1e-3 * seconds)
    a_s, b_s, c_s, d_s, *start_s = found.tolist()
    errors = np.sqrt(np.diag(spread)).tolist()
    return Fit(
        Linear(a_s=a_s, b_s=b_s, c_s=c_s, d_s=d_s),
        (errors[0], errors[1], errors[2], errors[3]),
        float(np.sqrt(np.mean(left * left))),
        *start_s,
    )


def _weighted(design: Floats, seen: Floats) -> tuple[Floats, Floats, Floats]:
    """Return parameters, their covariance, and what is left of ``seen``."""
    scale = np.abs(design).max(axis=0)
    scale[scale == 0] = 1.0
    design = design / scale
    parameters = design.shape[1]
    found, _, rank, _ = np.linalg.lstsq(design, seen, rcond=1e-6)
    if rank < parameters or len(seen) <= parameters:
        raise ValueError(
            "the rows do not tell the four parameters apart: vary streams, context and prompts"
        )
    left = seen - design @ found
    variance = float(left @ left) / (len(seen) - parameters)
    spread = np.linalg.inv(design.T @ design) * variance
    return found / scale, spread / np.outer(scale, scale), left
