"""What a search for capacity leaves behind: the lines of ``capacity.jsonl``."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.records import Window


class CapacityProbe(Struct, frozen=True, kw_only=True):
    """One rate that a search for capacity offered: part of :class:`CapacitySearch`."""

    rate: float
    """Requests/s, Poisson."""
    outcome: Literal["pass", "fail", "undecided", "hopeless", "starved"]
    """``hopeless``: the queue only grew, which steers and certifies nothing. ``starved``: the
    client was not fast enough to tell."""
    good: int
    """Requests counted that met every limit of the SLO."""
    bad: int
    missed: dict[str, int] = {}
    """How many of the bad missed which limit (``ttft_ms``, ...), ``failed``, or were ``unfinished``
    when they could no longer meet TTFT and TPOT both; one may miss more than one."""
    growing: bool = False
    """At the last look the queue and the time to first token had risen."""
    output_tokens: float
    """Tokens whose event fell into the window."""
    window: Window
    """From the end of settling to the cut; ``load_point`` is that of its rows in
    ``capacity_requests.jsonl``."""


class CapacitySearch(Struct, frozen=True, kw_only=True):
    """A search for the highest rate at the SLO: a line of ``capacity.jsonl``."""

    workload: str
    limits: dict[str, float]
    """The SLO: ``ttft_ms``, ``tpot_ms``, ``e2e_ms``."""
    share: float
    """Share of the requests that must meet all of them."""
    confidence: float
    """That no certificate of the search is false."""
    low: float
    high: float
    tolerance: float
    budget_s: float
    seconds: float
    """Spent on offering load."""
    passes: float | None
    """Highest rate certified to meet the SLO, requests/s; None: none was."""
    fails: float | None
    flag: Literal["ill_posed", "below_range", "above_range", "budget", "starved", "failed"] | None
    failure: str = ""
    """Of a search that broke off (``failed``): at which rate and why. That rate is no probe."""
    design_effect: float
    probes: list[CapacityProbe]
