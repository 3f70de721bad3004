"""Prices with a source and a date: what a price book holds, and what it owes.

A book is TOML, ``[[prices]]`` (see ``docs/reference/prices.md``); plugins bring more by the hook
``inferometer_price_books``. No price is ever changed here: discount, lost work and utilisation
are lines of the bill, and credits are in no price at all.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol, TypeGuard

from msgspec import Meta, Struct, to_builtins

from inferometer import problems, tomlfile
from inferometer.errors import UsageError, closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferometer.problems import Problem

STALE_DAYS = 90
"""A price older than this is marked wherever it appears."""
LOW, HIGH = 0.01, 200.0
"""Dollars for one GPU for an hour, between which a price is believed."""

MOST = 1e15
"""Of whatever a person may type: sums and products of such numbers are still numbers."""

Positive = Annotated[float, Meta(gt=0, le=MOST)]
Text = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Currency = Annotated[
    str, Meta(pattern=r"^[A-Z]{3}\Z", description="a currency's three capital letters (ISO 4217)")
]
Contract = Literal["on-demand", "reserved", "spot", "negotiated", "owned", "assumed"]


class Quote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[[prices]]``: what one hour of one GPU cost somewhere on some day."""

    id: Text
    gpu: Text
    """The accelerator as the market names it: ``H100``, ``MI300X``, ``GB200 NVL72``."""
    per_gpu_hour: Positive
    """List price of one GPU for one hour, in ``currency``."""
    currency: Currency = "USD"
    contract: Contract
    months: Annotated[int, Meta(ge=1)] | None = None
    """Length of the commitment; needed with ``reserved``."""
    upfront: Share = 0.0
    """Share of the commitment that is paid in advance."""
    discount: Share = 0.0
    """Off the list price, as agreed."""
    interruptions_per_hour: Annotated[float, Meta(ge=0)] = 0.0
    lost_minutes: Annotated[float, Meta(ge=0)] = 0.0
    """Work lost at each interruption: what was under way and what starting again takes."""
    region: Text
    seller: str = ""
    source: Text
    date: str
    """ISO 8601 day (or month, then its first day counts) on which it was true."""
    placeholder: bool = False
    """The source itself made the number up from another one."""
    utility_kw: Positive | None = None
    """All-in power of the site for one GPU, as provisioned (from nameplates, not measured)."""
    note: str = ""


class Book(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A book's file: a name and its prices."""

    schema: Literal[1]
    name: Text
    prices: Annotated[tuple[Quote, ...], Meta(min_length=1)]


class PriceBook(Protocol):
    """Brings dated prices: what the hook ``inferometer_price_books`` returns."""

    @property
    def name(self) -> str:
        """Return the book's name."""

    def quotes(self) -> Sequence[Quote]:
        """Return its prices; ids are unique within all books."""


@dataclass(frozen=True, slots=True)
class FileBook:
    """A book in a TOML file, read when it is asked for; ``name`` is the one the file gives."""

    name: str
    path: Path

    def quotes(self) -> Sequence[Quote]:
        """Read the file.

        Raises:
            UsageError: it cannot be read, or is no book; lists every problem by line and key.
        """
        return read(self.path, name=self.name).prices


def read(path: Path, *, name: str | None = None, as_of: dt.date | None = None) -> Book:
    """Read a book; ``name`` is what it must be called, ``as_of`` (today) the latest day in it.

    Raises:
        UsageError: it cannot be read, or is no book; lists every problem by line and key.
    """
    text = tomlfile.read(path, what="price book", hint="Give the path of a TOML file of prices.")
    rules = (lambda document: _problems(document, name, as_of or _today()),)
    return tomlfile.parse(text, str(path), Book, rules)


class Listed(NamedTuple):
    """A price and the name of the book it stands in."""

    book: str
    quote: Quote


def checked(book: PriceBook) -> list[Quote]:
    """Return a book's prices, held to what a file of prices is held to.

    Raises:
        TypeError: something in it is no :class:`Quote`.
        ValueError: prices do not hold together; names each key.
    """
    quotes = list(book.quotes())
    for quote in quotes:
        if not isinstance(quote, Quote):
            raise TypeError(f"quotes() holds {type(quote).__name__}, not Quote")
    document = {"schema": 1, "name": book.name, "prices": to_builtins(quotes)}
    found = [*_problems(document, None, _today()), *problems.find(document, Book)]
    if found:
        raise ValueError("; ".join(f"{key}: {text}" for key, text in found))
    return quotes


def listed(books: Iterable[PriceBook]) -> dict[str, list[Listed]]:
    """Return every price by its id; of one id there may be several, which :func:`find` refuses."""
    found: dict[str, list[Listed]] = {}
    for book in books:
        for quote in book.quotes():
            found.setdefault(quote.id, []).append(Listed(book.name, quote))
    return found


def find(id_: str, known: Mapping[str, Sequence[Listed]]) -> Listed:
    """Return the price of one id.

    Raises:
        UsageError: no book has it, or two have; suggests the nearest.
    """
    if not (of_id := known.get(id_)):
        of_gpu = [
            name
            for name, (first, *_) in known.items()
            if first.quote.gpu.casefold() == id_.casefold()
        ]
        near = of_gpu or [name for name in [closest(id_, known)] if name]
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise UsageError(f"no price with id {id_!r}", hint=f"{hint}List: inferometer prices")
    if len(of_id) > 1:
        books = " and ".join(repr(it.book) for it in of_id)
        raise UsageError(
            f"price {id_!r} stands in the books {books}", hint="Uninstall one of the plugins."
        )
    return of_id[0]


def day(text: str) -> dt.date | None:
    """Return the day that ``2026-01-31`` or ``2026-01`` (its first) names, None for another."""
    if re.fullmatch(r"\d{4}-\d{2}", text):
        text += "-01"
    try:
        # fromisoformat alone would also take 20260131 and 2026-W05-6
        return dt.date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def age_days(date: str, as_of: dt.date) -> int:
    """Return days from ``date`` to ``as_of``; below 0 where the price came later.

    Raises:
        ValueError: ``date`` names no day.
    """
    found = day(date)
    if found is None:
        raise ValueError(f"{date!r} is no day")
    return (as_of - found).days


def is_stale(date: str, as_of: dt.date) -> bool:
    """Say whether a price of ``date`` was older than :data:`STALE_DAYS` on ``as_of``."""
    return age_days(date, as_of) > STALE_DAYS


def date_problem(text: str, as_of: dt.date | None = None) -> str:
    """Say what is wrong with a date; empty where nothing is. A day's grace is for time zones."""
    found = day(text)
    if found is None:
        return f'"{text}" is no day; write 2026-01-31, or 2026-01 where only the month is known'
    if as_of is not None and (found - as_of).days > 1:
        return f"{text} is after {as_of}, the day on which ages are counted"
    return ""


def contract_words(quote: Quote) -> str:
    """Return a contract as tables show it: ``reserved 36 months, 25 % up front``."""
    text: str = quote.contract
    text += f" {quote.months} months" if quote.months is not None else ""
    text += f", {quote.upfront * 100:g} % up front" if quote.upfront else ""
    return text + (f", {quote.discount * 100:g} % off list" if quote.discount else "")


def contract_problems(entry: dict[str, Any]) -> Iterator[Problem]:
    """Find what a contract's terms must hold together; keys are those of :class:`Quote`."""
    contract, months = entry.get("contract"), entry.get("months")
    if contract == "reserved" and months is None:
        yield "months", "missing: 'reserved' needs the length of the commitment"
    elif contract != "reserved" and months is not None:
        yield "months", "is the length of a commitment: only contract 'reserved' has one"
    if contract != "reserved" and entry.get("upfront"):
        yield "upfront", "is paid of a commitment: only contract 'reserved' has one"
    often, lost = entry.get("interruptions_per_hour"), entry.get("lost_minutes")
    if often and lost is None:
        yield "lost_minutes", "missing: how many minutes of work each interruption loses"
    elif lost is not None and often is None:
        yield "interruptions_per_hour", "missing: 'lost_minutes' are those of an interruption"
    elif _number(often) and _number(lost) and often * lost >= 60:
        yield (
            "lost_minutes",
            f"{often:g} interruptions an hour x {lost:g} minutes lose the whole hour",
        )


def plausible(per_hour: Any, key: str, *, currency: object = "USD") -> Iterator[Problem]:
    """Refuse a price of one GPU for an hour that is of something else; dollars only."""
    if _number(per_hour) and per_hour > 0 and currency == "USD" and not LOW <= per_hour <= HIGH:
        said = f"{per_hour:g} USD for one GPU for an hour is not plausible ({LOW:g} to {HIGH:g})"
        yield key, f"{said}: is it of a server, a month or a token?"


def _problems(document: dict[str, Any], name: str | None, as_of: dt.date) -> Iterator[Problem]:
    """Find what the types of a book cannot say."""
    if name is not None and document.get("name", name) != name:
        yield "name", f"the plugin that brings this book calls it {name!r}"
    entries = document.get("prices")
    first: dict[str, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            key = f"prices[{index}]"
            found = list(_quote_problems(entry, as_of))
            if isinstance(id_ := entry.get("id"), str) and first.setdefault(id_, index) != index:
                found.append(("id", f'"{id_}" is also prices[{first[id_]}]'))
            yield from ((f"{key}.{of}", text) for of, text in found)


def _quote_problems(entry: dict[str, Any], as_of: dt.date) -> Iterator[Problem]:
    yield from contract_problems(entry)
    currency = entry.get("currency", "USD")
    yield from plausible(entry.get("per_gpu_hour"), "per_gpu_hour", currency=currency)
    date = entry.get("date")
    if isinstance(date, str) and (wrong := date_problem(date, as_of)):
        yield "date", wrong


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and problems.finite(value)
