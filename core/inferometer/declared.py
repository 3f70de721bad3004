"""Tables of the study beside what is measured: price, energy, objectives, when to stop."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Objective = Literal["throughput", "energy", "cost"]
OBJECTIVES: tuple[Objective, ...] = ("throughput", "energy", "cost")
Positive = Annotated[float, Meta(gt=0)]
Text = Annotated[str, Meta(min_length=1)]


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one hour of the whole machine costs. A price without source and date is refused."""

    usd_per_hour: Positive
    source: Text
    date: str
    """ISO 8601 day on which the price was true."""
    contract: Literal["on-demand", "reserved", "spot", "negotiated", "owned", "assumed"]


class Energy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[energy]``: what no meter sees. All of it is declared, so what it goes into is estimated.

    ``pue`` is facility energy over IT energy, ``host_power_w`` a constant for the host without its
    accelerators. The source and the date are of all of them.
    """

    pue: Annotated[float, Meta(ge=1)] | None = None
    carbon_g_per_kwh: Positive | None = None
    """Grams of CO2 equivalent that a kWh of this grid stands for."""
    host_power_w: Positive | None = None
    source: Text
    date: str
    """ISO 8601 day on which it was true."""


class Quality(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[[models]] quality``: what a model scores on one test, as somebody published it.

    ``low`` and ``high`` are the ends of its 95 % interval, both or neither. Two models are of equal
    quality where the intervals of scores of one name overlap.
    """

    name: Text
    """Of the score, with its version: ``GPQA Diamond, pass@1``."""
    score: float
    low: float | None = None
    high: float | None = None
    source: Text


class Slo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[slo]``: a request is good when it meets every one of these; at least one.

    Time to first token and end-to-end latency count from the intended send.
    """

    ttft_ms: Positive | None = None
    tpot_ms: Positive | None = None
    e2e_ms: Positive | None = None


class Capacity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[capacity]``: search each stack for the highest rate at which enough requests are good.

    Rates are in requests/s, Poisson arrivals. ``share`` of the requests must meet the whole
    ``[slo]``. Every workload is searched, but conversations.
    """

    low: Positive
    high: Annotated[float, Meta(gt=0, le=10_000)]
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.9
    minutes: Positive = 15.0
    """Of one search; the probe that is on when they are over is finished."""
    tolerance: Positive = 0.1
    """The search ends when the bracket is so narrow: failing rate / passing rate - 1."""
    rounds: Annotated[int, Meta(ge=1)] | None = None
    """In how many rounds each stack is searched; unset means all."""


class Sequential(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[sequential]``: look after each round from the third on, and end what is decided.

    ``protocol.rounds`` is then the most. A load point at which all pairs of a stack are decided
    (better, or a tie) is left out of its later launches; the study ends when no pair is left, or
    at ``minutes``.
    """

    objectives: Annotated[tuple[Objective, ...], Meta(min_length=1)] = OBJECTIVES
    """Rankings that must be decided."""
    minutes: Positive | None = None
    """No round begins that would not fit into so many machine-minutes of launches."""
    earlier: tuple[Text, ...] = ()
    """Results directories of earlier studies on this machine: the spread of their launches lets
    the look after the second round decide."""
