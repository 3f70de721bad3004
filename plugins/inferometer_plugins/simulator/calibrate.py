"""Fit :class:`Linear` to what a real engine did: from its steps, or from several load points."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer_plugins.simulator.laws import Linear

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Row(NamedTuple):
    """A step, or the mean of many: sequences, their tokens, prompt tokens, seconds."""

    decoding: float
    context: float
    prefill: float
    seconds: float


class Fit(NamedTuple):
    """A law with the standard error of a, b, c and d in seconds, and what it does not explain."""

    law: Linear
    errors_s: tuple[float, float, float, float]
    residual_share: float
    """Root mean square of the residuals over the mean time of a row."""


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


def fit(rows: Iterable[Row] | Sequence[Row]) -> Fit:
    """Return the least-squares law; relative errors count alike, for noise is in proportion.

    Raises:
        ValueError: fewer than five rows, or they do not tell the four parameters apart.

    """
    table = np.asarray(list(rows), float).reshape(-1, 4)
    if len(table) < 5:
        raise ValueError(f"{len(table)} rows: four parameters and their errors take five at least")
    seconds = table[:, 3]
    design = np.column_stack([np.ones(len(table)), table[:, :3]]) / seconds[:, None]
    scale = np.abs(design).max(axis=0)
    scale[scale == 0] = 1.0
    found, _, rank, _ = np.linalg.lstsq(design / scale, np.ones(len(table)))
    if rank < 4:
        raise ValueError(
            "the rows do not tell the four parameters apart: vary streams, context and prompts"
        )
    left = np.ones(len(table)) - design / scale @ found
    variance = float(left @ left) / (len(table) - 4)
    spread = np.linalg.inv((design / scale).T @ (design / scale)) * variance
    errors = np.sqrt(np.diag(spread)) / scale
    values = (found / scale).tolist()
    law = Linear(a_s=values[0], b_s=values[1], c_s=values[2], d_s=values[3])
    a_s, b_s, c_s, d_s = errors.tolist()
    return Fit(
        law,
        (a_s, b_s, c_s, d_s),
        float(np.sqrt(np.mean((left * seconds) ** 2))) / float(seconds.mean()),
    )
