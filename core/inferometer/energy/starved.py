"""Was the accelerator the bottleneck? Else its joules per token say nothing of it.

A starved accelerator draws little *and* moves little: it waits for the host, the client or the
engine's own Python. Either alone is normal: decode draws 20 to 45 % of the limit with memory busy,
and prompts draw all of it while decode steps wait. So a point fails when both are low. The share of
the roofline is that of decode: bytes a step must read (weights touched, and the KV cache) over
what the memory could move in the time per output token; above 1 never, far below 1 in prefill.

Source of the case: the ML.ENERGY v3 tables, Qwen3-8B on B200, problem GPQA at batch 8: 32.5 ms
a token at 294 W of 1,000 W, where the same card and model take 5.0 ms on chat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer.comparison import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "accelerator busy"
LOW_POWER = 0.5
LOW_ROOFLINE = 0.2
FAIR_ROOFLINE = 0.3
RULE = (
    f"power / limit >= {LOW_POWER:.0%} or decode roofline share >= {FAIR_ROOFLINE:.0%} pass; "
    f"fails below both {LOW_POWER:.0%} and {LOW_ROOFLINE:.0%}, or at low power when the client or "
    "host failed a check"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decode step over all accelerators: bytes it must read, and how long it took."""

    bytes_read: float
    seconds: float
    bytes_s: float
    """Memory bandwidth of all accelerators together."""

    @property
    def roofline(self) -> float:
        """Return the share of the bandwidth that the step must have used."""
        return self.bytes_read / (self.seconds * self.bytes_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one window. ``failed`` are failed checks of the client or the host."""

    power_w: float
    limit_w: float | None
    step: Step | None = None
    why_no_step: str = ""
    failed: Sequence[str] = ()


def judge(seen: Seen) -> Check:
    """Return the check of one window."""
    if seen.limit_w is None:
        value = f"{seen.power_w:.0f} W of an unknown limit"
        return Check(name=NAME, rule=RULE, value=value, verdict="unknown")
    share = seen.power_w / seen.limit_w
    value = f"{seen.power_w:.0f} of {seen.limit_w:.0f} W ({share:.0%})"
    if seen.step is not None:
        value += f", roofline {seen.step.roofline:.0%}"
    if share >= LOW_POWER:
        return Check(name=NAME, rule=RULE, value=value, verdict="pass")
    if seen.failed:
        words = f"device_starved: low power, and {', '.join(seen.failed)} failed"
        return Check(name=NAME, rule=RULE, value=value, verdict="fail", detail=words)
    if seen.step is None:
        words = f"no roofline: {seen.why_no_step}"
        return Check(name=NAME, rule=RULE, value=value, verdict="unknown", detail=words)
    roofline = seen.step.roofline
    if roofline < LOW_ROOFLINE:
        words = "device_starved: the accelerator waited for something else"
        return Check(name=NAME, rule=RULE, value=value, verdict="fail", detail=words)
    fair = roofline >= FAIR_ROOFLINE
    return Check(name=NAME, rule=RULE, value=value, verdict="pass" if fair else "warn")
