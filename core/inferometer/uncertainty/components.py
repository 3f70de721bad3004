"""Where the variance comes from, launches or windows, and what to repeat because of it.

Source: Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM 2013: the cheapest
number of repetitions at a level is the root of (cost ratio x variance ratio).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

WINDOWS = (1, 4)
"""Least and most windows a launch: more than four reach what drift allows."""
EARLIER = 10
"""Least launches from which a prior of the variance may come."""
PRIOR_DF = 6.0
"""What that prior is worth, in degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Standard deviations in log units (0.01 is 1 %): of launches, and of windows inside one.

    ``launch_sd`` is what is left when the windows' share is taken out, 0 where that is less than
    nothing. ``window_sd`` is None where no launch has two windows.
    """

    launch_sd: float
    window_sd: float | None
    launch_df: float
    window_df: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What earlier launches say of the variance of one launch: ``variance`` worth ``df``."""

    variance: float
    df: float = PRIOR_DF


def components(
    windows: Mapping[str, Mapping[int, Sequence[float]]], *, window_sd: float | None = None
) -> Components:
    """Return the variance components of stack -> round -> values of the launch's windows.

    Model, on logs: ``stack + round + launch + window``. Windows: pooled spread inside launches.
    Launches: the residual variance of the launches' means over stacks and rounds, less the
    windows' variance over the (harmonic mean) number of windows. ``window_sd`` in log units serves
    where every launch has one window (batch means give it).

    Raises:
        ValueError: a launch without a window, or a value that is not positive.
    """
    cells = [
        (stack, round_, np.log(np.asarray(values, dtype=float)))
        for stack, rounds in windows.items()
        for round_, values in rounds.items()
        if _usable(values)
    ]
    within = sum(float(((logs - logs.mean()) ** 2).sum()) for *_, logs in cells)
    window_df = sum(len(logs) - 1 for *_, logs in cells)
    if window_df:
        window_sd = math.sqrt(within / window_df)
    means = {
        stack: {r: float(logs.mean()) for s, r, logs in cells if s == stack} for stack in windows
    }
    found = residual(means)
    if found is None:
        return Components(launch_sd=0.0, window_sd=window_sd, launch_df=0, window_df=window_df)
    variance, df = found
    per_launch = float(np.mean([1 / len(logs) for *_, logs in cells]))
    launch = max(variance - (window_sd or 0.0) ** 2 * per_launch, 0.0)
    return Components(
        launch_sd=math.sqrt(launch), window_sd=window_sd, launch_df=df, window_df=window_df
    )


def shared_windows(rounds: Sequence[Sequence[Sequence[float]]]) -> tuple[float, int] | None:
    """Return the variance of one window's mean (log units) and its degrees of freedom.

    Of each round the batches of every stack's window: rows of equal length, in the order of time,
    all positive. Stacks of a round get the same requests, so what those do to a batch they do to
    all of it; it is taken out with each launch's own level, for the comparison of stacks never sees
    it. One stack's batches alone overstate the noise: in long-tailed work by twice and more. None
    where no round has two stacks, or no more than one batch.
    """
    left, df, batches = 0.0, 0, 1
    for rows in rounds:
        if len(rows) < 2 or len(rows[0]) < 2:
            continue
        logs = np.log(np.asarray(rows, dtype=float))
        own = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
        left += float((own**2).sum())
        df += (logs.shape[0] - 1) * (logs.shape[1] - 1)
        batches = logs.shape[1]
    return (left / df / batches, df) if df else None


def _usable(values: Sequence[float]) -> bool:
    if not len(values) or min(values) <= 0:
        raise ValueError("every launch needs a window, and every value must be positive")
    return True


def residual(logs: Mapping[str, Mapping[int, float]]) -> tuple[float, int] | None:
    """Return the variance left when stacks and rounds are taken out, and its degrees of freedom.

    Rounds may lack stacks. None where nothing is left over.
    """
    fitted = layout(logs)
    if fitted is None or fitted.df < 1:
        return None
    return fitted.left / fitted.df, fitted.df


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The two-way layout ``y = stack + round + residual``, fitted by least squares.

    ``means``: of each stack, up to one constant. ``unit``: the covariance of ``means`` per unit
    of residual variance (only contrasts have a meaning). ``left``: sum of squared residuals.
    ``variances``: of each stack's own residuals, over what the fit left them.
    """

    stacks: tuple[str, ...]
    means: NDArray[np.float64]
    unit: NDArray[np.float64]
    left: float
    df: int
    variances: NDArray[np.float64]


def layout(logs: Mapping[str, Mapping[int, float]]) -> Layout | None:
    """Fit stacks and rounds to ``stack -> round -> log value``, complete or not; None if empty."""
    stacks = tuple(logs)
    rounds = sorted({round_ for by_round in logs.values() for round_ in by_round})
    cells = [(stacks.index(s), rounds.index(r), y) for s in stacks for r, y in logs[s].items()]
    if not cells:
        return None
    k, n = len(stacks), len(rounds)
    design = np.zeros((len(cells), k + n))
    for row, (i, j, _) in enumerate(cells):
        design[row, i] = design[row, k + j] = 1.0
    y = np.array([value for *_, value in cells])
    gram = np.asarray(np.linalg.pinv(design.T @ design, hermitian=True), dtype=np.float64)
    fit = gram @ design.T @ y
    squares = (y - design @ fit) ** 2
    free = 1 - np.einsum("ij,jk,ik->i", design, gram, design)
    return Layout(
        stacks=stacks,
        means=fit[:k],
        unit=gram[:k, :k],
        left=float(squares.sum()),
        df=len(cells) - int(np.linalg.matrix_rank(design)),
        variances=(squares @ design)[:k] / np.maximum((free @ design)[:k], 1e-9),
    )


def windows_per_launch(
    parts: Components,
    *,
    launch_s: float,
    window_s: float,
    clamp: tuple[int, int] = WINDOWS,
) -> int:
    """Return how many windows to measure in a launch.

    ``ceil(sqrt(launch_s / window_s * window_variance / launch_variance))`` within ``clamp``, with
    ``launch_s`` the seconds a launch costs beside its windows. The most where launches show no
    variance of their own, the least where windows show none or were never told.
    """
    least, most = clamp
    if not parts.window_sd or parts.launch_df < 1:
        return least
    if parts.launch_sd <= 0:
        return most
    best = math.sqrt(launch_s / window_s) * parts.window_sd / parts.launch_sd
    return int(min(max(math.ceil(best - 1e-9), least), most))


def prior(groups: Sequence[Mapping[str, Mapping[int, float]]]) -> Prior | None:
    """Return what earlier studies on the same hardware say of one launch's variance.

    Each group is ``stack -> round -> value`` of one study. None below ten launches. The upper
    quartile of the variances that each stack of each study showed, and never less than all of them
    together: a prior that is 30 % too small nearly doubles the share of false winners, one that is
    too large costs a round.
    """
    launches = sum(len(rounds) for group in groups for rounds in group.values())
    logs = [
        {s: {r: math.log(v) for r, v in rounds.items()} for s, rounds in group.items()}
        for group in groups
    ]
    found = [fit for group in logs if (fit := layout(group)) and fit.df >= 1]
    if launches < EARLIER or not found:
        return None
    pooled = sum(fit.left for fit in found) / sum(fit.df for fit in found)
    quartile = float(np.quantile(np.concatenate([fit.variances for fit in found]), 0.75))
    return Prior(variance=max(pooled, quartile))


def cautious(parts: Components, known: Prior, *, windows: int) -> Components:
    """Return ``parts`` with the launches' variance as large as the prior has it.

    For planning: from few launches the component alone is often 0. ``windows``: of each launch
    the prior came from.
    """
    launch = known.variance - (parts.window_sd or 0.0) ** 2 / windows
    return replace(parts, launch_sd=max(parts.launch_sd, math.sqrt(max(launch, 0.0))))


def rescaled(known: Prior, parts: Components, *, measured: int, wanted: int) -> Prior:
    """Return a prior from launches of ``measured`` windows as one for launches of ``wanted``.

    The variance of a launch's mean is ``launch^2 + window^2 / windows``; the prior goes with it,
    so what was added to it for safety stays in proportion.
    """
    launch, window = parts.launch_sd**2, (parts.window_sd or 0.0) ** 2
    before = launch + window / measured
    if before <= 0:
        return known
    return Prior(variance=known.variance * (launch + window / wanted) / before, df=known.df)
