"""``inferometer prices``: the dated prices that the installed books hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from inferometer.prices import Listed

CONTRACTS = ("on-demand", "reserved", "spot", "negotiated", "owned", "assumed")


@click.command("prices")
@click.option("--gpu", help="Only prices of this accelerator, for example H100.")
@click.option("--contract", type=click.Choice(CONTRACTS), help="Only this kind of contract.")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Count ages on this day, and leave out what came later; today when not given.",
)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    metavar="BOOK.toml",
    help="Check and list this price book instead of the installed ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    gpu: str | None,
    contract: str | None,
    as_of: dt.datetime | None,
    path: Path | None,
    as_json: bool,
) -> None:
    """List dated prices of an hour of a GPU, with their sources.

    What is older than 90 days is marked stale.
    """
    import datetime as dt

    from inferometer.cli import common
    from inferometer.plugins import Registry
    from inferometer.prices import Listed, age_days, read

    day = as_of.date() if as_of else dt.datetime.now(dt.UTC).date()
    registry = Registry()
    if path is not None:
        book = read(path)
        found = [Listed(book.name, quote) for quote in book.prices]
    else:
        books = registry.price_books().values()
        found = [Listed(book.name, quote) for book in books for quote in book.quotes()]
    asked = _chosen(found, gpu, contract)
    chosen = [it for it in asked if age_days(it.quote.date, day) >= -1]
    if as_json:
        click.echo(common.as_json([_row(it, day) for it in chosen]))
    else:
        click.echo("\n".join(_lines([_row(it, day) for it in chosen])))
    if later := len(asked) - len(chosen):
        click.echo(f"left out: {later} prices that came after {day}", err=True)
    if path is None:
        common.complain(registry)


def _chosen(found: Sequence[Listed], gpu: str | None, contract: str | None) -> list[Listed]:
    """Return the prices asked for, by accelerator and then from the lowest up.

    Raises:
        UsageError: no price is of this accelerator.
    """
    from inferometer.errors import UsageError

    if gpu is not None:
        wanted = gpu.casefold()
        names = {it.quote.gpu for it in found}
        # "GB200" finds "GB200 NVL72"
        of_gpu = {name for name in names if wanted in {name.casefold(), name.casefold().split()[0]}}
        if not of_gpu:
            raise UsageError.unknown("GPU with a price", gpu, names)
        found = [it for it in found if it.quote.gpu in of_gpu]
    kept = [it for it in found if contract in {None, it.quote.contract}]
    return sorted(kept, key=lambda it: (it.quote.gpu, it.quote.currency, it.quote.per_gpu_hour))


def _row(found: Listed, day: dt.date) -> dict[str, Any]:
    import msgspec

    from inferometer.prices import age_days, contract_words, is_stale

    quote = found.quote
    return {
        **msgspec.structs.asdict(quote),
        "book": found.book,
        "terms": contract_words(quote),
        "age_days": age_days(quote.date, day),
        "stale": is_stale(quote.date, day),
    }


def _amount(price: float) -> str:
    """Return a price to the cent, or as it was written where it goes beyond."""
    cents = f"{price:.2f}"
    return cents if float(cents) == price else f"{price:g}"


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a table, then the sources and notes that its last column counts."""
    from inferometer.cli import common
    from inferometer.redact import plain

    if not rows:
        yield "no price"
        return
    sources: dict[str, int] = {}
    table: list[Sequence[str]] = [
        ("id", "GPU", "per GPU-hour", "contract", "region", "date", "age", "source")
    ]
    for row in rows:
        marks = " stale" if row["stale"] else ""
        marks += " placeholder" if row["placeholder"] else ""
        number = sources.setdefault(row["source"], len(sources) + 1)
        cells = (
            row["id"],
            row["gpu"],
            f"{_amount(row['per_gpu_hour'])} {row['currency']}",
            row["terms"],
            row["region"],
            row["date"],
            f"{row['age_days']} d{marks}",
            f"[{number}]",
        )
        table.append(tuple(plain(" ".join(cell.split())) for cell in cells))
    yield from common.columns(table)
    yield ""
    for source, number in sources.items():
        yield from common.fitted([(f"[{number}]", " ".join(source.split()))])
