"""Price books: what is read, what is refused, and how old a price is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest

from inferometer import prices
from inferometer.errors import StudyError, UsageError
from inferometer.prices import FileBook, Quote

DAY = dt.date(2026, 11, 22)
BOOK = """\
schema = 1
name = "mine"

[[prices]]
id = "a"
gpu = "H100"
per_gpu_hour = 2.0
contract = "on-demand"
region = "eu-west"
source = "offer 17"
date = 2026-11-01
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "book.toml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str) -> list[str]:
    """Return what is said of a book, a line for each problem."""
    with pytest.raises(StudyError) as caught:
        prices.read(write(folder, text), as_of=DAY)
    return caught.value.message.splitlines()[1:]


def quote(id_: str = "a", **other: object) -> Quote:
    fields: dict[str, object] = {
        "id": id_,
        "gpu": "H100",
        "per_gpu_hour": 2.0,
        "contract": "on-demand",
        "region": "r",
        "source": "s",
        "date": "2026-11-01",
        **other,
    }
    return Quote(**fields)  # type: ignore[arg-type]


class Shelf:
    """A book made of quotes."""

    def __init__(self, name: str, *quotes: Quote) -> None:
        self.name = name
        self._quotes = quotes

    def quotes(self) -> Sequence[Quote]:
        return self._quotes


def test_a_book_is_a_name_and_its_prices(tmp_path: Path) -> None:
    book = prices.read(write(tmp_path, BOOK), as_of=DAY)
    assert book.name == "mine"
    (one,) = book.prices
    assert (one.id, one.per_gpu_hour, one.currency, one.date) == ("a", 2.0, "USD", "2026-11-01")
    assert FileBook("mine", tmp_path / "book.toml").quotes() == book.prices


def test_a_file_book_has_the_name_that_the_file_gives(tmp_path: Path) -> None:
    book = FileBook("other", write(tmp_path, BOOK))
    with pytest.raises(StudyError, match=r"line 2, name: the plugin .* calls it 'other'"):
        book.quotes()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"on-demand"', '"reserved"', "line 4, prices[0].months: missing: 'reserved' needs"),
        ('"on-demand"', '"spot"\nmonths = 12', "line 9, prices[0].months: is the length of"),
        ('"on-demand"', '"spot"\nupfront = 0.5', "line 9, prices[0].upfront: is paid of"),
        (
            '"on-demand"',
            '"spot"\ninterruptions_per_hour = 0.1',
            "line 4, prices[0].lost_minutes: missing: how many minutes",
        ),
        (
            '"on-demand"',
            '"spot"\nlost_minutes = 5',
            "line 4, prices[0].interruptions_per_hour: missing",
        ),
        (
            '"on-demand"',
            '"spot"\ninterruptions_per_hour = 4\nlost_minutes = 15',
            "line 10, prices[0].lost_minutes: 4 interruptions an hour x 15 minutes lose the whole",
        ),
        ("2026-11-01", '"May 2026"', 'line 11, prices[0].date: "May 2026" is no day'),
        ("2026-11-01", '"2026-13"', 'line 11, prices[0].date: "2026-13" is no day'),
        ("2026-11-01", "2026-11-24", "line 11, prices[0].date: 2026-11-24 is after 2026-11-22"),
        ("2.0", "0.000002", "line 7, prices[0].per_gpu_hour: 2e-06 USD for one GPU for an hour"),
        ("2.0", "1500", "line 7, prices[0].per_gpu_hour: 1500 USD for one GPU for an hour"),
        ("2.0", "-1", "line 7, prices[0].per_gpu_hour: must be greater than 0, is -1"),
        ("2.0", '2.0\ncurrency = "euro"', 'line 8, prices[0].currency: "euro" is not a currency'),
        ('source = "offer 17"\n', "", "line 4, prices[0].source: missing: text in quotes"),
        ("schema = 1", "schema = 2", "line 1, schema: 2 is not one of 1"),
        ("region", "regoin", "line 9, prices[0].regoin: unknown key; did you mean 'region'?"),
    ],
)
def test_a_wrong_price_is_told_by_line_and_key(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert any(said in line for line in refused(tmp_path, BOOK.replace(old, new)))


def test_a_day_too_late_is_let_pass_for_the_zones_of_the_earth(tmp_path: Path) -> None:
    text = BOOK.replace("2026-11-01", "2026-11-23")
    assert prices.read(write(tmp_path, text), as_of=DAY).prices[0].date == "2026-11-23"


def test_every_problem_is_told_at_once_and_an_id_is_given_once(tmp_path: Path) -> None:
    second = BOOK.partition("\n\n")[2].replace("2026-11-01", '"soon"')
    first = BOOK.replace("2.0", "0")
    assert [line.strip()[:35] for line in refused(tmp_path, f"{first}\n{second}")] == [
        "line 7, prices[0].per_gpu_hour: mus",
        'line 14, prices[1].id: "a" is also ',
        'line 20, prices[1].date: "soon" is ',
    ]


@pytest.mark.parametrize(
    ("date", "age", "stale"),
    [
        ("2026-11-22", 0, False),
        ("2026-08-24", 90, False),
        ("2026-08-23", 91, True),
        ("2026-08", 113, True),
        ("2026-11-23", -1, False),
    ],
)
def test_a_price_is_stale_when_it_is_older_than_90_days(date: str, age: int, stale: bool) -> None:
    assert prices.age_days(date, DAY) == age
    assert prices.is_stale(date, DAY) is stale


def test_on_the_last_day_there_is_every_price_is_old_and_none_too_late() -> None:
    assert prices.date_problem("2026-11-22", dt.date.max) == ""


@pytest.mark.parametrize("text", ["20260131", "2026-W05-6", "2026", "2026-02-30", "", "2026-1-1"])
def test_what_is_no_day_has_no_age(text: str) -> None:
    assert prices.day(text) is None
    with pytest.raises(ValueError, match="is no day"):
        prices.age_days(text, DAY)


def test_a_contract_in_words() -> None:
    reserved = quote(contract="reserved", months=36, upfront=0.25, discount=0.1)
    assert prices.contract_words(reserved) == "reserved 36 months, 25 % up front, 10 % off list"
    assert prices.contract_words(quote()) == "on-demand"


def test_a_price_is_found_by_its_id_and_a_gpu_suggests_its_ids() -> None:
    known = prices.listed([Shelf("x", quote("h100-a"), quote("h100-b")), Shelf("y", quote("c"))])
    assert prices.find("c", known).book == "y"
    with pytest.raises(UsageError, match="no price with id 'h100-c'") as caught:
        prices.find("h100-c", known)
    assert caught.value.hint.startswith("Did you mean 'h100-")
    with pytest.raises(UsageError) as caught:
        prices.find("H100", known)
    assert "'h100-a' or 'h100-b' or 'c'" in caught.value.hint


def test_an_id_in_two_books_is_refused_when_it_is_looked_up() -> None:
    known = prices.listed([Shelf("x", quote("a")), Shelf("y", quote("a"), quote("b"))])
    assert prices.find("b", known).book == "y"
    with pytest.raises(UsageError, match="'a' stands in the books 'x' and 'y'"):
        prices.find("a", known)


def test_a_book_made_in_python_is_held_to_the_same_rules() -> None:
    assert prices.checked(Shelf("x", quote())) == [quote()]
    with pytest.raises(ValueError, match=r"prices\[0\].months: missing: 'reserved' needs"):
        prices.checked(Shelf("x", quote(contract="reserved")))
    with pytest.raises(ValueError, match=r"prices\[0\].per_gpu_hour: must be greater than 0"):
        prices.checked(Shelf("x", quote(per_gpu_hour=-1.0)))
    with pytest.raises(TypeError, match=r"quotes\(\) holds str, not Quote"):
        prices.checked(Shelf("x", "h100"))  # type: ignore[arg-type]
