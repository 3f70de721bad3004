"""Prefill and decode apart, the same way for every engine: a fit over windows of unlike shape.

Over the windows of one stack on one model at one load, by one meter::

    E = e0 * seconds + ep * uncached prompt tokens + ed * output tokens

Stretches in which the loaded engine idled are rows without tokens. Without them e0 is unknown at
full load, where time itself is a sum over tokens, and the fit is refused. One load at a time: a
decode step reads the weights once for all its streams, so that ``ed`` is another number at another
concurrency. Least squares of the relative residuals (each row is divided by its joules), none of
the three below 0.

Intervals: the launches are resampled by leaving out one at a time (the delete-one jackknife), t
quantile of ``n - 1``; a bootstrap of three launches would be too narrow. They hold what differs
between launches and not what the three terms leave out, such as attention over long contexts. That
shows in ``held_out``: each shape predicted by a fit that did not see it.

Source: regression over workloads that differ in length alone; Efron and Tibshirani, An Introduction
to the Bootstrap (1993), chapter 11 for the jackknife.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from inferometer.stats import LEVEL, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_WINDOWS = 6
LEAST_SHAPES = 2
WORST_CONDITION = 30.0
"""Of the weighted columns at unit length: above it a percent of noise moves a term by tens."""
WORST_HELD_OUT = 0.1
"""A shape that is predicted worse than this says that the three terms do not describe the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One window, or one stretch of loaded idle (no tokens, empty ``shape``)."""

    launch: str
    shape: str
    """What prompts and answers were like: the workload."""
    seconds: float
    prompt_tokens: float
    """Prompt tokens computed, without those a cache held."""
    output_tokens: float
    energy_j: float

    @property
    def row(self) -> tuple[float, float, float]:
        """Return the quantities of the three terms."""
        return self.seconds, self.prompt_tokens, self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One coefficient with its 95 % interval over launches (None with fewer than two)."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where one window's joules went. The first four add up to ``metered_j``, always.

    ``unallocated_j`` is what the fit leaves over; it may be negative.
    """

    prefill_j: float
    decode_j: float
    idle_j: float
    unallocated_j: float
    metered_j: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the three terms are, or the reason why they cannot be told apart."""

    reason: str | None = None
    detail: str = ""
    idle_w: Term = Term(value=math.nan)
    prefill_j_per_token: Term = Term(value=math.nan)
    decode_j_per_token: Term = Term(value=math.nan)
    launches: int = 0
    windows: int = 0
    shapes: int = 0
    condition: float = math.nan
    held_out: dict[str, float] = field(default_factory=dict)
    """Shape -> predicted / metered joules - 1, by a fit without it; the two outermost are not."""

    @property
    def terms(self) -> NDArray[np.float64]:
        """Return the three coefficients: W, J per prompt token, J per output token."""
        every = (self.idle_w, self.prefill_j_per_token, self.decode_j_per_token)
        return np.array([term.value for term in every])


def fit(rows: Sequence[Stretch]) -> Fit:
    """Return the fit over windows and stretches of loaded idle of one stack, model and load."""
    windows = [row for row in rows if row.shape]
    shapes = list(dict.fromkeys(row.shape for row in windows))
    found = Fit(windows=len(windows), shapes=len(shapes))
    if len(windows) < LEAST_WINDOWS or len(shapes) < LEAST_SHAPES:
        words = (
            f"{len(windows)} windows over {len(shapes)} workloads at this load; "
            f"{LEAST_WINDOWS} over {LEAST_SHAPES} are needed"
        )
        return replace(found, reason="too_few_samples", detail=words)
    if len(windows) == len(rows):
        words = "no stretch of loaded idle was metered, and at full load time is a sum over tokens"
        return replace(found, reason="no_baseline", detail=words)
    found = replace(found, condition=_condition(rows))
    if found.condition > WORST_CONDITION:
        words = (
            f"prompts and answers of the workloads are too much alike (condition number "
            f"{found.condition:.0f}, at most {WORST_CONDITION:.0f}): add one of long prompts and "
            "short answers, and one the other way round"
        )
        return replace(found, reason="shapes_alike", detail=words)
    return _fitted(rows, shapes, found)


def parts(fit: Fit, row: Stretch) -> Parts:
    """Divide a window's joules by a fit."""
    idle, prefill, decode = (fit.terms * np.array(row.row)).tolist()
    return Parts(
        prefill_j=prefill,
        decode_j=decode,
        idle_j=idle,
        unallocated_j=row.energy_j - (prefill + decode + idle),
        metered_j=row.energy_j,
    )


def _fitted(rows: Sequence[Stretch], shapes: Sequence[str], found: Fit) -> Fit:
    terms = _solve(rows)
    found = replace(found, held_out=_held_out(rows, shapes))
    worst = max(found.held_out, key=lambda shape: abs(found.held_out[shape]), default="")
    if not (terms > 0).all():
        names = ("idle power", "prefill", "decode")
        zero = [name for name, term in zip(names, terms.tolist(), strict=True) if term <= 0]
        words = f"the fit leaves nothing for {' and '.join(zero)}"
        return replace(found, reason="no_fit", detail=words)
    if worst and abs(found.held_out[worst]) > WORST_HELD_OUT:
        words = f"{worst} is predicted {found.held_out[worst]:+.0%} off by a fit without it"
        return replace(found, reason="no_fit", detail=words)
    launches = list(dict.fromkeys(row.launch for row in rows if row.shape))
    idle, prefill, decode = _intervals(rows, launches, terms)
    return replace(
        found,
        idle_w=idle,
        prefill_j_per_token=prefill,
        decode_j_per_token=decode,
        launches=len(launches),
    )


def _weighted(rows: Sequence[Stretch]) -> NDArray[np.float64]:
    """Return rows x 3: each row's quantities over its joules, so that residuals are relative."""
    joules = np.array([[row.energy_j] for row in rows])
    return np.asarray(np.array([row.row for row in rows]) / joules)


def _solve(rows: Sequence[Stretch]) -> NDArray[np.float64]:
    design = _weighted(rows)
    scale = np.linalg.norm(design, axis=0)
    scale[scale == 0] = 1.0
    found, _ = optimize.nnls(design / scale, np.ones(len(rows)))
    return np.asarray(found / scale, dtype=float)


def _condition(rows: Sequence[Stretch]) -> float:
    design = _weighted(rows)
    scale = np.linalg.norm(design, axis=0)
    return float(np.linalg.cond(design / scale)) if (scale > 0).all() else math.inf


def _held_out(rows: Sequence[Stretch], shapes: Sequence[str]) -> dict[str, float]:
    """Return how far off each shape's joules are when predicted without it.

    The two shapes that are most and least of prompts are never left out: beyond them the terms
    would be extrapolated.
    """
    found: dict[str, float] = {}
    by_ratio = sorted(shapes, key=lambda shape: _prompt_share(rows, shape))
    for shape in by_ratio[1:-1]:
        own = [row for row in rows if row.shape == shape]
        terms = _solve([row for row in rows if row.shape != shape])
        told = sum(float(terms @ np.array(row.row)) for row in own)
        found[shape] = told / sum(row.energy_j for row in own) - 1
    return found


def _prompt_share(rows: Sequence[Stretch], shape: str) -> float:
    own = [row for row in rows if row.shape == shape]
    prompts = sum(row.prompt_tokens for row in own)
    return prompts / (prompts + sum(row.output_tokens for row in own))


def _intervals(
    rows: Sequence[Stretch], launches: Sequence[str], terms: NDArray[np.float64]
) -> list[Term]:
    n = len(launches)
    if n < 2:
        return [Term(value=float(term)) for term in terms]
    without = np.array([_solve([row for row in rows if row.launch != one]) for one in launches])
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    half = t_quantile(0.5 + LEVEL / 2, n - 1) * error
    return [
        Term(value=float(term), low=max(float(term - by), 0.0), high=float(term + by))
        for term, by in zip(terms, half, strict=True)
    ]
