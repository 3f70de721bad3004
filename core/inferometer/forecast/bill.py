"""What machine time costs: at a price of a GPU-hour, or of an hour of the whole machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from inferometer import prices
from inferometer.errors import UsageError
from inferometer.forecast.values import Span

if TYPE_CHECKING:
    import datetime as dt

    from inferometer.comparison import Kind
    from inferometer.declared import Price
    from inferometer.forecast.values import Forecast
    from inferometer.prices import Listed

NO_PRICE = "no_price"


class Rate(Struct, frozen=True, kw_only=True):
    """A price, with what is owed of it. ``per``: what an hour of costs so much, in ``currency``."""

    amount: float
    currency: str
    per: str
    """``GPU`` or ``machine``."""
    source: str
    date: str | None
    """ISO 8601 day on which it was true; None where the command line gave the price."""
    stale: bool = False


class Bill(Struct, frozen=True, kw_only=True):
    """What a plan will cost; ``amount`` is None where there is no price, and ``reason`` says so."""

    amount: Span | None
    rate: Rate | None
    kind: Kind = "estimated"
    reason: str | None = None


def of_book(listed: Listed, as_of: dt.date) -> Rate:
    """Return a price of a book, its agreed discount off."""
    quote = listed.quote
    terms = prices.contract_words(quote)
    return Rate(
        amount=quote.per_gpu_hour * (1 - quote.discount),
        currency=quote.currency,
        per="GPU",
        source=f"{quote.id} in {listed.book}: {quote.gpu}, {terms}, {quote.source}",
        date=quote.date,
        stale=prices.is_stale(quote.date, as_of),
    )


def of_study(price: Price, as_of: dt.date) -> Rate:
    """Return what the study says an hour of the machine costs."""
    return Rate(
        amount=price.usd_per_hour,
        currency="USD",
        per="machine",
        source=f"[price] of the study: {price.contract}, {price.source}",
        date=price.date,
        stale=prices.is_stale(price.date, as_of),
    )


def typed(usd_per_hour: float) -> Rate:
    """Return a price from the command line."""
    return Rate(
        amount=usd_per_hour,
        currency="USD",
        per="machine",
        source="--usd-per-hour, without a source",
        date=None,
    )


def bill(found: Forecast, rate: Rate | None) -> Bill:
    """Return what a plan costs: GPU-hours, or hours of machines while they measure, at a rate.

    Raises:
        UsageError: the price is of a GPU, and no launch occupies one.
    """
    if rate is None:
        return Bill(amount=None, rate=None, reason=NO_PRICE)
    if rate.per == "machine":
        return Bill(amount=found.seconds.times(rate.amount / 3600), rate=rate)
    if not found.gpu_hours.high:
        raise UsageError(
            "the price is of an hour of a GPU, and no launch occupies one on this machine",
            hint="Give --usd-per-hour for the whole machine, or --accelerator cuda to plan for "
            "a machine with GPUs.",
        )
    return Bill(amount=found.gpu_hours.times(rate.amount), rate=rate)
