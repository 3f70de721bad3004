"""Was a window steady, and how far does its own noise reach? From its batches' output tokens.

Both are about one window. What stacks are compared by is the spread over launches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from inferometer.comparison import Check
from inferometer.metrics.windows import KEY, batches, population
from inferometer.tables import BATCHES
from inferometer.uncertainty.batches import (
    SLOPE,
    STEP,
    batch_means,
    heavy_tailed,
    stationarity,
)

if TYPE_CHECKING:
    from inferometer.tables import Tables

Place = tuple[str, int]
"""Launch and load point."""
NAME = "steady state"
RULE = (
    f"over {BATCHES} batches of output tokens no slope above {SLOPE:.0%} of the window and no step "
    f"above {STEP:.0%} that stands out of their own noise, nor a rise (or fall) throughout both "
    "here and in the launch before; else warn"
)
_SCHEMA: dict[str, Any] = {
    "batch_noise": pl.Float64,
    "batch_noise_reason": pl.String,
    "batch_noise_detail": pl.String,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one window's output was like: ``batches`` tokens in equal parts, in order of time.

    ``residences``: its length in mean request times; both it and ``heavy`` (answers of very
    different lengths) come from the requests that finished. Empty: the tokens are not known.
    """

    batches: tuple[float, ...] = ()
    residences: float = 0.0
    heavy: bool = False

    @property
    def told(self) -> bool:
        """Say whether every batch has tokens to compare."""
        return len(self.batches) == BATCHES and min(self.batches) > 0

    @property
    def refusal(self) -> tuple[str, str] | None:
        """Return reason and words why the batches cannot tell the window's noise; None: they can.

        As :func:`inferometer.uncertainty.batches.batch_means` has it.
        """
        if not self.told:
            return "too_few_samples", "some batch of the window has no output token"
        seen = batch_means(self.batches, residences=self.residences, heavy_tailed=self.heavy)
        return None if seen.reason is None else (seen.reason, seen.detail)


def courses(tables: Tables) -> dict[Place, Course]:
    """Return the course of every window."""
    tokens: dict[Place, list[float]] = {}
    rows = batches(tables).sort(*KEY, "batch").select(*KEY, "output_tokens").iter_rows()
    for launch, point, seen in rows:
        tokens.setdefault((launch, point), []).append(seen or 0.0)
    finished = population(tables).filter("finished")
    answers = {
        (str(launch), int(str(point))): (
            float(group["e2e_ms"].to_numpy().mean()),
            heavy_tailed(group["output_tokens"].drop_nulls().to_numpy()),
        )
        for (launch, point), group in finished.group_by(KEY, maintain_order=True)
    }
    found = {}
    columns = tables.windows.select(*KEY, ms=(pl.col("end_ns") - pl.col("start_ns")) / 1e6)
    for launch, point, window_ms in columns.iter_rows():
        mean_ms, heavy = answers.get((launch, point), (0.0, False))
        found[launch, point] = Course(
            batches=tuple(tokens.get((launch, point), ())),
            residences=window_ms / mean_ms if mean_ms else 0.0,
            heavy=heavy,
        )
    return found


def judge(tables: Tables) -> dict[Place, Check]:
    """Return the check of every window.

    One without a steady state is told, and ranked all the same. Stacks are compared by windows of
    equal age, so that a change they share cancels.
    """
    known = courses(tables)
    found: dict[Place, Check] = {}
    rows = tables.windows.sort("stack", "model", "load_point", "round", maintain_order=True)
    before: tuple[tuple[str, str, int], bool] | None = None
    columns = [*KEY, "stack", "model"]
    for launch, point, stack, model in rows.select(columns).iter_rows():
        same = (stack, model, point)
        rising = before is not None and before[0] == same and before[1]
        found[launch, point], monotone = judged(known[launch, point], monotone_before=rising)
        before = (same, monotone)
    return found


def judged(course: Course, *, monotone_before: bool = False) -> tuple[Check, bool]:
    """Return the check of one window, and whether its batches rise (or fall) throughout.

    ``monotone_before``: those of the stack's launch before did.
    """
    if not course.told:
        words = "no output tokens were counted in some part of the window"
        said = Check(name=NAME, rule=RULE, value="unknown", verdict="unknown", detail=words)
        return said, False
    seen = stationarity(course.batches, monotone_before=monotone_before)
    if seen.steady:
        slope, step = (round(change, 4) + 0.0 for change in (seen.slope, seen.step))  # never -0
        value = f"slope {slope:+.2%}, largest step {step:+.2%}"
        return Check(name=NAME, rule=RULE, value=value, verdict="pass"), seen.monotone
    words = "a longer discard or a longer window may reach one; some engines have none"
    value = f"no steady state: {', '.join(seen.trends)}"
    found = Check(name=NAME, rule=RULE, value=value, verdict="warn", detail=words)
    return found, seen.monotone


def noise(tables: Tables) -> pl.DataFrame:
    """Return one row a window: ``batch_noise``, what its mean output rate is uncertain by.

    Half the width of the batch means' 95 % interval, as a share of the mean; null, with the reason,
    where no interval from inside the window would be honest.
    """
    rows = [(*place, *_noise(course)) for place, course in courses(tables).items()]
    keys = {name: tables.windows.schema[name] for name in KEY}
    return pl.DataFrame(rows, schema=keys | _SCHEMA, orient="row")


def _noise(course: Course) -> tuple[float | None, str | None, str]:
    if course.refusal is not None:
        return None, *course.refusal
    seen = batch_means(course.batches, residences=course.residences, heavy_tailed=course.heavy)
    assert seen.high is not None
    return seen.high / seen.value - 1, None, ""
