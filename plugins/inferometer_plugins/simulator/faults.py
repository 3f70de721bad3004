"""What can go wrong in a simulated launch, each to be switched on: for checks that must see it."""

from __future__ import annotations

from msgspec import Struct


class Faults(Struct, frozen=True, kw_only=True):
    """Nothing goes wrong, unless said. Shares are from 0 to 1 and strike at random."""

    client_delay_s: float = 0.0
    """A slow client: so long between an answer and the same stream's next request."""
    dropped: float = 0.0
    """Share of requests that the client forgets: they have no row, though their tokens count."""
    shorter: float = 0.0
    """Every answer is shorter by this share than asked for."""
    ends_early: float = 0.0
    """Share of answers that end somewhere before their length."""
    cached: float = 0.0
    """Share of each prompt that an earlier one had brought: it is not computed."""
    longer_prompts: float = 0.0
    """Every prompt is longer by this share than it should be."""
    slows_per_h: float = 0.0
    """Drift of the step time, an hour."""
    clocks_drop_s: float | None = None
    """From then on every step takes ``1 / 0.95`` times as long: clocks 5 % lower."""
    stamp_skew_s: float = 0.0
    """Added to the stamps of answers."""
    power_gap_s: tuple[float, float] | None = None
    """Begin and end of a time in which the meter reads 0 W."""


FAULTS = {
    "slow-client": Faults(client_delay_s=0.2),
    "dropped-requests": Faults(dropped=0.1),
    "short-outputs": Faults(shorter=0.1),
    "eos-not-ignored": Faults(ends_early=0.2),
    "prefix-leak": Faults(cached=0.5),
    "unequal-prompts": Faults(longer_prompts=0.05),
    "drift": Faults(slows_per_h=0.5),
    "clock-drop": Faults(clocks_drop_s=60.0),
    "clock-skew": Faults(stamp_skew_s=0.1),
    "power-gap": Faults(power_gap_s=(60.0, 70.0)),
}
"""By name. A growing queue is a load above what the engine can do, a drain inside the window a
load with a number of requests: both are said by the load."""
