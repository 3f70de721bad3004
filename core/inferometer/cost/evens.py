"""Where two ways to have the same work cost the same.

Two stacks on hours of their own, one cell against a public API, an owned hour against a rented
one. A ratio of throughputs needs no price; everything else says which price it rests on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison.costs import ApiEven, Flip, OwnOrRent
from inferometer.comparison.value import Value, worst_kind
from inferometer.cost.hour import bill, total, use, utilisation
from inferometer.cost.inputs import inputs, with_inputs
from inferometer.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inferometer.comparison.costs import Origin
    from inferometer.comparison.value import Kind
    from inferometer.cost.hour import Use
    from inferometer.cost.scenario import Api, Surcharge, Terms


NO_PRICE = Value(
    value=None, unit="USD/h", kind="estimated", reason="no_price", detail="no price of the hour"
)


class Side(NamedTuple):
    """One stack's hour: what stands and runs of it, and what electricity does to it."""

    use: Use
    usd_per_hour: Value
    without_electricity_usd: float | None = None
    """Of a working hour; None where no watts were metered."""
    kwh: float = 0.0
    """Of a working hour, PUE and unused hours included."""


def side(
    terms: Terms,
    *,
    gpus: int | None,
    power_kw: float | None = None,
    surcharges: Sequence[Surcharge] = (),
    kind: Kind = "estimated",
) -> Side:
    """Return one stack's hour as :func:`flip` takes it.

    Raises:
        UsageError: as :func:`inferometer.cost.hour.bill`.
    """

    def usd(hour: Terms) -> float:
        return total(bill(hour, gpus=gpus, power_kw=power_kw, surcharges=surcharges))

    hour_use = use(terms, gpus=gpus, power_kw=power_kw, surcharges=surcharges)
    value = Value(value=usd(terms), unit="USD/h", kind=kind)
    if power_kw is None or not any(one.name == "usd_per_kwh" for one in inputs(terms)):
        return Side(hour_use, value)
    free, one_usd = (usd(with_inputs(terms, {"usd_per_kwh": price})) for price in (0.0, 1.0))
    return Side(hour_use, value, free, one_usd - free)


def flip(
    leader: Side | None,
    follower: Side | None,
    price_ratio: Value,
    *,
    hour: str,
    model: str,
    workload: str,
    load: str,
    names: tuple[str, str],
    labels: tuple[str, str] | None = None,
) -> Flip:
    """Return when a leader and a follower, by name in ``names``, cost the same per output token.

    ``labels`` stand for the names in the sentence.
    ``price_ratio`` is the follower's throughput over the leader's, with its interval; a side is
    None where there is no price, and then only the ratio is said.
    """
    leads, follows = (NO_PRICE if one is None else one.usd_per_hour for one in (leader, follower))
    flip_usd = NO_PRICE
    used = electricity = None
    if leader is not None and follower is not None:
        kind = worst_kind((price_ratio.kind, leads.kind, follows.kind))
        flip_usd = _of_ratio(price_ratio, "USD/h", kind, lambda r: (leads.value or 0.0) * r)
        used = _of_ratio(
            price_ratio,
            "share of hours",
            kind,
            lambda r: _used(leader.use, (follows.value or 0.0) / r),
        )
        if leader.without_electricity_usd is not None:
            electricity = _of_ratio(
                price_ratio, "USD/kWh", kind, lambda r: _electricity(leader, follower, r)
            )
    return Flip(
        hour=hour,
        model=model,
        workload=workload,
        load=load,
        leader=names[0],
        follower=names[1],
        price_ratio=price_ratio,
        leader_usd_per_hour=leads,
        follower_usd_per_hour=follows,
        flip_usd_per_hour=flip_usd,
        flip_utilisation=used,
        electricity_usd_per_kwh=electricity,
        sentence=_flip_words(labels or names, price_ratio, follows, flip_usd),
    )


def api_even(
    api: Api,
    *,
    origin: Origin,
    exchange_usd: float = 1.0,
    hour: str,
    cell: str,
    input_tokens: float,
    output_tokens: float,
    requests_s: Value,
    machine: Use,
    used: float,
) -> ApiEven:
    """Return one cell against a public API, for requests of these mean tokens.

    ``requests_s`` is what the cell completes, with its interval; ``machine`` its hour at a share
    ``used`` of the paid hours. ``exchange_usd`` is worth one unit of the API's currency.
    """
    listed = api_list_usd(api, input_tokens, output_tokens) * exchange_usd
    api_usd = listed * (1 - api.discount)
    hourly = machine.at(used)
    kind = worst_kind((requests_s.kind, "estimated"))

    def at(unit: str, make: Callable[[float], float | None]) -> Value:
        return _of_ratio(requests_s, unit, kind, lambda rate: make(rate * 3600))

    own = at("USD", lambda done: hourly / done)
    ratio = at("ratio", lambda done: hourly / done / api_usd if api_usd else None)
    flip_used = at("share of hours", lambda done: _used(machine, api_usd * done))
    flip_day = at("requests/day", lambda done: _a_day(machine, api_usd, done))
    return ApiEven(
        api=api.name,
        origin=origin,
        hour=hour,
        cell=cell,
        input_tokens=input_tokens,
        cached_tokens=api.cached_share * input_tokens,
        output_tokens=output_tokens,
        api_usd_per_request=api_usd,
        own_usd_per_request=own,
        ratio=ratio,
        flip_usd_per_hour=at("USD/h", lambda done: api_usd * done),
        flip_utilisation=flip_used,
        flip_requests_per_day=flip_day,
        flip_discount=at("share", lambda done: 1 - hourly / done / listed if listed else None),
        sentence=_api_words(api.name, ratio, flip_used, flip_day),
    )


def api_list_usd(api: Api, input_tokens: float, output_tokens: float) -> float:
    """Return the list price of a request of these mean tokens, in the API's currency."""
    cached = api.cached_share * input_tokens
    cached_price = api.cached_input_per_mtok
    listed = (input_tokens - cached) * api.input_per_mtok + output_tokens * api.output_per_mtok
    listed += cached * (api.input_per_mtok if cached_price is None else cached_price)
    return listed / 1e6


def own_or_rent(
    owned: Terms, rented: Terms, *, gpus: int | None, power_kw: float | None = None
) -> OwnOrRent:
    """Return an owned hour against a rented one, of the same machine.

    Each hour is a working one at its own entry's utilisation: a rent that is paid by the hour
    used has 1 there.

    Raises:
        UsageError: as :func:`inferometer.cost.hour.bill`.
    """
    machine = use(owned, gpus=gpus, power_kw=power_kw)
    own_usd = machine.at(utilisation(owned.entry))
    parts = bill(rented, gpus=gpus)
    rent_usd = total(parts)
    flip_used = _used(machine, rent_usd)
    flip_rent = own_usd / rent_usd * parts[0].usd
    names = owned.entry.name, rented.entry.name
    return OwnOrRent(
        owned=names[0],
        rented=names[1],
        owned_usd_per_hour=own_usd,
        rented_usd_per_hour=rent_usd,
        flip_utilisation=flip_used,
        flip_rent_usd_per_hour=flip_rent,
        sentence=_own_words(names, flip_used, utilisation(rented.entry), flip_rent, parts[0].usd),
    )


def _of_ratio(ratio: Value, unit: str, kind: Kind, make: Callable[[float], float | None]) -> Value:
    """Return what ``make`` makes of a ratio and of both ends of its interval, in order.

    ``make`` is monotonic, and gives numbers in one stretch; an end without one leaves no interval.
    """
    if ratio.value is None:
        return Value(value=None, unit=unit, kind=kind, reason=ratio.reason, detail=ratio.detail)
    made = make(ratio.value) if ratio.value > 0 else None
    if made is None:
        words = "no value at which both cost the same"
        return Value(value=None, unit=unit, kind=kind, reason="never_equal", detail=words)
    low = high = None
    if ratio.low is not None and ratio.high is not None and ratio.low > 0:
        low, high = make(ratio.low), make(ratio.high)
    if low is None or high is None:
        return Value(value=made, unit=unit, kind=kind, n=ratio.n)
    low, high = min(low, high), max(low, high)
    return Value(value=made, unit=unit, kind=kind, n=ratio.n, low=low, high=high)


def _used(machine: Use, usd: float) -> float | None:
    """Return the share of hours used at which a working hour costs ``usd``; None: at none."""
    return machine.standing / (usd - machine.running) if usd > machine.running else None


def _a_day(machine: Use, api_usd: float, done: float) -> float | None:
    used = _used(machine, api_usd * done)
    return None if used is None or used > 1 else 24 * done * used  # more, one machine cannot


def _electricity(leader: Side, follower: Side, ratio: float) -> float | None:
    """Return x where (F + kWh x) of both are as their throughputs; None where none is positive."""
    if leader.without_electricity_usd is None or follower.without_electricity_usd is None:
        return None
    more_kwh = leader.kwh - follower.kwh / ratio
    more_usd = follower.without_electricity_usd / ratio - leader.without_electricity_usd
    return more_usd / more_kwh if more_usd * more_kwh > 0 else None


def _flip_words(names: tuple[str, str], ratio: Value, follows: Value, flip_usd: Value) -> str:
    leader, follower = names
    if ratio.value is None:
        return f"Nothing says when {leader} and {follower} cost the same."
    if flip_usd.value is None or follows.value is None:
        return (
            f"{follower} costs the same per output token as {leader}"
            f" when its hour costs {_said(ratio.value)} times as much."
        )
    return (
        f"{follower} costs the same per output token as {leader}"
        f" when its hour costs {_said(flip_usd.value)} USD; now {_said(follows.value)}."
    )


def _api_words(name: str, ratio: Value, used: Value, a_day: Value) -> str:
    if ratio.value is None:
        return f"Nothing says when the own machine and {name} cost the same."
    start = f"A request costs {_said(ratio.value)} times what {name} asks"
    if used.value is None:
        return f"{start}, and electricity alone costs more than {name}."
    if a_day.value is None:
        return f"{start}, and {name} stays cheaper at full load."
    return (
        f"{start}; both cost the same at {_said(a_day.value)} requests a day,"
        f" {_said(100 * used.value)} % of the hours at this load."
    )


def _own_words(
    names: tuple[str, str], used: float | None, rented_used: float, rent: float, listed: float
) -> str:
    owned, rented = names
    if rented_used < 1:
        rented += f" at {_said(100 * rented_used)} % use"
    if used is None:
        return f"{rented} is cheaper: its rent is below what {owned} uses by the hour."
    if used > 1:
        return (
            f"{rented} is cheaper however much {owned} is used, until its list price of"
            f" {_said(listed)} USD per hour is {_said(rent)}."
        )
    return (
        f"{owned} is cheaper than {rented} when used more than {_said(100 * used)} % of the hours;"
        f" at its own utilisation, when the list price is above {_said(rent)} USD per hour."
    )


def _said(value: float) -> str:
    return number(value, grouped=True)
