"""What a scenario must hold together, beyond the types of its keys: problems by key path."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

from msgspec import structs

from inferometer import problems
from inferometer.cost import inputs
from inferometer.cost.scenario import Exchange, HourEntry, Owned
from inferometer.errors import closest
from inferometer.prices import contract_problems, date_problem, plausible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferometer.problems import Problem

Table = dict[str, Any]
WAYS = ("quote", "price", "owned")
NEEDED = ("contract", "source", "date")
"""Beside ``price``."""
OF_PRICE = ("per", "currency", "gpu", "contract", "months", "upfront", "seller", "source", "date")
"""What a quote says itself, and an owned machine has not."""
OF_RENT = ("discount", "interruptions_per_hour", "lost_minutes")
RENTED_INPUTS = ("price", *OF_RENT, "exchange", "utilisation")
OWNED_INPUTS = (*inputs.OWNED, "utilisation")
EXCHANGE = {info.name: info.type for info in structs.fields(Exchange)}["usd"]
PER_MTOK = ("input_per_mtok", "cached_input_per_mtok", "output_per_mtok")
LEAST_PER_MTOK = 0.001
"""Dollars per million tokens below which a price is one per token, or per thousand."""


def find(document: Table) -> Iterator[Problem]:
    """Find what types cannot say. Values of a wrong type are left to the walker."""
    yield from _doubles(document)
    for key, entry in tables(document, "hours"):
        yield from _at(key, _hour(entry))
    yield from _exchange(document)
    for key, entry in tables(document, "surcharges"):
        yield from _at(key, _surcharge(entry))
    yield from _objectives(document)
    yield from _response(document)
    yield from _fleet(document)
    yield from _per_mtok(document)
    for key, entry in dated(document):
        date = entry["date"]
        # Whether one is too late is known when prices are used.
        if isinstance(date, str) and date and (wrong := date_problem(date)):
            yield f"{key}.date", wrong


def tables(document: Table, key: str) -> list[tuple[str, Table]]:
    """Return the tables of an array with the key path of each; what is no table is left out."""
    entries = document.get(key)
    if not isinstance(entries, list | tuple):
        return []
    return [(f"{key}[{index}]", it) for index, it in enumerate(entries) if isinstance(it, dict)]


def per_mtok(document: Table) -> Iterator[tuple[str, float]]:
    """Yield every price per million tokens with its key path."""
    response = document.get("response")
    entries = tables(document, "apis")
    if isinstance(response, dict):
        entries.append(("response", response))
        entries += [(f"response.{key}", step) for key, step in tables(response, "steps")]
    for key, entry in entries:
        for name in (*PER_MTOK, "per_mtok"):
            if _number(price := entry.get(name)):
                yield f"{key}.{name}", price


def dated(value: object, key: str = "") -> Iterator[tuple[str, Table]]:
    """Yield every table that has a ``date``, with its key path."""
    if isinstance(value, dict):
        if "date" in value:
            yield key, value
        for name, item in value.items():
            yield from dated(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from dated(item, f"{key}[{index}]")


# -- inside ----------------------------------------------------------------------------------


def _hour(entry: Table) -> Iterator[Problem]:
    given = [way for way in WAYS if way in entry]
    if len(given) != 1:
        had = f", has {' and '.join(map(repr, given))}" if given else ""
        yield "", f"needs exactly one of 'quote', 'price' and 'owned'{had}"
        return
    (way,) = given
    if way == "price":
        yield from _price(entry)
    else:
        whose = "the quote says it itself" if way == "quote" else "an owned machine has none"
        refused = (*OF_PRICE, "region") if way == "quote" else (*OF_PRICE, *OF_RENT)
        yield from ((key, f"goes with 'price': {whose}") for key in refused if key in entry)
    if way == "quote":
        yield from _interruptions(entry)
    owned = entry.get("owned")
    if way == "owned" and "utilisation" not in entry:
        yield "utilisation", "missing: the share of its hours in which an owned machine works"
    if isinstance(owned, dict):
        yield from _at("owned", _owned(owned))
    yield from _ranges(entry, owned=isinstance(owned, dict))


def _price(entry: Table) -> Iterator[Problem]:
    yield from ((key, f"missing: a price needs its {key}") for key in NEEDED if key not in entry)
    if "contract" in entry:
        yield from contract_problems(entry)
    else:
        yield from _interruptions(entry)
    if entry.get("per", "gpu") == "gpu":
        yield from plausible(entry["price"], "price", currency=entry.get("currency", "USD"))


def _interruptions(entry: Table) -> Iterator[Problem]:
    """Check lost work alone; the quote's own may stand for what is not given."""
    names = ("interruptions_per_hour", "lost_minutes")
    terms: Table = {key: entry[key] for key in names if key in entry}
    if len(terms) == 2:
        yield from contract_problems(terms)


def _owned(owned: Table) -> Iterator[Problem]:
    powers = [key for key in ("power_kw", "meter") if key in owned]
    if len(powers) != 1:
        had = ", has both" if powers else ""
        yield "", f"needs exactly one of 'power_kw' and 'meter'{had}"
    if "host_kw" in owned and "meter" not in owned:
        yield "host_kw", "is what 'meter' does not see: 'power_kw' is of the whole server"
    idle, load = owned.get("idle_kw"), owned.get("power_kw")
    if _number(idle) and _number(load) and idle > load:
        yield "idle_kw", f"{idle:g} without work is more than the {load:g} of 'power_kw' under load"
    charged = [
        key
        for key in ("colocation_usd_per_kw_month", "demand_usd_per_kw_month")
        if _number(owned.get(key)) and owned[key] > 0
    ]
    if charged and "power_kw" not in owned and "provisioned_kw" not in owned:
        yield "provisioned_kw", f"missing: the kilowatts that {charged[0]!r} is charged for"
    sources = owned.get("sources")
    for key in sources if isinstance(sources, dict) else ():
        if key not in OWNED_INPUTS:
            yield f"sources.{key}", _no_input(key, OWNED_INPUTS)


def _ranges(entry: Table, *, owned: bool) -> Iterator[Problem]:
    ranges = entry.get("ranges")
    if not isinstance(ranges, dict):
        return
    known = OWNED_INPUTS if owned else RENTED_INPUTS
    fields = [info for struct in (HourEntry, Owned) for info in structs.fields(struct)]
    types = {**{info.name: info.type for info in fields}, "exchange": EXCHANGE}
    for name, ends in ranges.items():
        key = f"ranges.{name}"
        if name not in known:
            yield key, _no_input(name, known)
        elif isinstance(ends, list) and len(ends) == 2 and all(map(_number, ends)):
            wrong = [text for end in ends for _, text in problems.find(end, types[name])]
            if wrong:
                yield key, wrong[0]
            elif ends[0] >= ends[1]:
                words = f"has {ends[0]:g} to {ends[1]:g}"
                yield key, f"goes from the lower to the higher value, {words}"


def _exchange(document: Table) -> Iterator[Problem]:
    exchange = document.get("exchange")
    if isinstance(exchange, dict) and "USD" in exchange:
        yield "exchange.USD", "a dollar is a dollar: only other currencies are exchanged"


def _surcharge(entry: Table) -> Iterator[Problem]:
    sums = [key for key in ("usd_per_gpu_hour", "usd_per_hour") if key in entry]
    if len(sums) != 1:
        had = ", has both" if sums else ""
        yield "", f"needs exactly one of 'usd_per_gpu_hour' and 'usd_per_hour'{had}"


def _objectives(document: Table) -> Iterator[Problem]:
    slo = document.get("slo")
    if isinstance(slo, dict) and not {"ttft_ms", "tpot_ms", "e2e_ms"} & set(slo):
        yield "slo", "needs at least one of 'ttft_ms', 'tpot_ms', 'e2e_ms'"


def _response(document: Table) -> Iterator[Problem]:
    entry = document.get("response")
    if not isinstance(entry, dict):
        return
    sides = [key for key in ("input_per_mtok", "output_per_mtok") if key in entry]
    if len(sides) == 1:
        (other,) = {"input_per_mtok", "output_per_mtok"} - set(sides)
        yield f"response.{other}", f"missing: {sides[0]!r} is only half of the price"
    if "cached_input_per_mtok" in entry and not sides:
        yield "response.cached_input_per_mtok", "needs 'input_per_mtok' and 'output_per_mtok'"
    if sides:
        yield from _at("response", _told(entry, "a price"))
    cached, whole = entry.get("cached_tokens", 0), entry.get("input_tokens", 0)
    if _number(cached) and _number(whole) and cached > whole:
        yield "response.cached_tokens", f"{cached:g} are more than the {whole:g} of 'input_tokens'"
    for key, step in tables(entry, "steps"):
        if _number(step.get("per_mtok")) and step["per_mtok"] > 0:
            yield from _at(f"response.{key}", _told(step, "a price"))


def _fleet(document: Table) -> Iterator[Problem]:
    entry = document.get("fleet")
    if not isinstance(entry, dict):
        return
    shape = entry.get("shape")
    if isinstance(shape, list):
        if len(shape) != 24:
            yield "fleet.shape", f"needs 24 weights, one for each hour of the day, has {len(shape)}"
        elif all(map(_number, shape)) and not any(shape):
            yield "fleet.shape", "all 24 weights are 0: there is no demand"
    if entry.get("revenue_share") and "usd_per_response" not in entry:
        yield "fleet.revenue_share", "needs 'usd_per_response': there is no revenue to share"
    yield from _regions(document, tables(entry, "regions"))


def _regions(document: Table, regions: list[tuple[str, Table]]) -> Iterator[Problem]:
    hours = {it["name"] for _, it in tables(document, "hours") if isinstance(it.get("name"), str)}
    for key, region in regions:
        hour = region.get("hour")
        if isinstance(hour, str) and hour not in hours:
            yield f"fleet.{key}.hour", _unknown(hour, hours, "one of [[hours]] is named")
        if "carbon_g_per_kwh" in region or "pue" in region:
            yield from _at(f"fleet.{key}", _told(region, "carbon or PUE"))
    shares = [share for _, region in regions if _number(share := region.get("share"))]
    if regions and len(shares) == len(regions):
        total = math.fsum(shares)
        if not math.isclose(total, 1, abs_tol=1e-6):
            yield "fleet.regions", f"their shares add up to {total:g}, not to 1"


def _told(entry: Table, what: str) -> Iterator[Problem]:
    yield from (
        (key, f"missing: {what} needs its {key}")
        for key in ("source", "date")
        if not entry.get(key)
    )


def _doubles(document: Table) -> Iterator[Problem]:
    fleet = document.get("fleet")
    named = [("hours", document), ("apis", document)]
    for key, holder in [*named, ("regions", fleet if isinstance(fleet, dict) else {})]:
        first: dict[str, str] = {}
        for place, entry in tables(holder, key):
            name = entry.get("name")
            if isinstance(name, str) and first.setdefault(name, place) != place:
                prefix = "fleet." if key == "regions" else ""
                yield f"{prefix}{place}.name", f"{problems.shown(name)} is also {first[name]}"


def _per_mtok(document: Table) -> Iterator[Problem]:
    for key, price in per_mtok(document):
        if 0 < price < LEAST_PER_MTOK:
            said = f"{_plainly(price)} USD per million tokens: is this per token? "
            yield key, f"{said}Per million it is {price * 1e6:g}"


def _at(key: str, found: Iterable[Problem]) -> Iterator[Problem]:
    yield from ((f"{key}.{name}" if name else key, text) for name, text in found)


def _no_input(name: str, known: Iterable[str]) -> str:
    return _unknown(name, known, "inputs of this hour are")


def _unknown(name: str, known: Iterable[str], which: str) -> str:
    near = closest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"{problems.shown(name)} is unknown{hint} ({which} {', '.join(sorted(known))})"


def _plainly(number: float) -> str:
    """Return a small number without an exponent."""
    return f"{number:.12f}".rstrip("0")


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and problems.finite(value)
