"""What the cost section says, and what ``inferometer cost --json`` and ``fleet --json`` print.

Money is US dollars; a price in another currency was exchanged at a rate with a source and a date.
Every sum is told by its parts, and the parts add up to it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.value import Value


class Origin(Struct, frozen=True, kw_only=True):
    """Where a price comes from, and how old it was on the day of ``Costs.as_of``."""

    source: str
    date: str
    """ISO 8601 day on which it was true; of several, the oldest."""
    age_days: int
    stale: bool
    """Older than :data:`inferometer.prices.STALE_DAYS`."""
    contract: str = ""
    """``reserved 36 months, 25 % up front``, ``owned``, ..."""
    region: str = ""
    detail: str = ""
    """Book and id, exchange, what the source itself made up."""


class Part(Struct, frozen=True, kw_only=True):
    """One line of a bill; ``formula`` says with numbers how it comes about."""

    name: str
    usd: float
    formula: str = ""


class Hour(Struct, frozen=True, kw_only=True):
    """One way to pay for an hour of the machine that serves, as the file has it.

    ``parts`` add up to ``usd_per_hour``. Where a meter's watts go into it, these are those of the
    first cell; each cell's own are in :class:`PricedCell`.
    """

    name: str
    way: Literal["rented", "owned"]
    origin: Origin
    gpus: int | None
    """Accelerators reserved; None where the price is the whole machine's."""
    usd_per_hour: Value
    parts: list[Part]
    warnings: list[str] = []


class Division(Struct, frozen=True, kw_only=True):
    """How one bill is divided between input and output; the three shares add up to 1.

    ``idle`` is time without any request in flight. ``method``: ``phases`` (the fit of joules over
    windows of unlike shape), ``engine`` (the engine's own busy seconds), ``client`` (time to first
    token against the rest of each request: queueing counts as input).
    """

    method: Literal["phases", "engine", "client"] | None
    input_share: float | None
    output_share: float | None
    idle_share: float | None
    cached_tokens_share: float | None = None
    """Of the input tokens, those that a cache held; they are computed by nobody and cost nothing
    in this division."""
    reason: str | None = None
    detail: str = ""


class PricedCell(Struct, frozen=True, kw_only=True):
    """One cell at one hour's price: ``values`` by the ids of the cost metrics."""

    hour: str
    cell: str
    stack: str
    model: str
    workload: str
    load: str
    usd_per_hour: Value
    parts: list[Part]
    division: Division
    values: dict[str, Value]
    ranked: bool
    """False where a check failed or the gate refused it: shown, with no say in what follows."""


class Flip(Struct, frozen=True, kw_only=True):
    """When two stacks at one load point cost the same per output token.

    ``price_ratio`` is the follower's throughput over the leader's, paired by round: the ratio of
    hourly prices at which both cost the same, and it needs no price. ``flip_usd_per_hour`` is the
    follower's hour there, the leader's being ``leader_usd_per_hour``.
    """

    hour: str
    model: str
    workload: str
    load: str
    leader: str
    follower: str
    price_ratio: Value
    leader_usd_per_hour: Value
    follower_usd_per_hour: Value
    flip_usd_per_hour: Value
    flip_utilisation: Value | None = None
    """The leader's share of paid hours in use at which both cost the same, all else as it is."""
    electricity_usd_per_kwh: Value | None = None
    """Price of electricity at which the order turns, where the hour has metered watts."""
    sentence: str


class Swing(Struct, frozen=True, kw_only=True):
    """What one input does to the result when it goes from ``low_input`` to ``high_input``."""

    input: str
    unit: str
    base_input: float
    low_input: float
    high_input: float
    at_low: float
    at_high: float
    assumed: bool
    """Nothing gives a range: it is 20 % to either side, or one of what is ``whole``."""
    whole: bool = False
    """The input counts whole things."""


class Tornado(Struct, frozen=True, kw_only=True):
    """Sensitivity of one figure to every input that it is made of, the widest swing first.

    ``metric`` is a cost metric of the cell, or ``own_over_api`` (``of`` names the API),
    ``usd_per_response``, ``usd_per_month`` (of the fleet; ``of`` names the region).
    """

    hour: str
    """Empty where the prices are those of a list."""
    cell: str
    """Cell id, or whose price list it is."""
    metric: str
    unit: str
    base: float
    swings: list[Swing]
    of: str = ""


class ApiEven(Struct, frozen=True, kw_only=True):
    """One cell against a public API for the same requests.

    ``flip_*`` say where both cost the same: the hour's price, the share of the hours with this
    load, the requests a day on one machine, the discount off the API's list.
    """

    api: str
    origin: Origin
    hour: str
    cell: str
    input_tokens: float
    cached_tokens: float
    output_tokens: float
    """Of the mean request."""
    api_usd_per_request: float
    own_usd_per_request: Value
    ratio: Value
    """Own over the API's."""
    flip_usd_per_hour: Value
    flip_utilisation: Value
    """Above 1: the API is cheaper even at full load."""
    flip_requests_per_day: Value
    """On one machine; absent where that is more than it carries."""
    flip_discount: Value
    """Below 0: own is dearer than the list price, so no discount is needed."""
    sentence: str


class OwnOrRent(Struct, frozen=True, kw_only=True):
    """An owned hour against a rented one, for one machine."""

    owned: str
    rented: str
    owned_usd_per_hour: float
    """Per delivered hour, at the utilisation of the file."""
    rented_usd_per_hour: float
    flip_utilisation: float | None
    """Share of hours used at which both cost the same per used hour; above 1: renting is cheaper
    however much it is used. None: the rent is below what the owned machine uses by the hour."""
    flip_rent_usd_per_hour: float
    """The list price of the machine at which both cost the same at the owned one's utilisation,
    the rent's discount, lost work and unused hours being what they are."""
    sentence: str


class ResponsePart(Struct, frozen=True, kw_only=True):
    """One part of an accepted response. ``usd`` or ``energy_j`` is None where it is not known."""

    name: str
    usd: float | None
    energy_j: float | None
    formula: str = ""


class ResponseCost(Struct, frozen=True, kw_only=True):
    """Cost per meaningful (accepted) response, on one cell or at an API; parts add up."""

    at: str
    """Cell id, or the API's name."""
    hour: str | None
    attempts: float
    usd: Value
    energy_j: Value
    parts: list[ResponsePart]
    warnings: list[str] = []


class Demand(Struct, frozen=True, kw_only=True):
    """What a fleet must carry."""

    workload: str
    requests_per_day: float
    """On average, in the last month of ``months``."""
    requests_per_day_now: float
    shape: str
    hourly: list[float]
    """24 shares of a day, adding up to 1."""
    peak_to_mean: float
    growth_per_month: float
    months: int
    headroom: float
    spare: int
    input_tokens: float
    output_tokens: float
    """Of the mean request."""
    slo: str
    """The objectives in words, or that there are none."""
    formula: str


class FleetRow(Struct, frozen=True, kw_only=True):
    """One stack and model at one hour's price, in one region."""

    hour: str
    region: str
    stack: str
    model: str
    architecture: Literal["dense", "moe"]
    cell: str
    """The load point whose capacity counts."""
    basis: Literal["measured", "from tokens"]
    """Of the workload itself, or of another one's time per input and output token."""
    capacity_requests_s: Value
    """Of one replica, at the SLO."""
    peak_requests_s: float
    replicas: Value
    """Whole replicas; the interval is that of the capacity."""
    gpus: int | None
    power_kw: Value
    """At the busiest hour, with PUE where one is declared; detail: what it is made of."""
    energy_kwh_per_month: Value
    carbon_kg_per_month: Value
    usd_per_month: Value
    usd_per_request: Value
    usd_per_mtok_total: Value
    load_share: float | None
    """Mean load over what the replicas can carry; None where the capacity is not known."""
    ranked: bool


class SiteRow(Struct, frozen=True, kw_only=True):
    """What fits into a site with a cap on power, machines of one hour."""

    hour: str
    stack: str
    model: str
    cell: str
    power_kw_per_replica: Value
    """With PUE."""
    output_tok_s_per_mw: Value
    replicas: Value
    output_tok_s: Value
    ranked: bool = True


class Margin(Struct, frozen=True, kw_only=True):
    """A month's margin of one fleet row: revenue, the partner's share, cost, credits, apart."""

    hour: str
    region: str
    stack: str
    model: str
    parts: list[Part]
    """Revenue is positive, costs negative; credits stand last, and in no price."""
    before_credits_usd: float
    before_credits_share: float
    """Of the revenue."""
    after_credits_usd: float
    ranked: bool = True


class ArchitectureCost(Struct, frozen=True, kw_only=True):
    """MoE over dense for the same demand on one stack at one hour's price."""

    hour: str
    region: str
    stack: str
    dense: str
    moe: str
    usd_per_month_ratio: Value
    energy_ratio: Value
    match: str
    """What is equal between the two, and what such a ratio cannot say."""


class Fleet(Struct, frozen=True, kw_only=True):
    """A demand, and what carries it."""

    demand: Demand
    rows: list[FleetRow]
    architectures: list[ArchitectureCost] = []
    site_mw: float | None = None
    sites: list[SiteRow] = []
    margins: list[Margin] = []
    tornados: list[Tornado] = []
    """Of the cheapest ranked row of each model, hour and region."""
    notes: list[str] = []


class Costs(Struct, frozen=True, kw_only=True):
    """Everything about money that a comparison says."""

    as_of: str
    """ISO 8601 day against which prices are old or not."""
    scenario: str
    """Name of the file that the prices come from; ``study`` for the study's own [price]."""
    hours: list[Hour]
    """The first is the one that ranks."""
    cells: list[PricedCell]
    flips: list[Flip] = []
    tornados: list[Tornado] = []
    apis: list[ApiEven] = []
    own_or_rent: list[OwnOrRent] = []
    responses: list[ResponseCost] = []
    fleet: Fleet | None = None
    warnings: list[str] = []
    notes: list[str] = []
