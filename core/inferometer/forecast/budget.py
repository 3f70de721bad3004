"""A budget as it is typed: machine time, GPU-hours or dollars."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.forecast.bill import Bill
    from inferometer.forecast.values import Forecast

NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
UNIT = "days?|d|hours?|h|minutes?|min|m|seconds?|s"
DURATION = re.compile(rf"(?:{NUMBER}\s*({UNIT})\s*)")
GPU_HOURS = re.compile(rf"{NUMBER}\s*gpu-?\s?h(?:ours?)?")
DOLLARS = re.compile(rf"(?:\$\s*{NUMBER}|{NUMBER}\s*(?:usd|\$))")
HINT = "Write 90m, 3h, 1h30m, '12 gpu-hours', 40usd or '$40' (quoted, or the shell takes it)."


class Budget(NamedTuple):
    """``amount`` seconds from beginning to end, GPU-hours or USD; ``text`` as it was typed."""

    amount: float
    unit: Literal["s", "gpu-hours", "usd"]
    text: str


def parse(text: str) -> Budget:
    """Return the budget that ``text`` means.

    Raises:
        UsageError: it means none, or nothing at all.
    """
    said = text.strip().lower()
    found: Budget | None = None
    if match := GPU_HOURS.fullmatch(said):
        found = Budget(float(match[1]), "gpu-hours", text.strip())
    elif match := DOLLARS.fullmatch(said):
        found = Budget(float(match[1] or match[2]), "usd", text.strip())
    elif said and re.fullmatch(f"(?:{DURATION.pattern})+", said):
        pairs = DURATION.findall(said)
        seconds = sum(float(number) * UNITS_S[unit[0]] for number, unit in pairs)
        found = Budget(seconds, "s", text.strip())
    if found is None:
        raise UsageError(f"--budget {text!r}: neither a time, GPU-hours nor dollars", hint=HINT)
    if not 0 < found.amount < float("inf"):
        raise UsageError(f"--budget {text!r}: must be more than nothing", hint=HINT)
    return found


def used(found: Forecast, cost: Bill, budget: Budget) -> float:
    """Return what a plan is expected to take, in the budget's unit.

    Raises:
        UsageError: it takes none of that here, or has no price.
    """
    if budget.unit == "s":
        return found.wall.expected
    if budget.unit == "gpu-hours":
        if not found.gpu_hours.high:
            raise UsageError(
                f"--budget {budget.text}: no launch occupies a GPU on this machine",
                hint="Give a time, or --accelerator cuda to plan for a machine with GPUs.",
            )
        return found.gpu_hours.expected
    if cost.amount is None or cost.rate is None:
        raise UsageError(
            f"--budget {budget.text}: nothing here has a price ({cost.reason})",
            hint="Give --usd-per-hour, --price ID, or [price] in the study.",
        )
    if cost.rate.currency != "USD":
        raise UsageError(
            f"--budget {budget.text}: the price is in {cost.rate.currency}",
            hint="Choose a price in USD: inferometer prices",
        )
    return cost.amount.expected
