"""docs/explanation/own-or-rent.md is what the program makes of docs/examples/own-or-rent.toml."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import pytest

from inferometer.cost import reading
from inferometer.cost.evens import own_or_rent
from inferometer.cost.hour import bill, total
from inferometer.cost.inputs import OWNED, inputs, with_inputs
from inferometer.cost.scenario import Terms
from inferometer.cost.tornado import tornado

DOCS = Path(__file__).parents[3] / "docs"
FILE = DOCS / "examples" / "own-or-rent.toml"
PAGE = (DOCS / "explanation" / "own-or-rent.md").read_text()
GPUS = 8


SCENARIO = reading.load(FILE)
OWN, *RENTS = reading.resolve(
    SCENARIO, [], as_of=dt.date(2026, 11, 22), name=FILE.name, text=FILE.read_text()
)


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def per_gpu(hour: Terms) -> float:
    return total(bill(hour, gpus=GPUS)) / GPUS


def test_the_bill_line_by_line() -> None:
    parts = bill(OWN, gpus=GPUS)
    rows = [(part.name, f"{part.usd / GPUS:.3f}", part.formula) for part in parts]
    rows.append(("**a used GPU-hour**", f"**{per_gpu(OWN):.3f}**", "the sum"))
    made = table("| line | USD per used GPU-hour | how, for the whole server |", rows)
    assert made in PAGE, made


def test_against_the_rents() -> None:
    rows = []
    for rent in RENTS:
        even = own_or_rent(OWN, rent, gpus=GPUS)
        assert even.flip_utilisation
        assert rent.quote
        price, used = f"{rent.quote.per_gpu_hour:.2f}", f"{even.rented_usd_per_hour / GPUS:.2f}"
        flips = f"{even.flip_utilisation:.1%}", f"{even.flip_rent_usd_per_hour / GPUS:.2f}"
        rows.append((f"{rent.entry.name}, {rent.quote.date}", price, used, *flips))
        assert even.sentence in PAGE, even.sentence
    head = (
        "| rent | list price | a used GPU-hour | owning costs the same at a use of "
        "| or at a list price of |"
    )
    assert table(head, rows) in PAGE, table(head, rows)


def test_what_each_input_does() -> None:
    told = tornado(OWN, gpus=GPUS, cell="", metric="m", unit="USD per GPU-hour", per_hour=GPUS)
    assert told.base == pytest.approx(per_gpu(OWN))
    rows = [
        (
            swing.input + (" (assumed)" if swing.assumed else ""),
            f"{swing.low_input:,.6g} to {swing.high_input:,.6g}",
            f"{swing.at_low:.2f}",
            f"{swing.at_high:.2f}",
        )
        for swing in told.swings
    ]
    made = table("| input | from, to | USD at the first | at the second |", rows)
    assert made in PAGE, made


def test_how_long_it_lives() -> None:
    rows = []
    for years, left in ((3, 0.3), (3, 0), (4, 0), (5, 0), (6, 0)):
        hour = with_inputs(OWN, {"life_years": years, "residual": left})
        full = with_inputs(hour, {"utilisation": 1.0})
        even = own_or_rent(hour, RENTS[0], gpus=GPUS)
        assert even.flip_utilisation
        costs = f"{per_gpu(full):.2f}", f"{per_gpu(hour):.2f}", f"{even.flip_utilisation:.1%}"
        rows.append((f"{years} years, {left:.0%} left", *costs))
    head = "| life | a GPU-hour at full use | at 60 % | even with on demand at |"
    made = table(head, rows)
    assert made in PAGE, made


def test_all_of_it_is_stale() -> None:
    assert all(hour.origin.stale for hour in (OWN, *RENTS))


def test_every_input_has_a_source_and_a_date_or_is_called_an_assumption() -> None:
    owned = OWN.entry.owned
    assert owned
    assert owned.date == "2026-04-01"
    given = {one.name for one in inputs(OWN) if one.value and one.name in OWNED} | {"residual"}
    assert given == set(owned.sources)
    for name in given:
        said = owned.sources[name]
        assert f"| `{name}` | {getattr(owned, name):,.6g} | {said} |" in PAGE, name
