"""The scenario file: what is read, what is refused by line and key, and what is looked up."""

from __future__ import annotations

import copy
import datetime as dt
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferometer import cli, problems, study, tomlfile
from inferometer.cli import init as init_command
from inferometer.cost import cases, reading, rules, scenario
from inferometer.cost.scenario import Scenario, Terms
from inferometer.cost.tornado import tornado
from inferometer.declared import Price
from inferometer.errors import StudyError, UsageError
from inferometer.plugins import Registry
from inferometer.prices import Quote

DAY = dt.date(2026, 11, 22)
HEAD = """\
[[hours]]
name = "list"
price = 2.0
contract = "on-demand"
source = "offer 17"
date = 2026-11-01
"""
OWNED = """\
[[hours]]
name = "own"
utilisation = 0.5
[hours.owned]
gpus = 8
server_usd = 320000
life_years = 4
power_kw = 8.0
pue = 1.25
usd_per_kwh = 0.1
source = "an invoice"
date = "2026-10"
"""
API = """\
[[apis]]
name = "some API"
input_per_mtok = 0.5
output_per_mtok = 2
source = "a price list"
date = "2026-11-20"
"""
RESPONSE = """\
[response]
attempts = 1.2
output_tokens = 150
"""
FLEET = """\
[fleet]
workload = "support-bot"
requests_per_day = 1e6
"""


class Shelf:
    """A book of two prices."""

    name = "shelf"

    def quotes(self) -> Sequence[Quote]:
        rest = {"contract": "on-demand", "region": "eu", "source": "a page"}
        old = {"id": "h100-a", "gpu": "H100", "per_gpu_hour": 2.5, "date": "2026-05", **rest}
        euro = {"id": "h200-e", "gpu": "H200", "per_gpu_hour": 3.0, "date": "2026-11-10", **rest}
        return [
            msgspec.convert(old | {"note": "a median"}, Quote),
            msgspec.convert(euro | {"currency": "EUR"}, Quote),
        ]


def refused(text: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        reading.parse(text, "cost.toml")
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def resolved(text: str, *, as_of: dt.date = DAY, most: int | None = None) -> list[Terms]:
    found = reading.parse(text, "cost.toml")
    return reading.resolve(
        found, [Shelf()], as_of=as_of, max_age_days=most, name="cost.toml", text=text
    )


def unresolved(text: str, *, as_of: dt.date = DAY, most: int | None = None) -> list[str]:
    with pytest.raises(StudyError) as caught:
        resolved(text, as_of=as_of, most=most)
    assert caught.value.exit_code == 2
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


# -- one hour ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "price = 2.0\n",
            "",
            "line 1, hours[0]: needs exactly one of 'quote', 'price' and 'owned'",
        ),
        (
            "price = 2.0",
            'price = 2.0\nquote = "a"',
            "exactly one of 'quote', 'price' and 'owned', ",
        ),
        ('source = "offer 17"\n', "", "line 1, hours[0].source: missing: a price needs its source"),
        ("date = 2026-11-01\n", "", "line 1, hours[0].date: missing: a price needs its date"),
        (
            'contract = "on-demand"\n',
            "",
            "line 1, hours[0].contract: missing: a price needs its contract",
        ),
        ('"on-demand"', '"reserved"', "line 1, hours[0].months: missing: 'reserved' needs"),
        (
            "2026-11-01",
            '"last May"',
            'line 6, hours[0].date: "last May" is no day; write 2026-01-31',
        ),
        ("2.0", "-2.0", "line 3, hours[0].price: must be greater than 0, is -2.0"),
        ("2.0", "nan", "line 3, hours[0].price: must be a finite number, is nan"),
        ("2.0", '"2"', 'line 3, hours[0].price: expected a number, got "2"'),
        ("2.0", "0.000002", "line 3, hours[0].price: 2e-06 USD for one GPU for an hour is not"),
        ("2.0", "2.0\nutilisation = 1.2", "line 4, hours[0].utilisation: must be at most 1"),
        ("2.0", "2.0\nutilisation = 0", "line 4, hours[0].utilisation: must be greater than 0"),
        ("2.0", "2.0\ndiscount = 1.0", "line 4, hours[0].discount: must be less than 1, is 1.0"),
        ("2.0", '2.0\ncurrency = "eur"', 'line 4, hours[0].currency: "eur" is not a currency'),
        ("2.0", '2.0\nper = "gpus"', "gpu, machine; did you mean 'gpu'?"),
        ("2.0", "2.0\nlost_minutes = 3", "line 1, hours[0].interruptions_per_hour: missing"),
        ("price", "prize", "line 3, hours[0].prize: unknown key; did you mean 'price'?"),
    ],
)
def test_a_wrong_rented_hour_is_told_by_line_and_key(old: str, new: str, said: str) -> None:
    assert any(said in line for line in refused(HEAD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pue = 1.25", "pue = 0.9", "line 9, hours[0].owned.pue: must be at least 1, is 0.9"),
        ("pue = 1.25", "pue = 125", "line 9, hours[0].owned.pue: must be at most 10"),
        ("life_years = 4", "life_years = 0.01", "hours[0].owned.life_years: must be at least 0.1"),
        ("server_usd = 320000", "server_usd = 1e308", "hours[0].owned.server_usd: must be at most"),
        (
            "utilisation = 0.5\n",
            "",
            "line 1, hours[0].utilisation: missing: the share of its hours",
        ),
        ("power_kw = 8.0\n", "", "line 4, hours[0].owned: needs exactly one of 'power_kw' and"),
        ("power_kw = 8.0", 'power_kw = 8.0\nmeter = "nvml"', "'power_kw' and 'meter', has both"),
        (
            "power_kw = 8.0",
            "power_kw = 8.0\nhost_kw = 1",
            "hours[0].owned.host_kw: is what 'meter'",
        ),
        (
            "power_kw = 8.0",
            'meter = "nvml"\ncolocation_usd_per_kw_month = 200',
            "line 4, hours[0].owned.provisioned_kw: missing: the kilowatts that 'colocation_usd_",
        ),
        (
            "power_kw = 8.0",
            "power_kw = 8.0\nidle_kw = 9",
            "idle_kw: 9 without work is more than the 8",
        ),
        ('source = "an invoice"\n', "", "line 4, hours[0].owned.source: missing"),
        ("server_usd = 320000", "server_usd = -1", "server_usd: must be greater than 0, is -1"),
        ("gpus = 8", "gpus = 0", "line 5, hours[0].owned.gpus: must be at least 1, is 0"),
        ("utilisation", 'contract = "owned"\nutilisation', "contract: goes with 'price': an owned"),
        ("gpus = 8", "gpus = 8\nsources = { pu = 'x' }", 'owned.sources.pu: "pu" is unknown; did'),
    ],
)
def test_a_wrong_owned_hour_is_told_by_line_and_key(old: str, new: str, said: str) -> None:
    assert any(said in line for line in refused(OWNED.replace(old, new)))


def test_what_a_quote_says_itself_is_not_said_again() -> None:
    text = '[[hours]]\nname = "q"\nquote = "h100-a"\ncontract = "spot"\nregion = "us"\n'
    assert refused(text) == [
        "line 4, hours[0].contract: goes with 'price': the quote says it itself",
        "line 5, hours[0].region: goes with 'price': the quote says it itself",
    ]


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        (
            "{ prise = [1, 2] }",
            'line 7, hours[0].ranges.prise: "prise" is unknown; did you mean \'pr',
        ),
        (
            "{ pue = [1, 2] }",
            'hours[0].ranges.pue: "pue" is unknown (inputs of this hour are discount,',
        ),
        ("{ price = [3, 1] }", "goes from the lower to the higher value, has 3 to 1"),
        ("{ utilisation = [0.5, 1.5] }", "must be at most 1, is 1.5"),
        ("{ price = [1, 2, 3] }", "hours[0].ranges.price: needs 2 entries, has 3"),
        ("{ price = 3 }", "hours[0].ranges.price: expected an array, got 3"),
    ],
)
def test_a_range_is_one_of_an_input_of_the_hour(ranges: str, said: str) -> None:
    assert any(said in line for line in refused(f"{HEAD}ranges = {ranges}\n"))


QUOTED = '[[hours]]\nname = "q"\nquote = "h100-a"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}ranges = {{ price = [3, 4] }}\n", "'price' itself, 2, is not within 3 to 4"),
        (f"{QUOTED}ranges = {{ price = [3, 4] }}\n", "'price' itself, 2.5, is not within 3 to 4"),
        (
            f"{HEAD}ranges = {{ utilisation = [0.3, 0.9] }}\n",
            "line 7, hours[0].ranges.utilisation: 'utilisation' itself, 1, is not within 0.3 to",
        ),
        (f"{HEAD}ranges = {{ exchange = [1, 2] }}\n", "moves nothing: this hour has no 'exchange'"),
        (
            OWNED.replace("utilisation", "ranges = { idle_kw = [1, 2] }\nutilisation"),
            "ranges.idle_kw: moves nothing: this hour has no 'idle_kw'",
        ),
        (
            f"{HEAD}interruptions_per_hour = 2\nlost_minutes = 20\nranges.lost_minutes = [1, 40]\n",
            "line 9, hours[0].ranges.lost_minutes: at 40 the whole hour is lost",
        ),
    ],
)
def test_a_range_holds_its_input_wherever_that_comes_from(text: str, said: str) -> None:
    assert any(said in line for line in unresolved(text))


def test_a_range_of_metered_power_is_that_of_the_meter() -> None:
    text = OWNED.replace("power_kw = 8.0", 'meter = "nvml"')
    assert resolved(text.replace("utilisation", "ranges = { power_kw = [1, 2] }\nutilisation"))


def test_ranges_that_are_in_order_are_read() -> None:
    text = OWNED.replace("utilisation", "ranges = { pue = [1.1, 1.5] }\nutilisation")
    assert reading.parse(text, "x").hours[0].ranges == {"pue": (1.1, 1.5)}


# -- the rest of the file ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, 'line 8, hours[1].name: "list" is also hours[0]'),
        (
            '[[surcharges]]\nengine = "x"\nwhat = "y"\nsource = "s"\ndate = "2026-11"\n',
            "line 7, surcharges[0]: needs exactly one of 'usd_per_gpu_hour' and 'usd_per_hour'",
        ),
        (
            "[slo]\nshare = 0.9\n",
            "line 7, slo: needs at least one of 'ttft_ms', 'tpot_ms', 'e2e_ms'",
        ),
        (
            '[exchange.EUR]\nusd = 1.1\nsource = "s"\ndate = "2026"\n',
            'line 10, exchange.EUR.date: "2026" is no day',
        ),
        (
            '[exchange.euro]\nusd = 1.1\nsource = "s"\ndate = "2026-11"\n',
            'line 7, exchange.euro: "euro" is not a currency\'s three capital letters',
        ),
        (
            '[exchange.USD]\nusd = 1\nsource = "s"\ndate = "2026-11"\n',
            "line 7, exchange.USD: a dollar is a dollar",
        ),
        (
            API.replace("0.5", "0.000002"),
            "0.000002 USD per million tokens: is this per token? Per million it is 2",
        ),
        (API.replace("0.5", "-1"), "line 9, apis[0].input_per_mtok: must be at least 0, is -1"),
        (
            f"{RESPONSE}cached_tokens = 5\n",
            "line 10, response.cached_tokens: 5 are more than the 0 of 'input_tokens'",
        ),
        (f"{RESPONSE}input_per_mtok = 1\n", "line 7, response.output_per_mtok: missing"),
        (
            f"{RESPONSE}input_per_mtok = 1\noutput_per_mtok = 1\n",
            "line 7, response.source: missing: a price needs its source",
        ),
        (
            f'{RESPONSE}[[response.steps]]\nname = "g"\ntokens = 1\nper_mtok = 2\nsource = "s"\n',
            "line 10, response.steps[0].date: missing: a price needs its date",
        ),
        (RESPONSE.replace("1.2", "0.5"), "line 8, response.attempts: must be at least 1, is 0.5"),
        (f"{FLEET}shape = [1, 2]\n", "line 10, fleet.shape: needs 24 weights"),
        (f"{FLEET}shape = {[0] * 24}\n", "line 10, fleet.shape: all 24 weights are 0"),
        (f"{FLEET}shape = {[-1] * 24}\n", "line 10, fleet.shape[0]: must be at least 0, is -1"),
        (
            f'{FLEET}shape = "offices"\n',
            "evening, flat, office; did you mean 'office'? (or an array)",
        ),
        (f"{FLEET}headroom = 1e308\n", "line 10, fleet.headroom: must be at most 100"),
        (f"{FLEET}spare = {10**308}\n", "line 10, fleet.spare: must be at most 1000000"),
        (f"{FLEET}site_mw = 1e308\n", "line 10, fleet.site_mw: must be at most 1000000"),
        (f"{FLEET}revenue_share = 0.2\n", "line 10, fleet.revenue_share: needs 'usd_per_response'"),
        (
            f'{FLEET}regions = [{{ name = "a", share = 0.5 }}, {{ name = "a", share = 0.4 }}]\n',
            "line 10, fleet.regions: their shares add up to 0.9, not to 1",
        ),
        (
            f'{FLEET}regions = [{{ name = "a", share = 0.5 }}, {{ name = "a", share = 0.5 }}]\n',
            'line 10, fleet.regions[1].name: "a" is also regions[0]',
        ),
        (
            f'{FLEET}[[fleet.regions]]\nname = "a"\nshare = 1\nhour = "lst"\n',
            "line 13, fleet.regions[0].hour: \"lst\" is unknown; did you mean 'list'?",
        ),
        (
            f'{FLEET}[[fleet.regions]]\nname = "a"\nshare = 1\npue = 1.1\n',
            "line 10, fleet.regions[0].source: missing: carbon or PUE needs its source",
        ),
    ],
)
def test_a_wrong_table_is_told_by_line_and_key(text: str, said: str) -> None:
    assert any(said in line for line in refused(HEAD + text))


def test_a_shape_is_a_word_or_24_weights() -> None:
    weights = list(range(24))
    for shape, read in (("'evening'", "evening"), (str(weights), tuple(map(float, weights)))):
        found = reading.parse(f"{HEAD}{FLEET}shape = {shape}\n", "x").fleet
        assert found is not None
        assert found.shape == read


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = HEAD.replace("2.0", "0") + OWNED.replace("1.25", "0.5") + API.replace("0.5", "5e-7")
    assert [line.partition(": ")[0] for line in refused(text)] == [
        "line 3, hours[0].price",
        "line 15, hours[1].owned.pue",
        "line 21, apis[0].input_per_mtok",
    ]


def test_a_price_above_100_per_million_warns_with_its_line() -> None:
    text = HEAD + API.replace("= 2\n", "= 150\n")
    found = reading.parse(text, "x")
    said = "apis[0].output_per_mtok: 150 USD per million tokens is above 100: is it per million?"
    assert reading.warnings(found, text) == [f"line 10, {said}"]
    assert reading.warnings(found) == [said]
    assert reading.warnings(reading.parse(HEAD + API, "x"), text) == []


def test_a_price_in_another_currency_warns_by_what_it_is_in_dollars() -> None:
    yen = '[exchange.JPY]\nusd = 0.0065\nsource = "a bank"\ndate = "2026-11-01"\n'
    text = HEAD + API.replace("= 2\n", "= 1500\n").replace("0.5", "20000") + 'currency = "JPY"\n'
    (said,) = reading.warnings(reading.parse(text + yen, "x"), text)
    assert said.startswith("line 9, apis[0].input_per_mtok: 130 USD per million tokens is above")


def test_electricity_in_cents_warns() -> None:
    text = OWNED.replace("usd_per_kwh = 0.1", "usd_per_kwh = 14.6")
    assert reading.warnings(reading.parse(text, "x"), text) == [
        "line 10, hours[0].owned.usd_per_kwh: 14.6 USD per kWh is above 2: is it in cents?"
    ]


# -- looking up ----------------------------------------------------------------------------


def test_a_price_of_ones_own_is_a_quote_with_its_age() -> None:
    (terms,) = resolved(HEAD + "discount = 0.25\nseller = 'S'\n")
    assert terms.quote is not None
    assert (terms.quote.per_gpu_hour, terms.quote.discount, terms.usd) == (2.0, 0.25, 1.0)
    told = terms.origin
    assert (told.source, told.date, told.age_days, told.stale) == (
        "offer 17",
        "2026-11-01",
        21,
        False,
    )
    assert (told.contract, told.region) == ("on-demand, 25 % off list", "not stated")
    assert told.detail == "seller S"


def test_a_quote_is_looked_up_with_its_book_and_is_stale_after_90_days() -> None:
    (terms,) = resolved('[[hours]]\nname = "q"\nquote = "h100-a"\ndiscount = 0.1\n')
    assert terms.quote == Shelf().quotes()[0]
    assert (terms.origin.age_days, terms.origin.stale) == (205, True)
    assert terms.origin.contract == "on-demand, 10 % off list"
    assert terms.origin.detail == "h100-a of price book shelf; a median"


def test_an_owned_hour_has_the_sources_of_its_inputs() -> None:
    (terms,) = resolved(OWNED.replace("gpus = 8", 'gpus = 8\nsources = { pue = "the landlord" }'))
    assert terms.quote is None
    assert (terms.origin.contract, terms.origin.age_days) == ("owned", 52)
    assert terms.origin.detail == "pue: the landlord"


def test_another_currency_is_exchanged_and_the_older_day_counts() -> None:
    text = (
        '[[hours]]\nname = "q"\nquote = "h200-e"\n'
        '[exchange.EUR]\nusd = 1.25\nsource = "a bank"\ndate = "2026-11-01"\n'
    )
    (terms,) = resolved(text)
    assert (terms.usd, terms.origin.date, terms.origin.age_days) == (1.25, "2026-11-01", 21)
    assert "1 EUR = 1.25 USD (a bank, 2026-11-01)" in terms.origin.detail


def test_an_api_is_as_old_as_the_rate_of_its_currency() -> None:
    rate = '[exchange.EUR]\nusd = 1.25\nsource = "a bank"\ndate = "2026-08-01"\n'
    found = reading.parse(f'{HEAD}{API}currency = "EUR"\ndiscount = 0.2\n{rate}', "x")
    told = reading.of_api(found.apis[0], found, DAY)
    assert (told.date, told.stale, told.contract) == ("2026-08-01", True, "list price, 20 % off")
    assert told.detail == "1 EUR = 1.25 USD (a bank, 2026-08-01)"
    plain = reading.of_api(reading.parse(HEAD + API, "x").apis[0], found, DAY)
    assert (plain.date, plain.stale, plain.contract) == ("2026-11-20", False, "list price")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[hours]]\nname = "q"\nquote = "h200-e"\n',
            "USD; give the rate, its source and its date in [exchange.EUR]",
        ),
        (
            HEAD.replace("2.0", '2.0\ncurrency = "GBP"'),
            "line 4, hours[0].currency: mixed currencies: this price is in GBP",
        ),
        (HEAD + API + 'currency = "EUR"\n', "line 13, apis[0].currency: mixed currencies"),
        (
            '[[hours]]\nname = "q"\nquote = "H100"\n',
            "line 3, hours[0].quote: no price with id 'H100'. Did you mean 'h100-a'? List: ",
        ),
        (
            HEAD + 'gpu = "MI300"\n[machine]\ngpus = 8\ngpu = "H101"\n',
            'line 7, hours[0].gpu: unknown GPU "MI300"; known: H100, H200; for another, leave',
        ),
        (
            HEAD + '[machine]\ngpus = 8\ngpu = "H101"\n',
            "line 9, machine.gpu: unknown GPU \"H101\"; did you mean 'H100'? known: H100, H200",
        ),
        (
            '[[hours]]\nname = "q"\nquote = "h100-a"\ninterruptions_per_hour = 0.5\n',
            "line 1, hours[0].lost_minutes: missing: how many minutes",
        ),
        (HEAD + 'gpu = "NVIDIA"\n', 'line 7, hours[0].gpu: unknown GPU "NVIDIA"'),
        (HEAD + 'gpu = "80GB"\n', 'line 7, hours[0].gpu: unknown GPU "80GB"'),
        (HEAD.replace("2026-11-01", "2026-11-24"), "line 6, hours[0].date: 2026-11-24 is after"),
    ],
)
def test_what_cannot_be_looked_up_is_told_by_line(text: str, said: str) -> None:
    assert any(said in line for line in unresolved(text))


def test_a_gpu_of_a_makers_data_sheet_is_known_too() -> None:
    assert resolved(HEAD + 'gpu = "L40S"\n')[0].quote.gpu == "L40S"  # type: ignore[union-attr]


def test_the_books_say_which_gpus_there_are_where_no_hour_quotes_one(tmp_path: Path) -> None:
    path = tmp_path / "cost.toml"
    day: dict[str, Any] = {"as_of": DAY, "max_age_days": None, "fleet": {}}
    path.write_text(HEAD + 'gpu = "GB300 NVL72"\n')
    assert cases.case(path, None, **day).terms[0].quote.gpu == "GB300 NVL72"  # type: ignore[union-attr]
    path.write_text(HEAD + '[machine]\ngpus = 8\ngpu = "H101"\n')
    with pytest.raises(StudyError, match=r"did you mean 'H100'\? known: B200, B300"):
        cases.case(path, None, **day)


def test_max_price_age_refuses_everything_that_is_older() -> None:
    text = f'[[hours]]\nname = "q"\nquote = "h100-a"\n{OWNED}{API}'
    assert len(resolved(text)) == 2
    rest = " days old on 2026-11-22: more than the 10 that --max-price-age allows"
    assert unresolved(text, most=10) == [
        f"line 3, hours[0].quote: 'q' is of 2026-05, 205{rest}",
        f"line 15, hours[1].owned.date: 'hours[1].owned' is of 2026-10, 52{rest}",
    ]
    assert len(resolved(text, most=205)) == 2


def test_all_else_that_is_old_is_told_too(tmp_path: Path) -> None:
    told = 'source = "s"\ndate = "2026-05"\n'
    text = (
        f'{HEAD}[[surcharges]]\nengine = "x"\nwhat = "y"\nusd_per_hour = 1\n{told}'
        f"[credits]\nusd = 1\nmonths = 1\n{told}"
        f'{RESPONSE}[[response.steps]]\nname = "g"\ntokens = 1\nper_mtok = 2\n{told}'
        f'{FLEET}[[fleet.regions]]\nname = "r"\nshare = 1\npue = 1.1\n{told}'
    )
    path = tmp_path / "cost.toml"
    path.write_text(text)
    found = cases.case(path, None, as_of=DAY, max_age_days=None, fleet={})
    keys = ("surcharge 'y'", "credits", "step 'g'", "region 'r'")
    assert list(found.warnings) == [f"{key} is of 2026-05: stale, 205 days old" for key in keys]
    path.write_text(text.replace("2026-05", "2026-11"))
    fresh = cases.case(path, None, as_of=DAY, max_age_days=None, fleet={})
    assert not fresh.warnings


def test_a_price_from_after_the_day_is_refused() -> None:
    (said,) = unresolved(HEAD, as_of=dt.date(2026, 10, 1))
    assert said == (
        "line 6, hours[0].date: 2026-11-01 is after 2026-10-01, the day on which ages are counted"
    )


def test_the_price_of_a_study_is_one_hour_of_the_whole_machine() -> None:
    price = Price(usd_per_hour=12.0, source="offer", date="2026-08-01", contract="reserved")
    (terms,) = reading.of_study(price, DAY)
    assert (terms.entry.name, terms.entry.per, terms.entry.price) == ("study", "machine", 12.0)
    assert terms.quote is not None
    assert terms.quote.per_gpu_hour == 12.0
    assert (terms.origin.age_days, terms.origin.stale) == (113, True)
    assert terms.origin.contract == "reserved"
    assert reading.of_study(price, DAY, max_age_days=113) == [terms]
    with pytest.raises(UsageError, match=r"study's \[price\]: 'study' is of 2026-08-01, 113 days"):
        reading.of_study(price, DAY, max_age_days=112)


# -- template and reference ----------------------------------------------------------------


def test_init_writes_a_scenario_that_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cost.toml"
    assert cli.main(["init", str(path), "--cost"]) == 0
    assert f"next: inferometer cost RESULTS {path}" in capsys.readouterr().err
    found = reading.load(path)
    assert found.fleet is not None
    assert (found.fleet.workload, found.fleet.requests_per_day) == ("support-bot", 1e6)
    assert cli.main(["init", str(path), "--cost"]) == 2
    assert "inferometer init OTHER.toml --cost" in capsys.readouterr().err


def test_what_the_template_comments_out_is_valid_too() -> None:
    text = init_command.template(Path("cost.toml"), "cost.toml")
    shown = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    found = reading.parse(shown, "template")
    assert [entry.name for entry in found.hours] == ["example, replace", "H100 on demand", "owned"]
    assert found.credits is not None
    books = Registry(only=["prices"]).price_books().values()
    terms = reading.resolve(found, books, as_of=DAY, name="template", text=shown)
    assert terms[1].quote is not None
    assert terms[1].quote.gpu == "H100"


ODD: tuple[Any, ...] = (
    "x",
    "",
    -1,
    0,
    1.5,
    True,
    float("nan"),
    10**400,
    [],
    [1, 2],
    [[]],
    {},
    {"a": 1},
    [{}],
)


def places(value: object, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value in a document."""
    if way:
        yield way
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*way, key))


def test_whatever_stands_at_a_key_is_read_or_refused_and_never_a_crash() -> None:
    text = init_command.template(Path("cost.toml"), "cost.toml")
    whole = tomllib.loads(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))
    whole = tomlfile._with_days(whole)
    assert not [*rules.find(whole), *problems.find(whole, Scenario)]
    tried = 0
    for *way, last in places(whole):
        for odd in ODD:
            document = copy.deepcopy(whole)
            holder: Any = document
            for step in way:
                holder = holder[step]
            holder[last] = odd
            if not [*rules.find(document), *problems.find(document, Scenario)]:
                msgspec.convert(document, Scenario)
            tried += 1
    assert tried > 1000


def test_whatever_can_be_read_has_a_bill_and_a_sensitivity_that_are_numbers() -> None:
    text = init_command.template(Path("cost.toml"), "cost.toml")
    text = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    whole = tomlfile._with_days(tomllib.loads(text))
    books = list(Registry(only=["prices"]).price_books().values())
    priced = 0
    for *way, last in places({"hours": whole["hours"]}):
        for odd in (0, 1e-300, 0.5, 0.9999999, 7, 1e15, 1e308):
            document = copy.deepcopy(whole)
            holder: Any = document
            for step in way:
                holder = holder[step]
            holder[last] = odd
            if [*rules.find(document), *problems.find(document, Scenario)]:
                continue
            found = msgspec.convert(document, Scenario)
            try:
                hours = reading.resolve(found, books, as_of=DAY, name="template", text=text)
            except StudyError:
                continue  # a value that is not within its range
            for terms in hours:
                told = tornado(terms, gpus=8, cell="", metric="", unit="")
                ends = [end for swing in told.swings for end in (swing.at_low, swing.at_high)]
                assert all(0 < cost < math.inf for cost in (told.base, *ends)), (*way, last, odd)
                priced += 1
    assert priced > 200


TABLES: dict[str, type[msgspec.Struct]] = {
    "hours": scenario.HourEntry,
    "hours.owned": scenario.Owned,
    "machine": scenario.Machine,
    "exchange": scenario.Exchange,
    "surcharges": scenario.Surcharge,
    "credits": scenario.Credits,
    "slo": scenario.Objectives,
    "apis": scenario.Api,
    "response": scenario.Response,
    "response.steps": scenario.Step,
    "fleet": scenario.FleetEntry,
    "fleet.regions": scenario.Region,
}


def documented(page: str) -> dict[str, str]:
    text = (Path(__file__).parents[3] / "docs" / "reference" / page).read_text()
    pattern = r"^\| `([\w.]+)` \| .* \| (`.*`|required|unset) \| .* \|$"
    return dict(re.findall(pattern, text, re.MULTILINE))


def keys_of(table: str, struct: type[msgspec.Struct], skip: set[str]) -> dict[str, str]:
    found = {}
    for info in msgspec.structs.fields(struct):
        key = f"{table}.{info.name}".lstrip(".")
        if key in skip:
            continue
        value = "required" if info.required else "unset"
        if not info.required and info.default is not None:
            empty = {} if info.default is msgspec.NODEFAULT else info.default
            value = f"`{study._toml(empty).replace('{  }', '{}')}`"
        found[key] = value
    return found


def test_the_reference_has_every_key_of_a_scenario_with_its_default() -> None:
    expected = keys_of("", Scenario, set(TABLES))
    for table, struct in TABLES.items():
        expected |= keys_of(table, struct, set(TABLES))
    assert documented("cost.md") == expected


def test_the_reference_has_every_key_of_a_price_with_its_default() -> None:
    expected = {"schema": "required", "name": "required"} | keys_of("prices", Quote, set())
    assert documented("prices.md") == expected
