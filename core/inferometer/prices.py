"""Prices with a source and a date: what a price book holds, and what it owes.

A book is TOML, ``[[prices]]`` (see ``docs/reference/prices.md``); plugins bring more by the hook
``inferometer_price_books``. No price is ever changed here: discount, lost work and utilisation
are lines of the bill, and credits are in no price at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

STALE_DAYS = 90
"""A price older than this is marked wherever it appears."""

Positive = Annotated[float, Meta(gt=0)]
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


class PriceBook(Protocol):
    """Brings dated prices: what the hook ``inferometer_price_books`` returns."""

    @property
    def name(self) -> str:
        """Return the book's name."""

    def quotes(self) -> Sequence[Quote]:
        """Return its prices; ids are unique within all books."""
