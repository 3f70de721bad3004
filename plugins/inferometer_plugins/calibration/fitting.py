"""The law of a step, what precedes it, and what varies: from windows of one stack on one model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer.errors import InconclusiveError
from inferometer_plugins.calibration import steps
from inferometer_plugins.simulator import calibrate
from inferometer_plugins.simulator.calibrate import Row
from inferometer_plugins.simulator.model import Noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer_plugins.calibration.reading import Floats, Seen
    from inferometer_plugins.calibration.steps import Gaps
    from inferometer_plugins.simulator.laws import Linear

BIN_S = 1.0
"""Over so long single steps are averaged to see what moves slowly."""
LEAST_BINS, LEAST_STEPS = 5, 4


class Law(NamedTuple):
    """What was found, with standard errors over launches: None of one launch alone."""

    linear: Linear
    start_s: float
    """From the send to the first step: the way there, tokenising."""
    errors_s: tuple[float | None, ...]
    """Of a, b, c, d and the start."""
    residual_share: float
    launches: int


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window and what it says of steps: read once, fitted often."""

    seen: Seen
    rows: Sequence[Row]
    gaps: Gaps


def prepared(windows: Sequence[Seen], budget: int) -> list[Window]:
    """Return the windows with their rows; ``budget``: tokens that a step computes at most."""
    found = []
    for seen in windows:
        first = steps.alone(seen)
        rows = [*steps.rows(seen), *(_start(one, budget, len(first)) for one in first)]
        found.append(Window(seen=seen, rows=rows, gaps=steps.gaps(seen)))
    return found


def _start(one: steps.Alone, budget: int, count: int) -> Row:
    """Return what a first token in an idle server says; all of a window's weigh 1."""
    chunks = math.ceil(one.prompt / budget) or 1
    return Row(
        decoding=0.0,
        context=0.0,
        prefill=one.prompt / chunks,
        seconds=one.seconds / chunks,
        starts=1 / chunks,
        weight=1 / count,
    )


def law(windows: Sequence[Window]) -> Law:
    """Return the law that fits all ``windows``; every load point of every launch counts alike.

    Raises:
        InconclusiveError: they do not tell the parameters apart.

    """
    try:
        found = _fit(windows)
    except ValueError as error:
        raise InconclusiveError(
            f"no law of a step can be fitted: {error}",
            hint="Measure workloads that differ in prompt and in answer length, at one stream and "
            "at many: docs/examples/studies/calibration.toml.",
        ) from error
    single = []
    for launch in sorted({it.seen.launch for it in windows}):
        try:
            single.append(_values(_fit([it for it in windows if it.seen.launch == launch])))
        except ValueError:
            continue
    errors: tuple[float | None, ...] = (None,) * 5
    if len(single) > 1:
        spread = np.std(np.asarray(single), axis=0, ddof=1) / math.sqrt(len(single))
        errors = tuple(spread.tolist())
    return Law(found.law, found.start_s, errors, found.residual_share, len(single))


def _fit(windows: Sequence[Window]) -> calibrate.Fit:
    return calibrate.fit((row for it in windows for row in it.rows), positive=True)


def _values(found: calibrate.Fit) -> list[float]:
    it = found.law
    return [it.a_s, it.b_s, it.c_s, it.d_s, found.start_s]


def expected_s(linear: Linear, gaps: Gaps) -> Floats:
    """Return what the law says of single steps."""
    return (
        linear.a_s
        + linear.b_s * gaps.decoding
        + linear.c_s * gaps.context
        + linear.d_s * gaps.prefill
    )


def noise(windows: Sequence[Window], linear: Linear) -> Noise:
    """Return what varies about the law: between launches, over seconds, from step to step.

    ``launch_sd``: standard deviation over launches of the mean of seen over expected (0 of one
    launch). ``step_sd``: half of the distance between the quantiles 0.16 and 0.84 of single steps,
    about the mean of their window, so that a stall of the client does not make it. ``slow_sd``:
    what means over a second scatter more than that explains, with the time constant left as it is.
    """
    by_launch: dict[str, list[float]] = {}
    step, slow = [], []
    for it in windows:
        if not len(it.gaps.seconds):
            continue
        ratio = it.gaps.seconds / expected_s(linear, it.gaps)
        by_launch.setdefault(it.seen.launch, []).append(float(ratio.mean()))
        ratio = ratio / ratio.mean()
        low, high = np.quantile(ratio, (0.16, 0.84)).tolist()
        step.append((high - low) / 2)
        if (found := _slow(it, ratio, step[-1])) is not None:
            slow.append(found)
    means = [float(np.mean(values)) for values in by_launch.values()]
    return Noise(
        launch_sd=float(np.std(means, ddof=1) / np.mean(means)) if len(means) > 1 else 0.0,
        slow_sd=math.sqrt(max(0.0, float(np.mean(slow)))) if slow else 0.0,
        step_sd=float(np.median(step)) if step else 0.0,
    )


def _slow(it: Window, ratio: Floats, step_sd: float) -> float | None:
    """Return the variance of means over a second beyond that of their steps."""
    cell = ((it.gaps.at_s - it.seen.start_s) / BIN_S).astype(int)
    counts = np.bincount(cell)
    steps_a_bin = BIN_S / float(it.gaps.seconds.mean())
    if (counts > 0).sum() < LEAST_BINS or steps_a_bin < LEAST_STEPS:
        return None
    kept = counts > 0
    means = np.bincount(cell, ratio)[kept] / counts[kept]
    return float(means.var(ddof=1)) - step_sd**2 / steps_a_bin
