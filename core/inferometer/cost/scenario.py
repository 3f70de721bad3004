"""The scenario: what an hour costs, and what the work is worth. Frozen structs of one TOML file.

``docs/reference/cost.md`` describes every key; :mod:`inferometer.cost.reading` reads the file.
Every sum of money is dollars unless a ``currency`` stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct

from inferometer.comparison.costs import Origin
from inferometer.declared import Slo
from inferometer.prices import MOST, Contract, Currency, Positive, Quote, Share, Text

NotNegative = Annotated[float, Meta(ge=0, le=MOST)]
Whole = Annotated[float, Meta(gt=0, le=1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
AtLeastOne = Annotated[float, Meta(ge=1, le=MOST)]
Pue = Annotated[float, Meta(ge=1, le=10)]
Years = Annotated[float, Meta(ge=0.1, le=100)]
Count = Annotated[int, Meta(ge=1)]


class Owned(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[hours.owned]``: one server that is bought. All money is of the whole server.

    ``sources`` names the source and day of each input, by its key.
    """

    gpus: Count | None = None
    """In the server; a stack that reserves fewer bears its share. Unset: one stack has it whole."""
    server_usd: Positive
    network_usd: NotNegative = 0.0
    """Its share of switches and cables."""
    storage_usd: NotNegative = 0.0
    life_years: Years
    residual: Share = 0.0
    """Share of the capital that is left at the end of its life."""
    cost_of_capital: NotNegative = 0.0
    """A year, on the mean of what is tied up: (capital + residual value) / 2."""
    power_kw: Positive | None = None
    """Of the server under load, without PUE; this or ``meter``."""
    meter: Text | None = None
    """Meter of the results whose mean watts in each window count instead."""
    host_kw: NotNegative = 0.0
    """With ``meter``: what it does not see."""
    idle_kw: NotNegative | None = None
    """Of the server in an unused hour, without PUE; unset: as under load, which is the most."""
    pue: Pue
    usd_per_kwh: NotNegative
    demand_usd_per_kw_month: NotNegative = 0.0
    colocation_usd_per_kw_month: NotNegative = 0.0
    provisioned_kw: Positive | None = None
    """What colocation and demand are charged for; unset means ``power_kw``."""
    maintenance_usd_per_year: NotNegative = 0.0
    software_usd_per_year: NotNegative = 0.0
    on_call_usd_per_year: NotNegative = 0.0
    debugging_usd_per_year: NotNegative = 0.0
    patching_usd_per_year: NotNegative = 0.0
    source: Text
    date: str
    sources: dict[str, Text] = {}


class HourEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[hours]]``: one way to pay for an hour: a book's ``quote``, a ``price``, ``owned``.

    The first one ranks. ``utilisation`` is the share of paid hours in which the machine works.
    """

    name: Text
    quote: Text | None = None
    price: Positive | None = None
    """List price in ``currency``, for what ``per`` says."""
    per: Literal["gpu", "machine"] = "gpu"
    currency: Currency = "USD"
    gpu: Text | None = None
    """With ``price``: which accelerator it is for."""
    contract: Contract | None = None
    months: Count | None = None
    upfront: Share = 0.0
    discount: Share | None = None
    """Off the list price; with ``quote`` instead of the quote's own."""
    interruptions_per_hour: NotNegative | None = None
    lost_minutes: NotNegative | None = None
    region: str = ""
    seller: str = ""
    source: Text | None = None
    date: str | None = None
    owned: Owned | None = None
    utilisation: Whole | None = None
    """Unset means 1 where rented; needed where owned."""
    ranges: dict[str, tuple[float, float]] = {}
    """Input -> its lowest and highest value, for the tornado; unset means 20 % to either side."""


class Machine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[machine]``: what served; goes before what the results say."""

    gpus: Count
    """Accelerators reserved for the server, busy or not."""
    gpu: Text | None = None


class Exchange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[exchange.EUR]``: what one unit of a currency is worth in dollars."""

    usd: Positive
    source: Text
    date: str


class Surcharge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[surcharges]]``: what one engine costs beside the machine: licence, support, staff."""

    engine: Text
    what: Text
    usd_per_gpu_hour: NotNegative | None = None
    usd_per_hour: NotNegative | None = None
    """Of the whole machine; one of the two."""
    source: Text
    date: str


class Credits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[credits]``: granted by a seller. A line of its own, in no price."""

    usd: Positive
    months: Count
    """Over which they are used up."""
    source: Text
    date: str


class Objectives(Slo, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[slo]``: instead of the study's; ``share`` of the requests must be good."""

    share: Whole = 0.99


class Api(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[apis]]``: a public API's price list, per million tokens."""

    name: Text
    input_per_mtok: NotNegative
    cached_input_per_mtok: NotNegative | None = None
    """Unset means the price of other input."""
    output_per_mtok: NotNegative
    currency: Currency = "USD"
    discount: Share = 0.0
    cached_share: Fraction = 0.0
    """Of the input tokens of these requests, those that the API would bill as cached."""
    source: Text
    date: str


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[response.steps]]``: work before or after the main model: guardrail, embedding.

    Per response ``tokens`` at ``per_mtok``. ``attempts`` of its own; unset means once for each
    attempt of the main model.
    """

    name: Text
    tokens: NotNegative
    per_mtok: NotNegative
    j_per_token: NotNegative | None = None
    attempts: AtLeastOne | None = None
    source: str = ""
    date: str = ""


class Response(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[response]``: what one accepted answer takes. Tokens are of one attempt.

    Without ``input_per_mtok`` and ``output_per_mtok`` the main model is the measured one.
    """

    attempts: AtLeastOne = 1.0
    """Per accepted response."""
    input_tokens: NotNegative = 0.0
    cached_tokens: NotNegative = 0.0
    """Part of ``input_tokens``."""
    output_tokens: NotNegative
    """Without reasoning."""
    reasoning_tokens: NotNegative = 0.0
    input_per_mtok: NotNegative | None = None
    cached_input_per_mtok: NotNegative | None = None
    output_per_mtok: NotNegative | None = None
    j_per_input_token: NotNegative | None = None
    j_per_output_token: NotNegative | None = None
    steps: tuple[Step, ...] = ()
    source: str = ""
    date: str = ""


class Region(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[fleet.regions]]``: part of the demand, served at one hour's price."""

    name: Text
    share: Whole
    hour: Text | None = None
    """Name of one of ``[[hours]]``; unset means each of them in turn."""
    carbon_g_per_kwh: Positive | None = None
    pue: Pue | None = None
    source: str = ""
    date: str = ""


class FleetEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[fleet]``: the demand."""

    workload: Text
    """A workload of the results, or a preset's name (``support-bot``)."""
    requests_per_day: Positive
    shape: Literal["flat", "office", "evening"] | tuple[NotNegative, ...] = "flat"
    """Or 24 weights, one for each hour of the day."""
    growth_per_month: Annotated[float, Meta(gt=-1)] = 0.0
    months: Annotated[int, Meta(ge=0)] = 0
    """Plan for the demand of so many months from now."""
    headroom: Annotated[float, Meta(ge=0, le=100)] = 0.0
    """Capacity above the peak, as a share of the peak."""
    spare: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Replicas that may fail: n + k."""
    follows_demand: bool = False
    """Pay only for the replicas that each hour needs."""
    regions: tuple[Region, ...] = ()
    site_mw: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    usd_per_response: Positive | None = None
    revenue_share: Fraction = 0.0
    """Of the revenue, what goes to somebody else."""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario file."""

    currency: Literal["USD"] = "USD"
    hours: Annotated[tuple[HourEntry, ...], Meta(min_length=1)]
    machine: Machine | None = None
    exchange: dict[Currency, Exchange] = {}
    surcharges: tuple[Surcharge, ...] = ()
    credits: Credits | None = None
    slo: Objectives | None = None
    apis: tuple[Api, ...] = ()
    response: Response | None = None
    fleet: FleetEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One of ``[[hours]]`` with all that it rests on looked up."""

    entry: HourEntry
    quote: Quote | None
    """Of ``entry.quote``, or what ``entry.price`` says written as one (of the whole machine with
    ``per = "machine"``); None where owned."""
    origin: Origin
    usd: float = 1.0
    """Dollars for one unit of the price's currency."""
