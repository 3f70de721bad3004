"""Reads a scenario, looks its quotes and exchange rates up, and says how old each price is."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs, to_builtins

from inferometer import problems, tomlfile
from inferometer.comparison.costs import Origin
from inferometer.cost import rules
from inferometer.cost.inputs import inputs
from inferometer.cost.scenario import HourEntry, Scenario, Terms
from inferometer.errors import StudyError, UsageError, closest
from inferometer.prices import (
    Quote,
    age_days,
    contract_problems,
    contract_words,
    date_problem,
    find,
    is_stale,
    listed,
)
from inferometer.roofline.accelerators import PEAKS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferometer.cost.scenario import Api, Exchange
    from inferometer.declared import Price
    from inferometer.prices import Listed, PriceBook
    from inferometer.problems import Problem

MOST_PER_MTOK = 100.0
MOST_PER_KWH = 2.0
"""Dollars above which a price is used with a warning."""
PART = re.compile(r"(?!HBM|SXM)[A-Z]+\d+[A-Z]*")
"""A word of an accelerator's name by which the market knows it: ``MI300X``; not maker or memory."""
OF_STUDY = "study"
"""Name of the hour that a study's own ``[price]`` makes."""
BESIDE = {
    "surcharges": "surcharge",
    "credits": "credits",
    "response": "the response's prices",
    "response.steps": "step",
    "fleet.regions": "region",
}
"""Tables with a source that stand in no price of an hour -> their words."""


class Dated(NamedTuple):
    """Something in a scenario that was true on some day."""

    key: str
    """Key path of the date, or of the quote that has it."""
    name: str
    date: str


def load(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        UsageError: the file is missing, unreadable or not TOML.
        StudyError: it does not hold together; lists every problem by line and key.
    """
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """Return the text of a scenario file, or raise :class:`UsageError`."""
    hint = f"Write one with: inferometer init {path} --cost"
    return tomlfile.read(path, what="scenario", hint=hint)


def parse(text: str, name: str) -> Scenario:
    """Return the scenario written in ``text``; ``name`` stands for the file in messages.

    Raises:
        UsageError: not TOML.
        StudyError: it does not hold together; lists every problem by line and key.
    """
    return tomlfile.parse(text, name, Scenario, (rules.find,))


def resolve(
    scenario: Scenario,
    books: Iterable[PriceBook],
    *,
    as_of: dt.date,
    max_age_days: int | None = None,
    name: str,
    text: str,
) -> list[Terms]:
    """Return the hours with quotes and exchange rates looked up, in the order of the file.

    ``as_of`` is the day on which ages are counted; ``max_age_days`` refuses what is older, also
    APIs, steps, surcharges, credits, exchange rates and regions. ``name`` and ``text`` are the
    file's, for messages.

    Raises:
        StudyError: a quote, a GPU or an exchange rate is not known, or a price is too old or from
            after ``as_of``; lists every problem by line and key.
    """
    known = listed(books)
    made = [
        _terms(f"hours[{index}]", entry, scenario, known, as_of)
        for index, entry in enumerate(scenario.hours)
    ]
    found = [
        *(it for it in made if not isinstance(it, Terms)),
        *_of_apis(scenario),
        *_of_gpus(scenario, known),
        *(it for index, one in enumerate(made) for it in _of_ranges(f"hours[{index}]", one)),
        *_untimely(_dated(scenario, known), as_of, max_age_days),
    ]
    if found:
        document = tomllib.loads(text)
        raise StudyError(name, problems.in_file_order(found, document), tomlfile.lines(text))
    return [it for it in made if isinstance(it, Terms)]


def of_study(price: Price, as_of: dt.date, *, max_age_days: int | None = None) -> list[Terms]:
    """Return a study's own ``[price]`` as the one hour of a scenario: of the whole machine.

    Raises:
        UsageError: it is older than ``max_age_days``.
    """
    wrong = _too_old(OF_STUDY, price.date, as_of, max_age_days)
    if wrong:
        raise UsageError(
            f"the study's [price]: {wrong}",
            hint="Give a newer price in a scenario; inferometer init --cost writes one.",
        )
    entry = HourEntry(
        name=OF_STUDY,
        price=price.usd_per_hour,
        per="machine",
        contract=price.contract,
        source=price.source,
        date=price.date,
    )
    quote = _written(entry)
    told = origin(price.source, price.date, as_of, contract=contract_words(quote))
    return [Terms(entry=entry, quote=quote, origin=told)]


def origin(
    source: str,
    date: str,
    as_of: dt.date,
    *,
    contract: str = "",
    region: str = "",
    detail: str = "",
) -> Origin:
    """Return where a number comes from and how old it is: of prices, rates, credits, regions.

    ``date`` is a day or a month (its first day counts), as the rules have let it pass.
    """
    return Origin(
        source=source,
        date=date,
        age_days=age_days(date, as_of),
        stale=is_stale(date, as_of),
        contract=contract,
        region=region,
        detail=detail,
    )


def beside(scenario: Scenario, as_of: dt.date) -> list[tuple[str, Origin]]:
    """Return what else a scenario rests on and whose it is: all but hours, rates and APIs.

    Surcharges, credits, prices of a response and its steps, and what a region says of itself.
    """
    found = []
    for key, table in rules.dated(to_builtins(scenario)):
        what = BESIDE.get(re.sub(r"\[\d+\]", "", key))
        if what is not None and table["date"]:
            name = table.get("name") or table.get("what")
            label = f"{what} {name!r}" if name else what
            found.append((label, origin(table["source"], table["date"], as_of)))
    return found


def of_api(api: Api, scenario: Scenario, as_of: dt.date) -> Origin:
    """Return where an API's prices come from; of an exchanged one the older day counts."""
    rate = scenario.exchange.get(api.currency)
    dates = [api.date] if rate is None else [api.date, rate.date]
    return origin(
        *(api.source, max(dates, key=lambda date: age_days(date, as_of)), as_of),
        contract="list price" + (f", {api.discount * 100:g} % off" if api.discount else ""),
        detail="" if rate is None else _exchanged(api.currency, rate),
    )


def warnings(scenario: Scenario, text: str = "") -> list[str]:
    """Return what is used but looks wrong, each with its line where the file's text is given."""
    lines = tomlfile.lines(text) if text else {}
    rates = {
        f"apis[{index}]": _rate(api.currency, scenario) for index, api in enumerate(scenario.apis)
    }
    in_usd = (
        (key, price * rates.get(key.partition(".")[0], 1.0))
        for key, price in rules.per_mtok(to_builtins(scenario))
    )
    said = [
        (key, f"{price:g} USD per million tokens is above {MOST_PER_MTOK:g}: is it per million?")
        for key, price in in_usd
        if price > MOST_PER_MTOK
    ]
    for index, entry in enumerate(scenario.hours):
        if entry.owned is not None and entry.owned.usd_per_kwh > MOST_PER_KWH:
            price = f"{entry.owned.usd_per_kwh:g} USD per kWh"
            words = f"{price} is above {MOST_PER_KWH:g}: is it in cents?"
            said.append((f"hours[{index}].owned.usd_per_kwh", words))
    said.sort(key=lambda it: lines.get(it[0], 0))
    return [f"{_place(key, lines)}: {words}" for key, words in said]


# -- inside ----------------------------------------------------------------------------------


def _terms(
    key: str,
    entry: HourEntry,
    scenario: Scenario,
    known: Mapping[str, Sequence[Listed]],
    as_of: dt.date,
) -> Terms | Problem:
    """Return one hour with what it rests on, or what is wrong with it."""
    if entry.owned is not None:
        owned = entry.owned
        detail = "; ".join(f"{name}: {source}" for name, source in owned.sources.items())
        told = origin(
            *(owned.source, owned.date, as_of),
            contract="owned",
            region=entry.region,
            detail=detail,
        )
        return Terms(entry=entry, quote=None, origin=told)
    book, quote = "", _written(entry)
    if entry.quote is not None:
        try:
            book, quote = find(entry.quote, known)
        except UsageError as error:
            return f"{key}.quote", f"{error.message}. {error.hint}"
        if entry.interruptions_per_hour != 0:  # none at all leaves nothing to hold together
            for of, said in contract_problems(to_builtins(_agreed(entry, quote))):
                return f"{key}.{of}", said
    if wrong := _no_rate(quote.currency, scenario):
        return f"{key}.{'currency' if entry.quote is None else 'quote'}", wrong
    rate = scenario.exchange.get(quote.currency)
    dates = [quote.date] if rate is None else [quote.date, rate.date]
    told = origin(
        *(quote.source, max(dates, key=lambda date: age_days(date, as_of)), as_of),
        contract=contract_words(_agreed(entry, quote)),
        region=quote.region,
        detail="; ".join(_details(book, quote, scenario)),
    )
    return Terms(entry=entry, quote=quote, origin=told, usd=_rate(quote.currency, scenario))


def _written(entry: HourEntry) -> Quote:
    """Return what an entry says itself as a quote; with ``per = "machine"`` of a whole machine.

    Where the entry has a quote's id instead, what comes back stands for nothing.
    """
    return Quote(
        id=entry.name,
        gpu=entry.gpu or "not stated",
        per_gpu_hour=entry.price or 0.0,
        currency=entry.currency,
        contract=entry.contract or "assumed",
        months=entry.months,
        upfront=entry.upfront,
        discount=entry.discount or 0.0,
        interruptions_per_hour=entry.interruptions_per_hour or 0.0,
        lost_minutes=entry.lost_minutes or 0.0,
        region=entry.region or "not stated",
        seller=entry.seller,
        source=entry.source or "",
        date=entry.date or "",
    )


def _agreed(entry: HourEntry, quote: Quote) -> Quote:
    """Return a quote with what the entry says instead."""
    names = ("discount", "interruptions_per_hour", "lost_minutes")
    said = {name: value for name in names if (value := getattr(entry, name)) is not None}
    return structs.replace(quote, **said)


def _details(book: str, quote: Quote, scenario: Scenario) -> Iterator[str]:
    if book:
        yield f"{quote.id} of price book {book}"
    if quote.seller:
        yield f"seller {quote.seller}"
    if rate := scenario.exchange.get(quote.currency):
        yield _exchanged(quote.currency, rate)
    if quote.placeholder:
        yield "placeholder: the source made it up from another price"
    if quote.note:
        yield quote.note


def _rate(currency: str, scenario: Scenario) -> float:
    rate = scenario.exchange.get(currency)
    return 1.0 if rate is None else rate.usd


def _exchanged(currency: str, rate: Exchange) -> str:
    return f"1 {currency} = {rate.usd:g} USD ({rate.source}, {rate.date})"


def _no_rate(currency: str, scenario: Scenario) -> str:
    if currency == scenario.currency or currency in scenario.exchange:
        return ""
    return (
        f"mixed currencies: this price is in {currency} and sums are in {scenario.currency}; "
        f"give the rate, its source and its date in [exchange.{currency}]"
    )


def _of_ranges(key: str, terms: Terms | Problem) -> Iterator[Problem]:
    """Check each range against the input that it is of, wherever that one comes from."""
    if not isinstance(terms, Terms):
        return
    known = {one.name: one for one in inputs(terms)}
    for name, (low, high) in terms.entry.ranges.items():
        one = known.get(name)
        if one is None and name == "power_kw":
            continue  # metered
        if one is None:
            yield f"{key}.ranges.{name}", f"moves nothing: this hour has no {name!r}"
        elif not low <= one.value <= high:
            words = f"{name!r} itself, {one.value:g}, is not within {low:g} to {high:g}"
            yield f"{key}.ranges.{name}", words
        elif name in {"interruptions_per_hour", "lost_minutes"} and high > one.high:
            yield f"{key}.ranges.{name}", f"at {high:g} the whole hour is lost"


def _of_apis(scenario: Scenario) -> Iterator[Problem]:
    for index, api in enumerate(scenario.apis):
        if wrong := _no_rate(api.currency, scenario):
            yield f"apis[{index}].currency", wrong


def _of_gpus(scenario: Scenario, known: Mapping[str, Sequence[Listed]]) -> Iterator[Problem]:
    """Check that accelerators are named as the market names them."""
    market = sorted({it.quote.gpu for prices in known.values() for it in prices})
    words = {word for name in PEAKS for word in re.split(r"[ -]", name)}
    of_makers = {word.casefold() for word in words if PART.fullmatch(word)}
    named = [(f"hours[{index}].gpu", entry.gpu) for index, entry in enumerate(scenario.hours)]
    if scenario.machine is not None:
        named.append(("machine.gpu", scenario.machine.gpu))
    for key, gpu in named:
        if gpu is None or gpu.casefold() in of_makers | {name.casefold() for name in market}:
            continue
        near = closest(gpu.upper(), market)
        hint = f"did you mean {near!r}? " if near else ""
        said = f"unknown GPU {problems.shown(gpu)}; {hint}"
        yield key, f"{said}known: {', '.join(market)}; for another, leave the key out"


def _dated(scenario: Scenario, known: Mapping[str, Sequence[Listed]]) -> Iterator[Dated]:
    """Yield everything in a scenario that was true on some day."""
    for index, entry in enumerate(scenario.hours):
        for it in known.get(entry.quote or "", ())[:1]:
            yield Dated(f"hours[{index}].quote", entry.name, it.quote.date)
    for key, table in rules.dated(to_builtins(scenario)):
        if table["date"]:
            yield Dated(f"{key}.date", str(table.get("name", key)), table["date"])


def _untimely(found: Iterable[Dated], as_of: dt.date, most_days: int | None) -> Iterator[Problem]:
    """Refuse what came after ``as_of``, and what is older than was asked for."""
    for it in found:
        wrong = date_problem(it.date, as_of) or _too_old(it.name, it.date, as_of, most_days)
        if wrong:
            yield it.key, wrong


def _too_old(name: str, date: str, as_of: dt.date, most_days: int | None) -> str:
    age = age_days(date, as_of)
    if most_days is None or age <= most_days:
        return ""
    said = f"{name!r} is of {date}, {age} days old on {as_of}"
    return f"{said}: more than the {most_days} that --max-price-age allows"


def _place(key: str, lines: Mapping[str, int]) -> str:
    return f"line {lines[key]}, {key}" if key in lines else key
