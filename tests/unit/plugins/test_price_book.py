"""The bundled price books, against the figures they were copied from."""

from __future__ import annotations

import pytest

from inferometer.plugins import Registry
from inferometer.prices import Quote, listed

INFERENCEX = """
H100        | 1.73 | 1.30  | 1.69   | 1.30
H200        | 1.73 | 1.41  | 1.74   | 1.60
B200        | 2.17 | 1.95  | 2.34   | 2.90
B300        | 2.17 | 2.34* | 2.808* | 3.48*
GB200 NVL72 | 2.10 | 2.21  | 2.75   | 3.30
GB300 NVL72 | 2.10 | 2.652*| 3.30*  | 3.96*
MI300X      | 1.79 | 1.12  | 1.40   | 1.55
MI325X      | 2.18 | 1.28  | 1.59   | 1.80
MI355X      | 2.65 | 1.48  | 1.90   | 2.10
"""
"""Accelerator, kW, hyperscaler owned, neocloud owned, 3-year rental; * made up by the source."""
MARKET = {
    ("H100", "reserved", "2025-10"): [1.70],
    ("H100", "reserved", "2026-03"): [2.35],
    ("H100", "spot", "2026-05"): [2.60],
    ("H100", "on-demand", "2026-05-20"): [2.95],
    ("H100", "on-demand", "2026-01"): [1.99, 4.90, 5.00, 6.88, 12.3],
    ("H200", "assumed", "2026-05"): [2.50, 3.50, 3.50, 4.50, 4.50, 7.00],
    ("H200", "spot", "2026-04-18"): [3.41],
    ("B200", "spot", "2026-04"): [5.30, 5.88],
    ("MI300X", "on-demand", "2026-05"): [1.50, 1.99, 6.00],
    ("MI325X", "on-demand", "2026-05"): [1.95],
}


@pytest.fixture(scope="module")
def books() -> dict[str, list[Quote]]:
    found = Registry(only=["prices"]).price_books()
    return {name: list(book.quotes()) for name, book in found.items()}


def test_the_27_prices_are_there_with_source_day_and_placeholders(
    books: dict[str, list[Quote]],
) -> None:
    quotes = {quote.id: quote for quote in books["inferencex-2026-04"]}
    assert len(quotes) == 27
    for line in INFERENCEX.strip().splitlines():
        gpu, power, *amounts = (cell.strip() for cell in line.split("|"))
        slug = gpu.lower().replace(" ", "-")
        for tier, amount in zip(("hyperscaler", "neocloud", "rental"), amounts, strict=True):
            quote = quotes[f"inferencex-{slug}-{tier}"]
            assert (quote.gpu, quote.per_gpu_hour) == (gpu, float(amount.rstrip("*")))
            assert quote.placeholder is amount.endswith("*")
            assert quote.utility_kw == float(power)
            owned = tier != "rental"
            terms = (quote.contract, quote.months, quote.upfront)
            assert terms == (("owned", None, 0.0) if owned else ("reserved", 36, 0.25))
            assert ("4-year economic life" in quote.note) is owned
            assert "InferenceX" in quote.source
            assert "SemiAnalysis" in quote.source
            assert (quote.date, quote.currency, quote.region) == ("2026-04", "USD", "not stated")


def test_the_prices_seen_on_the_market_are_there_by_contract_and_day(
    books: dict[str, list[Quote]],
) -> None:
    found: dict[tuple[str, str, str], list[float]] = {}
    for quote in books["market-2026"]:
        key = (quote.gpu, quote.contract, quote.date)
        found.setdefault(key, []).append(quote.per_gpu_hour)
        assert "secondary page" in quote.source
        assert quote.months == (12 if quote.contract == "reserved" else None)
    assert {key: sorted(amounts) for key, amounts in found.items()} == MARKET


def test_no_id_stands_twice_in_the_bundled_books() -> None:
    known = listed(Registry(only=["prices"]).price_books().values())
    assert len(known) == 27 + 22
    assert all(len(prices) == 1 for prices in known.values())
