"""Was the accelerator the bottleneck? Else its joules per token say nothing of it.

A starved accelerator draws little *and* moves little: it waits for the host, the client or the
engine's own Python. Either alone is normal: decode draws 20 to 45 % of the limit with memory busy,
and prompts draw all of it while decode steps wait. So a point fails when both are low. The share of
the roofline is that of decode: bytes a step must read (weights touched, and the KV cache) over
what the memory could move in the time per output token; above 1 never, far below 1 in prefill.
Between what is surely low and what is surely enough, another workload tells: where the same launch
moved much more at much more power with as many sequences, something held it up here.

Source of the case: the ML.ENERGY v3 tables, Qwen3-8B on B200, problem GPQA at batch 8: 32.5 ms
a token at 294 W of 1,000 W, where the same card and model take 5.0 ms on chat. The steps take 30 to
44 ms from batch 8 to 32, whatever the model.
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
DOUBTFUL_POWER = 0.65
DOUBTFUL_ROOFLINE = 0.35
MORE_ROOFLINE = 1.5
MORE_POWER = 1.25
"""Below both doubtful shares another workload that had so many times both is evidence."""
ALIKE = 0.15
"""As many sequences, to within this part of the larger number."""
RULE = (
    f"power / limit >= {LOW_POWER:.0%} or decode roofline share >= {FAIR_ROOFLINE:.0%} pass; "
    f"fails below both {LOW_POWER:.0%} and {LOW_ROOFLINE:.0%}, or at low power when the client or "
    f"host failed a check, or below both {DOUBTFUL_POWER:.0%} and {DOUBTFUL_ROOFLINE:.0%} when "
    f"another workload with as many sequences had {MORE_ROOFLINE:g} times the roofline share at "
    f"{MORE_POWER:g} times the power"
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
class Elsewhere:
    """What the same model did in the same launch with another workload and as many sequences."""

    workload: str
    power_w: float
    roofline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one window. ``failed`` are failed checks of the client or the host."""

    power_w: float
    limit_w: float | None
    step: Step | None = None
    why_no_step: str = ""
    failed: Sequence[str] = ()
    elsewhere: Sequence[Elsewhere] = ()


def judge(seen: Seen) -> Check:
    """Return the check of one window."""
    if seen.limit_w is None:
        value = f"{seen.power_w:.0f} W of an unknown limit"
        return Check(name=NAME, rule=RULE, value=value, verdict="unknown")
    share = seen.power_w / seen.limit_w
    value = f"{seen.power_w:.0f} of {seen.limit_w:.0f} W ({share:.0%})"
    if seen.step is not None:
        value += f", roofline {seen.step.roofline:.0%}"
    why = _starved(seen, share)
    if why:
        detail = f"device_starved: {why}"
        return Check(name=NAME, rule=RULE, value=value, verdict="fail", detail=detail)
    if share >= LOW_POWER:
        return Check(name=NAME, rule=RULE, value=value, verdict="pass")
    if seen.step is None:
        words = f"no roofline: {seen.why_no_step}"
        return Check(name=NAME, rule=RULE, value=value, verdict="unknown", detail=words)
    fair = seen.step.roofline >= FAIR_ROOFLINE
    return Check(name=NAME, rule=RULE, value=value, verdict="pass" if fair else "warn")


def _starved(seen: Seen, share: float) -> str:
    """Return in words why a point at this share of the power limit is starved; empty: it is not."""
    better = _better(seen, share)
    if better is not None:
        reached = f"{better.roofline:.0%} of the roofline at {better.power_w:.0f} W"
        return f"with as many sequences {better.workload} had {reached}"
    if share >= LOW_POWER:
        return ""
    if seen.failed:
        return f"low power, and {', '.join(seen.failed)} failed"
    if seen.step is not None and seen.step.roofline < LOW_ROOFLINE:
        return "the accelerator waited for something else"
    return ""


def alike(sequences: float, other: float) -> bool:
    """Say whether two steps had as many sequences, so that what they moved can be compared."""
    return abs(sequences - other) <= ALIKE * max(sequences, other)


def _better(seen: Seen, share: float) -> Elsewhere | None:
    """Return the workload that shows what the accelerator could have done here."""
    if seen.step is None or share >= DOUBTFUL_POWER or seen.step.roofline >= DOUBTFUL_ROOFLINE:
        return None
    much = [
        other
        for other in seen.elsewhere
        if other.roofline >= MORE_ROOFLINE * seen.step.roofline
        and other.power_w >= MORE_POWER * seen.power_w
    ]
    return max(much, key=lambda other: other.roofline, default=None)
