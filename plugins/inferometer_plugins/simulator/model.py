"""What a simulated engine is: how long a step takes, how much fits, what it draws, what varies."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from inferometer_plugins.simulator.laws import MS, Law, Linear


class Power(Struct, frozen=True, kw_only=True):
    """What a server draws; with nothing to do ``base``.

    ``base + busy + prefill * (prompt tokens of the step over its budget) + batch * (decoding
    sequences over the most there may be)``.
    """

    base_w: float = 250.0
    busy_w: float = 0.0
    """What any step adds, however small."""
    prefill_w: float = 400.0
    batch_w: float = 100.0


class Noise(Struct, frozen=True, kw_only=True):
    """Factors on the time of a step.

    ``(1 + launch) * (1 + slow) * (1 + step) * (1 + warm_up * exp(-t / 8 s)) * (1 + thermal * (1 -
    exp(-t / 120 s))) * (1 + drift_per_h * t)``: ``launch`` is one draw a launch, ``slow`` an
    autoregressive process of first order, ``step`` independent from step to step.
    """

    launch_sd: float = 0.01
    slow_sd: float = 0.02
    slow_s: float = 5.0
    step_sd: float = 0.05
    warm_up: float = 0.0
    warm_up_s: float = 8.0
    thermal: float = 0.0
    thermal_s: float = 120.0
    drift_per_h: float = 0.0


SILENT = Noise(launch_sd=0.0, slow_sd=0.0, step_sd=0.0)
NOISES = {
    "silent": SILENT,
    "calm": Noise(launch_sd=0.003),
    "usual": Noise(launch_sd=0.01),
    "rough": Noise(launch_sd=0.02, warm_up=0.05, thermal=0.02, drift_per_h=0.02),
}
"""By name: launches that differ by 0.3, 1 and 2 % (standard deviation), the last with transients
and 2 % drift an hour."""


class Params(Struct, frozen=True, kw_only=True):
    """A simulated engine on its hardware. First come, first served, with chunked prefill."""

    law: Law = Linear()
    slowdown: float = 1.0
    """Every step takes this many times as long."""
    budget: int = 8192
    """Tokens that a step computes at most: one a decoding sequence, the rest for prompts."""
    max_seqs: int = 256
    kv_tokens: int | None = None
    """Tokens that the cache holds; None: no limit. When it is full the youngest is preempted."""
    power: Power = Power()
    noise: Noise = Noise()

    def watts(self, decoding: int, prefill: int) -> float:
        """Return what a step draws that reads ``prefill`` tokens of prompts."""
        power = self.power
        return (
            power.base_w
            + power.busy_w
            + power.prefill_w * prefill / self.budget
            + power.batch_w * decoding / self.max_seqs
        )


REFERENCE = Params()
PRESETS = {
    "reference": REFERENCE,
    "decode": Params(
        law=Linear(a_s=5.1 * MS, b_s=0.017 * MS, c_s=3.4e-5 * MS, d_s=0.048 * MS),
    ),
}
"""Named engines, fixed: the reference, and one that makes tokens faster and reads prompts slower:
nearly a tie with long prompts, a clear lead with long answers."""


def silent(params: Params) -> Params:
    """Return an engine without noise."""
    return replace(params, noise=SILENT)


def without_launch(params: Params) -> Params:
    """Return an engine whose launches are alike: what is left varies within each."""
    return replace(params, noise=replace(params.noise, launch_sd=0.0))
